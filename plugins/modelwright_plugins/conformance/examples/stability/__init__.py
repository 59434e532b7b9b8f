"""A small way to find loss spikes, to begin with."""
