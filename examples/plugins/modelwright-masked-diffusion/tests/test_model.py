"""The whole plugin at work: a tiny model is trained, asked, and writes text; on one rank and on two."""

from __future__ import annotations

import json
import math
import os
import pickle
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from modelwright_masked_diffusion.denoiser import MASK

from modelwright.testing import assert_conforms

pytestmark = pytest.mark.slow
STEPS, LENGTH = 100, 32


def modelwright(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "MODELWRIGHT_CACHE": str(folder / "cache"), "OMP_NUM_THREADS": "1"}
    call = [sys.executable, "-m", "modelwright", *words]
    return subprocess.run(call, env=env, capture_output=True, text=True, timeout=300)


def run(folder: Path, name: str, *words: str) -> Path:
    """A run of the recipe on small sentences."""
    settings = [
        "recipe=diffusion/tiny", "source=jsonl", f"source.paths=[{folder / 'text.jsonl'}]", "source.group_key=group", "filter=[]",
        "deduper=[]", "tokenizer.vocab_size=353", "architecture.layers=2", "architecture.width=64", "optimizer.lr=3e-3",
        f"train.steps={STEPS}", f"train.sequence_length={LENGTH}", "denoise.prompts=['','the cat']", "denoise.samples=2",
    ]  # fmt: skip
    done = modelwright(folder, "run", *settings, f"run.dir={folder / name}", *words)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return folder / name


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("diffusion")
    drawn = random.Random(0)
    who, does, what = ["the cat", "a dog", "my sister", "the king"], ["sees", "likes", "finds"], ["the river.", "an apple.", "a boat."]
    with (folder / "text.jsonl").open("w") as lines:
        for number in range(300):
            text = " ".join(f"{drawn.choice(who)} {drawn.choice(does)} {drawn.choice(what)}" for _ in range(6))
            lines.write(json.dumps({"text": text, "id": str(number), "group": str(number % 20)}) + "\n")
    return folder


@pytest.fixture(scope="module")
def one(folder: Path) -> Path:
    return run(folder, "one")


def losses(run: Path) -> list[float]:
    return [json.loads(line)["loss"] for line in (run / "metrics.jsonl").read_text().splitlines()]


def test_training_lowers_the_loss_and_text_is_written(one: Path) -> None:
    found = losses(one)
    assert len(found) == STEPS and all(map(math.isfinite, found))
    # single steps jump, as the ratios do; before training it is ln 352 = 5.9 on average
    assert sum(found[-20:]) / 20 < 3.5 < 4.5 < sum(found[:5]) / 5
    samples = json.loads((one / "samples.json").read_text())
    assert [sample["prompt"] for sample in samples] == ["", "", "the cat", "the cat"]
    words = " ".join(sample["text"] for sample in samples).replace(".", " ").split()
    known = ["the", "cat", "a", "dog", "my", "sister", "king", "sees", "likes", "finds", "river", "an", "apple", "boat"]
    assert len(words) > 20 and sum(word in known for word in words) > 0.8 * len(words), samples


FEW = ["stages=[curate,train_tokenizer,tokenize,train]", "schedule.warmup=0.01", "train.steps=8"]


@pytest.fixture(scope="module")
def few(folder: Path) -> list[float]:
    return losses(run(folder, "few", *FEW))


@pytest.mark.parametrize(
    "layout", ["parallel.tensor=2 parallel.sequence=true", "parallel.data=2 train.micro_batch=1", "parallel.pipeline=2"]
)
def test_every_layout_and_micro_batch_learns_the_same(layout: str, folder: Path, few: list[float]) -> None:
    found = run(folder, layout.replace(" ", "_").replace("=", "-"), *FEW, *layout.split())
    assert losses(found) == pytest.approx(few, rel=1e-4)


def test_two_tensor_ranks_write_what_one_writes(folder: Path, one: Path) -> None:
    again = run(folder, "again", "stages=[denoise]", f"from={one}", "parallel.tensor=2")
    assert json.loads((again / "samples.json").read_text()) == json.loads((one / "samples.json").read_text())


@pytest.fixture(scope="module")
def answers(one: Path) -> dict[str, Any]:
    out = one.parent / "answers.pickle"
    call = [sys.executable, str(Path(__file__).with_name("ask.py")), str(one), str(out)]
    done = subprocess.run(call, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = pickle.loads(out.read_bytes())
    return found


def test_it_sees_what_comes_later(answers: dict[str, Any]) -> None:
    """A causal model would give the same logits before the token that was changed, the last."""
    difference = (answers["logits"] - answers["changed"])[:, :-1].abs().amax(-1)
    assert (difference > 1e-4).all()


def test_the_mask_has_no_probability(answers: dict[str, Any]) -> None:
    import torch

    logits, labels = answers["logits"], answers["labels"]
    assert logits.shape == (3, LENGTH, answers["vocab_size"])  # the mask's row is not among them,
    nats = torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="none").view_as(labels)
    assert (answers["nats"] - nats).abs().max() < 1e-5  # nor in the loss
    assert answers["weights"]["embedding.word_embeddings.weight"].shape[0] == answers["vocab_size"] + 1


def test_logits_are_the_slow_formula_s(answers: dict[str, Any]) -> None:
    """Two blocks of full attention with rotary embeddings, QK-norm and SwiGLU, in FP64."""
    import torch

    weights = {name: weight.double() for name, weight in answers["weights"].items()}
    heads, width, size = 4, 64, 16

    def norm(x: torch.Tensor, name: str) -> torch.Tensor:
        return x / (x.pow(2).mean(-1, keepdim=True) + 1e-5).sqrt() * weights[f"decoder.{name}.weight"]

    def turned(x: torch.Tensor) -> torch.Tensor:
        """Pairs (i, i + size / 2) of each head turned by place / 10000^(2 i / size)."""
        angle = torch.arange(LENGTH).double()[:, None] / 10_000 ** (torch.arange(0, size, 2).double() / size)
        cos, sin, a, b = angle.cos()[None, :, None], angle.sin()[None, :, None], x[..., : size // 2], x[..., size // 2 :]
        return torch.cat([a * cos - b * sin, b * cos + a * sin], -1)

    text = answers["text"]
    x = weights["embedding.word_embeddings.weight"][torch.where(text == MASK, answers["vocab_size"], text)]
    for layer in range(2):
        at = f"layers.{layer}"
        mixed = norm(x, f"{at}.input_layernorm") @ weights[f"decoder.{at}.self_attention.linear_qkv.weight"].T
        q, k, v = mixed.view(3, LENGTH, heads, 3 * size).split(size, -1)
        q, k = turned(norm(q, f"{at}.self_attention.q_layernorm")), turned(norm(k, f"{at}.self_attention.k_layernorm"))
        chances = (torch.einsum("bqhd,bkhd->bhqk", q, k) / size**0.5).softmax(-1)
        seen = torch.einsum("bhqk,bkhd->bqhd", chances, v).reshape(3, LENGTH, width)
        x = x + seen @ weights[f"decoder.{at}.self_attention.linear_proj.weight"].T
        gate, up = (norm(x, f"{at}.pre_mlp_layernorm") @ weights[f"decoder.{at}.mlp.linear_fc1.weight"].T).chunk(2, -1)
        x = x + (torch.nn.functional.silu(gate) * up) @ weights[f"decoder.{at}.mlp.linear_fc2.weight"].T
    logits = norm(x, "final_layernorm") @ weights["embedding.word_embeddings.weight"][:-1].T
    assert (answers["logits"] - logits).abs().max() < 1e-4 * logits.abs().max()


@pytest.mark.parametrize("part", ["architecture/bidirectional_decoder", "objective/masked_diffusion", "stage/denoise"])
def test_the_parts_conform(part: str) -> None:
    assert_conforms(part)


@pytest.mark.parametrize(("preset", "vocabulary", "billions"), [("llada_8b", 126_464, 8.02), ("illada_8b", 155_136, 7.62)])
def test_presets_have_the_published_size(preset: str, vocabulary: int, billions: float, tmp_path: Path) -> None:
    done = modelwright(tmp_path, "plan", "recipe=diffusion/tiny", f"architecture={preset}", f"tokenizer.vocab_size={vocabulary - 1}")
    line = next((line for line in done.stdout.splitlines() if line.strip().startswith("parameters ")), done.stdout + done.stderr)
    assert round(int(line.split()[1].replace(",", "")) / 1e9, 2) == billions, line


def test_wrong_combinations_are_told_before_anything_runs(folder: Path, tmp_path: Path) -> None:
    words = ["recipe=diffusion/tiny", "source=jsonl", f"source.paths=[{folder / 'text.jsonl'}]"]
    done = modelwright(tmp_path, "plan", *words, "parallel.pipeline=2")
    assert done.returncode == 2 and "denoise: parallel.pipeline=2" in done.stderr + done.stdout
    done = modelwright(tmp_path, "plan", *words, "denoiser=low_confidense")
    assert done.returncode == 2 and "low_confidence" in done.stderr and len(done.stderr.strip().splitlines()) == 1


def test_another_model_is_refused_in_one_line(folder: Path) -> None:
    words = ["recipe=diffusion/tiny", "source=jsonl", f"source.paths=[{folder / 'text.jsonl'}]", "source.group_key=group", "filter=[]"]
    words += ["architecture=tiny_llama", "objective=causal_lm", "tokenizer.vocab_size=353", "train.steps=2", "train.sequence_length=16"]
    done = modelwright(folder, "run", *words, f"run.dir={folder / 'causal'}")
    assert done.returncode != 0
    assert "is no masked diffusion model; denoise wants architecture=bidirectional_decoder" in done.stderr, done.stderr[-2000:]
