"""Scaling laws: how the loss falls with parameters and tokens, fitted to runs or to a table of anybody's runs."""
