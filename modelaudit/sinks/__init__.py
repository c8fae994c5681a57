"""Where records go: NDJSON, text, JSON."""
