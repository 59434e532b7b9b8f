"""Beam search."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from modelwright_plugins.generator import Generated, Generator, Model, Stop
from modelwright_plugins.generator.penalties import Penalties

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, kw_only=True)
class Beam(Penalties, Generator):
    """The likeliest text that is found by going on with the likeliest `beams` texts at each step.

    With Hugging Face's rules (`generate` of transformers 5): the likelihood of a finished text is its log-probability over
    length ** length_penalty (length of the reply); twice as many candidates as beams are looked at, or more where there are several end
    tokens. With `beams` finished texts it stops at once (early_stopping=first), or when no open text is hoped to beat them, judged by its
    length as it is (heuristic) or as it may become (never). Its seed decides nothing.
    """

    max_new_tokens: int = 96  # tokens at most, a prompt
    beams: int = 4  # texts that are followed at a time
    length_penalty: float = 1.0  # above 0 longer texts are favoured, below 0 shorter ones
    early_stopping: Literal["heuristic", "first", "never"] = "heuristic"  # when open texts can't win: by length now, at once, by limit

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.max_new_tokens < 1:
            raise ValueError(f"max_new_tokens: expected at least 1, found {self.max_new_tokens}")
        if self.beams < 1:
            raise ValueError(f"beams: expected at least 1, found {self.beams}")

    def generate(
        self, model: Model, prompts: Sequence[Sequence[int]], *, end: Collection[int], seeds: Sequence[int], stop: Stop | None = None
    ) -> list[Generated]:
        from modelwright_plugins.generator._beams import Search

        searches = [Search(self, prompt, end, stop) for prompt in prompts]
        open_ = list(searches)
        logits = model.start(prompts) if open_ else None
        rows = [slice(number, number + 1) for number in range(len(open_))]  # of each search's texts
        while open_:
            assert logits is not None
            likely = logits.float().log_softmax(-1)
            scored = self.scores(likely, model)
            tokens, parents, left, numbers, first = [], [], [], [], 0
            for search, own in zip(open_, rows, strict=True):
                going = search.step(likely[own], scored[own])
                if going:
                    left.append(search)
                    tokens += [token for token, _ in going]
                    parents += [own.start + parent for _, parent in going]
                    numbers.append(slice(first, first + len(going)))
                    first += len(going)
            open_, rows = left, numbers
            if open_:
                logits = model.step(tokens, parents)
        return [search.best() for search in searches]

    def scores(self, likely: torch.Tensor, model: Model) -> torch.Tensor:
        """What is summed over a text's tokens and to be made large, from log-probabilities of the next one, both [rows, vocab]."""
        return likely
