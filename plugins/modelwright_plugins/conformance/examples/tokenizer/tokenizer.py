"""Bytes as tokens."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from modelwright_plugins.tokenizer import Tokenizer

END_OF_DOCUMENT = "<|endoftext|>"


@dataclass(frozen=True, kw_only=True)
class Bytes(Tokenizer):
    """Each byte of UTF-8 is a token (as in ByT5: Xue et al. 2022, arXiv:2105.13626): there is nothing to learn."""

    vocab_size: int = 257  # tokens: the 256 bytes and the end of a document; more are left unused

    def __post_init__(self) -> None:
        if self.vocab_size < 257:
            raise ValueError(f"vocab_size is {self.vocab_size}; it is at least 257, the 256 bytes and the end of a document")

    def train(self, texts: Iterator[str], folder: Path) -> None:
        from tokenizers import AddedToken, decoders, models, pre_tokenizers
        from tokenizers import Tokenizer as HuggingFace

        vocabulary = {END_OF_DOCUMENT: 0, **{character: 1 + byte for byte, character in enumerate(_characters())}}
        tokenizer = HuggingFace(models.BPE(vocab=vocabulary, merges=[]))
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
        tokenizer.decoder = decoders.ByteLevel()
        tokenizer.add_special_tokens([AddedToken(END_OF_DOCUMENT, special=True)])
        tokenizer.save(str(folder / "tokenizer.json"))
        config = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": END_OF_DOCUMENT, "clean_up_tokenization_spaces": False}
        (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n")


def _characters() -> list[str]:
    """The printable character that stands for each byte in a byte-level tokenizer (GPT-2's `bytes_to_unicode`)."""
    printable = {*range(33, 127), *range(161, 173), *range(174, 256)}
    others = iter(range(256, 512))
    return [chr(byte) if byte in printable else chr(next(others)) for byte in range(256)]
