"""A small evaluator to begin with."""
