"""What the tables of this folder are made of: names of weights, and settings of `config.json`, each read both ways."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]
NEEDED: Any = object()  # in the place of a default: config.json has it


@dataclass(frozen=True)
class Sizes:
    """What decides the rows of an architecture's matrices."""

    heads: int
    kv_heads: int
    head_dim: int
    feed_forward: int = 0


@dataclass(frozen=True)
class Weight:
    """A tensor of ours in each layer (or in the model), and what Hugging Face has in its place.

    `ours` is a name in our checkpoints without numbers, and without .weight and .bias where both are called alike. `theirs` of a layer's
    begin after what `Names.layers` says; {expert} is its number. `rows`: qkv (groups of heads, each its queries, its key, its value) and kv
    (heads, each its key, its value) are apart with them, or one below the other where there is one name; halves are a gate above the other;
    each of copies has all, and the first alone may be there.
    """

    ours: str
    theirs: tuple[str, ...]
    rows: Literal["all", "copies", "qkv", "kv", "halves"] = "all"
    transposed: bool = False  # their weight is [inputs, outputs] (GPT-2's Conv1D)
    vocabulary: bool = False  # rows are tokens, which are padded in ours

    def parts(self, size: Sizes, count: int) -> list[Rows | None]:
        """Which of our `count` rows each of theirs has, in its order; None: all, as they are."""
        if self.rows in ("all", "copies"):
            return [None for _ in self.theirs]
        if self.rows == "halves":
            found = [np.arange(count // 2), np.arange(count // 2, count)]
        elif self.rows == "kv":
            place = np.arange(count).reshape(size.heads, 2, -1)
            found = [place[:, 0].ravel(), place[:, 1].ravel()]
        else:
            groups, queries = size.kv_heads, size.heads // size.kv_heads
            place = np.arange(count).reshape(groups, queries + 2, size.head_dim)
            found = [place[:, :queries].ravel(), place[:, queries].ravel(), place[:, queries + 1].ravel()]
        return list(found) if len(self.theirs) > 1 else [np.concatenate(found)]


@dataclass(frozen=True)
class Names:
    """The names of all weights of some of Hugging Face's models."""

    prefix: str  # of the model without its head; files of that alone lack it
    layers: Mapping[str, str]  # what names of our layers begin with: what theirs do, with the layer's number as {}
    weights: tuple[Weight, ...]
    copies: tuple[str, ...] = ()  # of weights under another name, which older files hold beside them; patterns of whole names
    buffers: tuple[str, ...] = ()  # what files hold that is no weight of the model; patterns of whole names
    older: tuple[tuple[str, str], ...] = ()  # ends of names, and how older files have them

    @property
    def layer(self) -> str:
        """What the names of a decoder's layer begin with, with its number as {}."""
        return self.layers["decoder.layers."]

    @property
    def transposed(self) -> bool:
        return any(weight.transposed for weight in self.weights)


@dataclass(frozen=True)
class Setting:
    """A field of ours that is a key of theirs."""

    ours: str
    theirs: str
    default: Any = NEEDED  # where config.json lacks it


@dataclass(frozen=True)
class Turned:
    """Fields of ours that are keys of theirs in another form. Both functions raise ValueError for what the other side lacks."""

    keys: tuple[str, ...]
    out: Callable[[Mapping[str, Any]], dict[str, Any]]  # all fields, with what None stands for -> keys
    back: Callable[[Mapping[str, Any]], dict[str, Any]]  # config.json -> fields


@dataclass(frozen=True)
class Family:
    """One of Hugging Face's architectures."""

    model_type: str
    model: str  # the class of transformers
    component: str  # ours, by its registered name
    names: Names
    settings: tuple[Setting | Turned, ...]
    fixed: Mapping[str, Any] = field(default_factory=dict)  # fields of ours that are so in all of its models, and not by default
    said: Mapping[str, Any] = field(default_factory=dict)  # keys of theirs that are always so, written and checked
    plain: Mapping[str, Any] = field(default_factory=dict)  # keys that are checked where they are, and not written
    ignored: tuple[str, ...] = ()  # keys that change nothing of what is computed in evaluation
    positions: str | None = None  # the key of the longest text
    also: Mapping[str, str] = field(default_factory=dict)  # other names of keys, which published files have and transformers reads
    auto: str = "AutoModelForCausalLM"  # the class with which transformers opens it
