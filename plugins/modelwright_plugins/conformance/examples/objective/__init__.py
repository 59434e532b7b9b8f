"""A small objective to begin with."""
