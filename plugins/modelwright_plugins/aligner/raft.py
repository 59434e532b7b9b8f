"""RAFT: the best of several replies is learned as if somebody had written it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from modelwright_plugins.aligner.on_policy import OnPolicy, Round

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, kw_only=True)
class RAFT(OnPolicy):
    """Reward-ranked fine-tuning (Dong et al. 2023, arXiv:2304.06767, Algorithm 1): rejection sampling, then cross-entropy.

    Of `samples` replies to a prompt, the one with the highest reward is kept (of equals, the first), and learned by its tokens'
    cross-entropy, the mean over those of the global batch, as in SFT. Replies may be drawn at any temperature (the paper: 0.85 to 1).
    """

    untempered: ClassVar[bool] = False
    samples: int = 8  # replies to each prompt, of which one is kept; the paper has 8 to 32
    epochs: int = 1  # times that a round's best replies are learned from
    minibatches: int = 1  # updates that a round's best replies are shared out to, each of global_batch prompts

    @property
    def least(self) -> int:
        return 2

    @property
    def remembers(self) -> bool:
        return False

    def rows(self, replies: int) -> int:
        return 1

    @property
    def measures(self) -> tuple[str, ...]:
        return ("reward/kept",)

    def kept(self, drawn: Round) -> torch.Tensor:
        import torch

        groups = drawn.whole.view(-1, drawn.samples)
        return torch.arange(len(groups)) * drawn.samples + (groups == groups.amax(1, keepdim=True)).int().argmax(1)

    def prepared(self, drawn: Round) -> dict[str, torch.Tensor]:
        return {"loss_kept": drawn.whole}

    def loss(self, output: torch.Tensor, inputs: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        mask = inputs["loss_mask"]
        return (output.float() * mask).sum(), mask.sum().int()

    def metrics(self, output: torch.Tensor, inputs: dict[str, torch.Tensor]) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
        import torch

        kept = inputs["loss_kept"]
        return {"reward/kept": (kept.sum(), torch.tensor(len(kept), device=kept.device))}
