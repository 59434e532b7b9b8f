"""How fast a model writes, measured alike for every model."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING

from modelwright_plugins.generator.sampling import Sampling

if TYPE_CHECKING:
    from modelwright_plugins.engine.inference import TrainedModel

ROWS, PROMPT, NEW = 8, 32, 32  # prompts at once, tokens of each, and tokens that each goes on with
ROUNDS = 3  # of which the fastest counts: whatever else the machine does can only take time


def tokens_per_second(model: TrainedModel) -> float:
    """New tokens a second, by the clock, on all ranks together: greedy, ROWS texts of PROMPT tokens that go on by NEW tokens each, whatever
    the model says, with the reading of the prompts; after a round that is not counted. Every rank calls it. Of a model that sees fewer
    tokens than PROMPT + NEW, half of them are the prompt."""
    prompt = min(PROMPT, max(1, model.sequence_length // 2))
    new = min(NEW, max(1, model.sequence_length - prompt))
    drawn = random.Random(0)
    prompts = [[drawn.randrange(model.vocab_size) for _ in range(prompt)] for _ in range(ROWS)]
    greedy, seconds = Sampling(temperature=0, top_p=1, max_new_tokens=new), []
    for _ in range(1 + ROUNDS):
        began = time.perf_counter()
        model.generate(prompts, greedy, seed=0, end=())
        seconds.append(time.perf_counter() - began)
    return ROWS * new / min(seconds[1:])
