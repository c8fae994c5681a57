"""The caged processes that parse, and the pool that feeds them."""
