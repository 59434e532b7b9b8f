"""The public API: all that a plugin may import of the core. Beside it: the kinds' interfaces (`modelwright_plugins.<kind>`), their
artifacts (`modelwright_plugins.artifacts`) and `modelwright.testing`. docs/plugins.md says what is promised."""

from modelwright.component import Artifact, Command, Component, Job, Parts, RunSettings, Settings, Stage
from modelwright.errors import ModelwrightError, Pruned, RankFailure, nearest
from modelwright.hooks import API, hookimpl
from modelwright.registry import Registry

__all__ = [
    "API", "Artifact", "Command", "Component", "Job", "ModelwrightError", "Parts", "Pruned", "RankFailure", "Registry", "RunSettings",
    "Settings", "Stage", "hookimpl", "nearest",
]  # fmt: skip
