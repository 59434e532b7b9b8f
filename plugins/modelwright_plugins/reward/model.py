"""What a reward model says."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from modelwright_plugins.artifacts import Checkpoint
from modelwright_plugins.reward import Asked, Reward, Score

if TYPE_CHECKING:
    from modelwright_plugins.engine.value_model import ValueModel
    from modelwright_plugins.tokenizer.encoder import Encoder


@dataclass(frozen=True, kw_only=True)
class ModelReward(Reward):
    """What a checkpoint of aligner=reward_model, or of aligner=process_reward, says of a reply's tokens.

    The first gives a number for a whole reply; of a finished one it reads all that ended the replies which it was trained on. The
    second gives the chance, from 0 to 1, that a step is right, for each line of a reply that isn't empty. Its tokens are the policy's.
    """

    collective: ClassVar[bool] = True

    checkpoint: Path  # the folder of the reward model's checkpoint, with its model.json
    tokenizer: Path | None = None  # folder of the tokenizer, to find where steps end; None: the run's
    steps: Literal["each", "least", "product", "last"] = "each"  # a number a step, or one of a reply: the least (Math-Shepherd), … of all

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.steps not in ("each", "least", "product", "last"):
            raise ValueError(f"steps is {self.steps}; it is each, least, product or last")

    def fingerprint(self) -> str:
        """Which weights the reward model has."""
        return Checkpoint(self.checkpoint).weights()

    def scores(self, asked: Sequence[Asked]) -> list[Score]:
        """On one rank, with a model that is loaded for it."""
        from modelwright_plugins.attention.cores import Native
        from modelwright_plugins.kernel.local import Torch
        from modelwright_plugins.parallel.megatron import Megatron
        from modelwright_plugins.precision.floats import FP32

        how = {"parallel": Megatron(), "precision": FP32(), "kernel": Torch(), "attention": Native(), "seed": 0}
        with self.opened(how) as scores:
            return scores(asked)

    @contextmanager
    def opened(self, how: Mapping[str, Any]) -> Iterator[Callable[[Sequence[Asked]], list[Score]]]:
        from modelwright.errors import ModelwrightError
        from modelwright_plugins.engine.value_model import open_values
        from modelwright_plugins.tokenizer.encoder import Encoder

        with open_values(self.checkpoint, how) as model:
            encoder = None
            if model.card.per_step:
                folder = self.tokenizer or how.get("tokenizer")
                if folder is None:
                    raise ModelwrightError(
                        f"reward model {self.checkpoint} reads steps: to find where they end, reward.model.tokenizer=FOLDER"
                    )
                encoder = Encoder(Path(folder))

            def scores(asked: Sequence[Asked]) -> list[Score]:
                try:
                    return self._steps(asked, model, encoder) if encoder is not None else _whole(asked, model)
                except ModelwrightError as error:
                    raise ValueError(f"reward model {self.checkpoint}: {error}") from error

            yield scores

    def _steps(self, asked: Sequence[Asked], model: ValueModel, encoder: Encoder) -> list[Score]:
        from modelwright_plugins.engine.rollout_scores import at_tokens

        found: list[Score] = []
        for each, values in zip(asked, model.values([each.tokens for each in asked]), strict=True):
            ends = line_ends(each.reply)
            stops = at_tokens([(end, 0.0) for end in ends], each.tokens[each.begin :], each.reply, encoder)
            chances = [_chance(float(values[each.begin + place])) for place, _ in stops]
            if self.steps == "each":
                found.append(list(zip(ends, chances, strict=True)))
            else:
                one: dict[str, Callable[[list[float]], float]] = {"least": min, "product": math.prod, "last": lambda each: each[-1]}
                found.append(one[self.steps](chances) if chances else 0.0)
        return found


def _whole(asked: Sequence[Asked], model: ValueModel) -> list[Score]:
    from modelwright_plugins.engine.wanted_values import completed

    ending = model.card.ending
    rows = [completed(each.tokens, ending, each.begin) if each.finished else each.tokens for each in asked]
    return [float(values[-1]) for values in model.values(rows)]


def line_ends(reply: str) -> list[int]:
    """Characters of the reply up to the end of each line that isn't empty, without white space there."""
    ends, begin = [], 0
    for line in reply.split("\n"):
        if line.strip():
            ends.append(begin + len(line.rstrip()))
        begin += len(line) + 1
    return ends


def _chance(odds: float) -> float:
    """Of log-odds."""
    return 1 / (1 + math.exp(-max(-700.0, odds)))
