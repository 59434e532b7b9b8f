"""Several sources as one."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from modelwright_plugins.parts import built_parts
from modelwright_plugins.source import BadRecord, Source, SourceFile

if TYPE_CHECKING:
    from datatrove.data import Document


@dataclass(frozen=True, kw_only=True)
class Mixture(Source):
    """Several sources, one after the other: `parts={wiki: {name: jsonl, paths: [wiki]}, web: {name: warc, paths: [crawl]}}`.

    Each document has its part's name in `metadata["source"]` (in place of what stood there) and before its id. Groups are not told
    apart by part: what two parts call by one name, such as a web site, is never split between training and held-out data.
    """

    parts: dict[str, dict[str, Any]]  # settings of each source; `name` is the component's, where the part has another name

    def __post_init__(self) -> None:
        if not self.parts:
            raise ValueError("parts is empty; it has the settings of each source, such as {wiki: {name: jsonl, paths: [wiki.jsonl]}}")
        for part in self.parts:
            if not part or "/" in part:
                raise ValueError(f"parts.{part}: a part's name is a word without /")
        object.__setattr__(self, "parts", built_parts("source", self.parts, own=Mixture)[0])  # a frozen config says all that is read

    @cached_property
    def sources(self) -> dict[str, Source]:
        """The parts, by their names."""
        return built_parts("source", self.parts, own=Mixture)[1]

    def fingerprint(self) -> str:
        return hashlib.sha256(" ".join(f"{name} {source.fingerprint()}" for name, source in self.sources.items()).encode()).hexdigest()

    def example_kind(self) -> str | None:
        kinds = {kind for source in self.sources.values() if (kind := source.example_kind()) is not None}  # the rest are texts
        return kinds.pop() if len(kinds) == 1 else None

    def files(self) -> list[SourceFile]:
        from modelwright.errors import ModelwrightError

        found = []
        for part, source in self.sources.items():
            try:
                found += [replace(file, name=f"{part}/{file.name}") for file in source.files()]
            except ModelwrightError as e:  # of `source.paths`, as a part calls its own
                own = f"source.parts.{part}."
                told = re.sub(r"(?<![\w./])source\.(?=\w+[:=])", own, str(e))
                raise ModelwrightError(told, e.key and own + e.key.removeprefix("source.")) from e
        return found

    def read(self, file: SourceFile) -> Iterator[Document | BadRecord]:
        part, _, name = file.name.partition("/")
        for item in self.sources[part].read(replace(file, name=name)):
            if not isinstance(item, BadRecord):
                item.metadata["source"] = part
                item.id = f"{part}/{item.id}"
            yield item
