"""Turns of held-out schema-guided dialogues, and whether replies to them do what the system did."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelwright.errors import ModelwrightError
from modelwright_plugins.evaluator import Score
from modelwright_plugins.evaluator.interval import proportion
from modelwright_plugins.source import BadRecord
from modelwright_plugins.source._sgd_acts import read, says
from modelwright_plugins.source.sgd_dialogues import SGDDialogues


@dataclass(frozen=True)
class Turn:
    """A dialogue up to where the assistant is to speak."""

    dialogue: str  # its id
    messages: tuple[dict[str, str], ...]
    reference: str
    facts: Mapping[str, Any]  # {"request", "confirm", "given"}, as source=sgd_dialogues tells them


@dataclass(frozen=True)
class Verdict:
    """Of one reply."""

    requests: bool  # just the slots that the system requests
    appropriate: bool  # it requests where the system does, confirms where it does, and requests nothing that was given
    confirms: bool  # just the slots that the system confirms, with their values


def turns(path: Path, most: int | None) -> list[Turn]:
    """Every turn of the assistant's in the dialogues in `path` that are held out, up to `most`. ModelwrightError: there is none."""
    found: list[Turn] = []
    bad = 0
    for document in _held_out(path):
        if isinstance(document, BadRecord):
            bad += 1
            continue
        example = document.metadata["example"]
        said = example["replies"][0]
        places = [place for place, message in enumerate(said) if message["role"] == "assistant"]
        for place, facts in zip(places, json.loads(example["answer"]), strict=True):
            found.append(Turn(document.id, tuple(said[:place]), said[place]["content"], facts))
        if most is not None and len(found) >= most:
            break
    if not found:
        raise ModelwrightError(f"{path}: there is no dialogue of Schema-Guided Dialogue that is held out ({bad} malformed records)")
    return found[:most]


def _held_out(path: Path) -> Iterator[Any]:
    source = SGDDialogues(path=path, part="held_out")
    for file in source.files():
        try:
            yield from source.read(file)
        except (OSError, UnicodeError) as e:
            raise ModelwrightError(f"{file.path}: {e}") from e


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
    """The three shares, each of the turns that it is about. A value that the system says in other words can't be judged.
    Intervals are of dialogues, whose turns are not independent."""
    pairs = list(zip(asked, verdicts, strict=True))
    about = {
        "correctness": [(turn, verdict.requests) for turn, verdict in pairs if turn.facts["request"]],
        "appropriateness": [(turn, verdict.appropriate) for turn, verdict in pairs],
        "exact_confirmation": [(t, v.confirms) for t, v in pairs if t.facts["confirm"] and all(t.facts["confirm"].values())],
    }
    return [proportion(name, [hit for _, hit in each], groups=[turn.dialogue for turn, _ in each]) for name, each in about.items() if each]


def write(out: Path, asked: Sequence[Turn], replies: Sequence[str], verdicts: Sequence[Verdict], shown: int) -> None:
    """`replies.jsonl` of all turns and `dialogues.txt` of the first dialogues."""
    text: dict[str, list[str]] = {}
    with (out / "replies.jsonl").open("w", encoding="utf-8") as file:
        for turn, reply, verdict in zip(asked, replies, verdicts, strict=True):
            line = {"dialogue": turn.dialogue, "messages": turn.messages, "reply": reply, "reference": turn.reference}
            file.write(json.dumps(line | dict(turn.facts) | vars(verdict), ensure_ascii=False) + "\n")
            lines = text.setdefault(turn.dialogue, [f"[{turn.dialogue}]"])
            lines += [f"Customer:   {turn.messages[-1]['content']}", f"Assistant:  {reply}", f"  the set:  {turn.reference}"]
    (out / "dialogues.txt").write_text("\n\n".join("\n".join(lines) for lines in [*text.values()][:shown]) + "\n", encoding="utf-8")
