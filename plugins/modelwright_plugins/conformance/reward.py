"""What a reward promises."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelwright.testing import Conformance
from modelwright_plugins.conformance.process import elsewhere, heavy_modules
from modelwright_plugins.conformance.promise import hold, promised
from modelwright_plugins.conformance.ranks import joined, on_ranks
from modelwright_plugins.conformance.texts import HARD
from modelwright_plugins.reward import Asked
from modelwright_plugins.reward.weighted import checked

PROMPT = ({"role": "user", "content": "Kate has 24 clips, and buys 48. How many has she?"},)
REPLIES = {
    **{name: HARD[name] for name in ("empty", "blanks", "prose", "code", "Chinese", "control characters", "very long")},
    "an answer": "24 + 48 = 72\n#### 72",
    "another answer": r"It is \boxed{71}.",
    "a program": "```python\ndef f(x):\n    return x * x\n```",
    "steps": "First, 24.\n\nThen 48 more.\n\nThe answer is 72.",
}
TOKENS = 24  # ids of a reply at most, all below 100


@dataclass(frozen=True, kw_only=True)
class Rewards(Conformance):
    """A reward: a finite number for any reply, or numbers for its steps, by that reply and what it replies to alone."""

    example = "modelwright_plugins.conformance.examples.reward"

    def check(self, component: Any, folder: Path) -> None:
        with promised(component, "it scores any reply: empty, very long, of any script, with control characters"):
            facts = on_ranks(_facts, 1, folder / "rank", component=component)[0] if component.collective else _facts(0, component)
        with promised(component, "each reply gets a finite number, or its steps in order, each with one"):
            for what in ("opened", "again", "reversed", "alone", "scores"):
                if what in facts:
                    name = component.sample_answer if what == "alone" else what
                    checked(type(component).__name__, [asked(component)[0]] if name != what else asked(component), facts[what])
        with promised(component, "no replies are no error"):
            hold(facts["none"] == [], f"they gave {facts['none']!r}")
        with promised(component, "it keeps no state: the same replies get the same scores"):
            _same(facts["opened"], facts["again"], "again")
        with promised(component, "a reply's score depends on no other reply"):
            _same(facts["opened"], facts["reversed"][::-1], "in another order")
            _same(facts["opened"][:1], facts["alone"], "alone")
        with promised(component, "what an example lacks is told by a ValueError of one line"):
            for answer, error in facts["lacking"].items():
                hold(
                    error is None or (error[0] == "ValueError" and error[1] and "\n" not in error[1]), f"of the answer {answer!r}: {error}"
                )
        if not component.collective:
            with promised(component, "`opened` gives what scores as `scores` does"):
                _same(facts["opened"], facts["scores"], "by `scores`")
            with promised(component, "it scores the same in another process"):
                there, heavy = elsewhere(_scored, component, folder=folder / "elsewhere")
                _same(facts["opened"], there, "there")
            with promised(component, "a rule imports nothing heavy"):
                hold(not heavy, f"it imports {', '.join(heavy)}")


def asked(component: Any, answer: str | None = "") -> list[Asked]:
    """Every reply, each with an answer such as this reward reads, unless another is given."""
    return [
        Asked(
            prompt=PROMPT,
            reply=text,
            answer=component.sample_answer if answer == "" else answer,
            finished=number % 3 > 0,
            tokens=tuple(1 + (7 * place + len(text)) % 99 for place in range(3 + min(len(text), TOKENS))),
            begin=3,
        )
        for number, text in enumerate(REPLIES.values())
    ]


def _facts(rank: int, component: Any) -> dict[str, Any]:
    how: dict[str, Any] = {"seed": 3}
    if component.collective:
        from modelwright_plugins.conformance.training import built_in

        joined(rank, 1, 0)
        how |= {kind: built_in()[kind] for kind in ("parallel", "precision", "kernel", "attention")}
    replies = asked(component)
    with component.opened(how) as scores:
        found: dict[str, Any] = {"opened": _each(scores, replies), "again": scores(replies), "reversed": scores(replies[::-1])}
        found |= {"alone": scores(replies[:1]), "none": scores([])}
        found["lacking"] = {str(answer): _error(scores, asked(component, answer)[:1]) for answer in (None, " ", "\x00(")}
    if not component.collective:
        found["scores"] = component.scores(replies)
    return found


def _each(scores: Any, replies: Sequence[Asked]) -> Any:
    """All at once; where that raises, which reply it was."""
    try:
        return scores(replies)
    except Exception:
        for name, reply in zip(REPLIES, replies, strict=True):
            try:
                scores([reply])
            except Exception as e:
                raise AssertionError(f"{name}: {type(e).__name__}: {e}") from e
        raise


def _error(scores: Any, replies: list[Asked]) -> tuple[str, str] | None:
    try:
        scores(replies)
    except Exception as e:
        return type(e).__name__, str(e)
    return None


def _scored(component: Any) -> tuple[Any, list[str]]:
    return component.scores(asked(component)), heavy_modules()


def _same(found: Sequence[Any], other: Sequence[Any], how: str) -> None:
    """But for rounding: a model's sums are in another order where it reads more rows at once."""
    for name, one, two in zip(REPLIES, found, other, strict=False):
        a, b = (score if isinstance(score, list) else [(0, score)] for score in (one, two))
        same = len(a) == len(b) and all(
            end == stop and math.isclose(x, y, rel_tol=1e-5, abs_tol=1e-6) for (end, x), (stop, y) in zip(a, b, strict=True)
        )
        hold(same, f"{name!r} got {one} and, {how}, {two}")
