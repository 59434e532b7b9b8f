"""A small optimizer to begin with."""
