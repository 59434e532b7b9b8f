"""PPO: a clipped policy gradient with a learned value function."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from modelwright_plugins.aligner.on_policy import OnPolicy, Round

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, kw_only=True)
class PPO(OnPolicy):
    """Proximal policy optimization (Schulman et al. 2017, arXiv:1707.06347), as Ziegler et al. 2019 (1909.08593) have it.

    Each token has the reward -`beta` log(p/p0), where p0 is its probability under the first weights; the last also the reply's, and the
    end of a step that step's. Advantages are generalized (GAE) from the values of a head beside the tokens', whitened over the round. The
    loss is the mean over tokens of the clipped policy loss (equation 7) and `value_weight` times half the clipped squared error of values.
    With `target`, `beta` follows the divergence from round to round (Ziegler et al. 2019, section 2.2).
    """

    head: ClassVar = "both"
    samples: int = 1  # replies to each prompt
    beta: float = 0.05  # of the divergence from the first weights, at first; 0: none, and no second model in memory
    target: float | None = None  # nats a reply (`kl_reply`) that `beta` is adapted to; Ziegler et al.: 6 and more; null: `beta` is fixed
    horizon: int = 10_000  # replies over which `beta` may change by a fifth
    gamma: float = 1.0  # what a reward is worth a token earlier
    lam: float = 0.95  # of GAE: 1 is the whole return less the value, 0 one step of it
    epsilon: float = 0.2  # the ratio of probabilities counts from 1 - this to 1 + this
    value_epsilon: float = 0.2  # a value counts up to so far from what it was when the reply was drawn
    value_weight: float = 0.1  # of the value loss; Ziegler et al. have 0.1
    whiten_rewards: bool = False  # divide the rewards of tokens by their deviation over the round
    epochs: int = 4  # times that a round's replies are learned from
    minibatches: int = 1  # updates of an epoch, each of global_batch prompts

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("beta", "value_weight"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is {getattr(self, name)}; it is 0 or more")
        for name in ("gamma", "lam"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it is from 0 to 1")
        for name in ("epsilon", "value_epsilon", "horizon"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} is {getattr(self, name)}; it is above 0")
        if self.target is not None and not (self.target > 0 and self.beta > 0):
            raise ValueError(f"target is {self.target}; it is above 0 and adapts a beta above 0, or null")

    @property
    def compares(self) -> bool:
        return self.beta > 0

    @property
    def remembers(self) -> bool:
        return True  # the pass that gives the values gives these too

    @property
    def adapts(self) -> bool:
        return self.target is not None

    @property
    def begins(self) -> float:
        return self.beta

    def follows(self, drawn: Round) -> float:
        if self.target is None or drawn.old is None or drawn.first is None:
            return drawn.coefficient
        reached = float(drawn.divergence.mean())
        error = min(max(reached / self.target - 1, -0.2), 0.2)
        return drawn.coefficient * (1 + error * len(drawn.rewards) / self.horizon)

    @property
    def measures(self) -> tuple[str, ...]:
        return ("entropy", *(("kl", "kl_reply", "beta") if self.compares else ()), "clipped", "policy_loss", "value_loss", "value_clipped")

    def prepared(self, drawn: Round) -> dict[str, torch.Tensor]:
        import torch

        from modelwright_plugins.aligner._advantages import generalized, whitened

        assert drawn.values is not None
        mask, rewards = drawn.mask, drawn.steps.clone()
        places = torch.arange(mask.shape[1])
        last = (mask * places).argmax(-1)
        rewards[torch.arange(len(last)), last] += drawn.rewards
        if drawn.first is not None:
            assert drawn.old is not None
            rewards -= drawn.coefficient * (drawn.old - drawn.first)
        if self.whiten_rewards:
            rewards = whitened(rewards, mask, shift=False)
        advantages, returns = generalized(rewards, drawn.values, mask, gamma=self.gamma, lam=self.lam)
        found = {"loss_advantages": whitened(advantages, mask, shift=True), "loss_returns": returns, "loss_old_values": drawn.values}
        found["loss_beta"] = torch.full_like(drawn.rewards, drawn.coefficient)
        found |= {} if drawn.old is None else {"loss_old": drawn.old}
        return found | ({} if drawn.first is None else {"loss_first": drawn.first, "loss_kl_reply": drawn.divergence})

    def loss(self, output: torch.Tensor, inputs: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        mask = inputs["loss_mask"]
        policy, value = self._policy(output, inputs), self._value(inputs)
        return ((policy + self.value_weight * value) * mask).sum(), mask.sum().int()

    def _policy(self, output: torch.Tensor, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        from modelwright_plugins.aligner._ratio import clipped, log_ratio

        return clipped(log_ratio(output, inputs).exp(), inputs["loss_advantages"], self.epsilon, self.epsilon)

    def _bounded(self, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        import torch

        old = inputs["loss_old_values"]
        return torch.clamp(inputs["loss_values"], old - self.value_epsilon, old + self.value_epsilon)

    def _value(self, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        """[rows, length]"""
        import torch

        returns = inputs["loss_returns"]
        return 0.5 * torch.maximum((inputs["loss_values"] - returns).square(), (self._bounded(inputs) - returns).square())

    def metrics(self, output: torch.Tensor, inputs: dict[str, torch.Tensor]) -> Mapping[str, tuple[torch.Tensor, torch.Tensor]]:
        from modelwright_plugins.aligner._ratio import log_ratio, measured, outside

        mask = inputs["loss_mask"]
        count, returns, values = mask.sum(), inputs["loss_returns"], inputs["loss_values"]
        beyond = outside(log_ratio(output, inputs).exp(), inputs["loss_advantages"], self.epsilon, self.epsilon)
        held = ((self._bounded(inputs) - returns).square() > (values - returns).square()).float()
        found = {"clipped": beyond, "policy_loss": self._policy(output, inputs), "value_loss": self._value(inputs), "value_clipped": held}
        told = measured(output, inputs)
        if self.compares:
            told["beta"] = ((inputs["loss_beta"][:, None] * mask).sum(), count)
        return told | {name: ((each * mask).sum(), count) for name, each in found.items()}
