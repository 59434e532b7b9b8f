"""A small precision to begin with."""
