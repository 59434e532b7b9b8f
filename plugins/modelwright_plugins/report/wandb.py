"""A comparison as a run in Weights & Biases."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from modelwright.errors import ModelwrightError
from modelwright_plugins.report.comparison import Comparison, told


def send(found: Comparison, html: str, project: str, folder: Path) -> str:
    """Log the table and the page as one run of `project`, its files in `folder`/wandb; returns where it is, in a line.

    Online when somebody is logged in (WANDB_MODE decides when it is set). When W&B can't be reached or refuses the key, the
    files are written all the same, and the line says why. Raises ModelwrightError when not even that can be done.
    """
    import wandb

    asked = os.environ.get("WANDB_MODE")
    try:
        wandb.setup(wandb.Settings(silent=True))
        try:
            if asked or wandb.login(prompt=False):
                return _log(found, html, project, folder, asked or "online")
        except (wandb.Error, TimeoutError) as e:
            if asked not in (None, "online"):
                raise
            why = " ".join(str(e).split()).rstrip(".")
            return f"{_log(found, html, project, folder, 'offline')} (it could not be sent now: {why})"
        return _log(found, html, project, folder, "offline")
    except Exception as e:
        raise ModelwrightError(f"--wandb {project}: {' '.join(str(e).split()) or type(e).__name__}") from e


def _log(found: Comparison, html: str, project: str, folder: Path, mode: Any) -> str:
    import wandb

    run = wandb.init(
        project=project, job_type="compare", dir=folder, reinit="create_new",
        config={"runs": [str(run.folder) for run in found.runs], "words": list(found.words)},
        settings=wandb.Settings(
            mode=mode, silent=True, console="off", disable_git=True, disable_code=True,
            login_timeout=10, init_timeout=20,  # seconds
        ),
    )  # fmt: skip
    try:
        run.log({"runs": table(found), "page": wandb.Html(html, inject=False, data_is_not_path=True)})
        if found.measured:
            run.summary.update(
                {each.metric: found.runs[0].metrics[each.metric] for each in found.objectives} | {"best": found.runs[0].name}
            )
        where, files = run.url, Path(run.dir).parent
    finally:
        run.finish()
    return f"W&B: {where}" if mode == "online" and where else f"W&B: written to {files}; send it with: wandb sync {files}"


def table(found: Comparison) -> object:
    """A `wandb.Table` of the runs, in the comparison's order: numbers stay numbers, what is missing is none."""
    import wandb

    columns: list[str | int] = ["run", "status", *found.keys, *map(found.label, found.metrics), "error"]
    rows = []
    for run in found.runs:
        settings = [_cell(run.settings.get(key)) for key in found.keys]
        rows.append([run.name, run.status, *settings, *(run.metrics.get(name) for name in found.metrics), run.error])
    return wandb.Table(columns=columns, data=rows, allow_mixed_types=True)


def _cell(value: object) -> object:
    return value if value is None or isinstance(value, (int, float, bool)) else told(value)
