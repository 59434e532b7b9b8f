"""Evaluation sets looked for in training shards."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch.distributed as dist

from modelwright.errors import ModelwrightError
from modelwright_plugins.engine.texts import stored_lengths, stored_tokens
from modelwright_plugins.evaluator import Score
from modelwright_plugins.evaluator.interval import proportion, share
from modelwright_plugins.filter._evaluation import Evaluation, words

if TYPE_CHECKING:
    from modelwright_plugins.evaluator.contamination import Contamination
    from modelwright_plugins.evaluator.model import Model

AT_ONCE = 256  # documents that are decoded together


@dataclass
class Found:
    """What training has of one example."""

    words: set[int] = field(default_factory=set)  # which of all words of the sets
    ngrams: set[int] = field(default_factory=set)  # where those found begin among them
    documents: int = 0  # that have some of it
    first: tuple[int, str] | None = None  # the first of them, from 0, and what it says there

    def add(self, other: Found) -> None:
        self.words |= other.words
        self.ngrams |= other.ngrams
        self.documents += other.documents
        both = [each for each in (self.first, other.first) if each is not None]
        self.first = min(both) if both else None


def judged(evaluator: Contamination, model: Model, out: Path) -> list[Score]:
    """Every rank reads its share of the documents, and knows all in the end."""
    if model.shards is None:
        raise ModelwrightError("there are no token shards to look for it in; evaluate.text=true gives them")
    lines = evaluator.read()
    try:  # each line is a set of its own, whose name is its place
        sets = Evaluation({str(place): [texts] for place, (*_, texts) in enumerate(lines)}, evaluator.ngram, evaluator.min_words)
    except ValueError as error:
        said = f"no string in {', '.join(map(str, evaluator.paths))} has {evaluator.min_words} words: there is nothing to look for"
        raise ModelwrightError(said) from error
    found = _together(looked(sets, model, *_part()))
    shares = [len(found[example].words) / size if example in found else 0.0 for example, size in enumerate(sets.sizes)]
    hits = [example in found and shares[example] >= evaluator.min_overlap for example in range(len(shares))]
    if model.first:
        places = [lines[sets.set_of[example]] for example in range(len(shares))]
        _write(out, sets, lines, [(*place[:2], found[example], shares[example]) for example, place in enumerate(places) if hits[example]])
    return [proportion("examples", hits, better="lower"), share("words", shares, better="lower")]


def looked(sets: Evaluation, model: Model, part: int = 0, parts: int = 1) -> dict[int, Found]:
    """Of each example that some document of this part has an n-gram of, what is found."""
    found: dict[int, Found] = {}
    for number, text in _documents(model, part, parts):
        here: dict[int, Found] = {}
        begins: dict[int, tuple[int, int]] = {}
        for begin, length, place in sets.find(text):
            example = int(sets.example_of[place])
            one = here.setdefault(example, Found(documents=1))
            one.words.update(range(place, place + length))
            one.ngrams.add(place)
            first, last = begins.get(example, (begin, begin + length))
            if begin <= last:  # the first stretch of words that overlap, as far as it goes
                begins[example] = (min(first, begin), max(last, begin + length))
        if here:
            spans = [match.span() for match in re.finditer(r"\S+", text) for _ in words(match[0])]
        for example, one in here.items():
            first, last = begins[example]
            one.first = (number, text[spans[first][0] : spans[last - 1][1]])
            found.setdefault(example, Found()).add(one)
    return found


def _documents(model: Model, part: int, parts: int) -> Iterator[tuple[int, str]]:
    """(number, text) of the training documents of this part."""
    assert model.shards is not None
    tokens, lengths = stored_tokens(model.shards / "train"), stored_lengths(model.shards / "train")
    ends = np.cumsum(lengths)
    mine = range(part, len(lengths), parts)
    for at in range(0, len(mine), AT_ONCE):
        some = mine[at : at + AT_ONCE]
        rows = [tokens[ends[number] - lengths[number] : ends[number]].tolist() for number in some]
        yield from zip(some, model.encoder.hugging_face.decode_batch(rows, skip_special_tokens=True), strict=True)


def _part() -> tuple[int, int]:
    return (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)


def _together(mine: dict[int, Found]) -> dict[int, Found]:
    """What all ranks found, on each."""
    every: list[Any] = [mine]
    if dist.is_initialized():
        every = [None] * dist.get_world_size()
        dist.all_gather_object(every, mine)
    found: dict[int, Found] = {}
    for part in every:
        for example, one in part.items():
            found.setdefault(example, Found()).add(one)
    return found


def _write(out: Path, sets: Evaluation, lines: list[Any], offending: list[tuple[Path, int, Found, float]]) -> None:
    """`contamination.jsonl`, the worst first, and `contamination.json`."""
    offending = sorted(offending, key=lambda one: (-one[3], str(one[0]), one[1]))
    with (out / "contamination.jsonl").open("w", encoding="utf-8") as file:
        for path, line, one, overlap in offending:
            assert one.first is not None
            told = {"file": str(path), "line": line, "overlap": overlap, "ngrams": len(one.ngrams), "documents": one.documents}
            file.write(json.dumps(told | {"document": one.first[0], "text": one.first[1]}, ensure_ascii=False) + "\n")
    looked_for = set(sets.set_of)
    counts: dict[str, dict[str, int]] = {}
    for place, (path, *_) in enumerate(lines):
        mine = counts.setdefault(str(path), {"examples": 0, "too_short": 0, "contaminated": 0})
        mine["examples" if place in looked_for else "too_short"] += 1
    for path, *_ in offending:
        counts[str(path)]["contaminated"] += 1
    (out / "contamination.json").write_text(json.dumps(counts, indent=1, ensure_ascii=False), encoding="utf-8")
