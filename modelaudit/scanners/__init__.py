"""One file per format: what is wrong with the bytes, and what is inside."""
