"""The objective of masked diffusion."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from modelwright_masked_diffusion.denoiser import MASK
from modelwright_plugins.objective import Objective

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, kw_only=True)
class MaskedDiffusion(Objective):
    """Cross-entropy of masked tokens over the masked ratio: a bound on the likelihood (LLaDA, arXiv:2502.09992, eq. 3).

    For each sequence a ratio t is drawn, uniform between `min_ratio` and 1, and each token is masked with probability t. The
    loss is the sum over masked tokens of their nats, over t; it is reported a token of the text, masked or not, as LLaDA's and
    MDLM's is (Sahoo et al. 2024, arXiv:2406.07524, equation 10, with the linear schedule).
    Which tokens are masked is drawn from numbers that the sequence itself and `mask_seed` make. So no layout or micro-batch
    changes what is learned and resuming is exact; and a sequence that comes again in another epoch is masked as before.
    """

    architecture: ClassVar[str] = "bidirectional_decoder"

    min_ratio: float = 1e-3  # the smallest ratio; its inverse is the largest weight of a token (LLaDA's code: 1e-3)
    mask_seed: int = 0  # another one masks other tokens

    def __post_init__(self) -> None:
        if not 0 < self.min_ratio < 1:
            raise ValueError(f"min_ratio is {self.min_ratio}; it is between 0 and 1")

    def inputs(self, tokens: torch.Tensor) -> dict[str, torch.Tensor]:
        import torch

        text = tokens[:, :-1].contiguous()  # the last one is the next sequence's first
        ratio, masked = self.drawn(text)
        return {
            "input_ids": text.masked_fill(masked, MASK),
            "position_ids": torch.arange(text.shape[1], device=text.device).expand_as(text),
            "labels": text,
            "loss_mask": masked / ratio,
        }

    def drawn(self, text: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(ratios [batch, 1] in FP32, which tokens are masked [batch, length]) for text [batch, length]."""
        import numpy as np
        import torch

        uniform = np.empty((len(text), 1 + text.shape[1]))
        for row, tokens in zip(uniform, text.cpu().numpy().astype("<i8"), strict=True):
            key = hashlib.blake2b(tokens.tobytes(), digest_size=16, salt=self.mask_seed.to_bytes(16, "little", signed=True)).digest()
            row[:] = np.random.Generator(np.random.Philox(key=int.from_bytes(key, "little"))).random(len(row))
        ratio = self.min_ratio + (1 - self.min_ratio) * uniform[:, :1]
        masked = uniform[:, 1:] < ratio
        return torch.from_numpy(ratio).float().to(text.device), torch.from_numpy(masked).to(text.device)

    def loss(self, output: torch.Tensor, inputs: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        import torch

        return (output.float() * inputs["loss_mask"]).sum(), torch.tensor(output.numel(), dtype=torch.int, device=output.device)
