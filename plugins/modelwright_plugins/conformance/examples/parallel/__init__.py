"""A small parallel to begin with."""
