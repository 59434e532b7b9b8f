"""Each optimizer's updates against its paper's algorithm, written out slowly in FP64, one parameter at a time."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from modelwright_plugins.optimizer.adafactor import Adafactor
from modelwright_plugins.optimizer.adam import Adam, AdamW
from modelwright_plugins.optimizer.lion import Lion
from modelwright_plugins.optimizer.sgd import SGD
from modelwright_plugins.optimizer.soap import SOAP
from modelwright_plugins.optimizer.sophia import Sophia

SHAPES = {"matrix": [(12, 7), (7, 12), (9, 9)], "embedding": [(11, 5)], "vector": [(8,)]}
STEPS, TARGETS = 8, 10


def adam(o: Adam | AdamW, w: Tensor, gradients: list[Tensor], decay: float) -> Iterator[Tensor]:
    """Kingma and Ba 2015, Algorithm 1; Loshchilov and Hutter 2019, Algorithm 2."""
    m, v = torch.zeros_like(w), torch.zeros_like(w)
    for t, g in enumerate(gradients, 1):
        g = g + decay * w if isinstance(o, Adam) else g
        m = o.betas[0] * m + (1 - o.betas[0]) * g
        v = o.betas[1] * v + (1 - o.betas[1]) * g * g
        update = (m / (1 - o.betas[0] ** t)) / (torch.sqrt(v / (1 - o.betas[1] ** t)) + o.epsilon)
        yield (w := w - o.lr * update - (o.lr * decay * w if isinstance(o, AdamW) else 0))


def sgd(o: SGD, w: Tensor, gradients: list[Tensor], decay: float) -> Iterator[Tensor]:
    """Sutskever et al. 2013, equations 1 to 4, with the rate taken out of the velocity."""
    velocity = torch.zeros_like(w)
    for g in gradients:
        g = g + decay * w
        velocity = o.momentum * velocity + g
        yield (w := w - o.lr * (g + o.momentum * velocity if o.nesterov else velocity))


def lion(o: Lion, w: Tensor, gradients: list[Tensor], decay: float) -> Iterator[Tensor]:
    """Chen et al. 2023, Algorithm 2."""
    m = torch.zeros_like(w)
    for g in gradients:
        update = torch.sign(o.betas[0] * m + (1 - o.betas[0]) * g)
        m = o.betas[1] * m + (1 - o.betas[1]) * g
        yield (w := w - o.lr * (update + decay * w))


def sophia(o: Sophia, w: Tensor, gradients: list[Tensor], decay: float) -> Iterator[Tensor]:
    """Liu et al. 2023, Algorithm 3; the estimate is Algorithm 2's, of the gradient that is given."""
    m, h = torch.zeros_like(w), torch.zeros_like(w)
    for t, g in enumerate(gradients, 1):
        m = o.betas[0] * m + (1 - o.betas[0]) * g
        if t % o.hessian_every == 1 % o.hessian_every:
            h = o.betas[1] * h + (1 - o.betas[1]) * TARGETS * g * g
        w = w - o.lr * decay * w
        yield (w := w - o.lr * torch.clamp(m / torch.maximum(o.gamma * h, torch.tensor(o.epsilon)), -1, 1))


def adafactor(o: Adafactor, w: Tensor, gradients: list[Tensor], decay: float) -> Iterator[Tensor]:
    """Shazeer and Stern 2018, Algorithms 4 and 5, with sums as they are there."""
    if w.dim() == 1:
        v = torch.zeros_like(w)
    else:
        r, c = torch.zeros(w.shape[0]).double(), torch.zeros(w.shape[1]).double()
    for t, g in enumerate(gradients, 1):
        beta = 1 - t**-o.decay
        squares = g * g + o.epsilon
        if w.dim() == 1:
            v = beta * v + (1 - beta) * squares
        else:
            r = beta * r + (1 - beta) * squares.sum(1)
            c = beta * c + (1 - beta) * squares.sum(0)
            v = torch.outer(r, c) / r.sum()
        u = g / v.sqrt()
        u = u / max(1.0, math.sqrt((u * u).mean()) / o.clip)
        alpha = o.lr * (max(o.least_scale, math.sqrt((w * w).mean())) if o.relative else 1)
        yield (w := w - o.lr * decay * w - alpha * u)


def soap(o: SOAP, w: Tensor, gradients: list[Tensor], decay: float) -> Iterator[Tensor]:
    """Vyas et al. 2024, Algorithm 3 and 4, with the first step and the order of eigenvectors as in the authors' code."""
    m, v = torch.zeros_like(w), torch.zeros_like(w)
    sides = [side for side in (0, 1) if w.dim() == 2 and w.shape[side] <= o.max_dimension and (w.shape, side) != ((11, 5), 0)]
    means = {side: torch.zeros(w.shape[side], w.shape[side]).double() for side in sides}
    rotations: dict[int, Tensor] = {}
    for t, g in enumerate(gradients, 0 if sides else 1):
        if t > 0:
            left, right = rotations.get(0, torch.eye(len(w)).double()), rotations.get(1, torch.eye(w.shape[-1]).double())
            turned = (lambda x: left.T @ x @ right) if w.dim() == 2 else (lambda x: x)  # noqa: B023
            back = (lambda x: left @ x @ right.T) if w.dim() == 2 else (lambda x: x)  # noqa: B023
            m = o.betas[0] * m + (1 - o.betas[0]) * g
            v = o.betas[1] * v + (1 - o.betas[1]) * turned(g) ** 2
            n = turned(m) / (v.sqrt() + o.epsilon)
            w = w - o.lr * math.sqrt(1 - o.betas[1] ** t) / (1 - o.betas[0] ** t) * back(n)
            w = w - o.lr * decay * w
        for side in sides:
            outer = g @ g.T if side == 0 else g.T @ g
            means[side] = o.rotation_beta * means[side] + (1 - o.rotation_beta) * outer
            if t == 0:  # ties are broken by a millionth of the diagonal
                _, vectors = torch.linalg.eigh(means[side] + 1e-6 * torch.diag(means[side].diagonal()))
                rotations[side] = vectors[:, list(range(len(vectors)))[::-1]]
            elif t % o.rotate_every == 0:
                sizes = [float(vector @ means[side] @ vector) for vector in rotations[side].T]
                order = sorted(range(len(sizes)), key=lambda i: -sizes[i])
                rotations[side], _ = torch.linalg.qr((means[side] @ rotations[side])[:, order])
                v = v[order] if side == 0 else v[:, order]
        yield w


FORMULAS: dict[type, Any] = {Adam: adam, AdamW: adam, SGD: sgd, Lion: lion, Sophia: sophia, Adafactor: adafactor, SOAP: soap}
COMPONENTS = [
    Adam(),
    Adam(lr=0.03, betas=(0.5, 0.7), epsilon=1e-3, weight_decay=0.3),
    AdamW(),
    AdamW(lr=0.03, betas=(0.5, 0.7), epsilon=1e-3, weight_decay=0.3),
    SGD(),
    SGD(lr=0.02, momentum=0.7, nesterov=True, weight_decay=0.2),
    SGD(momentum=0.0),
    Lion(),
    Lion(lr=0.01, betas=(0.9, 0.99), weight_decay=0.1),
    Sophia(),
    Sophia(lr=0.01, betas=(0.9, 0.5), gamma=0.3, hessian_every=3, weight_decay=0.5),  # some are clipped, and some not
    Sophia(lr=0.01, hessian_every=1),
    Adafactor(),
    Adafactor(lr=0.02, relative=False, decay=0.5, clip=0.3, weight_decay=0.4),
    Adafactor(lr=0.05, least_scale=3.0),
    SOAP(),
    SOAP(rotate_every=3, betas=(0.8, 0.7), rotation_beta=0.6, epsilon=1e-3, weight_decay=0.2),
    SOAP(rotate_every=2, max_dimension=8),
]


def drawn() -> tuple[dict[str, list[Tensor]], list[dict[str, list[Tensor]]]]:
    generator = torch.Generator().manual_seed(0)
    draw = lambda: {role: [torch.randn(s, generator=generator) for s in shapes] for role, shapes in SHAPES.items()}  # noqa: E731
    return draw(), [draw() for _ in range(STEPS)]


def test_every_optimizer_is_here() -> None:
    from modelwright.hooks import discover

    built_in = {e.name for e in discover().registry.entries.values() if e.kind == "optimizer" and e.plugin == "builtin"}
    assert {type(c).__name__.lower() for c in COMPONENTS} | {"muon"} == built_in


@pytest.mark.parametrize("component", COMPONENTS, ids=repr)
def test_updates_are_the_papers(component: Any) -> None:
    weights, gradients = drawn()
    parameters = {role: [torch.nn.Parameter(w.clone()) for w in ws] for role, ws in weights.items()}
    optimizer = component.build([{"params": list(ps), "role": role} for role, ps in parameters.items()])
    for group in optimizer.param_groups:
        group["targets"] = TARGETS
    found: list[dict[str, list[Tensor]]] = []
    for step in gradients:
        for role, ps in parameters.items():
            for parameter, gradient in zip(ps, step[role], strict=True):
                parameter.grad = gradient.clone()
        optimizer.step()
        found.append({role: [p.detach().clone() for p in ps] for role, ps in parameters.items()})
    for role, ws in weights.items():
        for place, weight in enumerate(ws):
            decay = 0.0 if role == "vector" else component.weight_decay
            expected = FORMULAS[type(component)](component, weight.double(), [g[role][place].double() for g in gradients], decay)
            for step, (ours, papers) in enumerate(zip(found, expected, strict=True)):
                assert (ours[role][place] - papers).abs().max() < 1e-6, f"{role} {tuple(weight.shape)}, step {step + 1}"


@pytest.mark.parametrize("lr", [0.01, 0.05])
def test_adafactor_is_torchs_and_hugging_faces(lr: float) -> None:
    import transformers

    weights, gradients = drawn()
    ours, torchs, theirs = ([torch.nn.Parameter(w.clone()) for ws in weights.values() for w in ws] for _ in range(3))
    for optimizer, parameters in (
        (Adafactor(lr=lr).build([{"params": ours, "role": "matrix"}]), ours),
        (torch.optim.Adafactor(torchs, lr=lr), torchs),
        (transformers.Adafactor(theirs, lr=lr, relative_step=False, scale_parameter=True), theirs),
    ):
        for step in gradients:
            for parameter, gradient in zip(parameters, [g for gs in step.values() for g in gs], strict=True):
                parameter.grad = gradient.clone()
            optimizer.step()
    for a, b, c in zip(ours, torchs, theirs, strict=True):
        assert (a - b).abs().max() < 1e-6
        assert (a - c).abs().max() < 1e-6


@pytest.mark.parametrize("adafactor", [Adafactor(clip=0.5, relative=False), Adafactor(clip=100.0)], ids=repr)
def test_a_vocabularys_padding_does_not_count(adafactor: Adafactor) -> None:
    """Rows of zeros without gradients change nothing for the others. Of two errors with clipping and relative rates one hides the other."""
    generator = torch.Generator().manual_seed(0)
    weight, gradient = torch.randn(6, 4, generator=generator), torch.randn(6, 4, generator=generator)
    plain, padded = torch.nn.Parameter(weight.clone()), torch.nn.Parameter(torch.cat([weight, torch.zeros(3, 4)]))
    for parameter, grad in ((plain, gradient), (padded, torch.cat([gradient, torch.zeros(3, 4)]))):
        optimizer = adafactor.build([{"params": [parameter], "role": "embedding"}])
        for _ in range(3):
            parameter.grad = grad.clone()
            optimizer.step()
    assert torch.allclose(plain, padded[:6], rtol=1e-6, atol=0) and not padded[6:].any()


@pytest.mark.parametrize(
    ("kind", "settings", "said"),
    [
        (Adam, {"lr": -1.0}, "lr is -1.0; it is 0 or more"),
        (AdamW, {"betas": (0.9, 1.0)}, r"betas is \(0.9, 1.0\); it is from 0 up, and below 1"),
        (SGD, {"nesterov": True, "momentum": 0.0}, "nesterov is true and momentum is 0"),
        (Lion, {"weight_decay": float("nan")}, "weight_decay is nan"),
        (Sophia, {"hessian_every": 0}, "hessian_every is 0; it is 1 or more"),
        (Sophia, {"epsilon": 0.0}, "epsilon is 0.0; it is above 0"),
        (Adafactor, {"clip": 0.0}, "clip is 0.0; it is above 0"),
        (SOAP, {"rotate_every": 0}, "rotate_every is 0; it is 1 or more"),
    ],
)
def test_a_bad_setting_is_told(kind: type, settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        kind(**settings)
