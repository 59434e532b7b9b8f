"""Questions with choices, by what a model finds likely."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelwright_plugins.evaluator import Score
from modelwright_plugins.evaluator._of_files import OfFiles

if TYPE_CHECKING:
    from modelwright_plugins.evaluator.model import Model

NUMBERS = ("accuracy", "accuracy_per_token", "accuracy_per_character", "accuracy_per_byte")


@dataclass(frozen=True)
class Question:
    """A question, its choices and the place of the right one."""

    text: str
    choices: tuple[str, ...]
    answer: int

    @classmethod
    def of(cls, record: Any) -> Question:
        """ValueError: what is wrong with it."""
        told: dict[str, Any] = record if isinstance(record, dict) else {}
        text = next((told[key] for key in ("question", "context", "query", "prompt") if key in told), None)
        if not isinstance(text, str):
            raise ValueError("no question: expected a text as question, context, query or prompt")
        given = told.get("choices")
        choices, labels = (given.get("text"), given.get("label")) if isinstance(given, dict) else (given, None)  # ARC's have labels
        if not (isinstance(choices, list) and len(choices) > 1 and all(isinstance(one, str) and one for one in choices)):
            raise ValueError("choices are no list of two texts or more")
        answer = said = told.get("answer", told.get("answerKey", told.get("gold", told.get("label"))))
        known = labels if isinstance(labels, list) else [chr(ord("A") + place) for place in range(len(choices))]
        if isinstance(answer, str):
            answer = known.index(answer) if answer in known else choices.index(answer) if answer in choices else None
        if isinstance(answer, bool) or not isinstance(answer, int) or not 0 <= answer < len(choices):
            raise ValueError(
                f"answer {said!r:.60} is none of its {len(choices)} choices: expected a place from 0, a label, or a choice's text"
            )
        return cls(text, tuple(choices), answer)


@dataclass(frozen=True, kw_only=True)
class MultipleChoice(OfFiles):
    """The share of questions whose right choice a model finds likeliest, given the question (Brown et al. 2020, section 2.4).

    Each choice's log-probability is taken as it is (lm-evaluation-harness' `acc`), by its tokens, by its characters (its `acc_norm`),
    and by its UTF-8 bytes (its `acc_bytes`); of equal ones the first is taken. The text is tokenized as it does, after an
    end-of-document token. `choices.jsonl` has what was found of each question.

    A line of the file: {"question" (or "context", "query"), "choices": [text, …], "answer": place from 0, letter, or text}; or as ARC
    has them, {"question", "choices": {"text": […], "label": […]}, "answerKey"}.
    """

    path: Path  # JSON lines
    template: str = "{question}"  # what the model is asked, such as "Question: {question}\nAnswer:"
    delimiter: str = " "  # between the question and each choice
    questions: int | None = None  # the first so many; null: all

    def __post_init__(self) -> None:
        if "{question}" not in self.template:
            raise ValueError(f"template is {self.template!r}; it has {{question}} in it")
        if self.questions is not None and self.questions < 1:
            raise ValueError(f"questions is {self.questions}; it is 1 or more, or null")

    @property
    def files(self) -> tuple[Path, ...]:
        return (self.path,)

    def read(self) -> list[Question]:
        """ModelwrightError: the file can't be read, or a line of it, which is named."""
        from modelwright_plugins.evaluator._records import records

        return records(self.path, Question.of, "question", self.questions)

    def evaluate(self, model: Model, out: Path, *, seed: int) -> list[Score]:
        from modelwright_plugins.evaluator.interval import proportion

        questions = self.read()
        pairs = [(self.template.replace("{question}", one.text), self.delimiter + choice) for one in questions for choice in one.choices]
        likely, hits, lines = iter(model.likelihoods(pairs)), dict[str, list[bool]]({name: [] for name in NUMBERS}), []
        for one in questions:
            found = [next(likely) for _ in one.choices]
            by = [
                [each.nats for each in found],
                [each.nats / each.tokens for each in found],
                [each.nats / len(choice) for each, choice in zip(found, one.choices, strict=True)],
                [each.nats / len(choice.encode()) for each, choice in zip(found, one.choices, strict=True)],
            ]
            for name, nats in zip(NUMBERS, by, strict=True):
                hits[name].append(nats.index(min(nats)) == one.answer)
            lines.append({"question": one.text, "choices": one.choices, "answer": one.answer, "nats": by[0]})
        if model.first:
            text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
            (out / "choices.jsonl").write_text(text, encoding="utf-8")
        return [proportion(name, right) for name, right in hits.items()]
