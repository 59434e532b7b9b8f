"""Weights & Biases, offline unless asked otherwise."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from modelwright_plugins.tracker import Tracker, TrackerLog

if TYPE_CHECKING:
    import wandb


@dataclass(frozen=True, kw_only=True)
class WandB(Tracker):
    """Weights & Biases: offline files under the run (send them later with `wandb sync`), or online.

    A run keeps its id when it is resumed. W&B can't take back what it was told: steps that a killed run had logged after
    its last checkpoint stay, and since the same seed gives the same numbers, the repeated ones may be ignored there.
    """

    mode: Literal["offline", "online"] = "offline"  # offline needs no network and no login
    project: str = "modelwright"  # project that the run belongs to
    entity: str | None = None  # user or team; none: the default of whoever is logged in
    run_name: str | None = None  # what W&B calls the run; none: it makes a name up
    group: str | None = None  # runs that belong together, such as the jobs of a sweep
    tags: list[str] = field(default_factory=list)  # labels to filter runs by

    def open(self, out: Path, config: Mapping[str, Any], *, step: int) -> TrackerLog:
        import wandb

        folder = out / "wandb"  # W&B writes its own files into this folder too
        folder.mkdir(parents=True, exist_ok=True)
        identity = folder / "id"
        if step == 0 or not identity.exists():
            identity.write_text(secrets.token_hex(4), encoding="ascii")  # a name only: no number of the run depends on it
        run = wandb.init(
            mode=self.mode, project=self.project, entity=self.entity, name=self.run_name, group=self.group, tags=self.tags,
            id=identity.read_text(encoding="ascii"), dir=out, config=dict(config),
            resume="allow" if self.mode == "online" else None,
            reinit="create_new",  # a sweep may train several times in one process
            settings=wandb.Settings(
                silent=True, console="off", disable_git=True, disable_code=True,  # nothing on the terminal, nothing but what we log
                login_timeout=10,  # seconds: a question for a key that nobody sees must not wait for ever
            ),
        )  # fmt: skip
        return _WandBLog(run)


class _WandBLog(TrackerLog):
    def __init__(self, run: wandb.Run) -> None:
        self.run = run

    def log(self, metrics: Mapping[str, float]) -> None:
        self.run.log(dict(metrics), step=int(metrics["step"]))

    def close(self) -> None:
        self.run.finish()
