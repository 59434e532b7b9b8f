"""Questions whose answers are known, with examples before them, with reasoning, and by a majority of several replies."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from modelwright.errors import ModelwrightError
from modelwright_plugins.evaluator import Score
from modelwright_plugins.evaluator._of_files import OfFiles

if TYPE_CHECKING:
    from modelwright.component import Parts
    from modelwright_plugins.evaluator._questions import Question
    from modelwright_plugins.evaluator.model import Model


@dataclass(frozen=True, kw_only=True)
class Questions(OfFiles):
    """The share of questions that a model answers rightly: few-shot, by a chain of thought, by a majority of its replies.

    `shots` questions with their answers stand before each (Brown et al. 2020, arXiv:2005.14165); with `chain_of_thought` they show how
    one comes to them (Wei et al. 2022, arXiv:2201.11903), or without shots the model is told to think step by step, and then asked for
    the answer behind its reasoning (Kojima et al. 2022, arXiv:2205.11916); of several replies the answer that most of them give counts
    (self-consistency, Wang et al. 2022, arXiv:2203.11171). Answers are found and compared as `reward/exact_answer` does. accuracy: the
    answer is right; exact_match and f1: of its words, as SQuAD does; answered: there is one; accuracy_of_one: of single replies, where
    there are votes.

    A line of the file: {"question", "answer" (or "answers", any of which is right), "reasoning"?}, or GSM8K's {"question", "answer":
    "reasoning #### answer"}. `answers.jsonl` has all replies, and what was `concluded` from them
    where the answer is asked for apart.
    """

    path: Path  # JSON lines
    shots: int = 0  # questions with answers that stand before each
    shots_path: Path | None = None  # where these are, the first so many; null: the first of `path`, which are not asked then
    chain_of_thought: bool = False  # shots show their reasoning; without shots, the model is told to think, and asked twice
    votes: int = 1  # replies drawn, a question (Wang et al.: 40); the generator is to draw different ones
    find: Literal["any", "hashes", "boxed", "phrase", "last_number", "whole"] = "any"  # where the answer is, as in reward/exact_answer
    template: str = "Q: {question}\nA:"  # of a text, which ends where the next question would begin
    chat: bool = False  # asked as a user asks, shots are turns before; false: one text, which the model goes on with
    questions: int | None = None  # the first so many, shots aside; null: all

    def __post_init__(self) -> None:
        for name, least in (("shots", 0), ("votes", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} is {getattr(self, name)}; it is {least} or more")
        if self.questions is not None and self.questions < 1:
            raise ValueError(f"questions is {self.questions}; it is 1 or more, or null")
        if "{question}" not in self.template:
            raise ValueError(f"template is {self.template!r}; it has {{question}} in it")
        if self.shots_path is not None and not self.shots:
            raise ValueError(f"shots_path is {self.shots_path}, and shots is 0; it is how many of them stand before each question")

    @property
    def draws(self) -> bool:
        return True

    @property
    def goes_on(self) -> bool:
        return not self.chat

    @property
    def files(self) -> tuple[Path, ...]:
        return (self.path, *([self.shots_path] if self.shots_path else []))

    def misfits(self, parts: Parts) -> list[str]:
        from modelwright_plugins.evaluator._alike import alike
        from modelwright_plugins.evaluator._key import key

        return alike(parts, f"{key(parts, self)}.votes", self.votes)

    def read(self) -> tuple[list[Question], list[Question]]:
        """The shots, and the questions. ModelwrightError: a file can't be read, or a line of it, which is named; shots are too few, or
        don't say how one comes to their answers."""
        from modelwright_plugins.evaluator._questions import Question
        from modelwright_plugins.evaluator._records import records

        own = self.shots if self.shots_path is None else 0
        every = records(self.path, Question.of, "question", None if self.questions is None else self.questions + own)
        shots = every[:own] if self.shots_path is None else records(self.shots_path, Question.of, "question", self.shots)
        where = self.shots_path or self.path
        if len(shots) < self.shots or len(every) == own:
            raise ModelwrightError(f"{where}: {len(shots)} questions, of which {self.shots} are shots; give more, or fewer shots")
        if self.chain_of_thought and (bare := [number for number, shot in enumerate(shots, 1) if not shot.reasoning]):
            raise ModelwrightError(f"{where}: question {bare[0]} is a shot of a chain of thought, and has no reasoning")
        return shots, every[own:]

    def evaluate(self, model: Model, out: Path, *, seed: int) -> list[Score]:
        from modelwright_plugins.evaluator._questions import answered, concluded
        from modelwright_plugins.evaluator.interval import proportion, share

        shots, questions = self.read()
        asked = [one for one in questions for _ in range(self.votes)]
        replies, thoughts = self._replies(model, shots, asked)
        told = {"reasoning": thoughts, "replies": replies}
        if thoughts:
            each = zip(asked, thoughts, replies, strict=True)
            told["concluded"] = [concluded(one, thought, said, self.find) for one, thought, said in each]
        rows = [{name: said[at : at + self.votes] for name, said in told.items() if said} for at in range(0, len(asked), self.votes)]
        found = [answered(one, row.get("concluded", row["replies"]), self.find) for one, row in zip(questions, rows, strict=True)]
        if model.first:
            with (out / "answers.jsonl").open("w", encoding="utf-8") as file:
                for one, row, of in zip(questions, rows, found, strict=True):
                    line = {"question": one.text, **row, "found": of.found, "voted": of.voted, "answers": one.answers, "right": of.right}
                    file.write(json.dumps(line, ensure_ascii=False) + "\n")
        scores = [
            proportion("accuracy", [of.right for of in found]),
            proportion("exact_match", [of.exact for of in found]),
            share("f1", [of.f1 for of in found]),
            proportion("answered", [of.voted is not None for of in found]),
        ]
        if self.votes > 1:
            every = [(number, right) for number, of in enumerate(found) for right in of.each]
            scores.append(proportion("accuracy_of_one", [right for _, right in every], groups=[number for number, _ in every]))
        return scores

    def _replies(self, model: Model, shots: list[Question], questions: list[Question]) -> tuple[list[str], list[str]]:
        """(what is said to each question; what was thought before it, where that is asked for apart)."""
        from modelwright_plugins.evaluator._questions import SO, THINK
        from modelwright_plugins.generator.seeds import seed_of

        told = [(shot.text, shot.shown(self.find, self.chain_of_thought)) for shot in shots]
        if not self.chain_of_thought or shots:
            return self._said(model, [self._asked(one.text, told) for one in questions]), []
        first = [self._asked(one.text, told, f" {THINK}") for one in questions]
        thoughts = self._said(model, first)
        second = [self._further(prompt, thought, SO) for prompt, thought in zip(first, thoughts, strict=True)]
        seed, model.seed = model.seed, seed_of(model.seed, len(first))  # an answer has other random numbers than the thought before it
        try:
            return self._said(model, second), thoughts
        finally:
            model.seed = seed

    def _asked(self, question: str, shots: Sequence[tuple[str, str]] = (), more: str = "") -> list[dict[str, str]] | str:
        """Turns, or a text to go on with."""
        if not self.chat:
            before = "".join(f"{self._asked(question)} {answer}\n\n" for question, answer in shots)
            return before + self.template.replace("{question}", question) + more
        turns = [{"role": role, "content": said} for pair in shots for role, said in zip(("user", "assistant"), pair, strict=True)]
        return [*turns, {"role": "user", "content": question + more}]

    def _further(self, asked: Any, said: str, more: str) -> list[dict[str, str]] | str:
        """What was asked, with what was said to it, and more."""
        if not self.chat:
            return f"{asked}{said.rstrip()} {more}"
        return [*asked, {"role": "assistant", "content": said}, {"role": "user", "content": more}]

    def _said(self, model: Model, asked: Any) -> list[str]:
        from modelwright_plugins.evaluator._continued import continued

        above = self.template.partition("{question}")[0].strip()
        return model.reply(asked) if self.chat else continued(model, asked, [f"\n{above}" if above else "\n\n"])
