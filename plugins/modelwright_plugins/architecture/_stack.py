"""Some of the layers of one stack, where a model has several stacks or a pipeline cuts one."""

from __future__ import annotations

from typing import Any

from megatron.core.dist_checkpointing.utils import replace_prefix_for_sharding
from megatron.core.transformer.spec_utils import ModuleSpec
from megatron.core.transformer.transformer_block import TransformerBlock, TransformerBlockSubmodules
from megatron.core.transformer.transformer_config import TransformerConfig
from megatron.core.transformer.utils import sharded_state_dict_default


class Stack(TransformerBlock):
    """Layers `first` to `first + count` - 1 of a stack of `total`, and its final norm if the last is among them.

    Megatron 0.16.1 counts layers over the whole pipeline; a model of two stacks counts each by itself, in checkpoints too.
    """

    def __init__(
        self,
        config: TransformerConfig,
        layer: ModuleSpec,
        norm: type | None,
        *,
        first: int,
        count: int,
        total: int,
        vp_stage: int | None = None,
    ) -> None:
        ends = first + count == total
        specs = TransformerBlockSubmodules(layer_specs=[layer] * count, layer_norm=norm)
        super().__init__(config, specs, post_layer_norm=norm is not None, pre_process=True, post_process=ends, vp_stage=vp_stage)
        self.first, self.total = first, total
        for place, each in enumerate(self.layers):
            each.layer_number = first + place + 1

    def sharded_state_dict(self, prefix: str = "", sharded_offsets: tuple[Any, ...] = (), metadata: Any = None) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for place, each in enumerate(self.layers):
            own = f"{prefix}layers.{place}."
            part = each.sharded_state_dict(own, [(0, self.first + place, self.total)], metadata)
            replace_prefix_for_sharding(part, own, f"{prefix}layers.")
            found |= part
        if self.final_layernorm is not None:
            found |= sharded_state_dict_default(
                self.final_layernorm, f"{prefix}final_layernorm.", sharded_offsets, metadata, tp_group=self.tp_group
            )
        return found
