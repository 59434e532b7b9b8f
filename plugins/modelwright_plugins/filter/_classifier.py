"""A trained classifier of texts: how it is made, kept, read and asked."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xxhash

from modelwright_plugins.filter._features import Bags
from modelwright_plugins.filter._logistic import auc, fit, sigmoid

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from modelwright_plugins.filter._logistic import Bag, Floats

LEAST = 20  # different examples of each class: with fewer, those held out say nothing
APART = 5  # one example in so many is held out
DECIMALS = 6  # of a probability


@dataclass(frozen=True)
class Model:
    """Which of two classes a text is of, and how sure that is; and what it said of examples that it was not trained on."""

    classes: tuple[str, str]  # the one whose probability it gives, and the other
    bags: Bags
    weights: NDArray[np.float32]  # [buckets]
    bias: float
    trained_on: tuple[int, int]  # examples of each class
    held_out: tuple[Floats, Floats]  # probabilities of the examples of each class that were held out

    def probability(self, text: str) -> float | None:
        """Of the first class, to six decimals; None of a text without words."""
        found = self.bags.buckets(text)
        if not len(found):
            return None
        return round(float(sigmoid(self.weights[found].mean(dtype=np.float64) + self.bias)), DECIMALS)

    def auc(self) -> float:
        return auc(*self.held_out)

    def keep(self, path: Path) -> None:
        """Writes it, the same bits for the same model; a file is there whole or not at all. ValueError: another model is there."""
        from safetensors.numpy import save

        told = {"classes": self.classes, "ngram": self.bags.ngram, "trained_on": self.trained_on, "auc": round(self.auc(), DECIMALS)}
        tensors = {
            "weights": self.weights,
            "bias": np.array([self.bias]),
            "held_out.0": self.held_out[0],
            "held_out.1": self.held_out[1],
        }
        bits = save(tensors, {KEY: json.dumps(told)})
        if path.exists() and path.read_bytes() != bits:
            raise ValueError(f"{path} has another model, which other runs may read; name another file, or remove that one first")
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f"{path.name}.part")
        part.write_bytes(bits)
        part.replace(path)


KEY = "modelwright.classifier"  # of what the file says of itself


def read(path: Path, classes: tuple[str, str]) -> Model:
    """ValueError: it is no kept classifier, is damaged, or tells other classes apart."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "numpy") as file:
            told: dict[str, Any] = json.loads((file.metadata() or {})[KEY])
            found = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        made = tuple(told["classes"])
        weights, bias = found["weights"], found["bias"]
        held_out = found["held_out.0"].astype(np.float64), found["held_out.1"].astype(np.float64)
        bits, ngram, trained_on = len(weights).bit_length() - 1, int(told["ngram"]), told["trained_on"]
        whole = weights.dtype == np.float32 and weights.shape == (1 << bits,) and bias.shape == (1,) and ngram >= 1 and len(trained_on) == 2
    except (SafetensorError, KeyError, OSError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"{path} is no kept classifier, or a damaged one ({type(error).__name__}: {error})") from error
    if made != classes:
        raise ValueError(f"{path} tells {' from '.join(map(str, made))} texts, not {' from '.join(classes)} ones")
    if not (whole and all(np.isfinite(tensor).all() for tensor in found.values()) and all(map(len, held_out))):
        raise ValueError(f"{path} is a damaged classifier: its numbers are not those of one")
    return Model(classes, Bags(ngram, bits), weights, float(bias[0]), (trained_on[0], trained_on[1]), held_out)


def train(classes: tuple[str, str], texts: Sequence[Iterable[str]], ngram: int, bits: int, l2: float) -> Model:
    """Of each class's different texts one in five is held out, chosen by hash; one that is in both classes says nothing and is left out.

    ValueError, beginning with the class: it has too few.
    """
    bags = Bags(ngram, bits)
    sides: list[dict[int, Bag]] = []
    for side in texts:
        named = ((xxhash.xxh3_64_intdigest(text.encode("utf-8", "surrogatepass")), bags.shares(text)) for text in side)
        sides.append({name: bag for name, bag in named if len(bag[0])})
    both = sides[0].keys() & sides[1].keys()
    parts = []
    for name, found in zip(classes, sides, strict=True):
        if len(found) - len(both) < LEAST:
            beside = f" beside {len(both):,} that {' and '.join(classes)} have in common" if both else ""
            raise ValueError(f"{name}: it has {len(found) - len(both)} different texts with words{beside}; at least {LEAST} are needed")
        ordered = [found[key] for key in sorted(found.keys() - both)]
        count = -(-len(ordered) // APART)
        parts.append((ordered[count:], ordered[:count]))
    (true, true_out), (false, false_out) = parts
    weights, bias = fit(true + false, np.arange(len(true) + len(false)) < len(true), bits, l2)
    precise = weights.astype(np.float64)
    held_out = [sigmoid(np.array([share @ precise[there] for there, share in side]) + bias) for side in (true_out, false_out)]
    return Model(classes, bags, weights, bias, (len(true), len(false)), (held_out[0], held_out[1]))
