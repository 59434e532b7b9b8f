"""A folder of Hugging Face's: what its config.json says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from modelwright.errors import ModelwrightError
from modelwright_plugins.architecture import Architecture
from modelwright_plugins.architecture.hugging_face._config import as_named, component_of
from modelwright_plugins.architecture.hugging_face._table import Family

CONFIG = "config.json"


def is_folder(folder: Path) -> bool:
    """Whether it is a model of Hugging Face's, and no checkpoint of ours."""
    return (folder / CONFIG).is_file() and not (folder / "model.json").is_file()


def read_folder(folder: Path) -> tuple[dict[str, Any], Family, Architecture]:
    """Its config.json, and what of ours computes the same. ModelwrightError: it is none, or of an architecture that ours are not."""
    file = folder / CONFIG
    try:
        config = dict(json.loads(file.read_text(encoding="utf-8")))
    except FileNotFoundError as e:
        raise ModelwrightError(f"{folder} has no {CONFIG}; a folder of a Hugging Face model has one") from e
    except (OSError, ValueError, TypeError) as e:
        raise ModelwrightError(f"{file} is no config of Hugging Face's ({type(e).__name__})") from e
    try:
        family, architecture = component_of(config)
    except ModelwrightError as e:
        raise ModelwrightError(f"{file}: {e}") from e
    if type(config.get("vocab_size")) is not int or config["vocab_size"] < 1:
        raise ModelwrightError(f"{file}: vocab_size is {config.get('vocab_size')!s:.40}; it is a number from 1 up")
    return as_named(config), family, architecture


def stamp(folder: Path) -> str:
    """Which weights are there, as a component's fingerprint tells it: names, sizes and times of its files."""
    files = sorted(file for file in folder.glob("*") if file.is_file())
    return " ".join(f"{file.name} {file.stat().st_size} {file.stat().st_mtime_ns}" for file in files)
