"""A small kernel to begin with."""
