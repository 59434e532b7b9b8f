"""Several rewards as one: their weighted sum."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from modelwright_plugins.reward import Asked, Reward, Score


def checked(name: str, asked: Sequence[Asked], found: Sequence[Score]) -> list[Score]:
    """What the reward called `name` gave, if each reply has a finite number, or steps in order with one each.

    ValueError, in one line: it has not.
    """
    if len(found) != len(asked):
        raise ValueError(f"reward {name} gave {len(found)} scores to {len(asked)} replies")
    for number, (each, score) in enumerate(zip(asked, found, strict=True)):
        steps = score if isinstance(score, list) else [(len(each.reply), score)]
        if not all(math.isfinite(value) for _, value in steps):
            raise ValueError(f"reward {name} gave {score} to reply {number}, {each.reply[:60]!r}; a score is a finite number")
        ends = [end for end, _ in steps]
        if ends != sorted(set(ends)) or not all(0 <= end <= len(each.reply) for end in ends):
            raise ValueError(f"reward {name} has steps of reply {number} end at {ends}; they rise, up to its {len(each.reply)} characters")
    return list(found)


def weighted(rewards: Mapping[str, Reward], asked: Sequence[Asked], found: Mapping[str, Sequence[Score]]) -> list[Score]:
    """Each reply's weighted sum of what each reward gave it (all under the rewards' names).

    Where no reward scores steps of a reply it is a number; otherwise steps, a whole reply's number after its last character.
    """
    sums: list[Score] = []
    for number, each in enumerate(asked):
        whole, steps = 0.0, dict[int, float]()
        for name, reward in rewards.items():
            score = found[name][number]
            if isinstance(score, list):
                for end, value in score:
                    steps[end] = steps.get(end, 0.0) + reward.weight * value
            else:
                whole += reward.weight * score
        if any(isinstance(found[name][number], list) for name in rewards):
            steps[len(each.reply)] = steps.get(len(each.reply), 0.0) + whole
            sums.append(sorted(steps.items()))
        else:
            sums.append(whole)
    return sums
