"""A checkpoint's weights under Hugging Face's names: which there are, and each as theirs is, read when it is wanted."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import torch

from modelwright.errors import ModelwrightError
from modelwright_plugins.architecture.hugging_face import Names, Place, Rows, Sizes, layered, place, plain
from modelwright_plugins.engine.safetensors_folder import DTYPES, Tensor
from modelwright_plugins.engine.saved_tensors import SavedTensors

EXPERTS = ".experts.experts."
LEFT = ("optimizer.", "value_head.")  # what names begin with that are no weights of the model of tokens


@dataclass(frozen=True)
class Piece:
    """Where one of their tensors comes from."""

    ours: str
    at: tuple[int, ...]  # layer and expert, as far as it has such axes
    place: Place
    rows: Rows | None


class Outgoing:
    """The tensors of theirs that a checkpoint's step makes. ModelwrightError: it has one that their architecture lacks."""

    def __init__(self, step: Path, names: Names, size: Sizes, *, vocab_size: int) -> None:
        self.saved, self.vocab_size = SavedTensors(step), vocab_size
        self.pieces: dict[str, Piece] = {}
        self._last: tuple[tuple[str, tuple[int, ...]], torch.Tensor] | None = None
        found: list[tuple[tuple[int, ...], Tensor]] = []
        order = {weight.ours: number for number, weight in enumerate(names.weights)}
        for ours, about in self.saved.told.items():
            if ours.startswith(LEFT) or "_extra_state" in ours:
                continue
            name, layer = plain(ours)
            axes = (layered(name) and layer is None) + (EXPERTS in ours)
            shape = tuple(about.size[axes:])
            if about.properties.dtype not in DTYPES:
                raise ModelwrightError(f"{step}: {ours} is of {about.properties.dtype}, which is not exported")
            for at in product(*(range(count) for count in about.size[:axes])):
                number = layer if layer is not None else at[0] if layered(name) else None
                there = place(names, name, number, at[-1] if EXPERTS in ours else None)
                if there is None:
                    raise ModelwrightError(f"{step}: Hugging Face's architecture has nothing in the place of {ours}")
                key = (number if number is not None else -1, order[there.weight.ours], *at)
                for theirs, rows in zip(there.theirs, there.weight.parts(size, shape[0]), strict=True):
                    count = min(shape[0], vocab_size) if there.weight.vocabulary else shape[0] if rows is None else len(rows)
                    turned = (count, *shape[1:])[:: -1 if there.weight.transposed and there.matrix else 1]
                    self.pieces[theirs] = Piece(ours, at, there, rows)
                    found.append((key, Tensor(theirs, turned, about.properties.dtype)))
        self.tensors = [tensor for _, tensor in sorted(found, key=lambda each: each[0])]

    @property
    def numbers(self) -> int:
        return sum(math.prod(tensor.shape) for tensor in self.tensors)

    def read(self, tensor: Tensor) -> torch.Tensor:
        """One of `tensors`. What was read last is kept, as several of theirs may be of one of ours."""
        piece = self.pieces[tensor.name]
        if self._last is None or self._last[0] != (piece.ours, piece.at):
            self._last = None
            self._last = (piece.ours, piece.at), self.saved.read(piece.ours, piece.at)
        value = self._last[1]
        if piece.rows is not None:
            value = value[torch.from_numpy(piece.rows)]
        if piece.place.weight.vocabulary:
            value = value[: self.vocab_size]
        return value.T if piece.place.weight.transposed and piece.place.matrix else value
