"""A small schedule to begin with."""
