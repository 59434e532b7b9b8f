"""A small source to begin with."""
