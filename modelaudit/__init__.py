"""modelaudit: an async, concurrent batch scanner for AI model files."""

__version__ = "0.1.0"
