"""Modelwright: build language models from named parts. This is the core: it imports no torch, no datatrove, no Megatron."""

__version__ = "0.1.0"
