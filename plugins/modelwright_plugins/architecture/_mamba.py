"""Mamba-2's mixer for Megatron's layers, in plain torch: any layout that attention has.

Megatron-Core 0.16.1's `MambaMixer` is made of CUDA kernels (mamba_ssm, causal_conv1d), wants groups in multiples of the tensor ranks,
and its rows stand in an order that depends on the layout, as do its initial weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from megatron.core.tensor_parallel import (
    copy_to_tensor_model_parallel_region,
    gather_from_sequence_parallel_region,
    reduce_from_tensor_model_parallel_region,
    set_tensor_model_parallel_attributes,
)
from megatron.core.transformer.module import MegatronModule
from megatron.core.transformer.spec_utils import build_module
from megatron.core.transformer.transformer_config import TransformerConfig
from megatron.core.transformer.utils import (
    ensure_metadata_has_dp_cp_group,
    make_sharded_tensors_for_checkpoint,
    sharded_state_dict_default,
)

from modelwright.errors import ModelwrightError
from modelwright_plugins.architecture._ssd import causal_convolution, scan
from modelwright_plugins.engine import context

SPLIT = dict.fromkeys(("A_log", "dt_bias", "D", "convolution", "convolution_bias", "norm"), 0)


@dataclass
class MixerSubmodules:
    """The kernel's linear layers."""

    in_proj: type
    out_proj: type


class Mixer(MegatronModule):
    """Mamba-2's block (Dao and Gu 2024, arXiv:2405.21060, sections 7 and 8): a projection to gate, values, Δ, B and C; a short
    convolution of values, B and C; the state-space model; a gated RMSNorm of each group's heads; and a projection back.

    It takes attention's place in a transformer layer. Tensor ranks share out heads, as with attention: rows of `in_proj` are, head by
    head, the gate's, the values' and Δ's. B and C are of groups, which may be fewer than the tensor ranks, so each rank projects all
    groups (of its part of the sequence with sequence parallelism) and reads those of its heads; where a group's heads are on several
    ranks, they add up their squares for its norm. Context ranks gather the sequence for the convolution and the state-space model, which
    each of them computes over all of it; the rest they share out.
    """

    def __init__(
        self,
        config: TransformerConfig,
        submodules: MixerSubmodules,
        *,
        heads: int,
        head_dim: int,
        groups: int,
        state: int,
        taps: int,
        pg_collection: Any,
        **_: Any,
    ) -> None:
        super().__init__(config=config)
        self.tp_group = pg_collection.tp
        ranks, rank = self.tp_group.size(), self.tp_group.rank()
        if heads % ranks or (groups % ranks and ranks % groups):
            raise ModelwrightError(f"{ranks} tensor ranks can't share out {heads} heads in {groups} groups")
        self.head_dim, self.groups, self.state = head_dim, groups, state
        self.heads = heads // ranks  # of this rank; and its groups, some or a part of one:
        self.own_groups = slice(rank * groups // ranks, rank * groups // ranks + max(1, groups // ranks))
        self.shared_groups = groups < ranks
        self.group_channels = heads // groups * head_dim
        linear = {"config": config, "bias": False, "is_expert": False, "tp_group": self.tp_group}
        self.in_proj = build_module(
            submodules.in_proj,
            config.hidden_size,
            heads * (2 * head_dim + 1),
            init_method=config.init_method,
            gather_output=False,
            skip_bias_add=False,
            tp_comm_buffer_name="fc1",
            **linear,
        )
        self.out_proj = build_module(
            submodules.out_proj,
            heads * head_dim,
            config.hidden_size,
            init_method=config.output_layer_init_method,
            input_is_parallel=True,
            skip_bias_add=True,
            tp_comm_buffer_name="fc2",
            **linear,
        )

        def parameter(*shape: int, value: float = 0.0) -> torch.nn.Parameter:
            return torch.nn.Parameter(torch.full(shape, value, dtype=config.params_dtype, device=torch.cuda.current_device()))

        channels = self.heads * head_dim
        self.convolution, self.convolution_bias = parameter(channels, taps), parameter(channels)
        self.A_log, self.dt_bias, self.D, self.norm = (parameter(n, value=1.0) for n in (self.heads, self.heads, self.heads, channels))
        for name in SPLIT:
            set_tensor_model_parallel_attributes(getattr(self, name), True, 0, 1)
        self.bc_proj = parameter(groups * 2 * state, config.hidden_size)  # group by group B's rows and C's
        self.bc_convolution, self.bc_convolution_bias = parameter(groups * 2 * state, taps), parameter(groups * 2 * state)
        self.bc_proj.sequence_parallel = config.sequence_parallel  # type: ignore[attr-defined]  # its gradients are summed over tensor ranks
        for filters in (self.convolution, self.bc_convolution):
            filters.is_embedding_or_output_parameter = True  # type: ignore[attr-defined]  # a row a channel: no matrix, for optimizers

    def forward(self, hidden_states: torch.Tensor, attention_mask: torch.Tensor | None = None, **_: Any) -> tuple[torch.Tensor, None]:
        """[length, batch, width] -> the same, of which each tensor rank has a part with sequence parallelism, as `in_proj` does.

        `attention_mask` [batch, length, 2], as of a causal attention: a document begins at a position's first number (see
        `objective.visible`), and nothing runs over there. None: one document.
        """
        start = None if attention_mask is None else attention_mask[..., 0]
        zxdt, _ = self.in_proj(hidden_states)
        z, xdt = zxdt.unflatten(-1, (self.heads, -1)).split([self.head_dim, self.head_dim + 1], -1)
        bc = self._all_groups(hidden_states)
        if context.ranks() > 1:  # each rank runs through the whole sequence, as its state does, and keeps its own positions
            xdt, bc = context.whole(xdt.flatten(2), bc)
            xdt = xdt.unflatten(-1, (self.heads, -1))
            if start is not None:
                start = context.whole(*[start.T[..., None]] * 2)[0].squeeze(-1).T
        x, dt = xdt.transpose(0, 1).split([self.head_dim, 1], -1)
        x = F.silu(causal_convolution(x.flatten(2), self.convolution, self.convolution_bias, start)).view_as(x)
        b, c = self._b_and_c(bc, start).chunk(2, -1)
        dt = F.softplus(dt.squeeze(-1).float() + self.dt_bias.float())
        y = scan(x, dt, -self.A_log.float().exp(), b, c, start) + x.float() * self.D.float()[:, None]
        if context.ranks() > 1:
            y = y[:, context.places(len(z), y.device)]
        y = self._normed(y * F.silu(z.transpose(0, 1).float())).to(hidden_states.dtype)
        out, _ = self.out_proj(y.transpose(0, 1).contiguous())
        return out, None

    def _all_groups(self, hidden_states: torch.Tensor) -> torch.Tensor:
        """B and C of every group before the convolution, [length, batch, groups · 2 · state]. Each tensor rank has gradients of its own
        heads only: they are summed here, where all ranks have the same."""
        bc = F.linear(hidden_states, self.bc_proj)
        if self.config.sequence_parallel:
            gathered: torch.Tensor = gather_from_sequence_parallel_region(bc, tensor_parallel_output_grad=True, group=self.tp_group)
            return gathered
        return copied(bc, self.tp_group)

    def _b_and_c(self, bc: torch.Tensor, start: torch.Tensor | None) -> torch.Tensor:
        """After it, of the groups of this rank's heads: [batch, length, own groups, 2 · state]."""
        filters, bias = (
            copied(whole, self.tp_group).unflatten(0, (self.groups, -1))[self.own_groups].flatten(0, 1)
            for whole in (self.bc_convolution, self.bc_convolution_bias)
        )
        mine = bc.transpose(0, 1).unflatten(-1, (self.groups, -1))[:, :, self.own_groups]
        return F.silu(causal_convolution(mine.flatten(2), filters, bias, start)).view_as(mine)

    def _normed(self, y: torch.Tensor) -> torch.Tensor:
        """RMSNorm of the channels of each group (Dao and Gu 2024, section 7.1): [batch, length, heads, head_dim] -> [batch, length,
        channels], both of this rank."""
        grouped = y.flatten(2).unflatten(-1, (self.own_groups.stop - self.own_groups.start, -1))
        squares = grouped.square().sum(-1, keepdim=True)
        if self.shared_groups:
            before, after = self.own_groups.start, self.groups - self.own_groups.stop
            squares = F.pad(squares, (0, 0, before, after))  # one number a group: all ranks add, and each reads its own
            squares = reduce_from_tensor_model_parallel_region(squares.contiguous(), group=self.tp_group)
            squares = copied(squares, self.tp_group)[..., self.own_groups, :]
        normed = grouped * (squares / self.group_channels + self.config.layernorm_epsilon).rsqrt()
        return normed.flatten(2) * self.norm.float()

    def sharded_state_dict(self, prefix: str = "", sharded_offsets: tuple[Any, ...] = (), metadata: Any = None) -> dict[str, Any]:
        metadata = ensure_metadata_has_dp_cp_group(metadata)
        own: dict[str, Any] = {}
        self._save_to_state_dict(own, "", keep_vars=True)
        groups = {"tp_group": self.tp_group, "dp_cp_group": metadata["dp_cp_group"]}
        found: dict[str, Any] = make_sharded_tensors_for_checkpoint(own, prefix, SPLIT, sharded_offsets, **groups)
        for name, module in self.named_children():
            found |= sharded_state_dict_default(module, f"{prefix}{name}.", sharded_offsets, metadata, tp_group=self.tp_group)
        return found


def copied(same: torch.Tensor, group: torch.distributed.ProcessGroup) -> torch.Tensor:
    """What all tensor ranks have, for each to use in a way of its own: its gradients are summed over them."""
    found: torch.Tensor = copy_to_tensor_model_parallel_region(same, group=group)
    if (
        group.size() > 1 and found.requires_grad
    ):  # of a gradient that is not contiguous Megatron-Core 0.16.1's `_reduce` sums a copy, and drops it
        found.register_hook(torch.Tensor.contiguous)
    return found
