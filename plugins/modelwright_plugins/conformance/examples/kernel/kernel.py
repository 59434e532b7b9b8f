"""Attention in blocks of queries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from modelwright_plugins.kernel import Kernel
from modelwright_plugins.kernel.local import Torch

if TYPE_CHECKING:
    from megatron.core.transformer.spec_utils import ModuleSpec
    from megatron.core.transformer.transformer_config import TransformerConfig


@dataclass(frozen=True, kw_only=True)
class BlockedAttention(Kernel):
    """Megatron's local layers with attention computed block by block: scores of one block at a time are in memory."""

    block: int = 128  # queries at a time

    def __post_init__(self) -> None:
        if self.block < 1:
            raise ValueError(f"block is {self.block}; it is 1 or more")

    def settings(self) -> dict[str, Any]:
        return Torch().settings()

    def layer(self, config: TransformerConfig) -> ModuleSpec:
        from megatron.core.transformer.spec_utils import ModuleSpec

        from modelwright_plugins.conformance.examples.kernel._kernel import Blocked

        spec = Torch().layer(config)
        spec.submodules.self_attention.submodules.core_attention = ModuleSpec(module=Blocked, params={"block": self.block})
        return spec

    def norm(self) -> Any:
        return Torch().norm()
