"""Modelwright: build language models from named parts.

`core/` is the minimal core: six rooms (registry, hooks, compose, assemble, run, launch) behind a thin command line.
It imports no torch, no datatrove, no Megatron; those live inside components.
"""

__version__ = "0.1.0"
