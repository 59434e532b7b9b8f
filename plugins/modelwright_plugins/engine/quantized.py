"""Quantized linear layers in the place of Megatron's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from megatron.core import parallel_state
from megatron.core.tensor_parallel import ColumnParallelLinear, RowParallelLinear
from megatron.core.transformer.module import MegatronModule
from megatron.core.transformer.utils import make_sharded_tensors_for_checkpoint

from modelwright.errors import ModelwrightError
from modelwright_plugins.engine.parallel_linear import ParallelLinear
from modelwright_plugins.engine.split import Split
from modelwright_plugins.quantizer import Axes, Quantizer, Stored, alone


@dataclass(frozen=True)
class Site:
    """A linear layer of this rank."""

    name: str  # in the whole model, as decoder.layers.3.self_attention.linear_qkv
    parent: torch.nn.Module
    attribute: str
    gated: bool  # its outputs are two halves, each shared out for itself

    @property
    def layer(self) -> Any:
        """What stands there now: Megatron's layer, or a quantized one."""
        return getattr(self.parent, self.attribute)

    @property
    def split(self) -> Split:
        layer = self.layer
        column, group = isinstance(layer, ColumnParallelLinear) or getattr(layer, "column", False), layer.tp_group
        return Split(group.size(), group.rank(), 0 if column else 1, 2 if self.gated and column else 1, group)

    @property
    def shape(self) -> tuple[int, int]:
        """Of the whole matrix: outputs, inputs."""
        (outputs, inputs), split = self.layer.weight.shape, self.split
        return (outputs, inputs * split.ranks) if split.dim else (outputs * split.ranks, inputs)

    def weight(self) -> torch.Tensor:
        """The whole matrix, FP32 [outputs, inputs]. All tensor ranks together."""
        return self.split.whole(self.layer.weight.detach().float())


def sites(chunks: list[MegatronModule]) -> list[Site]:
    """The layers `linear_…` of these modules, in order. What a hook changes is not what its weights say: it stays as it is."""
    found = []
    for chunk in chunks:
        for path, module in list(chunk.named_modules()):
            for attribute, child in list(module.named_children()):
                if path.startswith("mtp."):  # what predicts further tokens is for training alone
                    continue
                if (
                    attribute.startswith("linear_")
                    and isinstance(child, (ColumnParallelLinear, RowParallelLinear, Quantized))
                    and not child._forward_hooks
                ):
                    name = f"{_in_whole_model(chunk, path)}.{attribute}"
                    found.append(Site(name, module, attribute, attribute == "linear_fc1" and chunk.config.gated_linear_unit))
    return found


def checked(chunks: list[MegatronModule], quantizer: Quantizer, *, parts: bool = False) -> list[Site]:
    """`sites`, before anything is done with them. All ranks together. `parts`: each tensor rank rounds its own part of a matrix by itself.

    ModelwrightError: there is none, or one whose shape is in the way."""
    found, wrong = sites(chunks), ""
    for site in found:
        try:
            if parts:
                quantizer.check_shape(*site.layer.weight.shape)
            quantizer.check_shape(*site.shape, site.split.ranks if site.split.dim else 1)
        except ModelwrightError as e:
            wrong = f"{site.name}: {e}"
            break
    told: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(told, (len(found), wrong))
    if not any(count for count, _ in told):
        raise ModelwrightError("a quantizer rounds Megatron's own linear layers, and this model has none; kernel=torch has them")
    for _, wrong in told:
        if wrong:
            raise ModelwrightError(wrong)
    return found


def _in_whole_model(chunk: torch.nn.Module, path: str) -> str:
    """A module's path with the numbers that layers and experts have in the whole model."""
    parts, at = path.split("."), chunk
    for place, part in enumerate(path.split(".")):
        above, at = at, at.get_submodule(part)
        if part.isdigit() and (number := getattr(at, "layer_number", None)) is not None:
            parts[place] = str(number - 1)
        elif part.isdigit() and parts[place - 1] == "local_experts":
            parts[place] = str(int(part) + parallel_state.get_expert_model_parallel_rank() * len(above))  # type: ignore[arg-type]
    return ".".join(parts)


def largest_over(group: dist.ProcessGroup) -> Callable[[torch.Tensor], torch.Tensor]:
    """The elementwise maximum over these ranks."""

    def largest(x: torch.Tensor) -> torch.Tensor:
        x = x.detach().clone()
        dist.all_reduce(x, dist.ReduceOp.MAX, group=group)
        return x

    return alone if group.size() == 1 else largest


class Quantized(ParallelLinear):
    """A parallel linear layer whose matrix is kept quantized: this tensor rank's part. Its state is its bias."""

    def __init__(self, linear: Any, quantizer: Quantizer, stored: Stored) -> None:
        super().__init__(linear)
        self.quantizer, self.names, self.outputs = quantizer, tuple(stored), linear.weight.shape[0]
        for name, value in stored.items():
            self.register_buffer(f"stored_{name}", value, persistent=False)

    @property
    def stored(self) -> Stored:
        return {name: getattr(self, f"stored_{name}") for name in self.names}

    def product(self, x: torch.Tensor) -> torch.Tensor:
        if not x.numel():  # an expert that no token came to, which has no largest input
            return x.new_zeros(*x.shape[:-1], self.outputs)
        return self.quantizer.forward(x, self.stored, alone if self.column else largest_over(self.tp_group))

    def sharded_state_dict(self, prefix: str = "", sharded_offsets: Any = (), metadata: Any = None) -> dict[str, Any]:
        state: dict[str, Any] = make_sharded_tensors_for_checkpoint(
            self.state_dict(prefix="", keep_vars=True),
            prefix,
            {"bias": 0} if self.column else {},
            sharded_offsets,
            tp_group=self.tp_group,
            dp_cp_group=metadata["dp_cp_group"] if metadata else parallel_state.get_data_parallel_group(with_context_parallel=True),
        )
        return state


def put(site: Site, quantizer: Quantizer, whole: Stored) -> None:
    """A quantized layer, with this rank's part of what is stored of the whole matrix, in the place of Megatron's."""
    split, linear = site.split, site.layer

    def cut(value: torch.Tensor, axes: Axes) -> torch.Tensor:
        for dim, along in enumerate(axes):
            if along == ("inputs" if split.dim else "outputs") and value.shape[dim] > 1:
                if value.shape[dim] % (split.ranks * split.stride):
                    what = f"the {value.shape[dim]} parts that it is stored in along its {along}"
                    raise ModelwrightError(f"{site.name}: {split.ranks} tensor ranks do not divide {what}; smaller groups, or fewer ranks")
                value = split.part(value, dim)
        return value.contiguous()

    device = next(iter(linear.parameters())).device
    part = quantizer.part(whole, cut) if split.ranks > 1 else whole
    setattr(site.parent, site.attribute, Quantized(linear, quantizer, {name: value.to(device) for name, value in part.items()}))


class Kept:
    """What is stored of each layer, on the first of the ranks that have it."""

    def __init__(self, found: list[Site]) -> None:
        told: list[list[str]] = [[] for _ in range(dist.get_world_size())]
        dist.all_gather_object(told, [site.name for site in found])
        self.owner = {name: rank for rank, names in reversed([*enumerate(told)]) for name in names}
        self.mine: dict[str, Stored] = {}

    def keep(self, name: str, stored: Stored) -> None:
        if self.owner[name] == dist.get_rank():
            self.mine[name] = {each: value.detach().cpu().contiguous() for each, value in stored.items()}


@torch.no_grad()
def quantize(chunks: list[MegatronModule], quantizer: Quantizer) -> Kept:
    """Quantize each linear layer in place by its weights alone, all ranks together."""
    found = checked(chunks, quantizer)
    kept = Kept(found)
    for site in found:
        kept.keep(site.name, quantize_site(site, quantizer, None))
    return kept


def quantize_site(site: Site, quantizer: Quantizer, inputs: Any) -> Stored:
    """Quantize one layer in place. What is stored of its whole matrix. All of its tensor ranks together."""
    try:
        stored = quantizer.quantized(site.weight(), inputs)
    except ModelwrightError as e:
        raise ModelwrightError(f"{site.name}: {e}") from e
    put(site, quantizer, stored)
    return stored
