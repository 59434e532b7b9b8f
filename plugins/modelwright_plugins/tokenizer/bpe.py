"""Byte-pair encoding."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from modelwright_plugins.tokenizer import Tokenizer

END_OF_DOCUMENT = "<|endoftext|>"
GPT2 = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"  # Radford et al. 2019, in tiktoken's order


@dataclass(frozen=True, kw_only=True)
class ByteLevelBPE(Tokenizer):
    """Byte-level BPE (Sennrich et al. 2016; Radford et al. 2019), trained by Hugging Face tokenizers."""

    vocab_size: int = 8192  # tokens, with the 256 bytes and the special ones; fewer if the text has no more pairs to merge
    pattern: str = GPT2  # regular expression: no merge reaches over the ends of its matches
    min_frequency: int = 2  # a pair seen fewer times is not merged
    special_tokens: list[str] = field(default_factory=lambda: ["<|im_start|>", "<|im_end|>"])  # which no text makes; ChatML's mark turns

    def __post_init__(self) -> None:
        if len({END_OF_DOCUMENT, "", *self.special_tokens}) != 2 + len(self.special_tokens):
            raise ValueError(f"special_tokens={self.special_tokens}: expected different ones, none empty, and none {END_OF_DOCUMENT}")
        if self.vocab_size < (least := 257 + len(self.special_tokens)):
            raise ValueError(f"vocab_size={self.vocab_size}: expected at least {least}, the 256 bytes, special_tokens and a document's end")

    def train(self, texts: Iterator[str], folder: Path) -> None:
        from tokenizers import Regex, decoders, models, pre_tokenizers, trainers
        from tokenizers import Tokenizer as HuggingFace

        bpe = HuggingFace(models.BPE())
        bpe.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Split(Regex(self.pattern), behavior="isolated"),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
            ]
        )
        bpe.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=self.vocab_size,
            min_frequency=self.min_frequency,
            special_tokens=[END_OF_DOCUMENT, *self.special_tokens],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
        bpe.train_from_iterator(texts, trainer)
        bpe.save(str(folder / "tokenizer.json"))
        config = {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "eos_token": END_OF_DOCUMENT,
            "clean_up_tokenization_spaces": False,
            "add_prefix_space": False,
        }
        (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n")
