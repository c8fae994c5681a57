"""Sans-IO readers: bytes in, events out; no rules, no files, no clock."""
