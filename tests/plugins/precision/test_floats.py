"""Settings of FP16 that can't be."""

from __future__ import annotations

from typing import Any

import pytest

from modelwright_plugins.precision.floats import FP16


@pytest.mark.parametrize(
    "wrong",
    [
        {"growth_interval": 0}, {"hysteresis": 0}, {"min_scale": 0.0}, {"min_scale": 2048.0}, {"growth": 1.0},
        {"backoff": 1.0}, {"backoff": 0.0},
    ],
    ids=str,
)  # fmt: skip
def test_wrong_settings_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(wrong))} is {next(iter(wrong.values()))}"):
        FP16(**wrong)
