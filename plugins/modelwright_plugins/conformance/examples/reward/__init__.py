"""A small reward to begin with."""
