"""Questions whose answers are known: as a file has them, as a model is shown them, and what it answered."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from modelwright_plugins.evaluator._records import text
from modelwright_plugins.reward import final_answer

SUMS = re.compile(r"<<[^<>]*>>")  # what a calculator was given, in GSM8K's solutions
SAID = {"hashes": "#### {}", "boxed": "\\boxed{{{}}}", "whole": "{}", "last_number": "{}"}  # how a shot says its answer
THINK, SO = "Let's think step by step.", "Therefore, the answer is"  # Kojima et al. 2022, arXiv:2205.11916, section 3


@dataclass(frozen=True)
class Question:
    """A question, any of the right answers to it, and how one comes to them."""

    text: str
    answers: tuple[str, ...]
    reasoning: str = ""

    @classmethod
    def of(cls, record: Any) -> Question:
        """ValueError: what is wrong with it."""
        asked = text(record, "question", "prompt", "input")
        given = record.get("answers", record.get("answer", record.get("target")))
        many = given if isinstance(given, list) else [given]
        if any(isinstance(each, bool) or not isinstance(each, str | int | float) for each in many):
            raise ValueError("no answer: expected a text or a number as answer or target, or several as answers")
        answers = tuple(final_answer.expected(str(each)) for each in many)
        if not answers or not all(map(final_answer.plain, answers)):
            raise ValueError(f"the answer is {given!r}; it says nothing")
        reasoning = record.get("reasoning", record.get("rationale"))
        if reasoning is None and isinstance(given, str) and "####" in given:
            reasoning = SUMS.sub("", given.rpartition("####")[0])
        return cls(asked, answers, str(reasoning or "").strip())

    @property
    def number(self) -> bool:
        """Whether numbers are answers to it."""
        return all(final_answer.value(each) is not None for each in self.answers)

    def shown(self, find: final_answer.Find, reasoning: bool) -> str:
        """What a shot answers, so that `find` finds it; as Wei et al. (2022, arXiv:2201.11903, appendix G) write it."""
        said = SAID.get(find, "The answer is {}.").format(self.answers[0])
        return f"{self.reasoning} {said}" if reasoning else said


def concluded(question: Question, thought: str, said: str, find: final_answer.Find) -> str:
    """Of what was thought, and said after SO, what answers: its first number, or its first sentence, as the paper cleanses answers
    (appendix A.6); all of both where an answer is marked (####, \\boxed{}), and what was said where `find` says another place."""
    both = f"{thought}\n{said}"
    if find in ("any", "hashes", "boxed") and (final_answer.after_hashes(both) or final_answer.boxed(both)):
        return both
    if find not in ("any", "phrase"):
        return said
    answer = final_answer.after_phrase(f"{SO} {said}") or ""
    if question.number:
        answer = next(iter(final_answer.numbers(answer)), "")
    return answer and f"{SO} {answer}."


@dataclass(frozen=True)
class Answered:
    """Of one question."""

    found: tuple[str | None, ...]  # the answer in each reply; None: there is none
    voted: str | None  # the one that most of them give, of as many the one that came first
    right: bool  # that is an answer to the question
    each: tuple[bool, ...]  # each of them is
    exact: bool  # it is the same as one, normalised as SQuAD does
    f1: float  # of its words and those of the answer that it has most in common with


def answered(question: Question, replies: Sequence[str], find: final_answer.Find) -> Answered:
    from modelwright_plugins.evaluator.text_metrics import normalised, word_f1

    found = tuple(final_answer.found(reply, find, number=question.number) for reply in replies)
    votes: dict[Any, list[str]] = {}
    for answer in found:
        if answer is not None:
            votes.setdefault(final_answer.key(answer), []).append(answer)
    voted = max(votes.values(), key=len)[0] if votes else None
    wanted = [normalised(answer) for answer in question.answers]
    said = normalised(voted or "")
    each = tuple(answer is not None and any(final_answer.same(answer, right) for right in question.answers) for answer in found)
    return Answered(
        found,
        voted,
        right=voted is not None and any(final_answer.same(voted, right) for right in question.answers),
        each=each,
        exact=voted is not None and said in wanted,
        f1=0.0 if voted is None else max(word_f1(said.split(), right.split()) for right in wanted),
    )
