"""A small generator to begin with."""
