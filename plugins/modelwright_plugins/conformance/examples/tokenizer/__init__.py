"""A small tokenizer to begin with."""
