"""A small command to begin with."""
