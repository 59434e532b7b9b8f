"""A small tracker to begin with."""
