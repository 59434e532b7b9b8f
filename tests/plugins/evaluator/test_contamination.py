"""Contamination is what the filter of decontamination would have found, with the lines that offend."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from datatrove.data import Document

from modelwright.errors import ModelwrightError
from modelwright_plugins.artifacts.shard_writer import ShardWriter
from modelwright_plugins.attention.cores import Native
from modelwright_plugins.evaluator._contamination import looked
from modelwright_plugins.evaluator.contamination import Contamination
from modelwright_plugins.filter._evaluation import Evaluation
from modelwright_plugins.generator.sampling import Sampling
from modelwright_plugins.kernel.local import Torch
from modelwright_plugins.stage.evaluate import Evaluate
from modelwright_plugins.tokenizer.bpe import ByteLevelBPE
from modelwright_plugins.tokenizer.encoder import Encoder

TRAIN = [
    "The quick brown fox jumps over the lazy dog, said the miller to his wife.",
    "Nothing of interest is here, but for words and words, and some more words of no interest at all.",
    "He said: the QUICK brown fox jumps over the lazy dog! Then he left, and one two three four five six came.",
    "Straße für Äpfel: eins zwei drei vier fünf sechs sieben acht neun zehn.",
    "The quick brown fox jumps over a lazy dog: another sentence, which is clean.",
]
LINES: list[dict[str, Any]] = [
    {"question": "Does the quick brown fox jump over a dog?", "answer": "no"},  # too few words in a row
    {"question": "What about: a quick brown fox jumps over the lazy dog and then sleeps?", "answer": "yes"},  # seven of them
    {"question": "Which is it?", "answer": "well"},  # too short to look for
    {"question": "Straße für Äpfel, eins zwei drei vier fünf", "answer": ["what", {"never": "words and words, and some more words"}]},
]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("model")
    ByteLevelBPE(vocab_size=300).train(iter(TRAIN), folder)
    encoder = Encoder(folder)
    with ShardWriter(folder / "train", 300) as out:
        for text in TRAIN:
            out.write([*encoder.encode(text), 0])
    return SimpleNamespace(encoder=encoder, shards=folder, first=True)


@pytest.fixture
def questions(tmp_path: Path) -> Path:
    (tmp_path / "q.jsonl").write_text("".join(json.dumps(line) + "\n\n" for line in LINES))
    return tmp_path / "q.jsonl"


def test_lines_that_offend_are_told_with_their_counts(model: Any, questions: Path, tmp_path: Path) -> None:
    """By hand: of the second line's 14 words, 8 stand in two 7-grams of two documents; the fourth has 8 words in two 7-grams of one, and 7
    more in one of another."""
    (out := tmp_path / "out").mkdir()
    found = Contamination(paths=(questions,), ngram=7, min_words=7).evaluate(model, out, seed=1)
    examples, words = found
    assert (examples.name, examples.value, examples.count, examples.better) == ("examples", 2 / 3, 3, "lower")
    assert words.value == pytest.approx((0 + 8 / 14 + 15 / 15) / 3)
    assert 0 < examples.low < 2 / 3 < examples.high < 1
    worst, other = (json.loads(line) for line in (out / "contamination.jsonl").read_text().splitlines())
    assert (worst["line"], worst["overlap"], worst["ngrams"], worst["documents"], worst["document"]) == (7, 1.0, 3, 2, 1)
    assert worst["text"] == "words and words, and some more words"
    assert (other["line"], other["ngrams"], other["documents"], other["document"]) == (3, 2, 2, 0)
    assert other["text"] == "quick brown fox jumps over the lazy dog,"
    counts = json.loads((out / "contamination.json").read_text())
    assert counts == {str(questions): {"examples": 3, "too_short": 1, "contaminated": 2}}


def test_the_filter_would_have_dropped_just_the_documents_that_are_told(model: Any, questions: Path) -> None:
    evaluator = Contamination(paths=(questions,), ngram=7, min_words=7)
    kept = [evaluator.like.build().filter(Document(text=text, id="x")) is True for text in TRAIN]
    texts = [
        [line["question"], *([line["answer"]] if isinstance(line["answer"], str) else ["words and words, and some more words"])]
        for line in LINES
    ]
    sets = Evaluation({str(n): [each] for n, each in enumerate(texts)}, 7, 7)
    alone = [looked(sets, model, number, len(TRAIN)) for number in range(len(TRAIN))]  # each document by itself
    assert [not found for found in alone] == kept == [False, False, False, False, True]
    assert {sum(found[e].documents for found in alone if e in found) for e in range(3)} == {0, 2}


def test_a_share_that_is_asked_for_and_what_is_wrong(model: Any, questions: Path, tmp_path: Path) -> None:
    (out := tmp_path / "out").mkdir()
    examples, _ = Contamination(paths=(questions,), ngram=7, min_words=7, min_overlap=0.8).evaluate(model, out, seed=1)
    assert examples.value == pytest.approx(1 / 3) and len((out / "contamination.jsonl").read_text().splitlines()) == 1
    with pytest.raises(ModelwrightError, match=r"no string in .*q\.jsonl has 40 words"):
        Contamination(paths=(questions,), ngram=50, min_words=40).evaluate(model, out, seed=1)
    with pytest.raises(ValueError, match="ngram is 1; it is at least 2"):
        Contamination(paths=(questions,), ngram=1)
    parts = {"kernel": Torch(), "attention": Native(), "generator": Sampling(), "evaluator": {"it": Contamination(paths=(tmp_path / "x",))}}
    assert Evaluate(text=False).problems(parts)[0].endswith("pretrained on: evaluate.text=true gives them")
    assert "x" in Evaluate().problems(parts)[0]
