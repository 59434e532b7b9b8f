"""A decoder with another activation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from modelwright_plugins.architecture.decoder import CausalDecoder

if TYPE_CHECKING:
    from megatron.core.transformer.transformer_config import TransformerConfig


@dataclass(frozen=True, kw_only=True)
class PowerReLU(CausalDecoder):
    """Decoder-only transformer whose feed-forward layers take a power of ReLU: Primer's is its square (So et al. 2021)."""

    activation: Literal["gelu", "gelu_tanh", "relu", "swiglu"] = "relu"  # raised to `power`; relu, as the others have no such form
    power: int = 2  # of the activation (Primer, arXiv:2109.08668, section 3: squared ReLU)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.activation != "relu" or self.power < 1:
            raise ValueError(f"activation is {self.activation} and power {self.power}; they are relu and 1 or more")

    def transformer_config(self, **engine: Any) -> TransformerConfig:
        import torch

        power = self.power

        def activation(x: torch.Tensor) -> torch.Tensor:
            return torch.relu(x).pow(power)

        config = super().transformer_config(**engine)
        config.activation_func = activation
        return config
