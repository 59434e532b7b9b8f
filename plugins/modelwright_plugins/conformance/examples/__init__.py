"""A small component of each kind, with its test and a preset: what `modelwright new-plugin` writes out, renamed."""
