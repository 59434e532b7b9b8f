"""muP (Yang et al. 2022, arXiv:2203.03466, table 8, with Adam): a matrix's rate falls as the width grows, the others' stay."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "engine"))
from ranks import joined, on_ranks


def rates(rank: int, widths: list[int | None]) -> list[dict[str, float]]:
    """The peak rate of each role at width 64, by the width at which rates were found; of Muon last."""
    from modelwright_plugins.conformance.training import Case, _trainer, built_in, small_decoder
    from modelwright_plugins.engine.start import started
    from modelwright_plugins.optimizer.adam import AdamW
    from modelwright_plugins.optimizer.muon import Muon

    parts, found = built_in(), []
    joined(rank, 1)
    with started(parts["parallel"], seed=1):
        for width, optimizer in [*((width, AdamW(lr=0.01)) for width in widths), (16, Muon(lr=0.01))]:
            own: dict[str, Any] = {**parts, "architecture": small_decoder(width=64, mup_width=width), "optimizer": optimizer}
            groups = _trainer(own, Case({}, steps=1)).optimizer.param_groups
            found.append({group["role"]: group["peak_lr"] for group in groups})
    return found


def test_only_matrices_of_an_elementwise_optimizer_are_scaled(tmp_path: Path) -> None:
    plain, same, wider, muon = on_ranks(rates, 1, tmp_path, widths=[None, 64, 16])[0]
    assert plain == same == {"matrix": 0.01, "embedding": 0.01, "vector": 0.01}
    assert wider == {"matrix": pytest.approx(0.01 * 16 / 64), "embedding": 0.01, "vector": 0.01}
    assert muon["matrix"] == 0.01
