"""Zip archives as hostile as they come: every reading that some program makes of the same bytes."""
