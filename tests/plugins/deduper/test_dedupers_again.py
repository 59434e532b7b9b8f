"""Properties that dedupers of documents, and of parts that repeat one by one, have on any texts."""

import random
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from passes import deduplicate

from modelwright_plugins.deduper.exact import Exact
from modelwright_plugins.deduper.minhash import MinHash
from modelwright_plugins.deduper.parts import Lines, Paragraphs

DEDUPERS = {
    "exact": Exact(),
    "minhash": MinHash(ngram=2, bands=8, rows=2, min_similarity=0.5),
    "lines": Lines(),
    "paragraphs": Paragraphs(),
}
TEXTS = st.lists(
    st.builds(
        lambda words, ends: "".join(word + end for word, end in zip(words, ends, strict=False)),
        st.lists(st.sampled_from(["one", "two", "Three", "four", "é"]), max_size=9),
        st.lists(st.sampled_from([" ", " ", "\n", "\n\n", ". "]), min_size=9, max_size=9),
    ),
    max_size=25,
)


def left(deduper, texts, tasks=1):
    with TemporaryDirectory() as folder:
        return deduplicate(deduper, texts, Path(folder) / "one", tasks)


@pytest.mark.parametrize("name", DEDUPERS)
@settings(max_examples=40, deadline=None)
@given(texts=TEXTS, tasks=st.integers(2, 5))
def test_a_second_pass_removes_nothing_and_tasks_do_not_count(name, texts, tasks):
    deduper = DEDUPERS[name]
    once = left(deduper, texts)
    assert left(deduper, texts, tasks) == once
    stayed = [text for text in once if text is not None]
    assert left(deduper, stayed, tasks) == stayed


@pytest.mark.parametrize("name", ["exact", "minhash"])
@settings(max_examples=40, deadline=None)
@given(texts=TEXTS, seed=st.integers(0, 9))
def test_groups_are_the_same_in_any_order_and_each_keeps_its_first(name, texts, seed):
    deduper = DEDUPERS[name]
    order = random.Random(seed).sample(range(len(texts)), len(texts))
    first = deduper.first(deduper.sign(texts)).tolist()
    shuffled = deduper.first(deduper.sign([texts[i] for i in order])).tolist()
    groups = {frozenset(i for i, one in enumerate(first) if one == head) for head in first}
    assert groups == {frozenset(order[i] for i, one in enumerate(shuffled) if one == head) for head in shuffled}
    assert all(head == min(i for i, one in enumerate(first) if one == head) for head in first)
    assert [text is not None for text in left(deduper, texts)] == [i == head for i, head in enumerate(first)]
