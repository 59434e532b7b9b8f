"""A small stage to begin with."""
