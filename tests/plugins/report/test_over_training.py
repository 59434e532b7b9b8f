"""Scores of checkpoints on the page: each number, the best of a row, a figure that says what it shows."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from example import evaluation, findings

from modelwright_plugins.report.over_training import figures, rows
from modelwright_plugins.report.page import page


def score(name: str, value: float, better: str = "higher") -> dict[str, Any]:
    return {"evaluator": "judge", "name": name, "value": value, "low": value - 0.1, "high": value + 0.2, "count": 1500, "better": better}


CHECKPOINTS = [
    {"step": 100, "scores": [score("loss", 3.25, "lower"), score("elo/a", 990.5)]},
    {"step": 1200, "scores": [score("elo/a", 1011.25), score("new", 1), score("loss", 3.5, "lower")]},
]


def test_rows_and_figures() -> None:
    elo, new, loss = rows(CHECKPOINTS)
    assert [row["name"] for row in (elo, new, loss)] == ["judge/elo/a", "judge/new", "judge/loss"]
    assert loss["cells"] == [
        {"value": "3.25", "low": "3.15", "high": "3.45", "best": True},
        {"value": "3.5", "low": "3.4", "high": "3.7", "best": False},
    ]
    assert new["cells"][0] is None and not new["cells"][1]["best"] and elo["cells"][1]["best"] and elo["count"] == "1,500"
    (first, second) = figures(CHECKPOINTS)
    assert (first[:2], second[:2]) == (("judge/elo/a", "higher is better"), ("judge/loss", "lower is better"))
    assert "over 2 checkpoints: 3.25 (3.15 to 3.45) at step 100, 3.5 (3.4 to 3.7) at step 1,200." in second[2]
    assert figures(CHECKPOINTS[:1]) == []


def test_the_page_has_them() -> None:
    text = page(findings(evaluation=evaluation() | {"checkpoints": CHECKPOINTS}))
    (table,) = re.findall(r'aria-label="Scores of each checkpoint">(.*?)</table>', text, re.DOTALL)
    assert "Step 1,200" in table and "<td>–</td>" in table
    assert '<td><b>3.25</b><br><span class="small muted">3.15 to 3.45</span></td><td>3.5<br>' in table
    assert text.count("<h2>Over training</h2>") == 1 and text.count("over 2 checkpoints: ") == 2
    assert "Over training" not in page(findings())
    assert "Over training" not in page(findings(evaluation=evaluation() | {"checkpoints": [{"step": 1, "scores": []}]}))
