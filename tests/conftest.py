"""For every test."""

import gc

gc.set_threshold(50_000, 20, 20)  # what tests import stays: looking through it for garbage took a seventh of composing a config
