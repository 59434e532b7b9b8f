"""Sweeps: many runs of one recipe, through Hydra's sweepers and launchers."""
