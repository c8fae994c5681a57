"""A whole run: sources, workers, flow, sink, summary."""
