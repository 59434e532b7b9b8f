"""Texts that are like good examples."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from modelwright_plugins.filter.classifier import Classifier

if TYPE_CHECKING:
    from datatrove.pipeline.filters.base_filter import BaseFilter

    from modelwright_plugins.filter._classifier import Model


@dataclass(frozen=True, kw_only=True)
class QualityClassifier(Classifier):
    """Keeps texts that a classifier, trained on good and bad examples, finds good.

    Logistic regression on a text's hashed words and word n-grams: GPT-3's classifier (Brown et al. 2020, arXiv:2005.14165, appendix A)
    with fastText's bag, a mean over n-grams (Joulin et al. 2017, arXiv:1607.01759), which DCLM's has (Li et al. 2024, arXiv:2406.11794).
    It is trained once, before any task. One example in five is held out: the line that is printed, the kept file and its ROC curve
    are about those. The probability stays in `metadata["quality"]`; a text without words goes.
    """

    good: tuple[Path, ...] = ()  # examples of what is wanted: .jsonl (key text) and .txt (a text a paragraph), also .gz, .jsonl.zst
    bad: tuple[Path, ...] = ()  # examples of what is not wanted, such as any pages of the web
    selection: Literal["threshold", "pareto"] = "threshold"  # good from the threshold on; also, rarely, what is worse: GPT-3's way
    pareto_alpha: float = 9.0  # selection pareto: a text stays if noise from Pareto(alpha) is above 1 - its probability
    seed: int = 0  # selection pareto: of the noise, which depends on the text and on nothing else

    classes: ClassVar[tuple[str, str]] = ("good", "bad")
    component: ClassVar[str] = "quality_classifier"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.pareto_alpha > 0:
            raise ValueError(f"pareto_alpha is {self.pareto_alpha}; it is above 0")
        if not 0 <= self.seed < 1 << 64:
            raise ValueError(f"seed is {self.seed}; it is from 0 to 2**64 - 1")

    def build(self) -> BaseFilter:
        from modelwright_plugins.filter._quality import Pareto, Quality

        model = self.trained()
        return Quality(model, self.threshold) if self.selection == "threshold" else Pareto(model, self.pareto_alpha, self.seed)

    def decides(self, model: Model) -> str:
        if self.selection == "pareto":
            good, bad = (float(((2 - side) ** -self.pareto_alpha).mean()) for side in model.held_out)
            return f"the noise keeps {good:.0%} of the good and {bad:.1%} of the bad"
        good, bad = (float((side >= self.threshold).mean()) for side in model.held_out)
        return f"threshold {self.threshold:g} keeps {good:.1%} of the good and {bad:.1%} of the bad"
