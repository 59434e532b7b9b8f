"""Where a tensor of ours is in Hugging Face's files: its name, layer and expert there."""

from __future__ import annotations

import re
from dataclasses import dataclass

from modelwright_plugins.architecture.hugging_face._table import Names, Weight

FUSED = {".self_attention.linear_qkv.layer_norm_": ".input_layernorm.", ".mlp.linear_fc1.layer_norm_": ".pre_mlp_layernorm."}
"""Names that checkpoints have for norms before a linear layer (Transformer Engine's, whatever the kernel is)."""


@dataclass(frozen=True)
class Place:
    """A tensor of ours, of one layer and one expert where it is of such."""

    weight: Weight
    theirs: tuple[str, ...]  # whole names
    matrix: bool  # its last part is weight


def plain(name: str) -> tuple[str, int | None]:
    """The name of a tensor in our checkpoints without the number of its layer, and that number, where the name has one."""
    for fused, own in FUSED.items():
        name = name.replace(fused, own)
    found = re.match(r"(.*?layers\.)(\d+)\.(.*)", name)
    return (f"{found[1]}{found[3]}", int(found[2])) if found else (name, None)


def layered(name: str) -> bool:
    """Whether a plain name is of layers."""
    return ".layers." in f".{name}"


def place(names: Names, name: str, layer: int | None, expert: int | None) -> Place | None:
    """That of a plain name; None: Hugging Face's architecture has no such tensor."""
    stem, _, part = name.rpartition(".")
    weight = next((each for each in names.weights if each.ours in (name, stem)), None)
    if weight is None:
        return None
    end = "" if weight.ours == name else f".{part}"
    before = next((begin.format(layer) for ours, begin in names.layers.items() if name.startswith(ours)), "")
    theirs = tuple(f"{before}{each.format(expert=expert)}{end}" for each in weight.theirs)
    return Place(weight, theirs, part == "weight")
