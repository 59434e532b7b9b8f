"""A small mixture to begin with."""
