"""What everything in a recipe is made of: components, artifacts and stages."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

if TYPE_CHECKING:
    from modelwright.hooks import Hooks


@dataclass(frozen=True, kw_only=True)
class Component:
    """A part of a recipe: a frozen, keyword-only dataclass whose fields are its parameters.

    The dataclass is the schema, the defaults and the documentation: a comment beside a field (units, source) is
    what `modelwright show` prints. Fields may be int, float, str, bool, Path, Enum, Literal, `X | None`, list, tuple,
    dict, or nested dataclasses. What exists only at run time arrives as method arguments, fixed by the kind's interface.
    A `ValueError` from `__post_init__` is told as a one-line error with the key of the component.
    Modules that hold components import torch, datatrove and Megatron only inside methods: composing imports them."""

    def fingerprint(self) -> str:
        """What this component reads of the outside world (files that no stage made), as a hash of names, sizes and times.

        The manifest records it, and a later run takes a finished stage over only when it is the same."""
        return ""


@dataclass(frozen=True)
class Artifact:
    """Something one stage makes and another takes: a file or a folder of a known type, in the folder of the stage that makes it."""

    path: Path  # where it is
    name: ClassVar[str]  # of the file or folder
    published: ClassVar[bool] = False  # linked into the run's own folder, for what people open by hand


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """The settings of a run itself, not of what it makes."""

    dir: str | None = None  # the folder of this run; null: runs/<recipe>/<time>
    reuse: bool = True  # take over stages that an earlier run finished with the same settings, components and inputs


@dataclass(frozen=True, kw_only=True)
class Settings(Component):
    """What a config holds beside components and stages. (`from_` is `from` in a config: Python keeps that word.)"""

    recipe: str | None = None  # the name of the recipe
    seed: int = 1234  # every random choice of a run is drawn from it
    stages: list[str] = field(default_factory=list)  # the stages to run, in order
    from_: Path | None = None  # the folder of an earlier run: what no stage of this run makes is taken from there
    next: list[str] = field(default_factory=list)  # overrides worth trying after this recipe, printed at the end of a run
    run: RunSettings = RunSettings()  # where the run is, and what it may take over


A = TypeVar("A", bound=Artifact)
Parts = Mapping[str, Any]  # kind -> component, or name -> component in order for a kind that takes a list


@dataclass(frozen=True)
class Job:
    """All that a stage gets to do its work; equal on every rank of a stage that runs on ranks."""

    run: Path  # the run's folder
    out: Path  # the stage's own folder, which exists
    seed: int  # of the run: draw every random choice from it
    parts: Parts  # what the stage declared in `uses`
    inputs: Mapping[type[Artifact], Artifact]  # what it declared in `takes`
    hooks: Hooks  # the plugins: `job.hooks.call("on_step_end", step=…, metrics=…)`, `job.hooks.registry`
    config: Mapping[str, Any] = field(default_factory=dict)  # the frozen config, to record and never to read from

    def take(self, kind: type[A]) -> A:
        """The input artifact of this type."""
        found = self.inputs[kind]
        assert isinstance(found, kind)
        return found

    def make(self, kind: type[A]) -> A:
        """The output artifact of this type: where to write it. A folder's parent exists; the folder does not."""
        return kind(self.out / kind.name)


@dataclass(frozen=True, kw_only=True)
class Stage(Component, ABC):
    """A step of a recipe. It declares what it uses, takes and makes, so that a recipe is checked before it runs."""

    uses: ClassVar[tuple[str, ...]] = ()  # kinds
    takes: ClassVar[tuple[type[Artifact], ...]] = ()  # from stages before it, or from the run that `from` names
    makes: ClassVar[tuple[type[Artifact], ...]] = ()  # what stages after it can take
    resumable: ClassVar[bool] = False  # it goes on from what it left in `job.out`; others start in an empty folder

    @abstractmethod
    def run(self, job: Job) -> Mapping[str, float] | None:
        """Do the work: write every artifact of `makes` where `job.make` says.

        What it returns (on rank 0) are its headline numbers, such as {"loss": 2.1}: the manifest and a sweep's table keep them."""

    def ranks(self, parts: Parts) -> int | None:
        """How many processes run this stage together; None: it runs in the process that was started."""
        return None

    def problems(self, parts: Parts) -> list[str]:
        """What is wrong with this combination, one line each. Called before anything runs; imports nothing heavy."""
        return []

    def forecast(self, parts: Parts) -> dict[str, Any]:
        """What `modelwright plan` prints of this stage: label -> value. May import torch; runs nothing."""
        return {}


@dataclass(frozen=True, kw_only=True)
class Command(Component, ABC):
    """A word of the command line, such as `run` or `list`."""

    @abstractmethod
    def run(self, arguments: list[str]) -> int:
        """Do it with the words after the command's name, and return the exit code. Bad input: raise ModelwrightError."""
