"""Evaluation: what a model's numbers are held against."""
