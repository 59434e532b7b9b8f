"""A small filter to begin with."""
