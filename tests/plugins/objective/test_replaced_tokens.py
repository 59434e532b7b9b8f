"""Replaced-token detection: its form, and the loss by the paper's formula."""

from __future__ import annotations

import numpy as np
import torch
from denoised import WORDS, passage

from modelwright_plugins.architecture.electra import Electra
from modelwright_plugins.architecture.encoder import Encoder
from modelwright_plugins.objective.replaced_tokens import ReplacedTokenDetection

LENGTH = 64
OBJECTIVE = ReplacedTokenDetection()


def rows(count: int) -> dict[str, torch.Tensor]:
    texts = np.random.default_rng(5).integers(1, WORDS, (count, LENGTH))
    found = [OBJECTIVE.example(passage(OBJECTIVE, text, LENGTH, seed)) for seed, text in enumerate(texts)]
    for text, each in zip(texts, found, strict=True):
        assert (each["labels"][:, 1] == text).all()
    return {name: torch.from_numpy(np.stack([each[name] for each in found])) for name in found[0]}


def test_masks_stand_for_most_targets_and_the_rest_is_the_text() -> None:
    inputs = rows(300)
    told, text = inputs["labels"].unbind(-1)
    targets = told >= 0
    assert (targets.sum(1) == 10).all() and (told[targets] == text[targets]).all()  # round(0.15 x 64)
    masked = inputs["input_ids"] == WORDS
    assert (torch.where(masked, text, inputs["input_ids"]) == text).all() and not masked[~targets].any()
    assert abs(masked.sum() - 0.85 * 3000) < 4 * (0.85 * 0.15 * 3000) ** 0.5
    chance = inputs["chance"].flatten()
    assert chance.min() >= 0 and chance.max() < 1 and abs(chance.mean() - 0.5) < 4 * (1 / 12 / len(chance)) ** 0.5


def test_the_loss_is_the_generators_mean_and_fifty_times_the_discriminators() -> None:
    inputs = rows(6)
    output = torch.rand(6, LENGTH, 2, generator=torch.Generator().manual_seed(0))
    targets = inputs["labels"][..., 0] >= 0
    expected = output[..., 0][targets].mean() + 50 * output[..., 1].mean()
    total, count = OBJECTIVE.loss(output, inputs)
    assert torch.isclose(total / count, expected, rtol=1e-5)
    parts = [OBJECTIVE.loss(output[i : i + 2], {name: value[i : i + 2] for name, value in inputs.items()}) for i in (0, 2, 4)]
    assert torch.isclose(sum(part[0] for part in parts) / sum(part[1] for part in parts), total / count)


def test_it_trains_electra_alone() -> None:
    assert OBJECTIVE.problems(Electra()) == []
    assert "trains electra, and architecture Encoder is of the family encoder" in OBJECTIVE.problems(Encoder())[0]
