"""The tokens that a model is trained on: the tokenizer's, and those that an objective adds."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from modelwright.errors import ModelwrightError


@dataclass(frozen=True)
class Vocabulary:
    """Token numbers from 0 to `size` - 1."""

    size: int
    end_of_document: int
    special: Mapping[str, int] = field(default_factory=dict)  # the objective's special tokens, by name
    tokenizer: Path | None = None  # folder of the `Tokenizer` artifact

    @classmethod
    def of(cls, tokenizer: Path, shards: Path, special_tokens: Sequence[str]) -> Vocabulary:
        """For these token shards; special tokens that the tokenizer lacks come after its own, in their order."""
        try:
            told = json.loads((shards / "shards.json").read_text())
            size, end = int(told["vocab_size"]), int(told["end_of_document"])
        except (OSError, ValueError, KeyError, TypeError) as e:
            raise ModelwrightError(f"{shards / 'shards.json'} does not tell vocab_size and end_of_document ({e.__class__.__name__})") from e
        known = _added(tokenizer) if special_tokens else {}
        new = [name for name in special_tokens if name not in known]
        numbers = known | {name: size + place for place, name in enumerate(new)}
        return cls(size + len(new), end, {name: numbers[name] for name in special_tokens}, tokenizer)

    @cached_property
    def pieces(self) -> list[str]:
        """The text of each token, with its spaces; bytes that are no characters by themselves are U+FFFD, special tokens empty."""
        if self.tokenizer is None:
            return [""] * self.size
        from tokenizers import Tokenizer

        found = Tokenizer.from_file(str(self.tokenizer / "tokenizer.json"))
        own = min(found.get_vocab_size(), self.size)
        return [found.decode([token], skip_special_tokens=True) for token in range(own)] + [""] * (self.size - own)


def _added(tokenizer: Path) -> dict[str, int]:
    file = tokenizer / "tokenizer.json"
    try:
        spec: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        return {token["content"]: token["id"] for token in spec["added_tokens"]}
    except (OSError, ValueError, KeyError, TypeError) as e:
        raise ModelwrightError(f"{file}: expected a Hugging Face tokenizer ({e.__class__.__name__})") from e
