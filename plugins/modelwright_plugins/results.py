"""The numbers that a run's stages returned, as its manifest has them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def headline(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """The numbers that the stages of a run returned, as `stage.name`."""
    results = ((stage, record.get("results", {})) for stage, record in manifest["stages"].items())
    return {f"{stage}.{name}": value for stage, found in results for name, value in found.items() if isinstance(value, int | float)}


def returned(manifests: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, list[Any]]]:
    """Each number that one of several runs returned, and what it is in each of them, in their order; None: it is not there."""
    numbers = [headline(manifest) for manifest in manifests.values()]
    return [(key, [found.get(key) for found in numbers]) for key in dict.fromkeys(key for found in numbers for key in found)]


def python(manifest: Mapping[str, Any]) -> list[str]:
    """Lines of Python in which transformers asks the model that a run has exported; none where it has exported none."""
    return next((lines for record in manifest["stages"].values() if (lines := record.get("results", {}).get("python"))), [])
