"""What goes wrong in Megatron-Core 0.16.1 without an error: each remedy is taken away, and a layout has other gradients than one rank.

When a test fails because nothing went wrong, a new Megatron-Core has mended it, and the remedy can go.
"""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import layouts
import pytest
from layouts import EXPERTS, FEATURES, MODEL, Case, shards, worst
from ranks import on_ranks

from modelwright_plugins.conformance import ranks as of_conformance

pytestmark = pytest.mark.slow


def train(rank: int, remedy: str | None, cases: list[Case], data: str) -> Any:
    """As in `layouts`, without a remedy. Each call has processes of its own, so nothing needs to be put back."""
    if remedy is not None:
        {"messages": _messages, "finalize": _finalize, "three values": _three_values, "router": _router}[remedy]()
    return layouts.train(rank, cases, data)


def _messages() -> None:
    """Megatron's own defaults for messages between pipeline ranks."""
    from modelwright_plugins.parallel.megatron import Megatron

    settings = Megatron.settings
    Megatron.settings = lambda self: settings(self) | {"overlap_p2p_comm": False, "batch_p2p_comm": True}  # type: ignore[method-assign]


def _finalize() -> None:
    """Nothing happens to gradients after the last micro-batch. (They aren't divided by the tokens either, which Adam does not notice.)"""
    from modelwright_plugins.engine import model

    model.finalize_model_grads = None


def _three_values() -> None:
    """The loss is a mean, and how many tokens it is of is not told."""
    import torch

    from modelwright_plugins.architecture.decoder import CausalDecoder
    from modelwright_plugins.engine.loop import Trainer

    config, forward = CausalDecoder.transformer_config, Trainer._forward

    def mean(self: Any, data: Any, model: torch.nn.Module) -> Any:
        output, loss = forward(self, data, model)

        def two(output: torch.Tensor) -> Any:
            total, count, told = loss(output)
            return total / count, told

        return output, two

    Trainer._forward = mean  # type: ignore[method-assign]
    CausalDecoder.transformer_config = lambda self, **engine: config(self, **{**engine, "calculate_per_token_loss": False})  # type: ignore[method-assign]


def _router() -> None:
    """Megatron's own weights of auxiliary losses."""
    from megatron.core.transformer.moe.router import TopKRouter

    from modelwright_plugins.engine.router import Router

    for name in ("attach_and_log_load_balancing_loss", "apply_z_loss"):
        setattr(Router, name, getattr(TopKRouter, name))


@pytest.fixture
def both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """(case, remedy) -> metrics of one rank and of the case, without the remedy."""
    monkeypatch.setattr(of_conformance, "PATIENCE", 200)

    def found(case: Case, remedy: str | None) -> tuple[list[dict[str, float]], list[dict[str, float]]]:
        cases = [replace(case, layout={}), case]
        data = str(shards(tmp_path / "shards"))
        one, other = on_ranks(train, case.ranks, tmp_path / f"out {remedy}", groups=2, remedy=remedy, cases=cases, data=data)[0]
        return one, other

    return found


@pytest.mark.parametrize(
    ("feature", "remedy"),
    [
        ("interleaved", "messages"),
        ("sequence", "finalize"),  # the gradients of norms are those of a part of the sequence
        ("context", "router"),
        ("pipeline", "finalize"),  # the first and the last rank have each their own gradient of the tied embedding
    ],
)
def test_a_layout_needs_its_remedy(feature: str, remedy: str, both: Any) -> None:
    case = Case(FEATURES[feature], MODEL | (EXPERTS if remedy == "router" else {}))
    assert worst(*both(case, None), "grad_norm") < 5e-5
    try:
        without = worst(*both(case, remedy), "grad_norm")
    except RuntimeError as error:  # of gradients without bound
        assert "the loss is" in str(error), error
        without = math.inf
    assert without > 1e-3  # losses differ less: Adam hides it


def test_context_ranks_double_a_loss_of_two_values(both: Any) -> None:
    one, other = both(Case(FEATURES["context"], MODEL), None)
    assert other[0]["grad_norm"] == pytest.approx(one[0]["grad_norm"], rel=1e-5)
    one, other = both(Case(FEATURES["context"], MODEL), "three values")
    assert other[0]["grad_norm"] == pytest.approx(2 * one[0]["grad_norm"], rel=1e-5)
