"""Muon against its published formula in FP64, torch's own Muon, and torch's AdamW."""

from __future__ import annotations

import math

import pytest
import torch

from modelwright_plugins.optimizer._muon import orthogonalised
from modelwright_plugins.optimizer.adam import AdamW
from modelwright_plugins.optimizer.muon import Muon

SHAPES = [(12, 7), (7, 12), (9, 9)]


def formula(weights: list[torch.Tensor], gradients: list[list[torch.Tensor]], muon: Muon) -> list[torch.Tensor]:
    """Jordan et al. 2024, written out slowly in FP64."""
    a, b, c = 3.4445, -4.7750, 2.0315
    found = []
    for place, weight in enumerate(weights):
        w, m = weight.double(), torch.zeros_like(weight).double()
        for step in gradients:
            g = step[place].double()
            m = muon.momentum * m + (1 - muon.momentum) * g
            x = muon.momentum * m + (1 - muon.momentum) * g if muon.nesterov else m
            rows, columns = x.shape
            x = x / math.sqrt((x**2).sum())
            for _ in range(muon.ns_steps):
                if rows > columns:
                    gram = x.T @ x
                    x = a * x + x @ (b * gram + c * gram @ gram)
                else:
                    gram = x @ x.T
                    x = a * x + (b * gram + c * gram @ gram) @ x
            scale = math.sqrt(max(1, rows / columns)) if muon.scale == "shape" else 0.2 * math.sqrt(max(rows, columns))
            w = w - muon.lr * muon.weight_decay * w - muon.lr * scale * x
        found.append(w)
    return found


def drawn() -> tuple[list[torch.Tensor], list[list[torch.Tensor]]]:
    generator = torch.Generator().manual_seed(0)
    draw = lambda: [torch.randn(shape, generator=generator) for shape in SHAPES]  # noqa: E731
    return draw(), [draw() for _ in range(4)]


def stepped(optimizer: torch.optim.Optimizer, parameters: list[torch.nn.Parameter], gradients: list[list[torch.Tensor]]) -> None:
    for step in gradients:
        for parameter, gradient in zip(parameters, step, strict=True):
            parameter.grad = gradient.clone()
        optimizer.step()


@pytest.mark.parametrize(
    "muon", [Muon(), Muon(nesterov=False, weight_decay=0.1), Muon(scale="match_rms_adamw", momentum=0.8, ns_steps=3, lr=0.1)], ids=repr
)
def test_matrices_follow_the_formula(muon: Muon) -> None:
    weights, gradients = drawn()
    parameters = [torch.nn.Parameter(w.clone()) for w in weights]
    stepped(muon.build([{"params": parameters, "role": "matrix"}]), parameters, gradients)
    for parameter, expected in zip(parameters, formula(weights, gradients, muon), strict=True):
        assert (parameter - expected).abs().max() < 1e-6


def test_matrices_follow_torch_in_bfloat16() -> None:
    weights, gradients = drawn()
    ours, theirs = ([torch.nn.Parameter(w.clone()) for w in weights] for _ in range(2))
    stepped(Muon(lr=0.1).build([{"params": ours, "role": "matrix"}]), ours, gradients)
    stepped(torch.optim.Muon(theirs, lr=0.1, weight_decay=0.0, momentum=0.95, nesterov=True), theirs, gradients)
    for a, b, start in zip(ours, theirs, weights, strict=True):
        assert (a - b).norm() < 0.03 * (a - start).norm()  # torch iterates in bfloat16


def test_the_rest_follows_adamw() -> None:
    weights, gradients = drawn()
    muon = Muon(adamw_lr=0.01, adamw_betas=(0.8, 0.9), weight_decay=0.2)
    ours, theirs = ([torch.nn.Parameter(w.clone()) for w in weights] for _ in range(2))
    stepped(muon.build([{"params": ours[:2], "role": "embedding"}, {"params": ours[2:], "role": "vector"}]), ours, gradients)
    groups = [{"params": theirs[:2], "weight_decay": 0.2}, {"params": theirs[2:], "weight_decay": 0.0}]
    stepped(torch.optim.AdamW(groups, lr=0.01, betas=(0.8, 0.9), eps=1e-8, foreach=False), theirs, gradients)
    for a, b in zip(ours, theirs, strict=True):
        assert (a - b).abs().max() < 1e-6


def test_orthogonalised_matrices_have_singular_values_near_one() -> None:
    values = torch.linalg.svdvals(orthogonalised(torch.randn(64, 32, generator=torch.Generator().manual_seed(1)), 5))
    assert values.min() > 0.6 and values.max() < 1.3


def test_adamw_component_sets_groups() -> None:
    groups = [{"params": [torch.nn.Parameter(torch.ones(2, 2))], "role": "matrix"}, {"params": [], "role": "vector"}]
    built = AdamW(lr=0.5, weight_decay=0.3).build(groups)
    assert [(g["lr"], g["weight_decay"], g["role"]) for g in built.param_groups] == [(0.5, 0.3, "matrix"), (0.5, 0.0, "vector")]
