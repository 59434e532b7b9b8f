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
from modelwright.manifest import write_json
from modelwright_plugins.artifacts import CurationReport, Documents
from modelwright_plugins.artifacts.split import held_out_groups
from modelwright_plugins.terminal import shown

if TYPE_CHECKING:
    from datatrove.pipeline.base import PipelineStep

    from modelwright_plugins.executor import Executor
    from modelwright_plugins.source import Source, SourceFile


@dataclass(frozen=True, kw_only=True)
class Curate(Stage):
    """Reads a source, filters it, removes duplicates, and sets whole groups aside.

    Documents come out in the source's order, whatever the number of tasks and workers. In the stage's folder stay `documents/`,
    `curation.html` (what each step did, and what each threshold does), `dropped/<place>_<step>.jsonl.gz` (a sample of what a step
    dropped, whole: {"id", "reason", "text", "metadata"}), `quarantine.jsonl` (every record that could not be read) and `logs/`.
    While it runs, text is on disk once more, uncompressed, and twice while a deduper's pass runs with another to follow.
    The page, `documents/funnel.json` and `dropped/` show what was taken out, personal data too: `examples=0 dropped=0` leaves that out.
    """

    min_bytes: int = 1  # bytes of text that must be left; fewer are an error that names the step that removed most
    held_out: float = 0.05  # share of the bytes, in whole groups, that no later stage may train on (tokenizer or model); 0: none
    examples: int = 3  # dropped documents that the page shows for each reason of each step, and edited ones for each step
    measured: int = 1000  # documents, of those that come to a filter, whose statistics the page shows; 0: none
    dropped: int = 100  # whole documents of those that a step drops, kept to be read (their first 100,000 characters); 0: none

    uses = ("source", "filter", "deduper", "executor")
    makes = (Documents, CurationReport)
    resumable = True  # tasks that have finished are not run again

    def __post_init__(self) -> None:
        if not 0 <= self.held_out < 1:
            raise ValueError(f"held_out={self.held_out}: expected a share of at least 0 and below 1")
        for name in ("examples", "measured", "dropped"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is {getattr(self, name)}; it is at least 0")

    def problems(self, parts: Parts) -> list[str]:
        try:
            parts["source"].files()
        except ModelwrightError as error:
            return [str(error)]
        named = [(f"{kind}.{name}", part) for kind in ("filter", "deduper") for name, part in parts.get(kind, {}).items()]
        found = [f"{key}.{line}" for key, part in named for line in part.problems()]
        return found + (parts["executor"].problems() if "executor" in parts else [])

    def forecast(self, parts: Parts) -> dict[str, Any]:
        files: list[SourceFile] = parts["source"].files()
        return {"files to read": f"{len(files):,}", "text in them, about": f"{sum(file.bytes for file in files) / 1e6:,.1f} MB"}

    def run(self, job: Job) -> None:
        from modelwright_plugins.stage._funnel import check, told
        from modelwright_plugins.stage._resumed import begin

        begin(job)
        out, work = _folder(job.make(Documents).path), job.out / "work"
        if (out / "split.json").exists():  # an earlier attempt was ended while it tidied up
            return shutil.rmtree(work, ignore_errors=True)
        funnel = self._passes(job, out, work)
        print(told(funnel))
        sizes: dict[str, int] = funnel[-1].pop("groups")
        page = self._page(job, funnel)
        check(funnel, self.min_bytes, page)
        held_out = held_out_groups(sizes, self.held_out)
        if self.held_out and not held_out:
            one = f"all documents are of one group, {next(iter(sizes))!r}"
            print(f"  held out: nothing, as {one}; source.group, or source.group_key, may name finer ones")
        aside = sum(sizes[group] for group in held_out)
        split = {"held_out": held_out, "bytes": {"train": sum(sizes.values()) - aside, "held_out": aside}}
        told_all = json.dumps(funnel, indent=1, ensure_ascii=False)
        (out / "funnel.json").write_text(told_all, encoding="utf-8", errors="replace")  # texts may hold halves of surrogate pairs
        write_json(work / "split.json", split)
        (work / "split.json").replace(out / "split.json")  # whole or not at all, and last
        return shutil.rmtree(work)

    def _page(self, job: Job, funnel: list[dict[str, Any]]) -> Path:
        """Written before anything is found wrong with what is left: it shows which threshold took the rest."""
        from modelwright.schema import plain
        from modelwright_plugins.report.curation import page

        settings = [plain(job.parts["source"]), *(plain(part) for kind in ("filter", "deduper") for part in job.parts[kind].values())]
        path = job.make(CurationReport).path
        path.write_text(page(funnel, settings, job.config.get("recipe")), encoding="utf-8", errors="replace")
        here = shown(path)
        print(f"  what each step dropped, and what each threshold does: {here}")
        return here

    def _passes(self, job: Job, out: Path, work: Path) -> list[dict[str, Any]]:
        """Documents go through one pass for the source and all filters, and one more for each deduper: a pass ends by signing its
        documents for the next deduper, one task compares the signatures, and the next pass begins by removing what repeats."""
        from modelwright_plugins.deduper._steps import Match, Remove, Sign
        from modelwright_plugins.source._reader import Reader
        from modelwright_plugins.stage._curation import Count, Kept, Load, Store, Write
        from modelwright_plugins.stage._funnel import merge

        source: Source = job.parts["source"]
        executor: Executor = job.parts["executor"]
        dedupers = list(job.parts["deduper"].items())
        counts, bad, gone = _folder(work / "counts"), _folder(work / "quarantine"), _folder(job.out / "dropped")
        kept_aside, last = Kept(self.examples, self.measured, self.dropped), len(job.parts["filter"]) + len(dedupers)

        files = source.files()
        expected: int = sum(file.bytes for file in files)
        funnel: list[dict[str, Any]] = [{"step": _snake(type(source).__name__), "kind": "source"}]
        steps: list[PipelineStep] = [Reader(source, files, bad), Count(counts, 0, kept_aside, groups=last == 0)]
        for name, part in job.parts["filter"].items():
            steps.append(Count(counts, len(funnel), kept_aside, part.build(), groups=last == len(funnel)))
            funnel.append({"step": name, "kind": "filter"})
        title = "read and filter" if job.parts["filter"] else "read"
        for number, (name, deduper) in enumerate(dedupers):
            kept, signatures = _folder(work / f"pass_{number}"), _folder(work / f"signatures_{number}")
            steps += [Store(kept), Sign(deduper, signatures)]
            executor.run(steps, tasks=executor.tasks, logs=job.out / "logs" / f"pass_{number}", title=title, total=expected)
            if number:
                _forget(work, number - 1)
            match: list[PipelineStep] = [Match(deduper, signatures)]
            executor.run(match, tasks=1, logs=job.out / "logs" / f"match_{number}", title=f"match {name}", total=None)
            merge(funnel, counts, bad, gone, kept_aside)
            expected = funnel[-1]["bytes_out"]
            steps = [Load(kept), Count(counts, len(funnel), kept_aside, Remove(deduper, signatures), groups=last == len(funnel))]
            funnel.append({"step": name, "kind": "deduper"})
            title = f"remove {name}"
        steps.append(Write(out))
        logs = job.out / "logs" / f"pass_{len(dedupers)}"
        executor.run(steps, tasks=executor.tasks, logs=logs, title=title, total=expected)
        merge(funnel, counts, bad, gone, kept_aside)
        with (job.out / "quarantine.jsonl").open("wb") as every:
            for file in sorted(bad.iterdir()):
                every.write(file.read_bytes())
        return funnel


def _forget(work: Path, number: int) -> None:
    """What was between two passes, once every task of the second has its mark, so that no resumed run reads it: as large as the text."""
    for name in ("pass", "signatures"):
        shutil.rmtree(work / f"{name}_{number}", ignore_errors=True)


def _folder(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    return path


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
