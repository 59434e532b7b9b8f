"""`model.json`: what is needed to build a checkpoint's model again."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from modelwright.errors import ModelwrightError, nearest
from modelwright.registry import Registry
from modelwright.schema import conform
from modelwright_plugins.architecture import Architecture
from modelwright_plugins.tokenizer.vocabulary import Vocabulary

Head = Literal["tokens", "value", "both"]


@dataclass(frozen=True)
class ModelCard:
    """An architecture, and what training decided beside it."""

    architecture: Architecture
    vocab_size: int
    sequence_length: int
    end_of_document: int  # token id
    seed: int  # of the run that trained it: with it, which text it saw can be told
    special_tokens: dict[str, int] = dataclasses.field(default_factory=dict)  # the objective's, by name
    spans: tuple[int, ...] = ()  # tokens of the stretches of text that a sequence was made of; none: sequence_length + 1
    head: Head = "tokens"  # value: a reward at each position, and no tokens; both: a value beside tokens, which PPO learns from
    per_step: bool = False  # of a reward model: it was trained on the steps of replies, and not on whole ones
    ending: tuple[int, ...] = ()  # of a reward model: tokens that all replies it was trained on end with

    @classmethod
    def of(cls, architecture: Architecture, vocabulary: Vocabulary, sequence_length: int, seed: int, spans: tuple[int, ...]) -> ModelCard:
        special = dict(vocabulary.special)
        return cls(architecture, vocabulary.size, sequence_length, vocabulary.end_of_document, seed, special, spans)

    def difference(self, other: ModelCard) -> str | None:
        """What keeps the weights of `other` from being this model's, or None."""
        one, two = type(self.architecture), type(other.architecture)
        if one.build is not two.build:  # a prefix decoder is a causal one that sees otherwise
            return f"it is a {type(other.architecture).__name__}, not a {type(self.architecture).__name__}"
        for field in dataclasses.fields(self.architecture):
            ours, theirs = getattr(self.architecture, field.name), getattr(other.architecture, field.name, None)
            if ours != theirs and field.name not in ("dropout", "initializer_std"):
                return f"its architecture.{field.name} is {theirs}, not {ours}"
        if self.vocab_size != other.vocab_size:
            return f"it has {other.vocab_size} tokens, not {self.vocab_size}"
        if self._otherwise(other.special_tokens):
            return f"its special tokens are {' '.join(other.special_tokens)}, not {' '.join(self.special_tokens)}"
        if (self.head == "value") != (other.head == "value"):
            return f"its head is {other.head}, not {self.head}"
        return None

    def _otherwise(self, theirs: dict[str, int]) -> bool:
        """Whether a special token has another number there, or a number another token: one may know of fewer (an imported model knows
        of [CLS] and [SEP], and not of what other objectives used)."""
        ours = self.special_tokens
        other = {number: name for name, number in theirs.items()}
        return any(theirs.get(name, number) != number or other.get(number, name) != name for name, number in ours.items())

    def write(self, file: Path, registry: Registry) -> None:
        kind = type(self.architecture)
        target = f"{kind.__module__}:{kind.__qualname__}"
        name = next((e.name for e in registry.entries.values() if e.kind == "architecture" and e.target == target), None)
        if name is None:
            raise ModelwrightError(f"architecture {target} is not registered, so {file} could not name it")
        numbers = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name != "architecture"}
        card = {"architecture": {"name": name, "fields": dataclasses.asdict(self.architecture)}, **numbers}
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(card, indent=1, default=str))

    @classmethod
    def read(cls, file: Path, registry: Registry) -> ModelCard:
        """The architecture comes from the registry, by its name: nothing in the file is imported or executed."""
        try:
            card = json.loads(file.read_text())
            name, fields = card.pop("architecture").values()
            special = {str(token): int(number) for token, number in card.pop("special_tokens", {}).items()}
            spans = tuple(int(length) for length in card.pop("spans", ()))
            if (head := card.pop("head", "tokens")) not in get_args(Head):
                raise ValueError(head)
            if (per_step := card.pop("per_step", False)) not in (False, True):
                raise ValueError(per_step)
            ending = tuple(int(token) for token in card.pop("ending", ()))
            others = ("architecture", "special_tokens", "spans", "head", "per_step", "ending")
            numbers = {f.name: card.pop(f.name) for f in dataclasses.fields(cls) if f.name not in others}
            fields = dict(fields)
        except (OSError, ValueError, KeyError, AttributeError, TypeError) as e:
            raise ModelwrightError(f"{file} is not the model.json of a checkpoint ({e.__class__.__name__})") from e
        for number, value in (numbers | card).items():
            if number not in numbers or type(value) is not int:
                hint = "" if number in numbers else nearest(number, numbers)
                raise ModelwrightError(f"{file}: {number} is {value!r:.60}; expected an int{hint}")
        architecture = conform(fields, registry.load("architecture", str(name)), f"{file}: architecture")
        more: dict[str, Any] = {"special_tokens": special, "spans": spans, "head": head, "per_step": bool(per_step), "ending": ending}
        return cls(architecture, **numbers, **more)
