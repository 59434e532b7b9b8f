"""Planted overlaps are found exactly, beside a search written the slow way; GPT-3's windows and pieces are cut as computed by hand."""

import gzip
import json
import pickle
import string
from pathlib import Path
from random import Random

import numpy as np
import pytest
from datatrove.data import Document
from datatrove.utils.text import ngrams

from modelwright.errors import ModelwrightError
from modelwright_plugins.filter import _runs
from modelwright_plugins.filter._evaluation import words
from modelwright_plugins.filter.decontamination import Decontamination

WIKITEXT, GSM8K = Path("/work/shared/data/wikitext-2/valid.txt"), Path("/work/shared/data/gsm8k/train.jsonl")
QUESTION = "Where does the old miller keep the seven sacks of white flour that he ground on Monday?"  # 17 words


@pytest.fixture
def sets(tmp_path):
    (tmp_path / "eval").mkdir()
    rows = [{"id": 7, "question": QUESTION, "choices": ["in the barn", {"text": "He keeps them in the barn behind the tall mill"}]}]
    (tmp_path / "eval" / "mill.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with gzip.open(tmp_path / "eval" / "poems.txt.gz", "wt") as file:
        file.write("Row, row,\nrow your boat gently down the stream and merrily on\n\nToo short a verse\n")
    return tmp_path / "eval"


def run(component, text):
    document = Document(text=text, id="x", metadata={})
    built = pickle.loads(pickle.dumps(component.build()))
    decision = built.filter(document)
    return (document.text, document.metadata.get("contaminated")) if decision is True else decision[1]


def test_the_reason_names_the_set(sets):
    component = Decontamination(paths=(sets,))
    thirteen = " ".join(QUESTION.split()[2:15])
    assert run(component, f"He asked: {thirteen}!") == "overlaps_eval/mill"
    assert run(component, f"He asked: {' '.join(QUESTION.split()[2:14])} and left") == (
        f"He asked: {' '.join(QUESTION.split()[2:14])} and left",
        None,
    )
    assert run(component, thirteen.upper().replace(" ", ",\n -- ")) == "overlaps_eval/mill"  # case, punctuation, blanks
    assert run(component, "ROW row row, your boat gently down the stream and merrily on and on") == "overlaps_eval/poems"


def test_short_ones_are_found_whole(sets):
    """Ten words of an answer, fewer than 13: all of them, or nothing. `in the barn` is nobody's."""
    component = Decontamination(paths=(sets,))
    assert run(component, "Yes, he keeps them in the barn behind the tall mill today") == "overlaps_eval/mill"
    assert run(component, "Yes, he keeps them in the barn behind the tall hill")[1] is None
    assert run(component, "in the barn too short a verse")[1] is None
    assert run(Decontamination(paths=(sets,), min_words=4), "too short, a verse") == "overlaps_eval/poems"
    assert run(Decontamination(paths=(sets,), min_words=11), "he keeps them in the barn behind the tall mill")[1] is None


def test_keys(sets):
    only = Decontamination(paths=(sets / "mill.jsonl",), keys=("choices",))
    assert run(only, QUESTION)[1] is None and run(only, "he keeps them in the barn behind the tall mill") == "overlaps_eval/mill"


def test_share_of_an_example(sets):
    """27 words of the record are looked for: 14 are at least half, 13 are not. Eight-grams that overlap count their words once."""
    half = Decontamination(paths=(sets / "mill.jsonl",), ngram=8, min_overlap=0.5)
    first = QUESTION.split()
    assert run(half, " ".join(first[:14])) == "overlaps_eval/mill"
    assert run(half, " ".join(first[:13]))[1] is None
    assert run(half, " ".join(first[:8]) + " so he said")[1] is None
    assert run(half, " ".join(first[:8]) + " so. He keeps them in the barn behind the tall mill") == "overlaps_eval/mill"  # 8 + 10


def test_what_several_examples_share_counts_for_each(tmp_path):
    """Eight words are little of the first set's example, and all of the second's."""
    eight = "one two three four five six seven eight"
    (tmp_path / "long.txt").write_text(f"{eight} {QUESTION} {QUESTION.upper()} x")
    (tmp_path / "short.txt").write_text(eight)
    paths = (tmp_path / "long.txt", tmp_path / "short.txt")
    assert run(Decontamination(paths=paths, ngram=8, min_overlap=0.5), f"so {eight} it is").endswith("/short")
    assert run(Decontamination(paths=paths, ngram=8, mode="cut", window=0, min_piece=0), f"so {eight} it is")[1] == [
        f"{tmp_path.name}/long",
        f"{tmp_path.name}/short",
    ]


def test_characters_are_words_where_there_are_no_spaces(tmp_path):
    (tmp_path / "zh.txt").write_text("磨坊主把七袋白面粉放在哪里？\n", encoding="utf-8")
    component = Decontamination(paths=(tmp_path / "zh.txt",))
    assert words("磨坊, a") == ["磨", "坊", "a"]
    assert run(component, "他问磨坊主把七袋白面粉放在哪里呢").startswith("overlaps_")
    assert run(component, "他问磨坊主把七袋白面粉放在那里呢")[1] is None


def test_cutting_as_gpt3_did(sets):
    """The grams and 200 characters on each side go; pieces under 200 characters go; more than 10 pieces: all of it."""
    component = Decontamination(paths=(sets,), mode="cut")
    filler = "".join(f"{n:04d} " for n in range(200))  # 1,000 characters
    text = filler + QUESTION + " " + filler
    assert run(component, text) == (filler[:800] + "\n\n" + filler[199:], ["eval/mill"])
    assert run(component, filler[:395] + " " + QUESTION + " " + filler) == (filler[199:], ["eval/mill"])  # 196 characters left before it
    assert run(component, QUESTION) == "overlaps_eval/mill"
    many = (filler[:650] + QUESTION + " ") * 9
    assert len(run(component, many + filler)[0].split("\n\n")) == 10
    assert run(component, many + filler[:650] + QUESTION + " " + filler) == "overlaps_eval/mill"
    assert run(component, filler) == (filler, None)


def slow(evaluation, texts, n):
    """Which texts share n words in a row with any example, by sets of tuples; words as lm-evaluation-harness' janitor has them."""
    table = str.maketrans("", "", string.punctuation)

    def split(text):
        return text.lower().translate(table).split()

    there = {tuple(gram) for example in evaluation for gram in ngrams(split(example), n)}
    return [any(tuple(gram) in there for gram in ngrams(split(text), n)) for text in texts]


@pytest.mark.parametrize(("n", "base"), [(3, None), (8, None), (13, None), (3, 0)])
def test_planted_overlaps_are_found_exactly(tmp_path, n, base, monkeypatch):
    """With a base of 0 the hash is of the last word only: what meets by hash must still be compared."""
    if base is not None:
        monkeypatch.setattr(_runs, "BASE", np.uint64(base))
    dice = Random(n)
    vocabulary = [f"w{i}" for i in range(40 if n == 3 else 6)] + ["it's", "A", "--", "co-op"]
    examples = [" ".join(dice.choices(vocabulary, k=dice.randint(2, 30))) for _ in range(40)]
    texts = [" ".join(dice.choices(vocabulary, k=dice.randint(0, 60))) for _ in range(300)]
    for place in range(0, 300, 3):  # a part of an example, now and then with one word changed
        planted = dice.choice(examples).split()[: dice.randint(1, 20)]
        if dice.random() < 0.5:
            planted[dice.randrange(len(planted))] = "else"
        texts[place] += " " + " ".join(planted) + " " + texts[place][::2]
    (tmp_path / "x.jsonl").write_text("".join(json.dumps({"q": e}) + "\n" for e in examples))
    built = Decontamination(paths=(tmp_path / "x.jsonl",), ngram=n, min_words=n).build()
    found = [built.filter(Document(text=text, id="x")) is not True for text in texts]
    assert found == slow(examples, texts, n) and 5 < sum(found) < 290


@pytest.mark.skipif(not (WIKITEXT.is_file() and GSM8K.is_file()), reason="needs WikiText and GSM8K")
def test_real_text_as_the_slow_way_decides():
    lines = [line for line in WIKITEXT.read_text(encoding="utf-8").splitlines() if line.isascii()][:400]
    examples = [json.loads(line)["question"] for line in GSM8K.read_text(encoding="utf-8").splitlines()[:400]]
    examples = [e for e in examples if e.isascii()]
    texts = lines + [f"{line} {e[20:120]}" for line, e in zip(lines, examples, strict=False)]
    file = GSM8K.parent
    built = Decontamination(paths=(file / "train.jsonl",), keys=("question",), ngram=8, min_words=8).build()
    found = [built.filter(Document(text=text, id="x")) is not True for text in texts]
    every = [json.loads(line)["question"] for line in GSM8K.read_text(encoding="utf-8").splitlines()]
    assert found == slow(every, texts, 8) and sum(found) > 300 and not all(found)


def test_what_is_no_set(sets, tmp_path):
    (tmp_path / "bad.jsonl").write_text('{"question": "x"}\n{oops\n')
    (tmp_path / "eval.csv").write_text("x")
    (tmp_path / "empty").mkdir()
    assert Decontamination(paths=(sets / "mil.jsonl",)).problems() == [
        f"paths: nothing is at {sets / 'mil.jsonl'}; did you mean 'mill.jsonl'?"
    ]
    assert "bad.jsonl line 2 is not JSON" in Decontamination(paths=(tmp_path / "bad.jsonl",)).problems()[0]
    assert "is no evaluation set" in Decontamination(paths=(tmp_path / "eval.csv",)).problems()[0]
    assert "has no file that ends in .jsonl" in Decontamination(paths=(tmp_path / "empty",)).problems()[0]
    assert "has no text under the keys answer" in Decontamination(paths=(sets / "mill.jsonl",), keys=("answer",)).problems()[0]
    assert Decontamination(paths=(sets,)).problems() == []
    with pytest.raises(ModelwrightError, match="has 99 words: there is nothing to look for"):
        Decontamination(paths=(sets,), ngram=99, min_words=99).build()
    for values, wrong in (({"paths": ()}, "paths is empty"), ({"ngram": 1}, "ngram is 1"), ({"min_overlap": 2}, "min_overlap is 2")):
        with pytest.raises(ValueError, match=wrong):
            Decontamination(**{"paths": (sets,)} | values)


def test_a_changed_set_is_a_changed_filter(sets):
    before = Decontamination(paths=(sets,)).fingerprint()
    assert before == Decontamination(paths=(sets,)).fingerprint() != ""
    (sets / "more.txt").write_text("a new example of a few more words")
    assert Decontamination(paths=(sets,)).fingerprint() != before
