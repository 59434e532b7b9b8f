"""A small architecture to begin with."""
