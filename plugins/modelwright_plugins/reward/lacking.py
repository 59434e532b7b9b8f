"""Which prompts rewards can't score replies to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING

from modelwright_plugins.reward import Reward

if TYPE_CHECKING:
    from modelwright_plugins.artifacts.examples import StoredExamples

SHOWN = 3  # prompts that are named


def lacking(examples: StoredExamples, rewards: Mapping[str, Reward], most: int | None = None) -> str:
    """Which prompts, of the first `most`, have no answer such as a reward reads, the first few by file and line; "": none."""
    answers = [(line["id"], line.get("answer")) for line in islice(examples.lines(), most)]
    why = unread(answers, rewards, "prompts")
    return f"{examples.folder} ({examples.part}): {why}" if why else ""


def unread(answers: Sequence[tuple[str, str | None]], rewards: Mapping[str, Reward], what: str) -> str:
    """The same of (where it stands, answer) of each of `what`."""
    for name, reward in rewards.items():
        if found := [(where, why) for where, answer in answers if (why := reward.lacks(answer))]:
            few = "; ".join(f"{where}: its answer {why}" for where, why in found[:SHOWN])
            more = f"; and {len(found) - SHOWN:,} more" if len(found) > SHOWN else ""
            return f"reward {name} can't score replies to {len(found):,} of {len(answers):,} {what}: {few}{more}"
    return ""
