"""A small aligner to begin with."""
