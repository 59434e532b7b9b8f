"""The Schema-Guided Dialogue set (Rastogi et al. 2019), as conversations for an assistant that asks for what it lacks."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from modelwright.errors import ModelwrightError
from modelwright_plugins.source import BadRecord, Source, SourceFile

if TYPE_CHECKING:
    from datatrove.data import Document


@dataclass(frozen=True, kw_only=True)
class SGDDialogues(Source):
    """Schema-Guided Dialogue (arXiv:1909.05855): its `dialogues_*.json`, the system as the assistant.

    What the assistant says begins with its acts: "[request date; confirm city] …". `metadata["example"]` is a conversation whose "answer"
    is JSON, for each of the assistant's turns {"request": [slots], "confirm": {slot: value}, "given": [slots that the user has said]}.
    A dialogue is a group of its own; a record of another form is quarantined. One dialogue in five, by the hash of its id, is not read:
    `evaluator=sgd_dialogues` judges with those.
    """

    path: Path  # the folder with dialogues_*.json, or a folder of such folders (train, dev, test)
    part: Literal["train", "held_out"] = "train"  # which dialogues

    def example_kind(self) -> str:
        return "conversation"

    def files(self) -> list[SourceFile]:
        found = sorted(self.path.expanduser().glob("**/dialogues_*.json"))
        if not found:
            raise ModelwrightError(f"source.path={self.path}: there is no dialogues_*.json of Schema-Guided Dialogue", "source.path")
        return [
            SourceFile(path=file, name=file.relative_to(self.path.expanduser()).as_posix(), bytes=file.stat().st_size) for file in found
        ]

    def read(self, file: SourceFile) -> Iterator[Document | BadRecord]:
        for number, record in enumerate(_dialogues(file), 1):
            document = _document(record, file, number)
            if isinstance(document, BadRecord) or held_out(record["dialogue_id"]) is (self.part == "held_out"):
                yield document


def held_out(name: str) -> bool:
    """Whether the dialogue of this id is judged with."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") % 5 == 0


def _dialogues(file: SourceFile) -> list[Any]:
    try:
        found = json.loads(file.path.read_text(encoding="utf-8"))
    except ValueError as e:
        raise UnicodeError(f"not JSON: {e}") from e  # the reader quarantines the file
    return found if isinstance(found, list) else []


def _document(record: Any, file: SourceFile, number: int) -> Document | BadRecord:
    from datatrove.data import Document

    from modelwright_plugins.source._sgd_acts import content, facts
    from modelwright_plugins.source._turns import Malformed, made, ordered, readable

    try:
        said, told = [], []
        before: dict[str, Any] = {}
        for turn in record["turns"]:
            if turn["speaker"] == "USER":
                said.append({"role": "user", "content": turn["utterance"].strip()})
                before = turn
            else:
                said.append({"role": "assistant", "content": content(turn)})
                told.append(facts(turn, before))
        example = made("conversation", [], [ordered(said)], answer=json.dumps(told))
        name = f"{file.name}:{record['dialogue_id']}"
    except (KeyError, TypeError, AttributeError, IndexError) as e:
        return BadRecord(f"no dialogue of Schema-Guided Dialogue: {type(e).__name__} {e}"[:80], row=number)
    except Malformed as e:
        return BadRecord(str(e), row=number)
    if not told or said[-1]["role"] != "assistant":
        return BadRecord("it does not end with the system's turn", row=number)
    return Document(text=readable(example), id=name, metadata={"example": example, "group": name})
