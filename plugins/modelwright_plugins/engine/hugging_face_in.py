"""Hugging Face's weights into the modules of a rank, a tensor at a time."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from modelwright.errors import ModelwrightError
from modelwright_plugins.architecture import Architecture
from modelwright_plugins.architecture.hugging_face import Family, layered, other_architecture, place, plain, read_folder, sizes
from modelwright_plugins.engine.card import ModelCard
from modelwright_plugins.engine.hugging_face_out import EXPERTS
from modelwright_plugins.engine.safetensors_folder import SafetensorsFolder


@dataclass(frozen=True)
class Incoming:
    """A folder of Hugging Face's, by its config.json."""

    folder: Path
    config: Mapping[str, Any]
    family: Family
    architecture: Architecture

    @classmethod
    def of(cls, folder: Path) -> Incoming:
        """ModelwrightError: it is none, or of an architecture that ours are not."""
        return cls(folder, *read_folder(folder))

    @property
    def vocab_size(self) -> int:
        """Rows of the embedding, which may be more than there are tokens."""
        return int(self.config["vocab_size"])

    @property
    def length(self) -> int:
        """Tokens of the longest text, as far as config.json says."""
        return int(self.config.get(self.family.positions or "", 0) or 0) or 2048

    def misfits(self, card: ModelCard, tokenizer: Path) -> list[str]:
        """Why these are no first weights of this model, whose texts are tokenized so; one line each."""
        why = other_architecture(card.architecture, self.architecture)
        found = [why] if why else []
        if self.vocab_size < card.vocab_size:
            found.append(f"it has {self.vocab_size} tokens, and here are {card.vocab_size}")
        return found + ([why] if (why := other_tokens(self.folder, tokenizer)) else [])

    @torch.no_grad()
    def load(self, chunks: list[Any], *, vocab_size: int) -> None:
        """Put its weights into this rank's modules, of which all ranks call this. What is in memory is one tensor of ours at a time.

        ModelwrightError: a tensor is missing, of another shape, or of no place."""
        if self.vocab_size > vocab_size and dist.get_rank() == 0:
            _tell(f"{self.folder}: its last {self.vocab_size - vocab_size} rows are of no token here, and are left out")
        with SafetensorsFolder(self.folder) as files:
            loading = _Loading(self, files, vocab_size)
            loading.all(chunks)
            told: list[Any] = [None] * dist.get_world_size()
            dist.all_gather_object(told, (sorted(loading.used), sorted(loading.rounded)))
            if (rounded := {each for _, rank in told for each in rank}) and dist.get_rank() == 0:
                _tell(f"{self.folder}: {_rounded(rounded)}")
            known = self.family.names
            left = {*files.files} - {name for names, _ in told for name in names}
            patterns = re.compile("|".join((*known.copies, *known.buffers)) or "(?!)")
            if left := {name for name in left if not patterns.fullmatch(name) and not patterns.fullmatch(known.prefix + name)}:
                tied = {name for name in left if name.startswith("lm_head.")} if self._tied() else set()
                if left - tied:
                    raise ModelwrightError(
                        f"{self.folder} has {sorted(left - tied)[0]}, which is of no place in this {self.family.model_type}"
                    )

    def _tied(self) -> bool:
        return bool(getattr(self.architecture, "tied_embeddings", False))


class _Loading:
    def __init__(self, folder: Incoming, files: SafetensorsFolder, vocab_size: int) -> None:
        self.folder, self.files, self.vocab_size = folder, files, vocab_size
        self.size, self.used = sizes(folder.architecture), set[str]()
        self.rounded = set[tuple[str, str]]()  # types of numbers in the files, and of ours, which hold less
        self._last: tuple[Any, torch.Tensor] | None = None

    def all(self, chunks: list[Any]) -> None:
        from modelwright_plugins.engine.model import named_parts

        for name, data, whole, offset in named_parts(chunks):
            before, at = offset[: -len(whole)], offset[-len(whole) :]
            value = self._whole(name, before, whole)
            mine = value[tuple(slice(first, first + count) for first, count in zip(at, data.shape, strict=True))]
            if _loses(value.dtype, data.dtype):
                self.rounded.add((_type(value.dtype), _type(data.dtype)))
            data.zero_()  # rows of no token
            data[: len(mine)].copy_(mine)

    def _whole(self, ours: str, before: tuple[int, ...], shape: tuple[int, ...]) -> torch.Tensor:
        """A tensor of ours, of all tensor ranks."""
        if self._last is not None and self._last[0] == (ours, before):  # a gate and what is below it come one after the other
            return self._last[1]
        self._last = None
        name, layer = plain(ours)
        number = layer if layer is not None else before[0] if layered(name) else None
        there = place(self.folder.family.names, name, number, before[-1] if EXPERTS in ours else None)
        if there is None:
            raise ModelwrightError(f"{self.folder.folder}: a {self.folder.family.model_type} has nothing in the place of {ours}")
        rows = min(shape[0], self.vocab_size) if there.weight.vocabulary else shape[0]
        parts = there.weight.parts(self.size, rows)
        value: torch.Tensor | None = None
        for theirs, place_ in list(zip(there.theirs, parts, strict=True))[: 1 if there.weight.rows == "copies" else None]:
            found = self._read(theirs)
            found = found.T if there.weight.transposed and there.matrix else found
            if there.weight.vocabulary:
                found = found[:rows]
            expected = (rows if place_ is None else len(place_), *shape[1:])
            if tuple(found.shape) != expected:
                raise ModelwrightError(f"{self.folder.folder}: {theirs} is {list(found.shape)}, and here {list(expected)}")
            if place_ is None:
                value = found
            else:
                value = torch.empty((rows, *shape[1:]), dtype=found.dtype) if value is None else value
                value[torch.from_numpy(place_)] = found
        assert value is not None
        self._last = (ours, before), value
        return value

    def _read(self, name: str) -> torch.Tensor:
        names = self.folder.family.names
        called = [name, *(name.removesuffix(now) + before for now, before in names.older if name.endswith(now))]
        called += [each.removeprefix(names.prefix) for each in called]
        known = next((each for each in called if each in self.files.files), None)
        if known is None:
            raise ModelwrightError(f"{self.folder.folder} has no {name}, which a {self.folder.family.model_type} has")
        self.used.add(known)
        return self.files.read(known)


def _tell(line: str) -> None:
    """As ours: what is warned of as another's line, such as torch's around `load`, stands in the log alone."""
    warnings.warn(line, stacklevel=1)


FLOATS = {"float64": "fp64", "float32": "fp32", "bfloat16": "bf16", "float16": "fp16"}  # what a person calls them, widest first


def _type(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _loses(theirs: torch.dtype, ours: torch.dtype) -> bool:
    """Whether numbers of one type lose digits or range in the other."""
    if not theirs.is_floating_point or theirs == ours:
        return False
    one, two = torch.finfo(theirs), torch.finfo(ours)
    return one.eps < two.eps or one.max > two.max


def _rounded(pairs: set[tuple[str, str]]) -> str:
    """What is said of weights that lose digits or range; pairs as `_Loading.rounded`."""
    theirs, ours = ([kind for kind in FLOATS if kind in found] for found in map(set, zip(*pairs, strict=True)))
    names, kept = " and ".join(FLOATS[kind].upper() for kind in theirs), FLOATS[theirs[0]] if len(theirs) == 1 else "fp32"
    keeps = "" if "float64" in theirs else f"; precision={kept} keeps them"
    return f"its weights are {names}, and are rounded to {FLOATS[ours[0]].upper()} here{keeps}"


def other_tokens(folder: Path, tokenizer: Path) -> str | None:
    """Why texts that the tokenizer in this folder makes tokens of are none to a model in that one; None: they are, or nothing is told."""
    from modelwright_plugins.tokenizer.encoder import Encoder

    if not (folder / "tokenizer.json").is_file():
        warnings.warn(f"{folder} has no tokenizer.json: whether its tokens are those of the text is not known", stacklevel=2)
        return None
    theirs, ours = Encoder(folder).hugging_face.get_vocab(), Encoder(tokenizer).hugging_face.get_vocab()
    token = next((token for token, number in sorted(ours.items(), key=lambda each: each[1]) if theirs.get(token) != number), None)
    if token is None:
        return None
    there = f"token {theirs[token]}" if token in theirs else "no token"
    return f"its tokenizer is another: {token!r} is token {ours[token]} of {tokenizer}, and {there} there; stage import_model takes both"
