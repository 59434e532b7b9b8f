"""A mixture of experts is aligned by the aligner's loss alone: its routers' losses, which are weighted by tokens, are left out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import aligned
import pytest
from aligned import Case

from modelwright_plugins.aligner.dpo import DPO
from modelwright_plugins.conformance.ranks import on_ranks

EXPERTS: dict[str, Any] = {"layers": 2, "experts": 4, "experts_per_token": 2, "expert_feed_forward": 32, "aux_loss": 0.01, "z_loss": 0.01}


def test_the_routers_losses_are_left_out_of_what_has_them() -> None:
    from modelwright_plugins.architecture.decoder import CausalDecoder
    from modelwright_plugins.architecture.mamba import Mamba
    from modelwright_plugins.stage._align import _without_router_losses

    plain = {**EXPERTS, "aux_loss": 0.0, "z_loss": 0.0}
    assert _without_router_losses(CausalDecoder(**EXPERTS)) == CausalDecoder(**plain)
    assert _without_router_losses(Mamba()) == Mamba()


@pytest.mark.slow  # 10 s
def test_the_gradient_does_not_depend_on_what_fills_rows(tmp_path: Path) -> None:
    cases = [Case(DPO(), "preference", model=EXPERTS, stage={"sequence_length": length, "steps": 2}) for length in (32, 64)]
    short, long = on_ranks(aligned.train, 1, tmp_path, groups=aligned.groups(cases), cases=cases, where=str(tmp_path))[0]
    assert [step["grad_norm"] for step in short] == pytest.approx([step["grad_norm"] for step in long], rel=1e-4)
    card = (tmp_path / "out0" / "checkpoint" / "model.json").read_text()
    assert '"aux_loss": 0.01' in card and '"z_loss": 0.01' in card  # the card is still the base's
