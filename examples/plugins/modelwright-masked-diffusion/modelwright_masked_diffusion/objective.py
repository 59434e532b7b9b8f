"""The objective of masked diffusion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from modelwright_masked_diffusion.denoiser import MASK
from modelwright_plugins.objective import Objective

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

    from modelwright_plugins.objective import Passage


@dataclass(frozen=True, kw_only=True)
class MaskedDiffusion(Objective):
    """Cross-entropy of masked tokens over the masked ratio: a bound on the likelihood (LLaDA, arXiv:2502.09992, eq. 3).

    For each sequence a ratio t is drawn, uniform between `min_ratio` and 1, and each token is masked with probability t. The
    loss is the sum over masked tokens of their nats, over t; it is reported a token of the text, masked or not, as LLaDA's and
    MDLM's is (Sahoo et al. 2024, arXiv:2406.07524, equation 10, with the linear schedule).
    """

    architectures: ClassVar[tuple[str, ...]] = ("bidirectional_decoder",)

    min_ratio: float = 1e-3  # the smallest ratio; its inverse is the largest weight of a token (LLaDA's code: 1e-3)

    def __post_init__(self) -> None:
        if not 0 < self.min_ratio < 1:
            raise ValueError(f"min_ratio is {self.min_ratio}; it is between 0 and 1")

    def spans(self, length: int) -> tuple[int, ...]:
        return (length,)

    def example(self, passage: Passage) -> dict[str, NDArray[np.generic]]:
        """`loss_weight` [length]: 1 / t where a token is masked, else 0."""
        import numpy as np

        text = passage.tokens
        ratio = passage.random.uniform(self.min_ratio, 1)
        masked = passage.random.random(len(text)) < ratio
        return {
            "input_ids": np.where(masked, MASK, text),
            "position_ids": np.arange(len(text)),
            "labels": text,
            "loss_weight": (masked / ratio).astype(np.float32),
        }

    def loss(self, output: torch.Tensor, inputs: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        import torch

        return (output.float() * inputs["loss_weight"]).sum(), torch.tensor(output.numel(), dtype=torch.int, device=output.device)
