"""What it promises, and documents whose words are counted by hand."""

import gzip
import json

import pytest

from modelwright.api import Job
from modelwright.testing import assert_conforms
from modelwright_plugins.artifacts import Documents
from modelwright_plugins.conformance.examples.stage.stage import CountWords

TEXTS = ["The mill turns the wheel", "the wheel"]


def test_it_holds_what_a_stage_promises():
    assert_conforms("stage/example")


@pytest.mark.parametrize(
    ("lower", "expected"),
    [(True, {"the": 3, "wheel": 2, "mill": 1}), (False, {"the": 2, "wheel": 2, "The": 1})],
)
def test_words_counted_by_hand(tmp_path, lower, expected):
    (folder := tmp_path / "documents").mkdir()
    with gzip.open(folder / "0.jsonl.gz", "wt") as out:
        for number, text in enumerate(TEXTS):
            out.write(json.dumps({"text": text, "id": str(number), "metadata": {"group": "a"}}) + "\n")
    job = Job(run=tmp_path, out=tmp_path, seed=1, parts={}, inputs={Documents: Documents(folder)}, hooks=None)
    assert CountWords(most=3, lower=lower).run(job) == {"words": 7, "different": 4 if lower else 5}
    assert json.loads((tmp_path / "word_counts.json").read_text()) == expected
