"""Quantizing a model block after block, each by what it is given when the blocks before it are quantized already (Frantar et al. 2022,
arXiv:2210.17323, section 3.3).

The model is run once to learn what its first block is given, and from there on block by block: each twice, once to see what its layers are
given and once, quantized, for what the next block is given. With pipeline ranks this is done for each part of the pipeline in turn.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist
from megatron.core import parallel_state
from megatron.core.tensor_parallel.mappings import gather_from_sequence_parallel_region
from megatron.core.transformer.module import MegatronModule

from modelwright_plugins.engine.quantized import Kept, Site, checked, quantize_site
from modelwright_plugins.quantizer import LayerInputs, Quantizer

if TYPE_CHECKING:
    from modelwright_plugins.engine.inference import TrainedModel

Given = dict[str, Any]


class Watched:
    """What a linear layer is given, as far as it is known."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.sum: torch.Tensor | None = None
        self.count = 0
        self.hook = site.layer.register_forward_pre_hook(self._given)

    @torch.no_grad()
    def _given(self, _: torch.nn.Module, given: tuple[Any, ...]) -> None:
        layer, split, x = self.site.layer, self.site.split, given[0]
        if split.dim == 0 and layer.sequence_parallel and not layer.explicit_expert_comm:
            x = gather_from_sequence_parallel_region(x, group=layer.tp_group)
        x = x.reshape(-1, x.shape[-1]).float()
        if split.dim == 1:
            x = split.whole(x)
        if self.sum is None:
            self.sum = x.new_zeros(x.shape[1], x.shape[1], dtype=torch.float64)
            self.largest, self.total = x.new_zeros(x.shape[1]), x.new_zeros(x.shape[1], dtype=torch.float64)
        if not len(x):  # an expert that no token came to
            return
        size = x.abs()
        self.sum += (x.T @ x).double()
        self.largest, self.total = self.largest.maximum(size.amax(0)), self.total + size.double().sum(0)
        self.count += len(x)

    def inputs(self) -> LayerInputs:
        self.hook.remove()
        if self.sum is None:  # nor to this rank
            weight = self.site.layer.weight
            columns = weight.shape[1] * (self.site.split.ranks if self.site.split.dim else 1)
            self.sum = torch.zeros(columns, columns, dtype=torch.float64, device=weight.device)
            self.largest = torch.zeros(columns, device=weight.device)
            self.total = torch.zeros(columns, dtype=torch.float64, device=weight.device)
        count = max(self.count, 1)
        hessian, mean = (self.sum / count).float(), (self.total / count).float()
        return LayerInputs(hessian=hessian, largest=self.largest, mean=mean, tokens=self.count)


@torch.no_grad()
def quantize(model: TrainedModel, quantizer: Quantizer, rows: torch.Tensor, *, batch: int, done: Callable[[], None]) -> Kept:
    """Quantize each linear layer of a model in place, by these rows of tokens, int64 [rows, length + 1]. All ranks together, with the same
    rows. `done` is called after each block."""
    chunks, parts = model.chunks, [rows[at : at + batch] for at in range(0, len(rows), batch)]
    found = checked(chunks, quantizer)
    kept = Kept(found)
    rank, ranks = parallel_state.get_pipeline_model_parallel_rank(), parallel_state.get_pipeline_model_parallel_world_size()
    for number in range(len(chunks)):
        for place in range(ranks):
            _part(model, chunks[number] if rank == place else None, parts, found, quantizer, kept, done)
    return kept


def _part(
    model: TrainedModel,
    chunk: MegatronModule | None,
    parts: list[torch.Tensor],
    found: list[Site],
    quantizer: Quantizer,
    kept: Kept,
    done: Callable[[], None],
) -> None:
    """One part of the pipeline; `chunk`: it is this rank's."""
    layers: list[torch.nn.Module] = [] if chunk is None else [*chunk.decoder.layers]
    given: list[list[Given]] = [[] for _ in layers]  # of each layer, of each batch; hidden states of the first only

    def note(place: int) -> Any:
        def hook(_: torch.nn.Module, arguments: tuple[Any, ...], named: Given) -> None:
            assert not arguments
            given[place].append(named if place == 0 else {name: value for name, value in named.items() if name != "hidden_states"})

        return hook

    hooks = [layer.register_forward_pre_hook(note(place), with_kwargs=True) for place, layer in enumerate(layers)]
    copies = model.chunks[0].config.pipeline_model_parallel_size if len(model.chunks) > 1 else 1
    for part in parts:
        model.token_losses(part)
    for hook in hooks:
        hook.remove()
    hidden = [each.pop("hidden_states") for each in given[0][::copies]] if layers else []  # an interleaved schedule sees each batch again
    for place, layer in enumerate(layers):
        mine = {id(module) for module in layer.modules()}
        watched = [Watched(site) for site in found if id(site.layer) in mine]
        named = given[place][::copies]
        for x, others in zip(hidden, named, strict=True):
            layer(hidden_states=x, **others)
        for each in watched:
            kept.keep(each.site.name, quantize_site(each.site, quantizer, each.inputs()))
        hidden = [_hidden(layer(hidden_states=x, **others)) for x, others in zip(hidden, named, strict=True)]
        done()
    dist.barrier()


def _hidden(out: Any) -> torch.Tensor:
    found: torch.Tensor = out[0] if isinstance(out, tuple) else out
    return found
