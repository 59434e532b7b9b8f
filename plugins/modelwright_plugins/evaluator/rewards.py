"""What rewards give a model's replies to prompts that it was not trained on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from modelwright.errors import ModelwrightError
from modelwright_plugins.evaluator import Evaluator, Score
from modelwright_plugins.parts import built_parts

if TYPE_CHECKING:
    from modelwright.component import Parts
    from modelwright_plugins.evaluator.model import Model
    from modelwright_plugins.reward import Reward


@dataclass(frozen=True, kw_only=True)
class Rewards(Evaluator):
    """The mean of each reward of replies to held-out prompts: `rewards={exact_answer: {}, length: {most: 60}}`.

    Replies are drawn by the run's generator, which may draw others than the one that training drew with. Rewards from 0 to 1 have Wilson's
    interval, others a bootstrap's, over groups: replies to one prompt, and prompts of one group, are alike. With several rewards
    their weighted sum is `reward`. `replies.jsonl` has prompt, reply and scores of each. Reward models are asked in training alone.
    """

    needs: ClassVar[tuple[str, ...]] = ("prompt",)

    rewards: dict[str, dict[str, Any]]  # settings of each reward; `name` is the component's, where it is called otherwise
    prompts: int | None = 200  # of those held out, the first so many; null: all
    samples: int = 1  # replies to each prompt

    def __post_init__(self) -> None:
        if not self.rewards:
            raise ValueError("rewards is empty; it has the settings of each reward, such as {exact_answer: {}}")
        for name in ("prompts", "samples"):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it is 1 or more")
        settings, built = built_parts("reward", self.rewards, own=Rewards, names="rewards")
        if whole := [name for name, reward in built.items() if reward.collective]:
            raise ValueError(
                f"rewards.{whole[0]} asks a reward model, on ranks that have the judged one; rules, tests and judges are asked"
            )
        object.__setattr__(self, "rewards", settings)  # a frozen config says all that replies are scored by

    @cached_property
    def _built(self) -> dict[str, Reward]:
        return built_parts("reward", self.rewards, own=Rewards, names="rewards")[1]

    def fingerprint(self) -> str:
        return " ".join(f"{name} {told}" for name, reward in self._built.items() if (told := reward.fingerprint()))

    @property
    def draws(self) -> bool:
        return True

    def misfits(self, parts: Parts) -> list[str]:
        from modelwright_plugins.evaluator._alike import alike
        from modelwright_plugins.evaluator._key import key

        return alike(parts, f"{key(parts, self)}.samples", self.samples)

    def evaluate(self, model: Model, out: Path, *, seed: int) -> list[Score]:
        from modelwright_plugins.engine.one_rank import on_one_rank
        from modelwright_plugins.evaluator._records import write
        from modelwright_plugins.evaluator.interval import mean, share
        from modelwright_plugins.reward import Asked
        from modelwright_plugins.reward.lacking import lacking

        examples = model.examples
        assert examples is not None
        if why := lacking(examples, self._built, self.prompts):
            raise ModelwrightError(why)
        lines = [line for _, line in zip(range(self.prompts or len(examples)), examples.lines(), strict=False)]
        rows = [examples.row(examples.rows_of(number)[0])[0].tolist() for number in range(len(lines))]
        every = [number for number in range(len(lines)) for _ in range(self.samples)]
        turns = [_asked(line, model, row) for line, row in zip(lines, rows, strict=True)]
        said = model.answered([turns[number] for number in every], [rows[number] for number in every])
        asked = [
            Asked(turns[number]["messages"], one.text, lines[number].get("answer"), one.finished, one.tokens, one.begin)
            for number, one in zip(every, said, strict=True)
        ]
        told = [
            {"id": lines[number]["id"], "prompt": turns[number]["messages"], "reply": one.text, "finished": one.finished}
            for number, one in zip(every, said, strict=True)
        ]
        if model.first:  # what scores them may fail: a server, say
            write(out / "replies.jsonl", told)
        found: dict[str, list[float]] = on_one_rank(lambda: self._scored(asked))
        if model.first:
            scores = [{"rewards": {name: values[place] for name, values in found.items()}} for place in range(len(told))]
            write(out / "replies.jsonl", [one | score for one, score in zip(told, scores, strict=True)])
        groups = [lines[number]["group"] for number in every]
        return [
            (share if all(0 <= value <= 1 for value in values) else mean)(name, values, groups=groups) for name, values in found.items()
        ]

    def _scored(self, asked: list[Any]) -> dict[str, list[float]]:
        """By reward, and `reward`, their weighted sum, where there are several."""
        from modelwright_plugins.reward.weighted import checked, weighted

        try:
            named = {name: checked(name, asked, reward.scores(asked)) for name, reward in self._built.items()}
        except ValueError as error:
            raise ModelwrightError(str(error)) from error
        found = {name: [_sum(score) for score in scores] for name, scores in named.items()}
        if len(named) > 1:
            found["reward"] = [_sum(score) for score in weighted(self._built, asked, named)]
        return found


def _asked(line: Mapping[str, Any], model: Model, row: list[int]) -> dict[str, Any]:
    """The turns of a prompt, or where `prepare` did not keep them, what its tokens say."""
    messages = line.get("prompt") or [{"role": "user", "content": model.encoder.decode(row)}]
    return {"messages": messages, **({"tools": line["tools"]} if "tools" in line else {})}


def _sum(score: float | list[tuple[int, float]]) -> float:
    return sum(value for _, value in score) if isinstance(score, list) else float(score)
