"""Scores of replies: what the rewards of a run say of them, on one data rank's part."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import numpy as np
import torch.distributed as dist
from megatron.core import parallel_state
from numpy.typing import NDArray

from modelwright.errors import ModelwrightError
from modelwright_plugins.engine.one_rank import patient
from modelwright_plugins.reward import Asked, Reward, Score
from modelwright_plugins.reward.weighted import checked, weighted
from modelwright_plugins.tokenizer.encoder import Encoder

Floats = NDArray[np.float32]


def leads() -> bool:
    """Whether this rank speaks for its data rank."""
    others = (
        parallel_state.get_tensor_model_parallel_rank(),
        parallel_state.get_pipeline_model_parallel_rank(),
        parallel_state.get_context_parallel_rank(),
    )
    return not any(others)


class Scores:
    """Rewards at work: what has much to load does so once, at the first replies. Close it."""

    def __init__(self, rewards: Mapping[str, Reward], how: Mapping[str, Any]) -> None:
        self.rewards, self.how = rewards, how
        self._opened: dict[str, Callable[[Sequence[Asked]], list[Score]]] = {}
        self._closing = ExitStack()

    def close(self) -> None:
        self._closing.close()
        self._opened = {}

    def of(self, asked: Sequence[Asked]) -> tuple[dict[str, Floats], list[Score], str]:
        """(by reward [replies], of steps their sum; the weighted sums; what went wrong, or "") on the rank that leads, elsewhere
        nothing. An error is told and not raised: other ranks wait for this one."""
        named: dict[str, list[Score]] = {}
        wrong = ""
        for name, reward in self.rewards.items():
            if not reward.collective and not leads():
                continue
            try:
                if name not in self._opened:
                    self._opened[name] = self._closing.enter_context(reward.opened(self.how))
                named[name] = checked(name, asked, self._opened[name](asked))
            except (ValueError, ModelwrightError) as error:  # a server's errors are ModelwrightErrors
                wrong = wrong or str(error)
        if not leads() or wrong:
            return {}, [], wrong
        sums = {name: np.array([_sum(score) for score in found], np.float32) for name, found in named.items()}
        return sums, weighted(self.rewards, asked, named), ""


def _sum(score: Score) -> float:
    return sum(value for _, value in score) if isinstance(score, list) else score


def at_tokens(score: Score, reply: Sequence[int], text: str, encoder: Encoder) -> list[tuple[int, float]]:
    """Which token of `reply` ends each step, with the step's score. `text` is what was scored, a part of what the tokens say.

    It is the first with which the tokens say all of it: a character's first bytes alone are another text (U+FFFD). A step that ends
    with U+FFFD itself may be taken to end early."""
    if not isinstance(score, list):
        return []
    whole = encoder.decode(reply)
    begin = max(0, whole.find(text))

    def last(upto: int) -> int:
        there = bisect_left(range(len(reply)), True, key=lambda place: encoder.decode(reply[: place + 1])[:upto] == whole[:upto])
        return min(there, len(reply) - 1)

    return [(last(begin + stop), value) for stop, value in score]


def gathered(mine: Any) -> list[Any]:
    """What the leading rank of each data rank has, in their order, on every rank; they wait for the one that takes the longest."""
    told: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(told, (parallel_state.get_data_parallel_rank(), mine) if leads() else None, group=patient())
    return [each for _, each in sorted((one for one in told if one is not None), key=lambda one: one[0])]
