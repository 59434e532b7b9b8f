"""Contrastive search."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from modelwright_plugins.generator import Generated, Generator, Model, Stop
from modelwright_plugins.generator.penalties import Penalties

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, kw_only=True)
class ContrastiveSearch(Penalties, Generator):
    """The likely token whose state is least like those before it (Su et al. 2022, arXiv:2202.06417, equation 5).

    Of the `top_k` likeliest tokens v it takes the one of the highest (1 - alpha) p(v) - alpha max cos(h_v, h_j), where h are the last
    layer's states, of v and of all tokens before it. Its seed decides nothing; a step costs `top_k` forward passes of one token.
    """

    states: ClassVar[bool] = True
    max_new_tokens: int = 96  # tokens at most, a prompt
    top_k: int = 4  # likeliest tokens to choose from (the paper: 3 to 10)
    alpha: float = 0.6  # weight of the likeness to what was before; 0 is greedy search

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.max_new_tokens < 1:
            raise ValueError(f"max_new_tokens: expected at least 1, found {self.max_new_tokens}")
        if self.top_k < 1:
            raise ValueError(f"top_k: expected at least 1, found {self.top_k}")
        if not 0 <= self.alpha <= 1:
            raise ValueError(f"alpha: expected a number from 0 to 1, found {self.alpha}")

    def generate(
        self, model: Model, prompts: Sequence[Sequence[int]], *, end: Collection[int], seeds: Sequence[int], stop: Stop | None = None
    ) -> list[Generated]:
        import torch

        replies: list[list[int]] = [[] for _ in prompts]
        nats: list[list[float]] = [[] for _ in prompts]
        finished = [False] * len(prompts)
        going, rows = list(range(len(prompts))), list(range(len(prompts)))  # and each one's row
        logits = model.start(prompts) if going else None
        while going:
            assert logits is not None
            logits = logits[rows]
            likely = logits.log_softmax(-1)
            chances = self.edited(logits, [prompts[i] for i in going], [replies[i] for i in going]).softmax(-1)
            chance, token = chances.topk(min(self.top_k, chances.shape[-1]))
            each = token.shape[1]
            logits = model.step(token.flatten().tolist(), [row for row in rows for _ in range(each)])
            states = model.states()
            left = []
            for place, i in enumerate(going):
                own = states[place * each : (place + 1) * each]
                like = torch.tensor([_likeness(one) for one in own])
                score = (1 - self.alpha) * chance[place] - self.alpha * like
                best = int(score.masked_fill(chance[place] == 0, -torch.inf).argmax())
                chosen = int(token[place, best])
                replies[i].append(chosen)
                nats[i].append(float(likely[place, chosen]))
                finished[i] = chosen in end or (stop is not None and stop(replies[i]))
                if not finished[i] and len(replies[i]) < self.max_new_tokens:
                    left.append((i, place * each + best))
            going, rows = [i for i, _ in left], [row for _, row in left]
        return [Generated(reply, done, torch.tensor(each)) for reply, done, each in zip(replies, finished, nats, strict=True)]


def _likeness(states: torch.Tensor) -> float:
    """The largest cosine of the last of these states [tokens, width] with any before it."""
    import torch

    units = torch.nn.functional.normalize(states.float(), dim=-1)
    return float((units[:-1] @ units[-1]).max()) if len(units) > 1 else 0.0
