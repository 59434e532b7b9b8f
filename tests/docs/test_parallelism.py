"""The tables of docs/parallelism.md are those of what the tests recorded."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parents[2] / "docs"


def generator() -> Any:
    spec = importlib.util.spec_from_file_location("parallelism", DOCS / "parallelism.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_what_was_recorded() -> None:
    written = (DOCS / "parallelism.md").read_text(encoding="utf-8")
    assert written == generator().page(), "python docs/parallelism.py writes it anew"


def test_a_table_by_hand() -> None:
    told = {
        "features": {"tensor": {"tensor": 2}, "sequence": {"tensor": 2, "sequence": True}, "full": {"recompute": "full"}},
        "found": [
            {"features": ["tensor"], "layout": {"tensor": 2}, "ranks": 2, "loss": 1e-8, "grad_norm": 2e-7},
            {"features": ["tensor", "full"], "layout": {}, "ranks": 2, "loss": 3e-6, "grad_norm": 2e-7},
            {"features": ["sequence"], "layout": {}, "ranks": 2, "loss": 0.0, "grad_norm": 0.0},
            {"features": ["full"], "layout": {}, "ranks": 1, "loss": 1e-8, "grad_norm": 1e-8},
            {"features": ["eight"], "layout": {"tensor": 8, "recompute": "full"}, "ranks": 8, "loss": 1e-8, "grad_norm": 1e-8},
        ],
        "not": [{"features": ["tensor", "sequence"], "why": "sequence has it in it"}, {"features": ["sequence", "full"], "why": "because"}],
        "versions": {"torch": "2"}, "model": {"layers": 4}, "experts": {}, "steps": 20, "global_batch": 16, "sequence_length": 32,
    }  # fmt: skip
    lines = generator().tables(told).splitlines()
    assert lines[2:7] == [
        "| **tensor** | 2e-07 |  |  |",
        "| **sequence** | in it | 0e+00 |  |",
        "| **full** | 3e-06 | no (1) | 1e-08 |",
        "",
        "1. because",
    ]
    assert "| sequence | `parallel.tensor=2` `parallel.sequence=true` |" in lines
    assert "| `parallel.tensor=8` `parallel.recompute=full` | 8 | 1e-08 | 1e-08 |" in lines
