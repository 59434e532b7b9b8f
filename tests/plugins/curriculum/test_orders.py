"""Orders of documents by a number, and documents that have none."""

from __future__ import annotations

import math
from typing import Any

import pytest

from modelwright.errors import ModelwrightError
from modelwright_plugins.curriculum.orders import Shuffled, Sorted


def document(**about: Any) -> dict[str, Any]:
    return {"text": "x", "id": "web/7", "metadata": {"group": "g", **about}}


def test_scores() -> None:
    assert Shuffled().score(document(), 5) == Shuffled().score(document(), 9) and Shuffled().within() is None
    assert Sorted().score(document(), 5) < Sorted().score(document(), 6) and Sorted(window=7).within() == 7
    assert Sorted(descending=True).score(document(), 5) > Sorted(descending=True).score(document(), 6)
    low, high = document(perplexity=3), document(perplexity=30.5)
    assert Sorted(by="perplexity").score(low, 9) < Sorted(by="perplexity").score(high, 1)
    assert Sorted(by="perplexity", descending=True).score(low, 9) > Sorted(by="perplexity", descending=True).score(high, 1)


@pytest.mark.parametrize(
    ("by", "about", "said"),
    [
        ("perplexty", {"perplexity": 3.0}, "document 'web/7': curriculum.by=perplexty is not in its metadata; did you mean 'perplexity'?"),
        ("quality", {"quality": "good"}, "curriculum.by=quality is 'good', not a number; there are: length"),
        ("quality", {"quality": True}, "is True, not a number"),
        ("quality", {"quality": math.nan}, "is nan, not a number"),
        ("lenght", {}, "did you mean 'length'?"),
    ],
)
def test_a_document_without_the_number_is_named(by: str, about: dict[str, Any], said: str) -> None:
    with pytest.raises(ModelwrightError) as caught:
        Sorted(by=by).score(document(**about), 1)
    assert said in str(caught.value)


def test_settings_that_are_none() -> None:
    for given, said in (({"window": 0}, "window is 0"), ({"by": ""}, "by is empty")):
        with pytest.raises(ValueError, match=said):
            Sorted(**given)  # type: ignore[arg-type]
