"""EleutherAI's lm-evaluation-harness on a model of ours."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from modelwright.errors import ModelwrightError
from modelwright_plugins.evaluator import Evaluator, Score

if TYPE_CHECKING:
    from modelwright.component import Parts
    from modelwright_plugins.evaluator.model import Model

INSTALL = "pip install 'modelwright[lm-eval]'"


@dataclass(frozen=True, kw_only=True)
class LMEval(Evaluator):
    """Tasks of the lm-evaluation-harness (Gao et al. 2021), with its own prompts, requests, filters and metrics.

    A score is called TASK/METRIC, or TASK/METRIC/FILTER where the task has a filter of that name, and has the harness' own value: that of
    its model `hf` on the same weights. Intervals are ours. `samples.jsonl` has each request and what the model said to it.

    Tasks are YAML files in `include_path`, of data that lie on this machine (`dataset_path: json`); the harness runs Python that they name
    with `!function`. With `own_tasks` there are also those that come with it, whose data it downloads.
    """

    tasks: list[str]  # names of tasks, groups and tags
    include_path: Path | None = None  # a folder with tasks' YAML files, also within folders
    own_tasks: bool = False  # the harness' own tasks too; it reads all of their files first, and downloads the data of those asked
    shots: int | None = None  # examples before each question; null: as each task says. A task that says 0 keeps it
    limit: int | None = None  # the first so many documents of each task; null: all
    chat_template: bool = False  # asked through the model's chat template, shots as turns before; false: as texts to go on with
    begin: bool = False  # each text begins with the end-of-document token, as in training; false: as the harness does, which leaves it out

    def __post_init__(self) -> None:
        if not self.tasks:
            raise ValueError("tasks is empty; it names tasks, for example tasks=[soup] with include_path=tasks")
        if self.include_path is None and not self.own_tasks:
            raise ValueError("include_path is null, and own_tasks false; one of them says where tasks are")
        for name, least in (("shots", 0), ("limit", 1)):
            if (value := getattr(self, name)) is not None and value < least:
                raise ValueError(f"{name} is {value}; it is {least} or more, or null")
        if self.begin and self.chat_template:
            raise ValueError("begin is true, and chat_template too; a conversation begins as its template says")

    def fingerprint(self) -> str:
        """Of all files beside the tasks, and of the data that they name elsewhere on this machine."""
        import hashlib

        from modelwright_plugins.evaluator._lm_eval_files import files

        found = hashlib.sha256()
        if self.include_path is not None:
            for file in files(folder := self.include_path.expanduser()):
                name = file.relative_to(folder) if file.is_relative_to(folder) else file
                found.update(f"{name} {file.stat().st_size}\n".encode("utf-8", "surrogatepass"))
                with file.open("rb") as data:
                    while part := data.read(1 << 20):
                        found.update(part)
        return found.hexdigest()

    def problems(self) -> list[str]:
        from importlib.util import find_spec

        if find_spec("lm_eval") is None:
            return [f"the lm-evaluation-harness is not installed: {INSTALL}"]
        if self.include_path is not None and not self.include_path.expanduser().is_dir():
            return [f"include_path: there is no folder {self.include_path}"]
        return [self._known] if isinstance(self._known, str) else []

    def overflows(self, length: int, parts: Parts) -> list[str]:
        known = {} if self.problems() else self._known
        assert not isinstance(known, str)
        cure = f"at most {length - 1}: max_gen_toks in the generation_kwargs of the task's file"
        return [
            f"task {name}: a reply may have {most} tokens, and the model sees {length}; {cure}"
            for name, most in known.items()
            if most >= length
        ]

    @cached_property
    def _known(self) -> dict[str, int] | str:
        """Tokens of a reply to each task that has some drawn; or why there are no such tasks."""
        from modelwright_plugins.evaluator._lm_eval_tasks import loaded, seeded, written

        try:
            with seeded():
                return written(loaded(self)["tasks"])
        except ModelwrightError as e:
            return str(e)

    def evaluate(self, model: Model, out: Path, *, seed: int) -> list[Score]:
        from modelwright_plugins.evaluator._lm_eval import judged

        return judged(self, model, out)
