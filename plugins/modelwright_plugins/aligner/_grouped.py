"""What aligners have in common that compare the replies to one prompt with each other, and have no value function."""

from __future__ import annotations

from modelwright_plugins.aligner.on_policy import OnPolicy


class Grouped(OnPolicy):
    """Two replies to a prompt or more, a weight of the divergence from the first weights, and ratios of probabilities that are clipped."""

    beta: float
    epsilon_low: float
    epsilon_high: float

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.beta < 0:
            raise ValueError(f"beta is {self.beta}; it is 0 or more")
        if not 0 < self.epsilon_low <= 1:
            raise ValueError(f"epsilon_low is {self.epsilon_low}; it is above 0 and at most 1")
        if self.epsilon_high <= 0:
            raise ValueError(f"epsilon_high is {self.epsilon_high}; it is above 0")

    @property
    def least(self) -> int:
        return 2

    @property
    def compares(self) -> bool:
        return self.beta > 0

    @property
    def measures(self) -> tuple[str, ...]:
        return ("entropy", *(("kl",) if self.compares else ()), "clipped")
