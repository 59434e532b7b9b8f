"""AdEMAMix against the paper's formula in FP64, and in trainings: layouts, kills, resuming."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from modelwright_ademamix.ademamix import AdEMAMix

from modelwright.testing import assert_conforms

STEPS = 24


def formula(weight: torch.Tensor, gradients: list[torch.Tensor], a: AdEMAMix, decay: float) -> torch.Tensor:
    """Algorithm 1, line by line, with every mean as the sum that it stands for."""
    b1, b2, b3 = a.betas
    w, seen, rates = weight.double(), [], []
    for t, gradient in enumerate(gradients, 1):
        seen.append(gradient.double())
        ramp = min(t / a.ramp_steps, 1) if a.ramp_steps else 1
        half_life = (1 - ramp) / math.log(b1) + ramp / math.log(b3) if ramp < 1 else 1 / math.log(b3)
        rates.append(min(math.exp(1 / half_life), b3))
        m1 = sum((1 - b1) * b1 ** (t - 1 - i) * g for i, g in enumerate(seen))
        v = sum((1 - b2) * b2 ** (t - 1 - i) * g**2 for i, g in enumerate(seen))
        m2 = sum((1 - rates[i]) * math.prod(rates[i + 1 :]) * g for i, g in enumerate(seen))
        update = (m1 / (1 - b1**t) + a.alpha * ramp * m2) / ((v / (1 - b2**t)).sqrt() + a.epsilon) + decay * w
        w = w - a.lr * update
    return w


@pytest.mark.parametrize(
    "component",
    [
        AdEMAMix(lr=0.01, ramp_steps=10),
        AdEMAMix(lr=0.05, alpha=8.0, weight_decay=0.3, betas=(0.8, 0.95, 0.999)),
        AdEMAMix(lr=0.02, betas=(0.9, 0.99, 0.9), ramp_steps=5, epsilon=1e-3),  # both means are as fast
    ],
    ids=repr,
)
@pytest.mark.parametrize("role", ["matrix", "vector"])
def test_the_update_is_the_formula(component: AdEMAMix, role: str) -> None:
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(7, 5, generator=generator)
    gradients = [torch.randn(7, 5, generator=generator) for _ in range(20)]
    parameter = torch.nn.Parameter(weight.clone())
    optimizer = component.build([{"params": [parameter], "role": role}, {"params": [], "role": "embedding"}])
    for gradient in gradients:
        parameter.grad = gradient.clone()
        optimizer.step()
    expected = formula(weight, gradients, component, component.weight_decay if role == "matrix" else 0.0)
    assert (parameter - expected).abs().max() < 2e-6
    assert (parameter - weight).abs().max() > 0.05


def test_without_the_slow_mean_it_is_adamw() -> None:
    generator = torch.Generator().manual_seed(1)
    weight = torch.randn(6, generator=generator)
    ours, theirs = (torch.nn.Parameter(weight.clone()) for _ in range(2))
    component = AdEMAMix(lr=0.01, alpha=0.0, weight_decay=0.2)
    optimizers = [
        component.build([{"params": [ours], "role": "matrix"}]),
        torch.optim.AdamW([theirs], lr=0.01, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.2),
    ]
    for _ in range(10):
        gradient = torch.randn(6, generator=generator)
        for parameter, optimizer in zip((ours, theirs), optimizers, strict=True):
            parameter.grad = gradient.clone()
            optimizer.step()
    assert (ours - theirs).abs().max() < 1e-6


def test_the_schedules_begin_and_end_as_the_paper_says() -> None:
    from modelwright_ademamix._torch import slow_decay, slow_weight

    assert slow_decay(0, 0.9, 0.9999, 100) == pytest.approx(0.9) and slow_weight(0, 8.0, 100) == 0
    assert slow_decay(100, 0.9, 0.9999, 100) == 0.9999 and slow_weight(250, 8.0, 100) == 8.0
    half_lives = [math.log(0.5) / math.log(slow_decay(t, 0.9, 0.9999, 100)) for t in (20, 40, 60)]
    assert half_lives[1] - half_lives[0] == pytest.approx(half_lives[2] - half_lives[1])  # linear in the half-life
    assert slow_decay(3, 0.9, 0.9999, None) == 0.9999 and slow_weight(3, 8.0, None) == 8.0


@pytest.mark.parametrize(
    "wrong", [{"betas": (0.9, 0.999, 1.0)}, {"betas": (0.9, 0.999, 0.5)}, {"lr": -1.0}, {"alpha": -0.1}, {"ramp_steps": 0}], ids=str
)
def test_wrong_settings_are_refused(wrong: dict) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        AdEMAMix(**wrong)


@pytest.mark.slow
@pytest.mark.parametrize("parameters", [{}, {"ramp_steps": 20}], ids=str)
def test_it_conforms(parameters: dict) -> None:
    assert_conforms("optimizer/ademamix", **parameters)


def command(folder: Path, *words: str) -> tuple[list[str], dict[str, str]]:
    """A training of seconds on a few modules of the Python library."""
    settings = [
        "recipe=pretrain/quickstart", "stages=[curate,train_tokenizer,tokenize,train]", "source=text", f"source.paths=[{folder / 'text'}]",
        "filter=[]", "deduper=[exact]", "curate.min_bytes=1", "tokenizer.vocab_size=400", "architecture.layers=2", "architecture.width=32",
        "architecture.heads=2", "optimizer=ademamix", "optimizer.ramp_steps=8", "optimizer.lr=3e-3", "schedule=constant",
        f"train.steps={STEPS}", "train.sequence_length=32", "train.global_batch=4", "train.micro_batch=2", "train.checkpoint_every=4",
    ]  # fmt: skip
    env = {**os.environ, "MODELWRIGHT_CACHE": str(folder / "cache"), "OMP_NUM_THREADS": "1"}
    return [sys.executable, "-m", "modelwright", "run", *settings, *words], env


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    for module in ("argparse", "ast", "calendar", "configparser"):
        (folder / "text").mkdir(exist_ok=True)
        found = Path(os.__file__).with_name(f"{module}.py")
        (folder / "text" / f"{module}.txt").write_text(found.read_text())
    return folder


def losses(run: Path) -> list[tuple[float, float]]:
    lines = [json.loads(line) for line in (run / "train" / "metrics.jsonl").read_text().splitlines()]
    return [(line["loss"], line["grad_norm"]) for line in lines]


def trained(folder: Path, name: str, *words: str) -> list[tuple[float, float]]:
    call, env = command(folder, f"run.dir={folder / name}", *words)
    done = subprocess.run(call, env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return losses(folder / name)


@pytest.fixture(scope="module")
def one_rank(folder: Path) -> list[tuple[float, float]]:
    return trained(folder, "one")


@pytest.mark.slow
def test_it_lowers_the_loss(one_rank: list[tuple[float, float]]) -> None:
    assert len(one_rank) == STEPS and one_rank[-1][0] < one_rank[0][0] - 0.3


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["parallel.tensor=2", "parallel.data=2 parallel.distributed_optimizer=true"])
def test_every_layout_trains_as_one_rank(layout: str, folder: Path, one_rank: list[tuple[float, float]]) -> None:
    found = trained(folder, layout.replace(" ", "_").replace("=", "-"), *layout.split())
    for mine, theirs in zip(found, one_rank, strict=True):
        assert mine == pytest.approx(theirs, rel=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["", "parallel.data=2 parallel.distributed_optimizer=true"])
def test_a_killed_run_goes_on_exactly(layout: str, folder: Path, one_rank: list[tuple[float, float]]) -> None:
    """Killed after step 4 is saved; the slow mean, and the step that both schedules depend on, come back."""
    straight = trained(folder, f"straight{len(layout)}", *layout.split()) if layout else one_rank
    run = folder / f"killed{len(layout)}"
    call, env = command(folder, f"run.dir={run}", "run.reuse=false", *layout.split())  # what the straight run finished is not to be taken
    process = subprocess.Popen(call, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    deadline = time.monotonic() + 200
    while not (run / "train" / "checkpoint" / "step_00000004").is_dir() and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.005)
    assert process.poll() is None, "the run was over before it was killed"
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert len(losses(run)) < STEPS
    done = subprocess.run([sys.executable, "-m", "modelwright", "resume", str(run)], env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert losses(run) == straight
