"""Examples, a base model, and the stage that aligns it, on ranks."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from modelwright_plugins.artifacts.examples import ExamplesWriter
from modelwright_plugins.conformance.ranks import joined

VOCABULARY, LENGTH, BATCH, SEED = 211, 32, 8, 3  # an odd vocabulary: it is padded under tensor parallelism
MODEL: dict[str, Any] = {"layers": 4, "width": 32, "heads": 4, "kv_heads": 2, "qk_norm": True}
REPLIES = {"conversation": 1, "preference": 2, "ranking": 3, "unpaired": 1, "reward": 1, "steps": 1}


def examples(folder: Path, kind: str, count: int = 24, *, longest: int = LENGTH + 1) -> Path:
    """Prompts that count up, and replies that go on counting, or count down where they are not the first. A conversation has two turns."""
    folder.mkdir(parents=True)
    random, numbers = np.random.default_rng(5), {}
    for part in ("train", "held_out"):
        writer = ExamplesWriter(folder, part, kind)
        for number in range(count):
            start, prompt = int(random.integers(VOCABULARY)), int(random.integers(3, longest // 3))
            rows = []
            for reply in range(REPLIES[kind]):
                size = int(random.integers(3, longest - prompt))
                steps = np.arange(prompt + size) if reply == 0 else np.r_[np.arange(prompt), prompt - np.arange(size) * (reply + 1)]
                mask = np.arange(prompt + size) >= prompt
                if kind == "conversation":
                    mask[prompt + size // 2 : prompt + size // 2 + 2] = False  # the user's second turn
                rows.append(((start + steps) % (VOCABULARY - 1) + 1, mask.astype(np.uint8)))
                rows[-1][0][-1] = 0
            scores = {"unpaired": [float(number % 3 > 0)], "reward": [float(number % 2)], "ranking": [2.0, 0.5, -1.0]}.get(kind)
            steps = [np.where(mask & (np.arange(len(mask)) % 3 == 2), np.arange(len(mask)) % 2, np.nan) for _, mask in rows]
            writer.write({"id": f"{number}", "group": f"{number}"}, rows, scores, steps if kind == "steps" else None)
        numbers[part] = writer.close()
    about = {"kind": kind, "vocab_size": VOCABULARY, "end_of_document": 0, "template": "", "loss_on": "assistant", **numbers}
    (folder / "examples.json").write_text(json.dumps(about))
    return folder


@dataclass(frozen=True)
class Case:
    """One alignment of the base model, in a folder of its own."""

    aligner: Any
    kind: str
    layout: dict[str, Any] = field(default_factory=dict)
    stage: dict[str, Any] = field(default_factory=dict)
    first_steps: int = 0  # it stops after so many, and goes on
    between: str = ""  # what becomes of the first weights' log-probabilities before it goes on: shifted, deleted
    model: dict[str, Any] = field(default_factory=dict)
    adapter: Any = None  # None: all weights are trained

    @property
    def ranks(self) -> int:
        from modelwright_plugins.parallel.megatron import Megatron

        return Megatron(**self.layout).ranks(None)


def train(rank: int, cases: list[Case], where: str) -> list[list[dict[str, float]] | None]:
    """Metrics of each case's steps, on each rank that has a part in it."""
    folder = Path(where)
    if rank == 0:
        for number, each in enumerate(cases):
            joined(0, 1, 3 * number)
            base(folder / f"base{number}", each.model)
            examples(folder / f"examples{number}", each.kind)
        (folder / "ready").touch()
    while not (folder / "ready").exists():
        time.sleep(0.05)
    return [_trained(rank, number, each, folder) if rank < each.ranks else None for number, each in enumerate(cases)]


def groups(cases: list[Case]) -> int:
    return 3 * len(cases)


def _trained(rank: int, number: int, case: Case, folder: Path) -> list[dict[str, float]]:
    for group, steps in enumerate((case.first_steps, case.stage.get("steps", 6)), 3 * number + 1):
        joined(rank, case.ranks, group)
        if not steps:
            continue
        aligned(case, steps, folder, number)
        file = folder / f"out{number}" / "reference.npy"
        if steps == case.first_steps and case.between == "shifted":
            np.save(file, np.load(file) - np.where(np.arange(48) % 2, 0, 5).astype(np.float32))
        elif steps == case.first_steps and case.between == "deleted":
            file.unlink()
    return [json.loads(line) for line in (folder / f"out{number}" / "metrics.jsonl").read_text().splitlines()]


def base(folder: Path, model: dict[str, Any] | None = None) -> None:
    from modelwright.hooks import discover
    from modelwright_plugins.architecture.decoder import CausalDecoder
    from modelwright_plugins.conformance.training import built_in
    from modelwright_plugins.engine import checkpoint
    from modelwright_plugins.engine import model as engine
    from modelwright_plugins.engine.card import ModelCard
    from modelwright_plugins.engine.start import started
    from modelwright_plugins.engine.trainer import how

    parts = built_in()
    architecture = CausalDecoder(**{**MODEL, **(model or {})})
    with started(parts["parallel"], seed=SEED):
        chunks = engine.build(architecture, **how(parts), vocab_size=VOCABULARY, sequence_length=LENGTH)
        engine.initialise(chunks, architecture, seed=1, vocab_size=VOCABULARY)
        ModelCard(architecture, VOCABULARY, LENGTH, 0, 1).write(folder / "model.json", discover().registry)
        checkpoint.save(folder, 7, chunks, None, keep_last=None)


def aligned(case: Case, steps: int, folder: Path, number: int = 0) -> dict[str, Any]:
    from modelwright.component import Job
    from modelwright.hooks import discover
    from modelwright_plugins.artifacts import Checkpoint, Examples, Tokenizer
    from modelwright_plugins.conformance.training import built_in
    from modelwright_plugins.optimizer.adam import AdamW
    from modelwright_plugins.parallel.megatron import Megatron
    from modelwright_plugins.stage.align import Align

    # with less to divide by Adam makes whole steps of gradients that are nothing but rounding
    parts = {**built_in(), "aligner": case.aligner, "parallel": Megatron(**case.layout), "optimizer": AdamW(lr=3e-3, epsilon=1e-5)}
    parts |= {"adapter": case.adapter} if case.adapter is not None else {}
    out = folder / f"out{number}"
    out.mkdir(exist_ok=True)
    where = {Examples: f"examples{number}", Checkpoint: f"base{number}", Tokenizer: "tokenizer"}
    inputs = {kind: kind(folder / name) for kind, name in where.items()}
    job = Job(folder, out, SEED, {**parts, "tracker": {}}, inputs, discover(), {})
    sizes = {"sequence_length": LENGTH, "global_batch": BATCH, "micro_batch": 2, "checkpoint_every": 2}
    return Align(**{**sizes, **case.stage, "steps": steps}).run(job)
