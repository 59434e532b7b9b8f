"""What a source promises."""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from modelwright.testing import Conformance
from modelwright_plugins.conformance.promise import hold, promised
from modelwright_plugins.source import BadRecord, SourceFile

FILES, DOCUMENTS = 50, 2_000  # read at most


@dataclass(frozen=True, kw_only=True)
class Sources(Conformance):
    """A source: the same documents each time, each with an id of its own and a group; what is broken never ends a run.

    It reads what the component names: give it small files (`assert_conforms("source/mine", paths=[…])`).
    """

    example = "modelwright_plugins.conformance.examples.source"

    def check(self, component: Any, folder: Path) -> None:
        with promised(component, "files gives the files to read, each by a name of its own, in the same order each time"):
            files = component.files()
            hold(isinstance(files, list) and all(isinstance(file, SourceFile) for file in files), "it is not a list of SourceFile")
            hold(files, "there is no file; give the component some to read")
            hold(files == component.files(), "the second time they are others, or in another order")
            hold(len({file.name for file in files}) == len(files), "two files have one name")
            for file in files:
                hold(file.path.exists() and file.bytes >= 0, f"{file.path} does not exist, or has {file.bytes} bytes")
        with promised(component, "read gives documents with a text, an id and metadata that JSON can hold, and the group in it"):
            items = list(_read(component, files))
            documents = [item for item in items if not isinstance(item, BadRecord)]
            hold(documents, "there is none")
            for document in documents:
                hold(isinstance(document.text, str) and document.text.strip(), f"{document.id!r} has no text")
                hold(isinstance(document.id, str) and document.id, f"the id {document.id!r} is not a string")
                group = document.metadata.get("group")
                hold(isinstance(group, str) and group, f'{document.id!r}: metadata["group"] is {group!r}')
                json.dumps([document.text, document.id, document.metadata], ensure_ascii=False).encode()
        with promised(component, "the ids of documents are unique"):
            seen: set[str] = set()
            for document in documents:
                hold(document.id not in seen, f"two documents have the id {document.id!r}")
                seen.add(document.id)
        with promised(component, "reading again gives the same documents, also after pickle"):
            hold(_told(items) == _told(_read(component, files)), "the second time there were others")
            hold(_told(items) == _told(_read(pickle.loads(pickle.dumps(component)), files)), "after pickle there were others")
        whole = next(file for file in files[:FILES] if any(not isinstance(item, BadRecord) for item in component.read(file)))
        with promised(component, "a file that is not there is an OSError or a BadRecord, and so it is quarantined"):
            ended, records = _ended(component, replace(whole, path=folder / "absent" / whole.path.name))
            hold(ended or any(isinstance(record, BadRecord) for record in records), "nothing was said of it")
        for name, content in _broken(whole.path.read_bytes()).items():
            with promised(component, "a broken file is quarantined (BadRecord, OSError, EOFError, UnicodeError), and the run goes on"):
                (file := folder / name.replace(" ", "_") / whole.path.name).parent.mkdir()
                file.write_bytes(content)
                try:
                    _, records = _ended(component, replace(whole, path=file, bytes=len(content)))
                except Exception as e:
                    raise AssertionError(f"{name}: {type(e).__name__}: {e}") from e
                for document in (r for r in records if not isinstance(r, BadRecord)):
                    hold(isinstance(document.text, str), f"{name}: it gave {document!r}")


def _read(component: Any, files: list[SourceFile]) -> Iterator[Any]:
    """Of sources that are not small, the first documents of the first files."""
    return islice((item for file in files[:FILES] for item in component.read(file)), DOCUMENTS)


def _told(items: Any) -> list[Any]:
    return [item if isinstance(item, BadRecord) else (item.text, item.id, item.metadata) for item in items]


def _ended(component: Any, file: SourceFile) -> tuple[bool, list[Any]]:
    """Whether reading ended early in one of the ways that quarantine a file, and what came before."""
    found = []
    try:
        for item in component.read(file):
            found.append(item)
    except (OSError, EOFError, UnicodeError):
        return True, found
    return False, found


def _broken(content: bytes) -> dict[str, bytes]:
    return {
        "an empty file": b"",
        "half of a file": content[: len(content) // 2],
        "bytes that are no text": bytes(range(256)) * 20,
        "a line that is no text": content + b"\n\xff\xfe\xfd\x00\n",
    }
