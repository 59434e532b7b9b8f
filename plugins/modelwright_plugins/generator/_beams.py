"""The beam search of one prompt."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from modelwright_plugins.generator import Generated, Stop

if TYPE_CHECKING:
    from modelwright_plugins.generator.beam import Beam


@dataclass(frozen=True)
class Text:
    """One that is followed, or finished."""

    tokens: list[int]
    logps: list[float]  # of the model, nats
    score: float  # their sum, with bias and penalties; of a finished one over length ** length_penalty
    ended: bool = False  # by an end token or a stop, not by its length


class Search:
    """`step` is given the logits of the texts that are followed, which are those that it gave the time before."""

    def __init__(self, beam: Beam, prompt: Sequence[int], end: Collection[int], stop: Stop | None) -> None:
        self.beam, self.prompt, self.end, self.stop = beam, prompt, end, stop
        self.candidates = max(2, 1 + len(end)) * beam.beams
        self.running = [Text([], [], 0.0)]
        self.finished: list[Text] = []  # best first, `beams` at most

    def step(self, likely: torch.Tensor, scored: torch.Tensor) -> list[tuple[int, int]]:
        """Log-probabilities and scores of the next token, each [texts, vocab] -> (token, number of the text that it goes on from) of each
        text to follow; none: the search is over."""
        replies = [text.tokens for text in self.running]
        scores = self.beam.edited(scored, [self.prompt] * len(replies), replies)
        sums = (scores + torch.tensor([text.score for text in self.running])[:, None]).flatten()
        best, at = sums.topk(min(self.candidates, len(sums)))
        if best[0] == -torch.inf:  # the rules forbid every token: what there is stands as it is
            return []
        going: list[tuple[Text, int]] = []
        length = len(replies[0]) + 1
        for place, (score, index, logp) in enumerate(zip(best.tolist(), at.tolist(), likely.flatten()[at].tolist(), strict=True)):
            if score == -torch.inf:
                break  # all that follow are forbidden too
            parent, token = divmod(index, likely.shape[-1])
            before = self.running[parent]
            tokens = [*before.tokens, token]
            ended = token in self.end or (self.stop is not None and self.stop(tokens))
            text = Text(tokens, [*before.logps, logp], score, ended)
            if not ended and length < self.beam.max_new_tokens:
                going.append((text, parent))
            elif place < self.beam.beams:  # the others are there only so that as many as the beams can go on
                self.finished.append(Text(text.tokens, text.logps, score / length**self.beam.length_penalty, ended))
        self.finished = sorted(self.finished, key=lambda text: -text.score)[: self.beam.beams]
        going = going[: self.beam.beams]
        self.running = [text for text, _ in going]
        return [(text.tokens[-1], parent) for text, parent in going] if going and self._hope(length) else []

    def _hope(self, length: int) -> bool:
        """Whether a text that is open may beat a finished one."""
        if len(self.finished) < self.beam.beams:
            return self.running[0].score > -torch.inf
        if self.beam.early_stopping == "first":
            return False
        longest = self.beam.early_stopping == "never" and self.beam.length_penalty > 0
        reach = self.beam.max_new_tokens if longest else length
        return self.running[0].score / reach**self.beam.length_penalty > self.finished[-1].score

    def best(self) -> Generated:
        text = (self.finished or self.running)[0]
        return Generated(text.tokens, text.ended, torch.tensor(text.logps))
