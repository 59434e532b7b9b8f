"""What a reward-conditioned aligner puts before each row, in tokens."""

from __future__ import annotations

import math
from pathlib import Path

import aligned
import numpy as np
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

from modelwright_plugins.aligner.c_rlft import CRLFT
from modelwright_plugins.aligner.sft import SFT
from modelwright_plugins.artifacts.examples import StoredExamples
from modelwright_plugins.engine.example_batches import ExampleBatches
from modelwright_plugins.stage._align import _conditions
from modelwright_plugins.tokenizer.vocabulary import Vocabulary


class Told(CRLFT):
    """Puts a text also before rows that have no score."""

    def condition(self, score: float) -> str:
        return "not" if math.isnan(score) else super().condition(score)


def test_each_row_begins_with_its_classes_text(tmp_path: Path) -> None:
    tokenizer = Tokenizer(WordLevel({"?": 0, "good": 7, "not": 8}, unk_token="?"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    stored = StoredExamples(aligned.examples(tmp_path / "examples", "reward"))
    aligner = CRLFT(better="good", other="not good")
    before = _conditions(aligner, stored, tmp_path)
    assert [each.tolist() for each in before] == [[7] if score >= 0.5 else [8, 7] for score in stored.scores]
    batches = ExampleBatches.of(stored, aligner, Vocabulary(211, 0), length=40, global_batch=8, seed=1, before=before)
    batch = batches.batch(0, 8)
    for row, score in zip(batch["input_ids"], batch["loss_scores"], strict=True):
        assert row[: 1 if score else 2].tolist() == ([7] if score else [8, 7])
    assert _conditions(SFT(), stored, tmp_path) == ()
    stored.scores = np.where(np.arange(len(stored.scores)) % 3, stored.scores, np.nan)
    before = _conditions(Told(better="good", other="not good"), stored, tmp_path)
    assert [each.tolist() for each in before] == [[8] if np.isnan(score) else [7] if score >= 0.5 else [8, 7] for score in stored.scores]
