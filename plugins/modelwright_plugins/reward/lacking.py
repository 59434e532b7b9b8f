"""Which prompts rewards can't score replies to."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import TYPE_CHECKING

from modelwright_plugins.reward import Reward

if TYPE_CHECKING:
    from modelwright_plugins.artifacts.examples import StoredExamples

SHOWN = 3  # prompts that are named


def lacking(examples: StoredExamples, rewards: Mapping[str, Reward], most: int | None = None) -> str:
    """Which prompts, of the first `most`, have no answer such as a reward reads, the first few by file and line; "": none."""
    lines = list(islice(examples.lines(), most))
    for name, reward in rewards.items():
        found = [(line["id"], why) for line in lines if (why := reward.lacks(line.get("answer")))]
        if found:
            few = "; ".join(f"{where}: its answer {why}" for where, why in found[:SHOWN])
            more = f"; and {len(found) - SHOWN:,} more" if len(found) > SHOWN else ""
            about = f"{examples.folder} ({examples.part}): reward {name} can't score replies to {len(found):,} of {len(lines):,} prompts"
            return f"{about}: {few}{more}"
    return ""
