"""The page of a pipeline."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any


def write_page(folder: Path, record: Mapping[str, Any]) -> None:
    """Write the pipeline's page."""
