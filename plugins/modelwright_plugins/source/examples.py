"""What aligners learn from: conversations, preferences, rankings, rewards, in the formats that people have."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal

from modelwright_plugins.source import BadRecord, Source, SourceFile
from modelwright_plugins.source.paths import find

if TYPE_CHECKING:
    from datatrove.data import Document

PACKED = 4  # text packs about this well; only for shares of work and the progress bar
ARRAY = 100_000_000  # bytes of a JSON array that is not read only to see what it holds
LOOKED, MOST = 20, 1_000  # first records of a file that say its format; where they say none, so many
ENDINGS = tuple(end + packed for end in (".jsonl", ".json") for packed in ("", ".gz", ".zst"))
BOM = b"\xef\xbb\xbf"
BETWEEN = re.compile(r"[\s,]*")


@dataclass(frozen=True, kw_only=True)
class Examples(Source):
    """Examples for aligners: ShareGPT, OpenAI, Alpaca, TRL, Anthropic, UltraFeedback, in JSON Lines or a JSON array.

    A document's `metadata["example"]` is {"kind", "prompt": [messages], "replies": [[messages], …], "scores", "labels", "steps"?,
    "tools"?, "answer"?}, with messages of {"role": "system" | "user" | "assistant" | "tool", "content"}; an assistant's with OpenAI's
    "weight": 0 is no target. By kind: conversation: one
    reply, a whole conversation, or what follows the prompt; preference: the chosen and the rejected reply; ranking: replies, best first;
    unpaired: one, with the score 1 (thumbs up) or 0; reward: one, with its reward; steps: one, "steps" joined by line ends, with a label
    each; prompt: none. Its text is all that is said; its group is a hash of what is asked first, so that one prompt is never both in
    training and in held-out data. A record that is no example (roles out of order, an empty reply …) is quarantined with its line.
    """

    paths: list[str]  # files, folders or globs: .jsonl, .json, also .gz and .zst
    format: Literal[
        "auto",
        "messages",
        "sharegpt",
        "alpaca",
        "prompt_completion",
        "preference",
        "anthropic",
        "ranking",
        "best_first",
        "unpaired",
        "reward",
        "steps",
        "prompt",
    ] = "auto"  # auto: by the keys of each file's first records; best_first: a ranking in order, whatever numbers it has
    names: dict[str, str] | None = None  # what a format's keys are called here: {prompt: question, completion: answer}; none: the same
    id_key: str = "id"  # the key that holds an id; without one: the file's name and the line
    group_key: str | None = None  # the key never split between training and held-out data; none: a hash of the first prompt

    def files(self) -> list[SourceFile]:
        paths = find(self.paths, ENDINGS, "source.paths")
        packed = (".gz", ".zst")
        return [SourceFile(path=p, name=str(p), bytes=p.stat().st_size * (PACKED if p.suffix in packed else 1)) for p in paths]

    def example_kind(self) -> str | None:
        """Of the first record that is an example."""
        from modelwright_plugins.source._formats import FORMATS
        from modelwright_plugins.source._turns import Malformed

        for file in self.files():
            if ".jsonl" not in file.path.suffixes and file.bytes > ARRAY:
                return None  # an array is read as a whole
            first = [record for record, _ in islice(_records(file), MOST) if isinstance(record, dict)]
            if first:
                convert = FORMATS[
                    self.format
                    if self.format != "auto"
                    else self._recognized(file, first[:LOOKED] if self._found(first[:LOOKED]) else first)
                ]
            for record in first:
                try:
                    return str(convert(self._renamed(record))["kind"])
                except Malformed:
                    continue
        return None

    def read(self, file: SourceFile) -> Iterator[Document | BadRecord]:
        from modelwright_plugins.source._formats import FORMATS, recognized

        records = _records(file)
        first: list[tuple[Any, int]] = []
        name: str = self.format
        if name == "auto":  # the first records that are objects say it, whatever stands between them
            for record, line in records:
                if not first and not isinstance(record, dict):
                    yield _unread(record, line)
                    continue
                first.append((record, line))
                if len(first) in (LOOKED, MOST) and (len(first) == MOST or self._found([one for one, _ in first])):
                    break
            name = self._recognized(file, [one for one, _ in first if isinstance(one, dict)]) if first else name
        for record, line in (*first, *records):
            if not isinstance(record, dict):
                yield _unread(record, line)
            elif self.format == "auto" and (other := recognized(self._renamed(record)) or name) not in (name, "prompt"):
                yield BadRecord(f"it looks like {other}, and the file like {name}", line)  # what else it says would be lost
            else:
                yield self._document(record, file, line, FORMATS[name])

    def _renamed(self, record: Mapping[str, Any]) -> dict[str, Any]:
        from modelwright_plugins.source._compared import REPLIES, SCORES

        def renamed(one: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
            taken = {theirs: ours for ours, theirs in names.items()}
            return {taken.get(key, key): value for key, value in one.items() if key in taken or key not in names}

        found = renamed(record, self.names or {})
        if scores := {ours: theirs for ours, theirs in (self.names or {}).items() if ours in SCORES}:
            for name in REPLIES:  # whose own scores may have another name
                if isinstance(found.get(name), list):
                    found[name] = [renamed(one, scores) if isinstance(one, dict) else one for one in found[name]]
        return found

    def _found(self, records: list[Any]) -> Counter[str]:
        """How many of the records say each format. A prompt alone is what any other looks like whose keys are null."""
        from modelwright_plugins.source._formats import recognized

        said = (recognized(self._renamed(record)) for record in records if isinstance(record, dict))
        found = Counter(name for name in said if name is not None)
        if len(found) > 1:
            del found["prompt"]
        return found

    def _recognized(self, file: SourceFile, records: list[dict[str, Any]]) -> str:
        from modelwright.errors import ModelwrightError
        from modelwright_plugins.source._formats import FORMATS

        found = self._found(records)
        for name, count in found.items():
            if 2 * count > found.total():
                return name
        keys = ", ".join(list(dict.fromkeys(key for record in records for key in record))[:LOOKED])
        several = f", the first records look like {' and '.join(sorted(found))}" if found else ""
        raise ModelwrightError(
            f"{file.path}: cannot tell the format by the keys {keys}{several}; set source.format ({', '.join(FORMATS)}),"
            " or source.names where they have other names, such as source.names={prompt: question}",
            "source.format",
        )

    def _document(self, record: dict[str, Any], file: SourceFile, line: int, convert: Any) -> Document | BadRecord:
        from datatrove.data import Document

        from modelwright_plugins.source._turns import Malformed, readable

        record = self._renamed(record)
        try:
            example = convert(record)
            if record.get("tools"):
                example["tools"] = _tools(record["tools"])
            text = readable(example)
            text.encode()
        except Malformed as error:
            return BadRecord(str(error), line)
        except UnicodeEncodeError:
            return BadRecord("half of a surrogate pair", line)
        if self.group_key is None:
            group = _group(example)
        elif record.get(self.group_key) is None:
            return BadRecord(f"no group under key {self.group_key!r}", line)
        else:
            group = str(record[self.group_key])
        name = record.get(self.id_key)
        source = {"source": record["source"]} if isinstance(record.get("source"), str) else {}
        metadata = {"example": example, "group": group, **source}
        return Document(text=text, id=f"{file.name}:{line}" if name is None else str(name), metadata=metadata)


def _unread(record: Any, line: int) -> BadRecord:
    return record if isinstance(record, BadRecord) else BadRecord(f"expected a JSON object, found {type(record).__name__}", line)


def _group(example: Mapping[str, Any]) -> str:
    """A hash of what is said before the assistant first answers."""
    said = []
    for message in example["prompt"] or example["replies"][0]:
        if message["role"] == "assistant":
            break
        said.append([message["role"], message["content"]])
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()[:16]


def _tools(value: Any) -> Any:
    from modelwright_plugins.source._turns import Malformed, shallow

    try:
        found = json.loads(value) if isinstance(value, str) else value
    except (ValueError, RecursionError) as error:
        raise Malformed("tools are not JSON") from error
    if not isinstance(found, list):
        raise Malformed("tools is no list")
    return shallow(found, "tools")


def _records(file: SourceFile) -> Iterator[tuple[Any, int]]:
    """The file's records, each with its line from 1; what can't be read is a BadRecord."""
    import zlib

    from modelwright_plugins.source.jsonl import _lines

    number, begun = 0, False
    try:
        lines = _lines(file.path)
        for number, line in enumerate(lines, 1):
            said = line.removeprefix(BOM if number == 1 else b"").strip()
            if not said:
                continue
            if not begun and said[:1] == b"[" and ".json" in file.path.suffixes:
                yield from _array(b"\n" * (number - 1) + line.removeprefix(BOM) + b"".join(lines))
                return
            begun = True
            yield _parsed(said, number), number
    except (EOFError, zlib.error) as error:
        yield BadRecord(f"the compressed file is damaged: {error}", number + 1), number + 1


def _parsed(line: bytes, number: int) -> Any:
    import orjson

    try:
        return orjson.loads(line)  # strict: bad UTF-8, NaN and lone surrogates are errors
    except orjson.JSONDecodeError as error:
        return BadRecord(f"not JSON: {error}", number)


def _array(raw: bytes) -> Iterator[tuple[Any, int]]:
    """The items of a JSON array, which is read as a whole; each with the line where it begins."""

    def constant(name: str) -> None:
        raise ValueError(f"{name} is no JSON")

    decoder = json.JSONDecoder(parse_constant=constant)
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        yield BadRecord("not JSON: the file is not UTF-8", line), line
        return
    at, line, counted = text.index("[") + 1, 1, 0
    while True:
        found = BETWEEN.match(text, at)
        assert found is not None
        at = found.end()
        line, counted = line + text.count("\n", counted, at), at
        if text[at : at + 1] == "]":
            return
        try:
            record, at = decoder.raw_decode(text, at)
        except (ValueError, RecursionError) as error:
            yield BadRecord(f"not JSON: {error}", line), line
            return
        yield record, line
