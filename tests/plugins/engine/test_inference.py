"""A trained model gives the same losses and logits under every layout, and they are those of the model that was trained."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from layouts import VOCABULARY as VOCAB
from layouts import shards
from ranks import joined, on_ranks

sys.path.insert(0, str(Path(__file__).parents[1] / "stage"))
from test_train import run as train

LENGTH, BATCH = 31, 3  # an odd length, so that sequence parallelism must pad it


def ask(rank: int, checkpoint: str, layouts: list[dict[str, Any]], precisions: list[str]) -> list[dict[str, Any] | None]:
    import torch

    from modelwright_plugins.artifacts import Checkpoint
    from modelwright_plugins.attention.cores import Native
    from modelwright_plugins.engine.inference import open_model
    from modelwright_plugins.kernel.local import Torch
    from modelwright_plugins.parallel.megatron import Megatron
    from modelwright_plugins.precision.floats import BF16, FP32

    found: list[dict[str, Any] | None] = []
    tokens = torch.randint(1, VOCAB, (BATCH, LENGTH + 1), generator=torch.Generator().manual_seed(0))
    for number, (fields, precision) in enumerate(zip(layouts, precisions, strict=True)):
        layout = Megatron(**fields)
        if rank >= layout.ranks(None):
            found.append(None)
            continue
        joined(rank, layout.ranks(None), number)
        how = {"precision": {"fp32": FP32(), "bf16": BF16()}[precision], "kernel": Torch(), "attention": Native()}
        with open_model(Checkpoint(Path(checkpoint)), parallel=layout, **how, seed=0) as model:
            text = tokens[:, :-1]
            at = torch.tensor([2, 30, 7])
            likeliest = torch.cat([text, model.next_logits(text).argmax(-1)[:, None]], 1)
            found.append(
                {
                    "losses": model.token_losses(tokens),
                    "scores": model.token_scores(tokens),
                    "greedy": model.token_scores(likeliest)[1, :, -1],
                    "last": model.next_logits(text),
                    "at": model.next_logits(text, at),
                    "alone": torch.cat([model.next_logits(text[i : i + 1, : at[i] + 1]) for i in range(BATCH)]),
                    "told": (model.sequence_length, model.vocab_size, model.end_of_document, model.rank),
                }
            )
    return found


LAYOUTS: list[dict[str, Any]] = [
    {}, {"tensor": 2}, {"pipeline": 2}, {"tensor": 2, "pipeline": 2, "sequence": True}, {"pipeline": 2, "virtual": 2}, {"data": 2},
    {"context": 2},
]  # fmt: skip


def answers(tmp_path: Path, ranks: int, layouts: list[dict[str, Any]], precisions: list[str]) -> list[Any]:
    data = shards(tmp_path / "shards")
    on_ranks(train, 1, tmp_path / "train", groups=1, jobs=[{"out": str(tmp_path / "run")}], data=str(data))
    checkpoint = str(tmp_path / "run" / "checkpoint")
    return on_ranks(ask, ranks, tmp_path / "ask", groups=len(layouts), checkpoint=checkpoint, layouts=layouts, precisions=precisions)


def test_one_rank_answers(tmp_path: Path) -> None:
    import torch

    ((found, half),) = answers(tmp_path, 1, [{}, {}], ["fp32", "bf16"])
    assert found["told"] == (32, VOCAB, 0, 0)
    assert found["losses"].shape == (BATCH, LENGTH) and found["losses"].dtype == torch.float32
    assert found["last"].shape == (BATCH, VOCAB)
    nats, likeliest = found["scores"]
    assert (nats - found["losses"]).abs().max() < 1e-5
    assert found["greedy"].tolist() == [1.0] * BATCH and likeliest.mean() < 0.5  # drawn at random, they seldom are
    assert (found["at"] - found["alone"]).abs().max() < 1e-5  # what comes after has no influence
    assert (half["losses"] - found["losses"]).abs().max() < 0.1  # the FP32 checkpoint, asked in bfloat16
    assert 2 < found["losses"].mean() < 8


@pytest.mark.slow
def test_every_layout_gives_the_same_answers(tmp_path: Path) -> None:
    ranks = answers(tmp_path, 4, LAYOUTS, ["fp32"] * len(LAYOUTS))
    one = ranks[0][0]
    for number, layout in enumerate(LAYOUTS):
        for rank in range(count(layout)):
            found = ranks[rank][number]
            assert found["told"][3] == rank
            for what in ("losses", "scores", "greedy", "last", "at", "alone"):
                assert (found[what] - one[what]).abs().max() < 1e-5, (layout, rank, what)


def count(layout: dict[str, Any]) -> int:
    return layout.get("tensor", 1) * layout.get("pipeline", 1) * layout.get("data", 1) * layout.get("context", 1)


def test_a_model_that_predicts_no_next_token_says_so() -> None:
    import torch

    from modelwright.errors import ModelwrightError
    from modelwright_plugins.architecture.encoder import Encoder
    from modelwright_plugins.engine.inference import TrainedModel

    model = object.__new__(TrainedModel)
    model.device, model.vocab_size, model._architecture = torch.device("cpu"), VOCAB, Encoder()
    for ask in (model.token_losses, model.next_logits):
        with pytest.raises(
            ModelwrightError, match=r"^architecture Encoder, of the family encoder, gives no likelihood of text.*causal_decoder"
        ):
            ask(torch.zeros(1, 4, dtype=torch.long))
