"""The funnel of a curation: what its tasks counted, added up, told, and checked."""

from __future__ import annotations

import gzip
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelwright.errors import ModelwrightError
from modelwright_plugins.stage._histogram import statistics
from modelwright_plugins.stage._lines import line
from modelwright_plugins.stage._samples import smallest

if TYPE_CHECKING:
    from modelwright_plugins.stage._curation import Kept

Step = dict[str, Any]  # as the docstring of `Documents` has it, and the last, until it is written, "groups": {group: bytes}
QUARANTINED = 100  # records listed in funnel.json; all of them are in quarantine.jsonl
REASONS = 10  # why records were quarantined, the commonest, that are counted there
NUMBER = re.compile(r"\d+")  # which characters are wrong makes no other reason
MANY = 1000  # reasons that are told apart
LARGE = 0.05  # share of what was read that is told aloud when it is lost


def merge(funnel: list[Step], counts: Path, bad: Path, dropped: Path, kept: Kept) -> None:
    """Adds up, into the steps of `funnel` that are done and have no numbers yet, what tasks counted at each place, in the order of tasks;
    writes samples of what was dropped into `dropped`."""
    for place, step in enumerate(funnel):
        if "documents_out" in step:
            continue
        tasks = [json.loads(file.read_bytes()) for file in sorted(counts.glob(f"{place:02d}_*.json"))]
        documents, size = (sum(task[key] for task in tasks) for key in ("documents", "bytes"))
        before = funnel[place - 1] if place else {"documents_out": documents, "bytes_out": size}
        reasons = _sums(task["dropped"] for task in tasks)
        step |= {
            "documents_in": before["documents_out"],
            "documents_out": documents,
            "bytes_in": before["bytes_out"],
            "bytes_out": size,
            "dropped": dict(sorted(reasons.items(), key=lambda item: (-item[1], item[0]))),
            "examples": _few([example for task in tasks for example in task["examples"]], kept.examples),
            "edited": sum(task["edited"] for task in tasks),
            "edited_bytes": sum(task["edited_bytes"] for task in tasks),
            "edits": smallest((edit for task in tasks for edit in task["edits"]), kept.examples),
        }
        if any(task["groups"] is not None for task in tasks):
            step["groups"] = _sums(task["groups"] for task in tasks)
        bounds: dict[str, list[float | None]] = next((task["bounds"] for task in tasks if task["bounds"]), {})
        rows = smallest(_all(counts, f"{place:02d}_*.sample"), kept.measured)
        if rows and bounds:
            step |= {"measured": len(rows), "statistics": statistics(rows, bounds)}
        name = re.sub(r"[^\w.-]", "_", step["step"])
        _save(smallest(_all(counts, f"{place:02d}_*.dropped"), kept.dropped), dropped / f"{place:02d}_{name}.jsonl.gz")
    source = funnel[0]
    if "quarantined" not in source:
        records = _all(bad, "*.jsonl")  # there may be as many as documents: they are never all in memory
        source["quarantined"], reasons = list[Any](), Counter[str]()
        for record in records:
            reason = NUMBER.sub("…", str(record["reason"]))
            reasons[reason if reason in reasons or len(reasons) < MANY else "others"] += 1
            if len(source["quarantined"]) < QUARANTINED:
                source["quarantined"].append(record)
        source["quarantined_count"] = count = reasons.total()
        source["quarantined_reasons"] = dict(reasons.most_common(REASONS))
        source["documents_in"] = source["documents_out"] + count


def _sums(parts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    total: dict[str, int] = {}
    for part in parts:
        for key, value in part.items():
            total[key] = total.get(key, 0) + value
    return total


def _few(examples: list[dict[str, str]], limit: int) -> list[dict[str, str]]:
    """The first `limit` examples of each reason."""
    seen: dict[str, int] = {}
    chosen = []
    for example in examples:
        seen[example["reason"]] = count = seen.get(example["reason"], 0) + 1
        if count <= limit:
            chosen.append(example)
    return chosen


def _all(folder: Path, files: str) -> Iterator[Any]:
    """What is on the lines of these files, in the order of tasks."""
    for file in sorted(folder.glob(files)):
        with file.open("rb") as lines:
            yield from map(json.loads, lines)


def _save(documents: Sequence[Any], file: Path) -> None:
    """The same bits for the same documents; nothing where there are none."""
    if not documents:
        return
    file.write_bytes(gzip.compress(b"".join(map(line, documents)), 6, mtime=0))


def told(funnel: Sequence[Step]) -> str:
    """A table for the console."""
    width = max(len(step["step"]) for step in funnel)
    rows = [f"  {'step':{width}}  {'documents':>17}  {'MB':>15}  removed because"]
    for step in funnel:
        documents = f"{step['documents_in']:,} > {step['documents_out']:,}"
        size = f"{step['bytes_in'] / 1e6:.1f} > {step['bytes_out'] / 1e6:.1f}"
        why = ", ".join(f"{reason} {count:,}" for reason, count in list(step["dropped"].items())[:3])
        if step["edited"]:
            why += f"{', ' if why else ''}edited {step['edited']:,}"
        if step.get("quarantined_count"):
            why = f"could not be read {step['quarantined_count']:,} (listed in curate/quarantine.jsonl)"
        rows.append(f"  {step['step']:{width}}  {documents:>17}  {size:>15}  {why}".rstrip())
    return "\n".join([*rows, *lost(funnel[0])])


def lost(source: Step) -> list[str]:
    """What is said aloud where a large share of a source could not be read, by a later stage too: its commonest reasons."""
    count = source.get("quarantined_count", 0)
    if not count or count < LARGE * source["documents_in"]:
        return []
    reasons = source.get("quarantined_reasons") or {source["quarantined"][0]["reason"]: count}
    few = "; ".join(f"{number:,}: {reason}" for reason, number in list(reasons.items())[:3])
    return [f"  NOT READ: {count:,} of {source['documents_in']:,} records of the source, {count / source['documents_in']:.0%} ({few})"]


def check(funnel: Sequence[Step], min_bytes: int, page: Path) -> None:
    """ModelwrightError, with the step that removed most, where fewer bytes or no documents are left. `page` is where to see more."""
    left = funnel[-1]["bytes_out"]
    if left >= min_bytes and funnel[-1]["documents_out"]:
        return
    most = max(funnel, key=lambda step: step["bytes_in"] - step["bytes_out"])
    gone = most["bytes_in"] - most["bytes_out"]
    if gone:
        reason = next(iter(most["dropped"]), "edited")
        why = f"{most['kind']} {most['step']!r} removed most, {gone / 1e6:.2f} MB, mainly for {reason!r}"
    else:
        why = f"the source gave {funnel[0]['bytes_out'] / 1e6:.2f} MB and {funnel[0]['quarantined_count']} unreadable records"
        if funnel[0]["quarantined"]:
            first = funnel[0]["quarantined"][0]
            why += f" (curate/quarantine.jsonl has all; the first: {', '.join(f'{k} {v}' for k, v in first.items())})"
    least = f"curate.min_bytes={min_bytes}"
    raise ModelwrightError(f"{least}: {left / 1e6:.2f} MB of text are left; {why}; {page} shows each step", "curate.min_bytes")
