"""What quantizing has changed: of each layer's matrix and outputs, and of what the model says about text. Under any layout."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.distributed as dist

from modelwright_plugins.engine.inference import TrainedModel
from modelwright_plugins.engine.model import named_parts
from modelwright_plugins.engine.quantized import Quantized, Site, sites

Sums = dict[str, list[float]]
PIECE = 256  # tokens of a row whose probabilities are worked out at once: of a large vocabulary they are most of what takes memory
TEXT = ("original", "quantized", "kl", "agreement", "tokens")


@torch.no_grad()
def of_weights(original: TrainedModel, quantized: TrainedModel) -> dict[str, float]:
    """SQNR of each matrix of the model in dB: its squares over those of the difference. All ranks together."""
    found: Sums = {}
    for site, layer in _pairs(original, quantized):
        weight = site.layer.weight.detach().double()
        off = weight - layer.quantizer.weight(layer.stored).double()
        found[site.name] = _summed(site, [weight.square().sum().item(), off.square().sum().item()])
    return {name: decibels(*sums) for name, sums in _gathered(found).items()}


@torch.no_grad()
def of_text(
    original: TrainedModel, quantized: TrainedModel, rows: torch.Tensor, *, batch: int, bar: Any
) -> tuple[dict[str, float], torch.Tensor]:
    """SQNR of each layer's outputs in dB, for what the original gives it; and sums over the tokens of each row, FP64 [rows, TEXT]: nats of
    both, KL(original ‖ quantized) of the next token, and where both hold the same token likeliest. All ranks together.

    `rows`: int64 [rows, length + 1]; `bar` counts them."""
    sums: Sums = {}
    hooks = []
    for site, layer in _pairs(original, quantized):
        hooks.append(site.layer.register_forward_hook(_listening(layer, sums.setdefault(site.name, [0.0, 0.0]))))
    table = []
    for at in range(0, len(rows), batch):
        tokens = rows[at : at + batch]
        targets = tokens[:, 1:, None].to(original.device)
        logits = [model.logits(tokens) for model in (original, quantized)]
        sums_of_rows = torch.zeros(len(tokens), len(TEXT), dtype=torch.float64, device=targets.device)
        for start in range(0, targets.shape[1], PIECE):
            piece = slice(start, start + PIECE)
            one, other = (torch.log_softmax(each[:, piece], -1) for each in logits)
            kl = (one.exp() * (one - other)).sum(-1)
            same = (one.argmax(-1) == other.argmax(-1)).double()
            nats = [-each.gather(-1, targets[:, piece])[..., 0] for each in (one, other)]
            sums_of_rows += torch.stack([each.double().sum(1) for each in (*nats, kl, same, torch.ones_like(same))], 1)
        table.append(sums_of_rows.cpu())
        bar.update(len(tokens))
    for hook in hooks:
        hook.remove()
    for site, _ in _pairs(original, quantized):
        sums[site.name] = _summed(site, sums[site.name])
    return {name: decibels(*each) for name, each in _gathered(sums).items()}, torch.cat(table)


def _listening(layer: Quantized, sums: list[float]) -> Any:
    def hook(module: Any, given: tuple[Any, ...], out: Any) -> None:
        plain, mine = out[0].double(), layer(given[0])[0].double()
        off = (plain - mine).square().sum().item()
        if module.bias is not None and not module.skip_bias_add:
            plain = plain - module.bias.double()  # which is not quantized
        sums[0] += plain.square().sum().item()
        sums[1] += off

    return hook


def decibels(signal: float, noise: float) -> float:
    """10 log10(signal / noise); infinite where there is no noise."""
    return math.inf if noise == 0 else -math.inf if signal == 0 else 10 * math.log10(signal / noise)


def numbers(model: TrainedModel) -> int:
    """Parameters of the whole model, before it is quantized. All ranks together."""
    mine = {(name, offset[: -len(whole)]): math.prod(whole) for name, _, whole, offset in named_parts(model.chunks)}
    every: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(every, mine)
    return sum({key: size for each in every for key, size in each.items()}.values())


def _pairs(original: TrainedModel, quantized: TrainedModel) -> list[tuple[Site, Quantized]]:
    layers = {site.name: site.layer for site in sites(quantized.chunks)}
    return [(site, layers[site.name]) for site in sites(original.chunks)]


def _summed(site: Site, mine: list[float]) -> list[float]:
    """Over the tensor ranks. Where each has all outputs they are counted so many times, in both sums."""
    if (group := site.layer.tp_group).size() == 1:
        return mine
    found = torch.tensor(mine, dtype=torch.float64, device=torch.cuda.current_device())
    dist.all_reduce(found, group=group)
    both: list[float] = found.tolist()
    return both


def _gathered(mine: Sums) -> Sums:
    """Of all ranks' layers; of ranks that have the same one, the first's."""
    every: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(every, mine)
    return {name: sums for each in reversed(every) for name, sums in each.items()}
