"""Documents that other data has too."""

import gzip
import json
import random
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from passes import deduplicate

from modelwright.errors import ModelwrightError
from modelwright_plugins.deduper.exact import Exact
from modelwright_plugins.deduper.minhash import MinHash
from modelwright_plugins.deduper.parts import Lines

PICK = random.Random(4)
WORDS = [f"word{i}" for i in range(3000)]
TEXTS = [" ".join(PICK.choices(WORDS, k=300)) for _ in range(40)]


def near(text):
    words = text.split()
    return " ".join([*words[:150], "another", *words[151:]])


@pytest.fixture
def other(tmp_path):
    """Texts 0-9 as JSON lines in two files, one packed, and 10 as plain text; 3 twice; and one of its own."""
    folder = tmp_path / "other"
    (folder / "deeper").mkdir(parents=True)
    rows = [json.dumps({"text": text}) for text in [*TEXTS[:6], TEXTS[3], "nothing like it"]]
    (folder / "a.jsonl").write_text("\n".join(rows) + "\n")
    (folder / "deeper" / "b.jsonl.gz").write_bytes(gzip.compress("\n".join(json.dumps({"text": t}) for t in TEXTS[6:10]).encode()))
    (folder / "c.txt").write_text(TEXTS[10])
    return folder


@pytest.mark.parametrize("tasks", [1, 3, 7])
def test_exact_and_near_copies_of_other_data_go(other, tmp_path, tasks):
    here = [*TEXTS[5:30], TEXTS[20], TEXTS[2].upper(), near(TEXTS[1]), near(TEXTS[25])]
    known = {*TEXTS[:11], TEXTS[2].upper()}
    expected = [None if text in known or text in here[:i] else text for i, text in enumerate(here)]
    assert sum(text is None for text in expected) == 8
    assert deduplicate(Exact(against=(str(other),)), here, tmp_path / "exact", tasks) == expected
    expected[-2:] = None, None
    assert deduplicate(MinHash(against=(str(other),)), here, tmp_path / "near", tasks) == expected
    alone = deduplicate(MinHash(), here, tmp_path / "alone", tasks)
    assert [text is None for text in alone] == [False] * 25 + [True, False, False, True]  # without it, only what repeats here


def test_parts_that_other_data_has_are_taken_out(tmp_path):
    (tmp_path / "known.txt").write_text("Cookies are used here.\nAll rights reserved.\n")
    texts = ["One.\nAll rights reserved.\n", "Cookies are used here.", "Two.\nOne.\n"]
    assert deduplicate(Lines(against=(str(tmp_path / "known.txt"),)), texts, tmp_path / "a") == ["One.\n", None, "Two.\n"]


@dataclass(frozen=True, kw_only=True)
class LastStays(Exact):
    """Of copies the last would stay."""

    reason: ClassVar[str] = "earlier"

    def first(self, signatures):
        return len(signatures) - 1 - super().first(signatures[::-1])[::-1]


def test_other_data_stands_for_its_like_whichever_would_stay(other, tmp_path):
    here = [TEXTS[0], TEXTS[20], TEXTS[3], TEXTS[20]]
    assert deduplicate(LastStays(), here, tmp_path / "a") == [TEXTS[0], None, TEXTS[3], TEXTS[20]]
    assert deduplicate(LastStays(against=(str(other),)), here, tmp_path / "b") == [None, None, None, TEXTS[20]]


def test_what_is_not_there_or_cant_be_read_is_told(other, tmp_path):
    (line,) = Exact(against=(str(tmp_path / "othr"),)).problems()
    assert "othr" in line and "against" in line and "other" in line
    assert Exact().problems() == [] and Exact(against=(str(other),)).problems() == []
    (other / "bad.jsonl").write_text('{"text": "x"}\n{"no": 1}\n')
    with pytest.raises(ModelwrightError, match=r"bad\.jsonl, line 2: no text"):
        deduplicate(Exact(against=(str(other),)), ["x"], tmp_path / "a")
    (other / "bad.jsonl").write_bytes(b'{"text": "x"}\n')
    (other / "c.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(ModelwrightError, match=r"c\.txt: .*codec"):
        deduplicate(Exact(against=(str(other),)), ["x"], tmp_path / "b")


def test_changed_data_is_a_changed_deduper(other):
    exact = Exact(against=(str(other),))
    before = exact.fingerprint()
    (other / "c.txt").write_text("changed")
    assert Exact().fingerprint() == "" != before != exact.fingerprint()
