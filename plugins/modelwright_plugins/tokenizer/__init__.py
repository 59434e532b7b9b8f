"""Tokenizers: how text becomes numbers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path

from modelwright.component import Component


class Tokenizer(Component, ABC):
    """How text becomes numbers: trained once, then read from its folder (`tokenizer/encoder.py`)."""

    vocab_size: int = 8192  # tokens, with the end of a document

    @abstractmethod
    def train(self, texts: Iterator[str], folder: Path) -> None:
        """Learn from `texts` and write into `folder`, which exists, a Hugging Face `tokenizer.json` and `tokenizer_config.json`.
        Token 0 ends a document. The same texts give the same files."""
