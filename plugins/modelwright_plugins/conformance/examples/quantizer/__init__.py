"""A small quantizer to begin with."""
