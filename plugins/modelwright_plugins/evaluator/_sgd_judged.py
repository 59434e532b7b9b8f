"""Turns of held-out schema-guided dialogues, and whether replies to them do what the system did."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelwright_plugins.evaluator import Score
from modelwright_plugins.evaluator.interval import proportion
from modelwright_plugins.source._sgd_acts import read, says

if TYPE_CHECKING:
    from modelwright_plugins.evaluator.model import Model


@dataclass(frozen=True)
class Turn:
    """A dialogue up to where the assistant is to speak."""

    dialogue: int
    prompt: list[int]  # tokens
    reference: str
    facts: Mapping[str, Any]  # {"request", "confirm", "given"}, as source=sgd_dialogues tells them


@dataclass(frozen=True)
class Verdict:
    """Of one reply."""

    requests: bool  # just the slots that the system requests
    appropriate: bool  # it requests where the system does, confirms where it does, and requests nothing that was given
    confirms: bool  # just the slots that the system confirms, with their values


def turns(model: Model, most: int | None) -> list[Turn]:
    """Every turn of the assistant's in the model's held-out examples, up to `most`; what the system requests in one without facts is told
    by its acts."""
    import numpy as np

    examples = model.examples
    assert examples is not None
    found: list[Turn] = []
    for number, line in enumerate(examples.lines()):
        tokens, mask = examples.row(examples.rows_of(number)[0])
        edges = np.diff(np.concatenate([[0], np.asarray(mask, np.int8)]))
        begins = np.flatnonzero(edges == 1)
        told = json.loads(line["answer"]) if "answer" in line else []
        for place, begin in enumerate(begins):
            stop = begin + int(np.argmin(np.append(mask[begin:], 0)))
            reference = model.turn_end.cut(model.encoder.decode(tokens[begin:stop].tolist()))
            facts = told[place] if len(told) == len(begins) else {"request": sorted(read(reference).request), "confirm": {}, "given": []}
            found.append(Turn(number, tokens[:begin].tolist(), reference, facts))
    return found[:most]


def judged(turn: Turn, reply: str) -> Verdict:
    """Whether this reply does what the system did."""
    said, facts = read(reply), turn.facts
    appropriate = bool(said.request) == bool(facts["request"]) and bool(said.confirm) == bool(facts["confirm"])
    return Verdict(
        requests=said.request == frozenset(facts["request"]),
        appropriate=appropriate and not said.request & frozenset(facts["given"]),
        confirms=said.confirm == frozenset(facts["confirm"]) and says(reply, facts["confirm"]),
    )


def scores(asked: Sequence[Turn], verdicts: Sequence[Verdict]) -> list[Score]:
    """The three shares, each of the turns that it is about."""
    pairs = list(zip(asked, verdicts, strict=True))
    hits = {
        "correctness": [verdict.requests for turn, verdict in pairs if turn.facts["request"]],
        "appropriateness": [verdict.appropriate for turn, verdict in pairs if turn.facts["request"] or turn.facts["confirm"]],
        "exact_confirmation": [verdict.confirms for turn, verdict in pairs if turn.facts["confirm"]],
    }
    return [proportion(name, each) for name, each in hits.items() if each]


def write(out: Path, model: Model, asked: Sequence[Turn], replies: Sequence[str], verdicts: Sequence[Verdict], shown: int) -> None:
    """`replies.jsonl` of all turns and `dialogues.txt` of the first dialogues."""
    text: list[str] = []
    with (out / "replies.jsonl").open("w", encoding="utf-8") as file:
        before = (-1, 0)  # a dialogue, and the tokens of it that are told
        for turn, reply, verdict in zip(asked, replies, verdicts, strict=True):
            line = {"dialogue": turn.dialogue, "prompt": model.encoder.decode(turn.prompt), "reply": reply, "reference": turn.reference}
            file.write(json.dumps(line | dict(turn.facts) | vars(verdict), ensure_ascii=False) + "\n")
            if turn.dialogue < shown:
                new = turn.dialogue != before[0]
                text += ["", f"[dialogue {turn.dialogue}]"] if new else []
                text.append(model.encoder.decode(turn.prompt[0 if new else before[1] :]).strip())
                text.append(f"    the model says:  {reply}")
                before = (turn.dialogue, len(turn.prompt))
    (out / "dialogues.txt").write_text("\n".join(text).strip() + "\n", encoding="utf-8")
