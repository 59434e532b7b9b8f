"""Prompts, a base model with a tokenizer, and the stage that learns from the model's own replies, on ranks."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from modelwright.errors import ModelwrightError
from modelwright_plugins.artifacts.examples import ExamplesWriter
from modelwright_plugins.conformance.ranks import joined
from modelwright_plugins.reward import Asked, Reward, Score

LENGTH, SEED, NEW = 40, 3, 10
MODEL: dict[str, Any] = {"layers": 2, "width": 32, "heads": 4, "kv_heads": 2, "qk_norm": True}
TEMPLATE = "{% for message in messages %}{{ message['role'] }}: {{ message['content'] }}\n{% endfor %}{{ 'a:' if add_generation_prompt }}"


@dataclass(frozen=True, kw_only=True)
class Vowels(Reward):
    """More for a reply with small bytes; `parts`: a number after each half of it."""

    parts: bool = False

    def scores(self, asked: Sequence[Asked]) -> list[Score]:
        assert all(each.prompt[0]["content"] in each.answer for each in asked)  # it is given what the example holds
        found = [sum(ord(letter) % 7 for letter in each.reply) / 10 for each in asked]
        if not self.parts:
            return list(found)
        return [self._halves(len(each.reply), score) for each, score in zip(asked, found, strict=True)]

    @staticmethod
    def _halves(size: int, score: float) -> Score:
        return [(size // 2, score), (size, -score / 3)] if size > 1 else 0.5


@dataclass(frozen=True)
class Case:
    """One training, in a folder of its own."""

    aligner: Any
    layout: dict[str, Any] = field(default_factory=dict)
    stage: dict[str, Any] = field(default_factory=dict)
    first_steps: int = 0  # it stops after so many, and goes on
    parts: bool = False
    adapter: Any = None
    lr: float = 3e-3
    url: str | None = None  # replies are a server's

    @property
    def ranks(self) -> int:
        from modelwright_plugins.parallel.megatron import Megatron

        return Megatron(**self.layout).ranks(None)


def world(folder: Path, count: int = 10) -> None:
    """Its tokenizer, prompts of several lengths, and a base model."""
    from modelwright.hooks import discover
    from modelwright_plugins.architecture.decoder import CausalDecoder
    from modelwright_plugins.conformance.training import built_in
    from modelwright_plugins.engine import checkpoint
    from modelwright_plugins.engine import model as engine
    from modelwright_plugins.engine.card import ModelCard
    from modelwright_plugins.engine.start import started
    from modelwright_plugins.engine.trainer import how
    from modelwright_plugins.tokenizer.bpe import ByteLevelBPE
    from modelwright_plugins.tokenizer.chat_tokens import ChatEncoder

    for name in ("tokenizer", "examples"):
        (folder / name).mkdir(parents=True)
    ByteLevelBPE(vocab_size=271).train(iter(["one two three four five six seven"] * 9), folder / "tokenizer")
    chat = ChatEncoder(folder / "tokenizer", TEMPLATE)
    words, numbers = ["one", "two three", "four five", "six", "seven one two"], {}
    for part in ("train", "held_out"):
        writer = ExamplesWriter(folder / "examples", part, "prompt")
        for number in range(count):
            asked = [{"role": "user", "content": " ".join(words[: 1 + number % 4])}]
            (rendered,) = chat.encode([{"messages": asked, "add_generation_prompt": True}], whole=True)
            line = {"id": f"{number}", "group": f"{number}", "answer": f"{asked[0]['content']} {number}", "prompt": asked}
            writer.write(line, [(rendered.tokens, np.zeros(len(rendered.tokens), np.uint8))])
        numbers[part] = writer.close()
    size = chat.encoder.vocab_size
    about = {"kind": "prompt", "vocab_size": size, "end_of_document": 0, "template": TEMPLATE, "loss_on": "every", **numbers}
    (folder / "examples" / "examples.json").write_text(json.dumps(about))
    parts, architecture = built_in(), CausalDecoder(**MODEL)
    with started(parts["parallel"], seed=SEED):
        chunks = engine.build(architecture, **how(parts), vocab_size=size, sequence_length=LENGTH)
        engine.initialise(chunks, architecture, seed=1, vocab_size=size)
        for chunk in chunks:  # so that it is sure of something
            for name, parameter in chunk.named_parameters():
                if "embedding" in name or "output" in name:
                    parameter.data.mul_(12)
        ModelCard(architecture, size, LENGTH, 0, 1).write(folder / "base" / "model.json", discover().registry)
        checkpoint.save(folder / "base", 7, chunks, None, keep_last=None)


def train(rank: int, cases: list[Case], where: str) -> list[list[dict[str, float]] | None]:
    """Metrics of each case's steps, on each rank that has a part in it."""
    folder = Path(where)
    if rank == 0:
        joined(0, 1, 0)
        world(folder)
        (folder / "ready").touch()
    while not (folder / "ready").exists():
        time.sleep(0.05)
    return [_trained(rank, number, each, folder) if rank < each.ranks else None for number, each in enumerate(cases)]


def refused(rank: int, case: Case, where: str) -> str:
    """What each rank says in the place of a training."""
    try:
        train(rank, [case], where)
    except ModelwrightError as error:
        return str(error)
    return ""


def groups(cases: list[Case]) -> int:
    return 1 + 2 * len(cases)


def _trained(rank: int, number: int, case: Case, folder: Path) -> list[dict[str, float]]:
    for group, steps in enumerate((case.first_steps, case.stage.get("steps", 4)), 2 * number + 1):
        joined(rank, case.ranks, group)
        if steps:
            aligned(case, steps, folder, number)
    return [json.loads(line) for line in (folder / f"out{number}" / "metrics.jsonl").read_text().splitlines()]


def aligned(case: Case, steps: int, folder: Path, number: int = 0) -> dict[str, Any]:
    from modelwright.component import Job
    from modelwright.hooks import discover
    from modelwright_plugins.artifacts import Checkpoint, Examples, Tokenizer
    from modelwright_plugins.conformance.training import built_in
    from modelwright_plugins.generator.sampling import Sampling
    from modelwright_plugins.optimizer.adam import AdamW
    from modelwright_plugins.parallel.megatron import Megatron
    from modelwright_plugins.reward.length import Length
    from modelwright_plugins.stage.align import Align

    # with less to divide by Adam makes whole steps of gradients that are nothing but rounding
    parts = {**built_in(), "aligner": case.aligner, "parallel": Megatron(**case.layout), "optimizer": AdamW(lr=case.lr, epsilon=1e-3)}
    rewards = {"vowels": Vowels(parts=case.parts), "length": Length(weight=0.5, per_unit=-0.01)}
    parts |= {"tracker": {}, "reward": rewards, "generator": Sampling(max_new_tokens=NEW, temperature=1.0, top_p=1.0)}
    parts |= {"adapter": case.adapter} if case.adapter else {}
    if case.url:
        from modelwright_plugins.generator.server import Server

        parts["generator"] = Server(url=case.url, model="m", max_new_tokens=NEW, retries=0, concurrency=3)
    out = folder / f"out{number}"
    out.mkdir(exist_ok=True)
    where = {Examples: "examples", Checkpoint: "base", Tokenizer: "tokenizer"}
    inputs = {kind: kind(folder / name) for kind, name in where.items()}
    job = Job(folder, out, SEED, parts, inputs, discover(), {})
    sizes = {"sequence_length": LENGTH, "global_batch": 4, "micro_batch": 1, "checkpoint_every": 3, "rollout_batch": 5}
    return Align(**{**sizes, **case.stage, "steps": steps}).run(job)
