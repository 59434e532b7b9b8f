"""Direct preference optimisation, and what is near it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from modelwright_plugins.aligner.pairs import Pairs

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, kw_only=True)
class DPO(Pairs):
    """Direct preference optimisation (Rafailov et al. 2023, arXiv:2305.18290), the mean over the pairs of the global batch.

    A reply's log-ratio is what the trained weights give it in log-probability above the first weights; the margin m of a pair is the
    chosen reply's less the rejected one's. The loss is, with S the logistic function and e the label smoothing,
    sigmoid: -(1 - e) log S(beta m) - e log S(-beta m) (equation 7; with e, conservative DPO: Mitchell 2023);
    robust: (-(1 - e) log S(beta m) + e log S(-beta m)) / (1 - 2 e) (Chowdhury et al. 2024, arXiv:2403.00409);
    hinge: max(0, 1 - beta m) (Zhao et al. 2023, arXiv:2305.10425);
    ipo: (m - 1 / (2 beta))², of log-ratios a token (Azar et al. 2023, arXiv:2310.12036, equation 17; a token: its authors' practice).
    """

    kind: Literal["sigmoid", "robust", "hinge", "ipo"] = "sigmoid"  # the loss of a pair's margin
    beta: float = 0.1  # how strongly it is held to the first weights; IPO's tau
    label_smoothing: float = 0.0  # the share of pairs that are taken to be the wrong way round; sigmoid and robust
    length_normalised: bool = False  # log-ratios a token (Lambert et al. 2024, arXiv:2411.15124); beta is larger then
    chosen_weight: float = 0.0  # weight of the chosen reply's cross-entropy a token (Pang et al. 2024, arXiv:2404.19733)

    def __post_init__(self) -> None:
        if self.kind not in ("sigmoid", "robust", "hinge", "ipo"):
            raise ValueError(f"kind is {self.kind}; it is sigmoid, robust, hinge or ipo")
        if not self.beta > 0:
            raise ValueError(f"beta is {self.beta}; it is above 0")
        if not 0 <= self.label_smoothing < 0.5:
            raise ValueError(f"label_smoothing is {self.label_smoothing}; it is from 0 up to below 0.5")
        if self.label_smoothing and self.kind not in ("sigmoid", "robust"):
            raise ValueError(f"label_smoothing is {self.label_smoothing}; it is of kind=sigmoid or robust, not {self.kind}")
        if self.chosen_weight < 0:
            raise ValueError(f"chosen_weight is {self.chosen_weight}; it is 0 or more")

    @property
    def needs_reference(self) -> bool:
        return True

    def loss(self, output: torch.Tensor, inputs: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        from modelwright_plugins.aligner._pairs import of_margin
        from modelwright_plugins.aligner._rows import examples, mean, summed

        logps, targets = summed(output, inputs)
        ratios = self._ratios(logps, targets, inputs)
        each = of_margin(self.kind, ratios[0::2] - ratios[1::2], self.beta, self.label_smoothing)
        if self.chosen_weight:
            each = each - self.chosen_weight * mean(logps, targets)[0::2]
        return examples(each)

    def rewards(self, output: torch.Tensor, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        from modelwright_plugins.aligner._rows import summed

        return self.beta * self._ratios(*summed(output, inputs), inputs)

    def _ratios(self, logps: torch.Tensor, targets: torch.Tensor, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        """Log-ratios [rows]."""
        from modelwright_plugins.aligner._rows import mean

        ratios = logps - inputs["loss_reference"]
        return mean(ratios, targets) if self.length_normalised or self.kind == "ipo" else ratios
