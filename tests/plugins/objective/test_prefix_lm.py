"""Prefix LM: what is seen and told by hand, places of the split by statistics, nothing of the text lost."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from denoised import END, passage

from modelwright_plugins.architecture.decoder import CausalDecoder
from modelwright_plugins.architecture.prefix import PrefixDecoder
from modelwright_plugins.objective.prefix_lm import PrefixLM


def example(text: Any, seed: int = 0) -> dict[str, Any]:
    return PrefixLM().example(passage(PrefixLM(), text, len(text) - 1, seed))


def test_a_document_is_split_once_and_the_rest_is_told() -> None:
    text = np.arange(1, 12)
    found = example(text)
    prefix = int(found["attention_mask"][0, 1])
    assert 1 <= prefix <= 10
    assert found["attention_mask"].tolist() == [[0, prefix]] * prefix + [[0, place + 1] for place in range(prefix, 10)]
    assert found["labels"].tolist() == [-1] * (prefix - 1) + list(range(prefix + 1, 12))
    assert found["input_ids"].tolist() == list(range(1, 11)) and found["position_ids"].tolist() == list(range(10))


def test_documents_have_splits_of_their_own() -> None:
    text = np.array([3, 4, 5, END, 6, 7, 8, 9, END, 2, 2])
    for seed in range(50):
        found = example(text, seed)
        for begin, end in ((0, 3), (3, 8), (8, 10)):
            visible, labels = found["attention_mask"][begin:end], found["labels"][begin:end]
            prefix = visible[0, 1]
            assert begin < prefix <= end and (visible[:, 0] == begin).all()
            place = np.arange(begin, end)
            assert (visible[:, 1] == np.maximum(place + 1, prefix)).all()
            assert (labels == np.where(place >= prefix - 1, text[begin + 1 : end + 1], -1)).all()
            assert found["position_ids"][begin:end].tolist() == list(range(end - begin))


def test_every_place_of_the_split_is_as_likely() -> None:
    counts = np.bincount([example(np.arange(1, 10), seed)["attention_mask"][0, 1] for seed in range(4000)], minlength=9)
    assert counts[0] == 0 and ((counts[1:] - 500) ** 2 / 500).sum() < 24.3  # chi-squared, 7 degrees of freedom, p = 0.001


def test_a_causal_model_is_refused() -> None:
    assert PrefixLM().problems(PrefixDecoder()) == []
    assert "trains prefix_decoder, and architecture CausalDecoder is of the family decoder" in PrefixLM().problems(CausalDecoder())[0]


def test_a_prefix_decoder_says_what_it_has_not() -> None:
    with pytest.raises(ValueError, match="window is 4; a prefix decoder sees all of its prefix"):
        PrefixDecoder(window=4)
