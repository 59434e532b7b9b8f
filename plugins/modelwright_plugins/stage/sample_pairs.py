"""The stage that makes preferences of a model's own mistakes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from modelwright.component import Artifact, Job, Parts, Stage
from modelwright_plugins.artifacts import Checkpoint, Documents, Tokenizer


@dataclass(frozen=True, kw_only=True)
class SamplePairs(Stage):
    """Has a model answer in conversations whose right replies are known; its worse replies are rejected against those.

    Of each of the assistant's turns in training documents the model draws `samples` replies (the generator says how), the rewards score
    them and the reply that stands there, and the first sample whose score is lower by `margin` is rejected against that one; an empty one,
    or one that ran out of room, is passed over, and counts in the share of lower ones all the same. Turns of weight 0, and what `prepare`
    leaves out, are not answered. An answer that is a JSON list holds one for each of the assistant's turns; one that a reward can't read is
    told before anything is drawn. Such pairs are of what a model gets wrong by itself, and not of what it would never say (Tajwar et al.
    2024, arXiv:2404.14367). `replies.jsonl` has all samples and their scores.
    """

    uses: ClassVar[tuple[str, ...]] = ("parallel", "precision", "kernel", "attention", "generator", "reward")
    takes: ClassVar[tuple[type[Artifact], ...]] = (Documents, Checkpoint, Tokenizer)
    makes: ClassVar[tuple[type[Artifact], ...]] = (Documents,)

    samples: int = 2  # replies drawn at each turn
    margin: float = 0.5  # how much lower a rejected reply scores
    turns: int | None = None  # of the assistant's that are answered, the first so many; null: all
    batch: int = 64  # likelihoods asked at a time: memory and speed

    def __post_init__(self) -> None:
        for name in ("samples", "turns", "batch"):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it is 1 or more")
        if not self.margin > 0:
            raise ValueError(f"margin is {self.margin}; it is above 0")

    def ranks(self, parts: Parts) -> int:
        from modelwright_plugins.parallel.available import available

        ranks: int = parts["parallel"].ranks(available()[0])
        return ranks

    def problems(self, parts: Parts) -> list[str]:
        found: list[str] = parts["kernel"].problems() + parts["attention"].problems() + parts["generator"].problems()
        if not parts["reward"]:
            found.append("sample_pairs: no reward says which replies are wrong; reward=[…] names some")
        return found

    def run(self, job: Job) -> Mapping[str, float] | None:
        from modelwright_plugins.stage._sample_pairs import sampled

        return sampled(self, job)
