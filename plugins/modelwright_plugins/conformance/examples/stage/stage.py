"""Counting the words of documents."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import ClassVar

from modelwright.api import Artifact, Job, Parts, Stage
from modelwright_plugins.artifacts import Documents


class WordCounts(Artifact):
    """A JSON file: {word: how often it stands in the documents}, the most frequent first."""

    name: ClassVar[str] = "word_counts.json"
    published: ClassVar[bool] = True


@dataclass(frozen=True, kw_only=True)
class CountWords(Stage):
    """Counts the words of curated documents."""

    takes: ClassVar[tuple[type[Artifact], ...]] = (Documents,)
    makes: ClassVar[tuple[type[Artifact], ...]] = (WordCounts,)

    most: int = 1000  # words that are kept, the most frequent ones
    lower: bool = True  # capitals count as small letters

    def __post_init__(self) -> None:
        if self.most < 1:
            raise ValueError(f"most is {self.most}; it is 1 or more")

    def forecast(self, parts: Parts) -> dict[str, str]:
        return {"words kept, at most": f"{self.most:,}"}

    def run(self, job: Job) -> dict[str, float]:
        from collections import Counter

        from modelwright_plugins.artifacts.documents import read

        counts: Counter[str] = Counter()
        for document in read(job.take(Documents)):
            text = document["text"].lower() if self.lower else document["text"]
            counts.update(text.split())
        first = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[: self.most]
        job.make(WordCounts).path.write_text(json.dumps(dict(first), indent=1, ensure_ascii=False), encoding="utf-8")
        return {"words": counts.total(), "different": len(counts)}
