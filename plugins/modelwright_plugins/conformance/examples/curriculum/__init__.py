"""A small curriculum to begin with."""
