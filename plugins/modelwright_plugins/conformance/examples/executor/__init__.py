"""A small executor to begin with."""
