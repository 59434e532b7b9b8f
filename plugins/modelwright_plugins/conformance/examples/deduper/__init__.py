"""A small deduper to begin with."""
