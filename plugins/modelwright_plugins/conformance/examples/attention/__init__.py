"""A small attention to begin with."""
