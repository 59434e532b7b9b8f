"""A small adapter to begin with."""
