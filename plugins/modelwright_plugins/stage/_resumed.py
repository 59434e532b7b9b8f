"""What `curate` may go on from when its run was ended midway: tasks' completion marks, and what the tasks wrote."""

from __future__ import annotations

import json
import shutil
from typing import Any

from modelwright.component import Component, Job
from modelwright.manifest import versions, write_json


def begin(job: Job) -> None:
    """Keep what an earlier attempt left in the stage's folder if it read the same, with the same libraries; else empty the folder.

    Settings are the same: another setting is another stage, which starts in an empty folder. But which files a task reads depends on all
    of them, so that one more file, or one that was changed, makes what other tasks have written worthless."""
    mark = job.out / "logs" / "begun.json"
    now = {"reads": _reads(job), "versions": versions()}
    if mark.exists() and json.loads(mark.read_text(encoding="utf-8")) == now:
        return
    if mark.exists():
        print("  what it reads has changed since it began: it starts again")
    for logs in mark.parent.glob("*/"):  # of passes, whose jobs may still write into files of the same names
        job.parts["executor"].end_earlier(logs)
    mark.unlink(missing_ok=True)  # first: what is killed while it empties the folder finds no mark, and empties the rest
    for path in list(job.out.iterdir()):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    mark.parent.mkdir()
    write_json(mark, now)


def _reads(job: Job) -> dict[str, str]:
    """Component -> what it reads of the outside world, as a hash."""
    found: dict[str, str] = {}
    for kind, part in job.parts.items():
        each: dict[str, Any] = dict(part) if not isinstance(part, Component) else {"": part}
        found |= {f"{kind}.{name}": one.fingerprint() for name, one in each.items()}
    return found
