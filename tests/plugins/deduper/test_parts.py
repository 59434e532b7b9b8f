"""Lines, paragraphs and sentences against a slow formula, the paper's rule read aloud, and datatrove's own sentence deduplication."""

import random
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from passes import deduplicate

from modelwright_plugins.deduper._windows import stand_ins
from modelwright_plugins.deduper.parts import Lines, Paragraphs, Sentences


def slow_gone(documents, window, across=True):
    """Which units of documents (lists of units) go, one window after the other, compared with every one before it."""
    flat = [(d, unit) for d, units in enumerate(documents) for unit in units]
    gone, windows = set(), []
    for at, (d, _) in enumerate(flat):
        size = min(window, len(documents[d])) if at == 0 or flat[at - 1][0] != d else window
        if at + size > len(flat) or flat[at + size - 1][0] != d:
            continue
        here = [unit for _, unit in flat[at : at + size]]
        same = next((b for b, e, units in windows if units == here and (across or flat[b][0] == d)), None)
        if same is not None and same + size <= at:
            gone.update(range(at, at + size))
        windows.append((at, d, here))
    out, at = [], 0
    for units in documents:
        out.append([unit for i, unit in enumerate(units) if at + i not in gone])
        at += len(units)
    return out


CASES = [
    (Lines, lambda u: f"line {u}\n", 1),
    (Paragraphs, lambda u: f"paragraph {u}\nits end\n\n", 1),
    (Sentences, lambda u: f"Sentence {u}. ", 3),
]


@pytest.mark.parametrize("across", [True, False])
@pytest.mark.parametrize(("component", "say", "window"), CASES)
def test_what_is_left_is_what_a_slow_formula_leaves(component, say, window, across, tmp_path):
    pick = random.Random(5)
    documents = [[pick.randrange(12) for _ in range(pick.choice([1, 2, 3, 5, 9]))] for _ in range(60)]
    documents += [[*range(20, 30)], [99, *range(22, 27), 98], [7] * 9, [1, 2] * 6]
    expected = ["".join(map(say, units)) or None for units in slow_gone(documents, window, across)]
    found = {tasks: deduplicate(component(across=across), ["".join(map(say, d)) for d in documents], tmp_path / f"{tasks}", tasks)
             for tasks in (1, 3, 7)}  # fmt: skip
    assert found[1] == expected and found[3] == found[7] == expected
    assert any(left is not None and left != "".join(map(say, d)) for left, d in zip(expected, documents, strict=True))


def test_every_line_stays_exactly_once_whatever_the_order(tmp_path):
    pick = random.Random(2)
    texts = ["\n".join(f"line {pick.randrange(300)}" for _ in range(20)) for _ in range(100)]
    everything = {line for text in texts for line in text.split("\n")}
    for name, order in (("as", texts), ("reversed", texts[::-1]), ("sorted", sorted(texts))):
        left = [text for text in deduplicate(Lines(), order, tmp_path / name, 3) if text]
        lines = [line for text in left for line in text.rstrip("\n").split("\n")]
        assert sorted(lines) == sorted(everything)
        assert deduplicate(Lines(), left, tmp_path / f"{name} again", 2) == left


def test_c4_keeps_one_of_a_span_that_is_met_again(tmp_path):
    span = "It was the best of times. It was the worst of times! Was it? "
    texts = [f"One begins. {span}One ends.", f"Two begins. {span}Two ends.", "It was the best of times. It was the worst of times! Else. "]
    left = deduplicate(Sentences(), texts, tmp_path)
    assert left == [texts[0], "Two begins. Two ends.", texts[2]]  # two sentences in common are no span


def test_sentences_end_where_a_reader_says():
    text = 'He said "stop." Then (he left!) 3.5 km… far. 人人生而自由。在尊严上？“平等。”是\nline\n\nLast'
    parts = [text[b:e] for b, e in Sentences().spans(text)[:-1]]
    expected = [
        'He said "stop." ',
        "Then (he left!) ",
        "3.5 km… ",
        "far. ",
        "人人生而自由。",
        "在尊严上？",
        "“平等。”",
        "是\nline\n\n",
        "Last",
    ]
    assert parts == expected
    for component in (Lines(), Paragraphs(), Sentences()):
        for awkward in (text, "\n\n  a\n \n\n", "." * 50_000 + "x", "\n" * 9, "", " " * 50_000 + "\n"):
            spans = component.spans(awkward)
            assert "".join(awkward[b:e] for b, e in spans) == awkward and spans[-1].tolist() == [len(awkward)] * 2


def test_short_lines_and_short_rests(tmp_path):
    texts = ["if x:\n    return 1\n}\n\n", "while y:\n    return 1\n}\n", "    RETURN  1\n}\n", "}"]
    lines = deduplicate(Lines(min_chars=2), texts, tmp_path / "a")
    assert lines == [texts[0], "while y:\n}\n", "}\n", "}"]
    assert deduplicate(Lines(min_chars=2, min_left=3), texts, tmp_path / "b") == [texts[0], "while y:\n}\n", None, "}"]
    assert deduplicate(Lines(min_chars=2, lower=False), texts, tmp_path / "c")[2] == texts[2]
    assert deduplicate(Lines(min_chars=2, lower=False, blanks=False), [*texts, "return 1", "    return 1"], tmp_path / "d")[4:] == [
        "return 1",
        None,
    ]
    for bad in ({"min_left": 0}, {"sentences": 0}):
        with pytest.raises(ValueError, match="at least 1"):
            Sentences(**bad)


def test_a_run_of_equal_units_leaves_one_window():
    for period, count, window in [(1, 40, 5), (3, 40, 5), (4, 41, 4), (7, 50, 3), (5, 9, 5)]:
        starts = np.arange(count)
        first = np.where(starts + window <= count, starts % period, starts)
        stand_in = stand_ins(first, window)
        kept = np.flatnonzero(stand_in == starts)
        assert (stand_in[stand_in] == stand_in).all() and (stand_in % period == starts % period).all()
        assert kept[:window].tolist() == list(range(window))  # the first window is whole


def test_the_spans_that_datatrove_finds(tmp_path):
    """Documents of six plain sentences with planted spans: datatrove's three steps drop the same sentences."""
    from datatrove.data import Document
    from datatrove.pipeline.dedup import SentDedupConfig, SentenceDedupFilter, SentenceDedupSignature, SentenceFindDedups

    pick = random.Random(9)
    word = lambda: "".join(pick.choices("abcdefghijklmnopqrstuvwxyz", k=7))  # noqa: E731
    sentence = lambda: f"The {word()} of a {word()} is in the {word()}."  # noqa: E731
    spans = [[sentence() for _ in range(3)] for _ in range(8)]
    documents = []
    for _ in range(40):
        own = [sentence() for _ in range(4)]
        documents.append([*own[:2], *pick.choice(spans), *own[2:]] if pick.random() < 0.7 else own)
    texts = [" ".join(units) for units in documents]
    config = SentDedupConfig(n_sentences=3, min_doc_words=1, min_num_sentences=1)
    docs = [Document(text=text, id=str(i)) for i, text in enumerate(texts)]
    places = [str(tmp_path / name) for name in "ab"]
    SentenceDedupSignature(places[0], config=config).run(iter(docs), 0, 1)
    SentenceFindDedups(places[0], places[1], config=config).run(rank=0, world_size=1)
    theirs = {int(d.id): d.text.split() for d in SentenceDedupFilter(places[1], config=config).run(iter(docs), 0, 1)}
    ours = deduplicate(Sentences(), texts, tmp_path / "c")
    assert sum(len(a) != len(b) for a, b in zip(ours, texts, strict=True)) > 10
    assert {i: text.split() for i, text in enumerate(ours) if text} == theirs


def test_an_edited_conversation_has_no_turns_that_say_otherwise(tmp_path):
    from datatrove.data import Document

    from modelwright_plugins.deduper._steps import Match, Remove, Sign

    say = lambda: [Document(text=t, id=t, metadata={"messages": [1], "score": 2}) for t in ("one\ntwo", "two\nthree", "four")]  # noqa: E731
    list(Sign(Lines(), tmp_path).run(iter(say())))
    Match(Lines(), tmp_path).run()
    left = list(Remove(Lines(), tmp_path).run(iter(say())))
    assert [(doc.text, doc.metadata) for doc in left] == [
        ("one\ntwo", {"messages": [1], "score": 2}), ("three", {"score": 2}), ("four", {"messages": [1], "score": 2})
    ]  # fmt: skip
    for other, said in ((say()[:1], "fewer"), (say() + say(), "more")):
        with pytest.raises((RuntimeError, ValueError), match=said):
            list(Remove(Lines(), tmp_path).run(iter(other)))
