"""GRPO and what was made of it: rewards are compared within the replies to one prompt, and there is no value function."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from modelwright_plugins.aligner._grouped import Grouped
from modelwright_plugins.aligner.on_policy import Round

if TYPE_CHECKING:
    import torch

KINDS = ("grpo", "dr_grpo", "dapo")
IMPORTANCE = ("token", "sequence")
SCALES = ("group", "batch", "none")


@dataclass(frozen=True, kw_only=True)
class GRPO(Grouped):
    """Group relative policy optimization (Shao et al. 2024, arXiv:2402.03300, equation 3), Dr. GRPO, DAPO and GSPO.

    The clipped loss of PPO, with a reply's reward less the mean of its prompt's replies, over their deviation, as the advantage of each of
    its tokens, and `beta` times the k3 estimate of the divergence from the first weights (equation 4) beside it. `kind`: grpo is the mean
    over replies of each one's mean over its tokens; dapo the mean over all tokens (Yu et al. 2025, arXiv:2503.14476, equation 8; its
    `epsilon_high` is 0.28); dr_grpo the mean over replies of the sum over tokens, over the most that a reply may have (Liu et al. 2025,
    arXiv:2503.20783; with `scale=none`). `importance=sequence`: GSPO (Zheng et al. 2025, arXiv:2507.18071, equation 7).
    """

    samples: int = 8  # replies to each prompt; DeepSeekMath has 64
    beta: float = 0.0  # of the divergence from the first weights; 0: none, and no second model in memory. DeepSeekMath has 0.04
    epsilon_low: float = 0.2  # the ratio of probabilities counts down to 1 - this
    epsilon_high: float = 0.2  # and up to 1 + this
    kind: Literal["grpo", "dr_grpo", "dapo"] = "grpo"  # what the mean is over
    importance: Literal["token", "sequence"] = "token"  # of what ratios are; sequence: their geometric mean over a reply
    scale: Literal["group", "batch", "none"] = "group"  # whose deviation an advantage is divided by
    epochs: int = 1  # times that a round's replies are learned from
    minibatches: int = 1  # updates that a round's replies are shared out to, each of global_batch prompts

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, known in (("kind", KINDS), ("importance", IMPORTANCE), ("scale", SCALES)):
            if getattr(self, name) not in known:
                raise ValueError(f"{name} is {getattr(self, name)}; it is {', '.join(known[:-1])} or {known[-1]}")

    def prepared(self, drawn: Round) -> dict[str, torch.Tensor]:
        import torch

        from modelwright_plugins.aligner._advantages import grouped

        found = {"loss_advantages": grouped(drawn.whole, drawn.samples, self.scale)}
        found["loss_most"] = torch.full_like(drawn.rewards, drawn.most)
        found |= {} if drawn.old is None else {"loss_old": drawn.old}
        return found | ({} if drawn.first is None else {"loss_first": drawn.first})

    def loss(self, output: torch.Tensor, inputs: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        import torch

        from modelwright_plugins.aligner._ratio import a_row, clipped, divergence

        each = clipped(self._ratio(output, inputs), inputs["loss_advantages"][:, None], self.epsilon_low, self.epsilon_high)
        each = each.expand_as(output)
        if self.beta:
            each = each + self.beta * divergence(output, inputs)
        mask = inputs["loss_mask"]
        if self.kind == "dapo":
            return (each * mask).sum(), mask.sum().int()
        total, count = a_row(each, inputs)
        means = total / (count.clamp(min=1) if self.kind == "grpo" else inputs["loss_most"])
        return means.sum(), torch.tensor(len(means), dtype=torch.int, device=means.device)

    def _ratio(self, output: torch.Tensor, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        """[rows, length], or [rows, 1] of whole replies."""
        from modelwright_plugins.aligner._ratio import a_row, log_ratio

        found = log_ratio(output, inputs)
        if self.importance == "sequence":
            total, count = a_row(found, inputs)
            found = (total / count.clamp(min=1))[:, None]
        return found.exp()

    def metrics(self, output: torch.Tensor, inputs: dict[str, torch.Tensor]) -> Mapping[str, tuple[torch.Tensor, torch.Tensor]]:
        from modelwright_plugins.aligner._ratio import measured, outside

        mask = inputs["loss_mask"]
        beyond = outside(self._ratio(output, inputs), inputs["loss_advantages"][:, None], self.epsilon_low, self.epsilon_high)
        return {**measured(output, inputs), "clipped": ((beyond * mask).sum(), mask.sum())}
