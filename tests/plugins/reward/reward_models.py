"""Reward models that are trained, and asked, on ranks."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "aligner"))
import aligned
from aligned import SEED, Case

from modelwright_plugins.conformance.ranks import joined, on_ranks
from modelwright_plugins.reward import Asked

PROMPTS = [[5, 6, 7], [100, 101], [5, 6, 7, 8, 9, 10]]
REPLIES = [[8, 9, 0], [102, 103, 104, 105, 106, 107], [11]]


def trained(rank: int, out: str, adapter: Any) -> None:
    """In `out`, checkpoints: of replies (`out0`), with an adapter (`out1`), and of steps (`out2`); and the second merged."""
    from modelwright.component import Job
    from modelwright.hooks import discover
    from modelwright_plugins.aligner.process_reward import ProcessReward
    from modelwright_plugins.aligner.reward_model import RewardModel
    from modelwright_plugins.artifacts import Checkpoint
    from modelwright_plugins.conformance.training import built_in
    from modelwright_plugins.stage.merge import Merge

    joined(rank, 1, 0)
    aligned.base(Path(out) / "base0")
    for number in (1, 2):
        (Path(out) / f"base{number}").symlink_to("base0")
    aligned.examples(Path(out) / "examples0", "preference")
    (Path(out) / "examples1").symlink_to("examples0")
    aligned.examples(Path(out) / "examples2", "steps")
    for number, case in enumerate(
        [Case(RewardModel(), "preference"), Case(RewardModel(), "preference", adapter=adapter), Case(ProcessReward(), "steps")]
    ):
        joined(rank, 1, 1 + number)
        aligned.aligned(case, 4, Path(out), number)
    joined(rank, 1, 4)
    (merged := Path(out) / "merged").mkdir()
    whole = Checkpoint(Path(out) / "out1" / "checkpoint")
    Merge().run(Job(Path(out), merged, SEED, built_in(), {Checkpoint: whole}, discover(), {}))


def drawn(folder: Path) -> Path:
    """A checkpoint of drawn weights, in `folder`."""
    on_ranks(_drawn, 1, folder / "made", out=folder / "reward_model")
    return folder / "reward_model"


def _drawn(rank: int, out: Path) -> None:
    import torch

    from modelwright.hooks import discover
    from modelwright_plugins.conformance.training import built_in, small_decoder
    from modelwright_plugins.engine import checkpoint, heads, model
    from modelwright_plugins.engine.card import ModelCard
    from modelwright_plugins.engine.start import started
    from modelwright_plugins.engine.trainer import how

    parts = built_in()
    joined(rank, 1)
    with started(parts["parallel"], seed=SEED):
        chunks: list[Any] = model.build(small_decoder(), **how(parts), vocab_size=100, sequence_length=64)
        model.initialise(chunks, small_decoder(), seed=SEED, vocab_size=100)
        heads.attach(chunks, "value")
        torch.nn.init.normal_(chunks[0].value_head.weight)
        ModelCard(small_decoder(), 100, 64, 0, SEED, head="value", ending=(0,)).write(out / "model.json", discover().registry)
        checkpoint.save(out, 1, chunks, None, keep_last=None)


def asked(
    rank: int, asked: dict[Path, list[dict[str, Any]]], by_hand: list[Path], rows: list[list[int]]
) -> list[list[float] | list[list[list[float]]] | None]:
    """Scores of each checkpoint in each layout, None where this rank has no part; and values by hand of each checkpoint, on the first."""
    from modelwright_plugins.conformance.training import built_in
    from modelwright_plugins.engine.start import started
    from modelwright_plugins.parallel.megatron import Megatron
    from modelwright_plugins.reward.model import ModelReward

    replies = [Asked([], "", tokens=[*prompt, *reply], begin=len(prompt)) for prompt, reply in zip(PROMPTS, REPLIES, strict=True)]
    found: list[Any] = []
    for number, (folder, layout) in enumerate((folder, layout) for folder, layouts in asked.items() for layout in layouts):
        parallel, reward = Megatron(**layout), ModelReward(checkpoint=folder)
        if rank >= (ranks := parallel.ranks(None)):
            found.append(None)
            continue
        joined(rank, ranks, number)
        how = {**built_in(), "parallel": parallel, "seed": SEED}
        with started(parallel, seed=SEED) if number else nullcontext(), reward.opened(how) as scores:  # also beside another model
            found.append(scores(replies))
    found.append([])
    if rank == 0:
        found.append(_evaluated(by_hand[0]))
    for number, folder in enumerate(by_hand if rank == 0 else ()):
        joined(rank, 1, 4 + number)
        found[len(found) - 2].append(_by_hand(folder, rows))
    return found


def _evaluated(folder: Path) -> dict[str, Any]:
    """What the evaluator of preferences says of held-out pairs, and why a reward model is not asked for anything else."""
    import torch

    from modelwright.errors import ModelwrightError
    from modelwright_plugins.artifacts import Checkpoint
    from modelwright_plugins.artifacts.examples import StoredExamples
    from modelwright_plugins.conformance.training import built_in
    from modelwright_plugins.engine.inference import open_model
    from modelwright_plugins.evaluator.preferences import Preferences

    examples = StoredExamples(folder.parents[1] / "examples0", "held_out")
    how = {kind: built_in()[kind] for kind in ("parallel", "precision", "kernel", "attention")}
    joined(0, 1, 8)
    with open_model(Checkpoint(folder), **how, seed=SEED) as trained:
        scores = Preferences().evaluate(SimpleNamespace(examples=examples, trained=trained), folder, seed=0)  # type: ignore[arg-type]
        rows = [examples.row(row)[0].tolist() for row in range(len(examples.scores))]
        alone = [float(trained.values([row])[0][-1]) for row in rows]
        try:
            trained.token_losses(torch.tensor(rows[:1]))
        except ModelwrightError as error:
            why = str(error)
    return {"scores": [(score.name, score.value, score.count) for score in scores], "alone": alone, "why": why}


def _by_hand(folder: Path, rows: list[list[int]]) -> list[list[float]]:
    """Each row's values, by itself: what the last layer gives, times the head's weight in float64."""
    import torch

    from modelwright_plugins.conformance.training import built_in
    from modelwright_plugins.engine.value_model import open_values

    found, states = [], []
    with open_values(folder, {**built_in(), "seed": SEED}) as model:
        (chunk,) = model.chunks
        chunk.decoder.register_forward_hook(lambda module, inputs, state: states.append(state))
        for row in rows:
            with torch.no_grad():
                chunk(torch.tensor([row]), torch.arange(len(row))[None])
            head = chunk.value_head
            found.append((states[-1][:, 0].double() @ head.weight[0].double() + head.offset.double()).tolist())
    return found
