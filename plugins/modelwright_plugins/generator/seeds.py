"""The seeds that prompts are drawn for with, from one for all of them."""

from __future__ import annotations

import numpy as np


def seed_of(seed: int, number: int) -> int:
    """Of prompt `number` with `seed`: 32 bits of a hash of both (NumPy's SeedSequence), so that hardly any two share theirs, whatever the
    seeds. The sum of both is that of many others."""
    return int(np.random.SeedSequence([seed, 4, number]).generate_state(1)[0])  # 4 sets these apart from those of rounds of replies
