"""Each optimizer trains a small model: the loss falls by a margin that is stated here."""

from __future__ import annotations

from pathlib import Path

import pytest

from modelwright_plugins.conformance.training import Case, losses
from modelwright_plugins.optimizer import Optimizer
from modelwright_plugins.optimizer.adafactor import Adafactor
from modelwright_plugins.optimizer.adam import Adam, AdamW
from modelwright_plugins.optimizer.lion import Lion
from modelwright_plugins.optimizer.muon import Muon
from modelwright_plugins.optimizer.sgd import SGD
from modelwright_plugins.optimizer.soap import SOAP
from modelwright_plugins.optimizer.sophia import Sophia

STEPS = 50
BATCH_TOKENS = 8 * 32
# nats a token by which the mean loss of the last 10 of 50 steps is below the first, of about 5.38; the rates suit so small a model
MARGINS: list[tuple[Optimizer, float]] = [
    (Adam(lr=3e-3), 2.0),
    (AdamW(lr=3e-3), 2.0),
    (SGD(lr=0.1, nesterov=True), 2.5),
    (Adafactor(lr=0.1), 3.0),
    (Lion(lr=1e-3), 1.0),
    (Muon(), 2.0),
    (SOAP(), 1.8),
    (Sophia(lr=3e-3), 2.5),
]


@pytest.mark.slow
def test_each_lowers_the_loss_by_its_margin(tmp_path: Path) -> None:
    found = losses([Case(parts={"optimizer": optimizer}, steps=STEPS) for optimizer, _ in MARGINS], tmp_path, ranks=1)
    fell = {type(o).__name__: each[0] - sum(each[-10:]) / 10 for (o, _), each in zip(MARGINS, found, strict=True)}
    assert all(fell[type(optimizer).__name__] > margin for optimizer, margin in MARGINS), fell
