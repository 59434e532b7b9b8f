"""LoRA's and DoRA's matrices in the files of Hugging Face's PEFT: adapter_config.json and adapter_model.safetensors.

Where theirs has a layer for each of the parts of one of ours, ours has one A, and theirs the same A in each. The other way, each part has
an A of its own: one below the other they are ours, and each part's B stands in its rows, and in the columns of its A.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from modelwright.errors import ModelwrightError
from modelwright_plugins.architecture.hugging_face import FAMILIES, Layer, linear_layers

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
PREFIX = "base_model.model."  # what PEFT wraps a model in
Matrices = dict[tuple[str, int], dict[str, torch.Tensor]]  # of our layer (qkv …) and its number: a, b, and m if there are lengths
PLACES = {"qkv": "self_attention", "proj": "self_attention", "fc1": "mlp", "fc2": "mlp"}
READ = {  # settings that are read here, or that change nothing of what is computed, whatever they are (PEFT 0.21)
    "peft_type", "task_type", "auto_mapping", "peft_version", "base_model_name_or_path", "revision", "inference_mode", "r", "lora_alpha",
    "lora_dropout", "use_rslora", "use_dora", "fan_in_fan_out", "target_modules", "exclude_modules", "layers_to_transform",
    "layers_pattern", "megatron_core", "qalora_group_size", "eva_config", "runtime_config",
}  # fmt: skip
UNUSED: tuple[Any, ...] = (None, False, [], {})  # what any other setting, also one of a later PEFT, may be: it is not in use
PLAIN: dict[str, tuple[Any, ...]] = {
    "bias": ("none",),
    "init_lora_weights": (None, True, False, "gaussian", "orthogonal", "eva"),
}  # the base's weights stay as they are


def write(folder: Path, found: Matrices, family: str, size: Any, *, adapter: Any, dora: bool, base: str) -> None:
    """The two files, with what is said of `adapter`: rank, alpha, dropout, rank_stabilized."""
    layers, names = linear_layers(family, size), FAMILIES[family]
    tensors: dict[str, torch.Tensor] = {}
    for (ours, number), each in sorted(found.items()):
        for theirs, rows in layers[ours]:
            at = f"{PREFIX}{names.layer.format(number)}{theirs}."
            place = slice(None) if rows is None else torch.from_numpy(rows)
            tensors[f"{at}lora_A.weight"] = each["a"].clone()
            tensors[f"{at}lora_B.weight"] = each["b"][place].clone()
            if dora:
                tensors[f"{at}lora_magnitude_vector"] = each["m"][place].clone()
    targets = sorted({theirs.rpartition(".")[2] for ours, _ in found for theirs, _ in layers[ours]})
    if family == "gpt2":  # attention and the feed-forward network both have a c_proj
        targets = sorted({theirs for ours, _ in found for theirs, _ in layers[ours]})
    settings = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base,
        "r": adapter.rank,
        "lora_alpha": adapter.alpha,
        "lora_dropout": adapter.dropout,
        "use_rslora": adapter.rank_stabilized,
        "use_dora": dora,
        "target_modules": targets,
        "fan_in_fan_out": names.transposed,
        "bias": "none",
        "inference_mode": True,
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CONFIG).write_text(json.dumps(settings, indent=1), encoding="utf-8")
    save_file({name: value.contiguous() for name, value in tensors.items()}, folder / WEIGHTS, metadata={"format": "pt"})


def read(folder: Path, targets: list[str], family: str, size: Any, *, rank: int, scale: float, dora: bool) -> Matrices:
    """What `write` has written, or PEFT, as matrices of this rank whose product times this scale is theirs times their own.

    ModelwrightError: files are missing or of another method, a layer is not among ours, or the rank is too small."""
    try:
        settings = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        tensors = load_file(folder / WEIGHTS)
        r, alpha = int(settings["r"]), float(settings["lora_alpha"])
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as e:
        raise ModelwrightError(f"adapter.init_from={folder} has no {CONFIG} and {WEIGHTS} of a LoRA ({e})") from e
    _readable(folder, settings, dora)
    if not tensors:
        raise ModelwrightError(f"adapter.init_from={folder} has no weights in {WEIGHTS}")
    their_scale = alpha / (math.sqrt(r) if settings.get("use_rslora") else r)
    layers = linear_layers(family, size)
    known = {theirs: ours for ours, parts in layers.items() for theirs, _ in parts}
    before, after = (re.escape(part) for part in f"{PREFIX}{FAMILIES[family].layer}".split("{}"))
    pattern = re.compile(before + r"(\d+)" + after + r"(.+)\.(lora_A|lora_B|lora_magnitude_vector)(?:\.weight)?")
    there: dict[tuple[str, int], dict[str, dict[str, torch.Tensor]]] = {}
    for name, value in tensors.items():
        match = pattern.fullmatch(name)
        ours = known.get(match[2]) if match else None
        if match is None or ours is None or ours not in targets:
            hint = f"; adapter.targets={targets}" if ours else ""
            raise ModelwrightError(f"adapter.init_from={folder}: {name} is of no layer that is adapted here{hint}")
        there.setdefault((ours, int(match[1])), {}).setdefault(match[2], {})[match[3]] = value
    return {
        (ours, number): _joined(folder, ours, layers[ours], parts, size, rank, their_scale / scale, dora)
        for (ours, number), parts in there.items()
    }


def _readable(folder: Path, settings: Mapping[str, Any], dora: bool) -> None:
    if settings.get("peft_type") != "LORA":
        raise ModelwrightError(f"adapter.init_from={folder} is {settings.get('peft_type')}; what can be read is LORA")
    if bool(settings.get("use_dora")) != dora:
        raise ModelwrightError(f"adapter.init_from={folder} has use_dora={not dora}; adapter={'lora' if dora else 'dora'} reads it")
    for name, value in settings.items():
        if name not in READ and value not in (UNUSED + PLAIN.get(name, ())):
            raise ModelwrightError(f"adapter.init_from={folder} has {name}={value}, which is not read")


def _joined(
    folder: Path, ours: str, layers: list[Layer], parts: dict[str, dict[str, torch.Tensor]], size: Any, rank: int, ratio: float, dora: bool
) -> dict[str, torch.Tensor]:
    """One of our layers, of those of theirs that are there."""
    different: list[torch.Tensor] = []  # A matrices, each once
    columns: dict[str, int] = {}
    for theirs, tensors in parts.items():
        wanted = {"lora_A", "lora_B"} | ({"lora_magnitude_vector"} if dora else set())
        if tensors.keys() != wanted:
            raise ModelwrightError(
                f"adapter.init_from={folder}: {theirs} has {', '.join(sorted(tensors))}, not {', '.join(sorted(wanted))}"
            )
        same = [place for place, a in enumerate(different) if a.shape == tensors["lora_A"].shape and torch.equal(a, tensors["lora_A"])]
        columns[theirs] = same[0] if same else len(different)
        if not same:
            different.append(tensors["lora_A"])
    starts = [0]
    for a in different:
        starts.append(starts[-1] + len(a))
    if (together := starts[-1]) > rank:
        raise ModelwrightError(
            f"adapter.init_from={folder}: {' '.join(sorted(parts))} are one layer here, of rank {together} together; "
            f"adapter.rank={together}"
        )
    if dora and len(parts) < len(layers):
        raise ModelwrightError(f"adapter.init_from={folder}: lengths of {' '.join(sorted(parts))} alone; those of all of {ours} are wanted")
    total = sum(len(next(iter(parts.values()))["lora_B"]) if rows is None else len(rows) for _, rows in layers)
    b = torch.zeros(total, rank)
    found = {"a": torch.cat(different).float(), "b": b}
    if dora:
        found["m"] = torch.zeros(total)
    for theirs, rows in layers:
        if theirs not in parts:
            continue
        place = torch.arange(total) if rows is None else torch.from_numpy(rows)
        first, value = starts[columns[theirs]], parts[theirs]["lora_B"].float()
        if len(value) != len(place):
            raise ModelwrightError(f"adapter.init_from={folder}: {theirs} has {len(value)} outputs, and here {len(place)}")
        b[place, first : first + value.shape[1]] = value * ratio
        if dora:
            found["m"][place] = parts[theirs]["lora_magnitude_vector"].float().flatten()
    return found


@torch.no_grad()
def start_from(chunks: list[Any], found: Matrices, folder: Path) -> None:
    """Put them into the modules. Where A has fewer rows than ours, the rest stays as it was drawn, and does nothing as B is 0 there."""
    from modelwright_plugins.engine.model import named_parts

    layers = chunks[0].config.num_layers
    if (last := max(number for _, number in found)) >= layers:
        raise ModelwrightError(f"adapter.init_from={folder} has a layer {last}, and the model {layers} layers from 0")
    for name, data, whole, offset in named_parts(chunks):
        match = re.fullmatch(r"decoder\.layers\.(?:\w+\.)?linear_(\w+)\.adapter\.(a|b|m)", name)
        if match is None:
            continue
        each = found.get((match[1], offset[0]))
        if each is None or match[2] not in each:
            continue
        value, place = each[match[2]], offset[-len(whole) :]
        if match[2] == "a":
            if value.shape[1] != whole[1]:
                raise ModelwrightError(f"adapter.init_from={folder}: {match[1]} has {value.shape[1]} inputs, and here {whole[1]}")
            data[: len(value)] = value[:, place[1] : place[1] + data.shape[1]]
        else:
            if tuple(value.shape) != tuple(whole):
                raise ModelwrightError(f"adapter.init_from={folder}: {match[1]} is {list(value.shape)}, and here {list(whole)}")
            data.copy_(value[tuple(slice(first, first + count) for first, count in zip(place, data.shape, strict=True))])
