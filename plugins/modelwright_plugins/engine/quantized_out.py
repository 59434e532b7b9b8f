"""A quantized checkpoint's weights as others have them: codes, scales and zero points under their names, one matrix at a time.

A matrix of ours is cut into theirs (queries, keys, values; gate and up) by rows: of codes, and of all that belongs to a row. Divisors of
inputs, which their files don't have, are put into what makes these inputs (as in llm-awq's auto_scale.py and SmoothQuant's smooth.py):
into the norm before queries, keys and values and before a feed-forward network; into the values, row by row, before attention's output
matrix, if each head has values of its own; into what a gate multiplies before the second matrix of a gated network. Where nothing such is
there, the matrix is written in plain numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from modelwright.errors import ModelwrightError
from modelwright_plugins.architecture.hugging_face import Family, Rows, Sizes, place, plain
from modelwright_plugins.engine.hugging_face_out import Outgoing
from modelwright_plugins.engine.quantized_files import QuantizedCard
from modelwright_plugins.engine.quantized_formats import MODELS, Format, Matrix, Spec, format_of
from modelwright_plugins.engine.safetensors_folder import Tensor
from modelwright_plugins.quantizer import Stored

HEAD = "lm_head"
QKV, PROJ, FC1, FC2 = "self_attention.linear_qkv", "self_attention.linear_proj", "mlp.linear_fc1", "mlp.linear_fc2"
NORMS = {"decoder.layers.input_layernorm": QKV, "decoder.layers.pre_mlp_layernorm": FC1}


@dataclass(frozen=True)
class Piece:
    """Where one of their matrices comes from."""

    layer: str  # of ours
    name: str  # theirs
    matrix: Matrix
    plain: bool  # it is written in plain numbers


class QuantizedOutgoing:
    """The tensors of theirs that a quantized checkpoint makes. ModelwrightError: they have no format, or no place, for one."""

    def __init__(self, found: Outgoing, card: QuantizedCard, family: Family, size: Sizes) -> None:
        if family.model_type not in MODELS:
            raise ModelwrightError(f"quantized models are written for {', '.join(MODELS)}, and not for {family.model_type}")
        self.name, self.format = _format(card)
        self.found, self.card, self.quantizer, self.size = found, card, card.quantizer, size
        self.dtype = found.tensors[0].dtype
        self._pieces: dict[str, tuple[Piece, str]] = {}
        self._whole: tuple[str, Stored] | None = None
        self._packed: tuple[str, Any] | None = None
        tensors = list(found.tensors)
        self.left, self.numbers = [HEAD], found.numbers
        for layer, about in sorted(card.layers.items(), key=lambda each: (plain(each[0])[1] or 0, each[0])):
            for piece in self._of(layer, about, family):
                self.numbers += piece.matrix.outputs * piece.matrix.inputs
                if piece.plain:
                    self.left.append(piece.name)
                    made: dict[str, Spec] = {"weight": ((piece.matrix.outputs, piece.matrix.inputs), self.dtype)}
                else:
                    try:
                        made = self.format.tensors(self.quantizer, piece.matrix)
                    except ModelwrightError as e:
                        raise ModelwrightError(f"{piece.name} can't be written as {self.name} has it: {e}") from e
                for end, (shape, dtype) in made.items():
                    tensors.append(Tensor(f"{piece.name}.{end}", shape, dtype))
                    self._pieces[tensors[-1].name] = piece, end
        self.tensors = tensors

    def config(self) -> dict[str, Any]:
        """`quantization_config` of config.json."""
        return self.format.config(self.quantizer, self.left, self.dtype)

    def read(self, tensor: Tensor) -> torch.Tensor:
        """One of `tensors`. What is kept is the matrix that it is of, and what stands for that."""
        if tensor.name not in self._pieces:
            return self._divided(tensor, self.found.read(tensor))
        piece, end = self._pieces[tensor.name]
        if self._packed is None or self._packed[0] != piece.name:
            self._packed = None
            self._packed = piece.name, self._made(piece)
        value: torch.Tensor = self._packed[1][end]
        return value

    def _of(self, layer: str, about: Any, family: Family) -> list[Piece]:
        name, number = plain(layer)
        there = place(family.names, f"{name}.weight", number, None)
        if there is None:
            raise ModelwrightError(f"Hugging Face's architecture has nothing in the place of {layer}")
        outputs, inputs = about["shape"]
        divided = "divisors" in about["stored"] and not self._has_place(name)
        found = []
        for theirs, rows in zip(there.theirs, there.weight.parts(self.size, outputs), strict=True):
            matrix = Matrix(outputs if rows is None else len(rows), inputs, rows, self.dtype)
            found.append(Piece(layer, theirs.removesuffix(".weight"), matrix, divided))
        return found

    def _has_place(self, name: str) -> bool:
        """Whether there is something before a layer that its inputs' divisors can be put into."""
        if name.endswith(PROJ):
            return self.size.heads == self.size.kv_heads
        return not name.endswith(FC2) or self._gated

    @property
    def _gated(self) -> bool:
        first = next(about for layer, about in self.card.layers.items() if layer.endswith(FC1))
        second = next(about for layer, about in self.card.layers.items() if layer.endswith(FC2))
        return bool(first["shape"][0] == 2 * second["shape"][1])

    def _made(self, piece: Piece) -> Any:
        if self._whole is None or self._whole[0] != piece.layer:
            self._whole = None
            self._whole = piece.layer, self.card.stored(piece.layer)
        stored = self._whole[1]
        if piece.plain:
            weight = self.quantizer.weight(stored)
            return {"weight": (weight if piece.matrix.rows is None else weight[torch.from_numpy(piece.matrix.rows)]).to(self.dtype)}
        part = self.format.part(stored, piece.matrix.rows)
        if (divisors := self._of_outputs(piece.layer)) is not None:
            if piece.matrix.rows is not None:
                divisors = divisors[torch.from_numpy(piece.matrix.rows)]
            part = part | {"scales": part["scales"].float() / divisors[:, None]}
        return self.format.packed(self.quantizer, part, piece.matrix)

    def _divisors(self, layer: str) -> torch.Tensor | None:
        """Of a layer's inputs, FP32 [inputs]; None: it has none."""
        if layer not in self.card.layers or "divisors" not in self.card.layers[layer]["stored"]:
            return None
        return self.card.stored(layer, "divisors")["divisors"].float()

    def _of_outputs(self, layer: str) -> torch.Tensor | None:
        """By what the outputs of a layer of ours are to be divided, FP32 [outputs], as the layer after it has no place for its divisors;
        None: by nothing."""
        if layer.endswith(QKV) and self.size.heads == self.size.kv_heads:
            after, rows = layer.removesuffix(QKV) + PROJ, _values(self.size)
        elif layer.endswith(FC1) and self._gated:
            after = layer.removesuffix(FC1) + FC2
            rows = np.arange(self.card.layers[layer]["shape"][0])[self.card.layers[layer]["shape"][0] // 2 :]
        else:
            return None
        if (divisors := self._divisors(after)) is None:
            return None
        found = torch.ones(self.card.layers[layer]["shape"][0])
        found[torch.from_numpy(rows)] = divisors
        return found

    def _divided(self, tensor: Tensor, value: torch.Tensor) -> torch.Tensor:
        """A norm, or a bias, with the divisors of what reads it."""
        piece = self.found.pieces[tensor.name]
        name, number = plain(piece.ours)
        stem, number = name.rpartition(".")[0], piece.at[0] if number is None and piece.at else number
        if number is None:
            return value
        before = f"decoder.layers.{number}."
        if stem in NORMS:
            divisors = self._divisors(before + NORMS[stem])
        elif name.endswith(".bias") and stem.endswith((QKV, FC1)):
            divisors = self._of_outputs(before + stem.removeprefix("decoder.layers."))
            if divisors is not None and piece.rows is not None:
                divisors = divisors[torch.from_numpy(piece.rows)]
        else:
            return value
        return value if divisors is None else (value.float() / divisors).to(value.dtype)


def _format(card: QuantizedCard) -> tuple[str, Format]:
    try:
        return format_of(card.quantizer)
    except ModelwrightError as e:
        raise ModelwrightError(f"quantizer={card.name}: {e}") from e


def _values(size: Sizes) -> Rows:
    """Which rows of our queries, keys and values are values: the last of each group of heads."""
    place = np.arange((size.heads + 2 * size.kv_heads) * size.head_dim)
    found: Rows = place.reshape(size.kv_heads, -1, size.head_dim)[:, -1].ravel()
    return found


def opened(found: Outgoing, source: Path, family: Family, size: Sizes, registry: Any) -> QuantizedOutgoing | None:
    """Those of a checkpoint, if it is quantized. ModelwrightError: a file is damaged, too."""
    if (card := QuantizedCard.read(source, registry)) is None:
        return None
    card.check()
    return QuantizedOutgoing(found, card, family, size)
