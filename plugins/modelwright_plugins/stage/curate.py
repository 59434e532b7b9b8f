"""From a source to clean documents."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelwright.component import Job, Parts, Stage
from modelwright.errors import ModelwrightError
from modelwright_plugins.artifacts import Documents
from modelwright_plugins.artifacts.split import held_out_groups

if TYPE_CHECKING:
    from datatrove.pipeline.base import PipelineStep

    from modelwright_plugins.executor import Executor
    from modelwright_plugins.source import Source, SourceFile

QUARANTINED = 100  # records listed in funnel.json; all of them are in quarantine.jsonl


@dataclass(frozen=True, kw_only=True)
class Curate(Stage):
    """Reads a source, filters it, removes duplicates, and sets whole groups aside.

    Documents come out in the source's order, whatever the number of tasks and workers. In the stage's folder stay `documents/`,
    `quarantine.jsonl` (every record that could not be read) and `logs/`.
    """

    min_bytes: int = 1  # bytes of text that must be left; fewer are an error that names the step that removed most
    held_out: float = 0.05  # share of the bytes, in whole groups, that no later stage may train on (tokenizer or model); 0: none
    examples: int = 3  # dropped documents shown in funnel.json for each reason of each step

    uses = ("source", "filter", "deduper", "executor")
    makes = (Documents,)

    def __post_init__(self) -> None:
        if not 0 <= self.held_out < 1:
            raise ValueError(f"held_out={self.held_out}: expected a share of at least 0 and below 1")

    def problems(self, parts: Parts) -> list[str]:
        try:
            parts["source"].files()
        except ModelwrightError as error:
            return [str(error)]
        named = [(f"{kind}.{name}", part) for kind in ("filter", "deduper") for name, part in parts.get(kind, {}).items()]
        return [f"{key}.{line}" for key, part in named for line in part.problems()]

    def forecast(self, parts: Parts) -> dict[str, Any]:
        files: list[SourceFile] = parts["source"].files()
        return {"files to read": f"{len(files):,}", "text in them, about": f"{sum(file.bytes for file in files) / 1e6:,.1f} MB"}

    def run(self, job: Job) -> None:
        out, work = job.make(Documents).path, job.out / "work"
        out.mkdir()
        funnel = self._passes(job, out, work)
        _print(funnel)
        _check(funnel, self.min_bytes)
        sizes = funnel[-1].pop("groups")
        held_out = held_out_groups(sizes, self.held_out)
        aside = sum(sizes[group] for group in held_out)
        split = {"held_out": held_out, "bytes": {"train": sum(sizes.values()) - aside, "held_out": aside}}
        for step in funnel:
            step.pop("groups", None)
        (out / "funnel.json").write_text(json.dumps(funnel, indent=1, ensure_ascii=False), encoding="utf-8")
        (out / "split.json").write_text(json.dumps(split, indent=1, ensure_ascii=False), encoding="utf-8")
        shutil.rmtree(work)

    def _passes(self, job: Job, out: Path, work: Path) -> list[dict[str, Any]]:
        """Documents go through one pass for the source and all filters, and one more for each deduper: a pass ends by signing its
        documents for the next deduper, one task compares the signatures, and the next pass begins by removing what repeats."""
        from modelwright_plugins.deduper._steps import Match, Remove, Sign
        from modelwright_plugins.source._reader import Reader
        from modelwright_plugins.stage._curation import Count, Load, Store, Write

        source: Source = job.parts["source"]
        executor: Executor = job.parts["executor"]
        dedupers = list(job.parts["deduper"].items())
        counts, bad = _folder(work / "counts"), _folder(work / "quarantine")

        files = source.files()
        expected: int = sum(file.bytes for file in files)
        funnel: list[dict[str, Any]] = [{"step": _snake(type(source).__name__), "kind": "source"}]
        steps: list[PipelineStep] = [Reader(source, files, bad), Count(counts, 0, self.examples)]
        for name, part in job.parts["filter"].items():
            steps.append(Count(counts, len(funnel), self.examples, part.build()))
            funnel.append({"step": name, "kind": "filter"})
        title = "read and filter" if job.parts["filter"] else "read"
        for number, (name, deduper) in enumerate(dedupers):
            kept, signatures = _folder(work / f"pass_{number}"), _folder(work / f"signatures_{number}")
            steps += [Store(kept), Sign(deduper, signatures)]
            executor.run(steps, tasks=executor.tasks, logs=job.out / "logs" / f"pass_{number}", title=title, total=expected)
            match: list[PipelineStep] = [Match(deduper, signatures)]
            executor.run(match, tasks=1, logs=job.out / "logs" / f"match_{number}", title=f"match {name}", total=None)
            _merge(funnel, counts, bad, self.examples)
            expected = funnel[-1]["bytes_out"]
            steps = [Load(kept), Count(counts, len(funnel), self.examples, Remove(deduper, signatures))]
            funnel.append({"step": name, "kind": "deduper"})
            title = f"remove {name}"
        steps.append(Write(out))
        logs = job.out / "logs" / f"pass_{len(dedupers)}"
        executor.run(steps, tasks=executor.tasks, logs=logs, title=title, total=expected)
        _merge(funnel, counts, bad, self.examples)
        with (job.out / "quarantine.jsonl").open("wb") as every:
            for file in sorted(bad.iterdir()):
                every.write(file.read_bytes())
        return funnel


def _merge(funnel: list[dict[str, Any]], counts: Path, bad: Path, limit: int) -> None:
    """Adds up, into `funnel`, what the tasks counted at each place, in the order of tasks."""
    for place, step in enumerate(funnel):
        tasks = [json.loads(file.read_bytes()) for file in sorted(counts.glob(f"{place:02d}_*.json"))]
        groups: dict[str, int] = {}
        dropped: dict[str, int] = {}
        for task in tasks:
            for total, part in ((groups, task["groups"]), (dropped, task["dropped"])):
                for key, value in part.items():
                    total[key] = total.get(key, 0) + value
        before = funnel[place - 1] if place else None
        documents, size = sum(task["documents"] for task in tasks), sum(groups.values())
        step |= {
            "documents_in": before["documents_out"] if before else documents,
            "documents_out": documents,
            "bytes_in": before["bytes_out"] if before else size,
            "bytes_out": size,
            "dropped": dict(sorted(dropped.items(), key=lambda item: (-item[1], item[0]))),
            "examples": _few([example for task in tasks for example in task["examples"]], limit),
            "groups": groups,
        }
    records = [json.loads(line) for file in sorted(bad.iterdir()) for line in file.read_text(encoding="utf-8").splitlines()]
    source = funnel[0]
    source["quarantined"], source["quarantined_count"] = records[:QUARANTINED], len(records)
    source["documents_in"] = source["documents_out"] + len(records)


def _few(examples: list[dict[str, str]], limit: int) -> list[dict[str, str]]:
    """The first `limit` examples of each reason."""
    seen: dict[str, int] = {}
    chosen = []
    for example in examples:
        seen[example["reason"]] = count = seen.get(example["reason"], 0) + 1
        if count <= limit:
            chosen.append(example)
    return chosen


def _print(funnel: list[dict[str, Any]]) -> None:
    width = max(len(step["step"]) for step in funnel)
    print(f"  {'step':{width}}  {'documents':>17}  {'MB':>15}  removed because")
    for step in funnel:
        documents = f"{step['documents_in']:,} > {step['documents_out']:,}"
        size = f"{step['bytes_in'] / 1e6:.1f} > {step['bytes_out'] / 1e6:.1f}"
        why = ", ".join(f"{reason} {count:,}" for reason, count in list(step["dropped"].items())[:3])
        if step.get("quarantined_count"):
            why = f"could not be read {step['quarantined_count']:,} (listed in curate/quarantine.jsonl)"
        print(f"  {step['step']:{width}}  {documents:>17}  {size:>15}  {why}".rstrip())


def _check(funnel: list[dict[str, Any]], min_bytes: int) -> None:
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
    raise ModelwrightError(f"{least}: {left / 1e6:.2f} MB of text are left; {why}", "curate.min_bytes")


def _folder(path: Path) -> Path:
    path.mkdir(parents=True)
    return path


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
