"""A run that was begun earlier: with which words, and whether what it has read is still the same."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from modelwright.assemble import assemble
from modelwright.errors import ModelwrightError
from modelwright.hooks import discover
from modelwright.manifest import reads
from modelwright.run import MANIFEST, read_config, read_manifest
from modelwright_plugins.pipeline.phases import RECORD
from modelwright_plugins.sweep import record
from modelwright_plugins.terminal import typed


def begun_with(folder: Path) -> list[str]:
    """The words that a run, a sweep or a pipeline was begun with, without its folder's; none: there is none."""
    from modelwright_plugins.pipeline.running import read

    try:
        if (folder / RECORD).exists():
            return list(read(folder)["words"])
        if (folder / record.RECORD).exists():
            return [str(word) for word in record.words_again(folder)]
        return [str(word) for word in read_manifest(folder)["overrides"]]
    except ModelwrightError:
        return []


def changed(folder: Path, words: Sequence[str]) -> Iterator[str]:
    """What finished stages of a run have read and is other now, a line each: a run that goes on reads nothing twice, as what comes after
    would have to begin again. A missing or damaged run is told by who goes on with it."""
    if not (folder / MANIFEST).exists():
        return
    try:
        stages = read_manifest(folder)["stages"]
        bound = assemble(read_config(folder), discover().registry)
    except ModelwrightError:
        return
    for b in bound:
        then = stages.get(b.name, {}).get("reads")
        if stages.get(b.name, {}).get("status") != "finished" or not isinstance(then, dict):
            continue
        try:
            now = reads(b)
        except (ModelwrightError, OSError):
            now = {}
        for place in (place for place in then if now.get(place) != then[place]):
            again = typed("run", *words)
            yield f"  what {place} reads has changed since stage {b.name} read it: this run goes on with what it was; anew: {again}"
