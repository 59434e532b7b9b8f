"""How often an alignment sees its examples is told before it trains."""

from __future__ import annotations

from pathlib import Path

import aligned

from modelwright_plugins.aligner.dpo import DPO
from modelwright_plugins.aligner.sft import SFT
from modelwright_plugins.artifacts.examples import StoredExamples
from modelwright_plugins.engine.example_batches import ExampleBatches
from modelwright_plugins.stage._align import _epochs
from modelwright_plugins.tokenizer.vocabulary import Vocabulary


def test_epochs_count_pairs_or_packed_sequences(tmp_path: Path) -> None:
    pairs = StoredExamples(aligned.examples(tmp_path / "pairs", "preference", 24))
    batches = ExampleBatches.of(pairs, DPO(), Vocabulary(211, 0), length=40, global_batch=8, seed=1)
    assert _epochs(60, batches) == "2.50 epochs: 60 draws from 24 examples"
    chats = StoredExamples(aligned.examples(tmp_path / "chats", "conversation", 24))
    batches = ExampleBatches.of(chats, SFT(), Vocabulary(211, 0), length=40, global_batch=8, seed=1, pack=True)
    assert batches.count < 24
    assert (
        _epochs(3 * batches.count, batches)
        == f"3.00 epochs: {3 * batches.count} draws from {batches.count} sequences that 24 examples are packed into"
    )
