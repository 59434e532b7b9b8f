"""Curating a small corpus whose funnel is known."""

import gzip
import itertools
import json
import random
import tracemalloc
from dataclasses import dataclass

import pytest
from datatrove.pipeline.filters.base_filter import BaseFilter

from modelwright.component import Job
from modelwright.errors import ModelwrightError
from modelwright_plugins.artifacts import Documents
from modelwright_plugins.deduper.exact import Exact
from modelwright_plugins.deduper.minhash import MinHash
from modelwright_plugins.executor.local import Local
from modelwright_plugins.filter import Filter
from modelwright_plugins.filter.c4 import C4Quality
from modelwright_plugins.filter.gopher import GopherQuality
from modelwright_plugins.filter.length import Length
from modelwright_plugins.source.jsonl import Jsonl
from modelwright_plugins.stage._curation import Count, Kept
from modelwright_plugins.stage._funnel import merge
from modelwright_plugins.stage.curate import Curate

COMMON = [
    "the",
    "of",
    "and",
    "to",
    "that",
    "with",
    "have",
    "be",
    "cat",
    "dog",
    "house",
    "street",
    "river",
    "bridge",
    "morning",
    "evening",
    "slowly",
    "quickly",
]


def sentences(number, count=30):
    pick = random.Random(number)
    words = [f"w{pick.randrange(4000)}" for _ in range(200)] + COMMON * 6
    return "\n".join(" ".join(pick.choices(words, k=9)).capitalize() + "." for _ in range(count))


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """12 files of 25 documents; places of what should go, and of what stays in its stead, are known."""
    folder = tmp_path_factory.mktemp("corpus")
    good = [sentences(i) for i in range(240)]
    plan = [("good", text) for text in good]
    plan += [("short", f"Only a few of the words, number {i}.") for i in range(30)]
    plan += [("brace", sentences(1000 + i) + "\nThis is what { the last line of it has.") for i in range(10)]
    plan += [("copy", good[i].replace(" ", "  ")) for i in range(10)]  # the same when normalized
    plan += [("near", good[20 + i] + "\nAnd this is one more line for the end of it.") for i in range(8)]
    random.Random(0).shuffle(plan)
    lines = [json.dumps({"text": text, "id": f"{i}-{kind}", "site": f"site{i % 40}"}) for i, (kind, text) in enumerate(plan)]
    lines.insert(100, '{"text": ')
    lines.insert(200, '{"site": "x"}')
    for number in range(12):
        (folder / f"{number:02d}.jsonl").write_text("\n".join(lines[25 * number : 25 * (number + 1)]) + "\n")
    assert len(lines) == 300
    return folder, plan


def curate(corpus, out, *, tasks=4, workers=1, filters=None, dedupers=None, **stage):
    out.mkdir()
    parts = {
        "source": Jsonl(paths=[str(corpus)], group_key="site"),
        "filter": {"gopher": GopherQuality(max_mean_word_length=0), "c4": C4Quality()} if filters is None else filters,
        "deduper": {"exact": Exact(), "minhash": MinHash()} if dedupers is None else dedupers,
        "executor": Local(tasks=tasks, workers=workers),
    }
    job = Job(run=out, out=out, seed=0, parts=parts, inputs={}, hooks=None)
    Curate(**stage).run(job)
    return job.make(Documents).path


def read(folder):
    return [json.loads(line) for file in sorted(folder.glob("*.jsonl.gz")) for line in gzip.open(file, "rt")]


def test_the_funnel_is_what_was_planted(corpus, tmp_path, capsys):
    folder, plan = corpus
    out = curate(folder, tmp_path / "out")
    documents = read(out)
    first = {}  # of good texts and their copies, with more blanks or with a line more, the first stays
    for i, (kind, text) in enumerate(plan):
        if kind in ("good", "copy", "near"):
            first.setdefault(" ".join(text.split()).removesuffix(" And this is one more line for the end of it."), f"{i}-{kind}")
    assert [d["id"] for d in documents] == sorted(first.values(), key=lambda name: int(name.split("-")[0]))
    assert len(documents) == 240

    source, gopher, c4, exact, minhash = funnel = json.loads((out / "funnel.json").read_text())
    assert [(s["step"], s["kind"]) for s in funnel] == [
        ("jsonl", "source"), ("gopher", "filter"), ("c4", "filter"), ("exact", "deduper"), ("minhash", "deduper")
    ]  # fmt: skip
    assert (source["documents_in"], source["documents_out"], source["quarantined_count"]) == (300, 298, 2)
    assert [(r["file"][-8:], r["line"]) for r in source["quarantined"]] == [("04.jsonl", 1), ("08.jsonl", 1)]
    assert gopher["dropped"] == {"gopher_short_doc": 30} and c4["dropped"] == {"curly_bracket": 10}
    assert exact["dropped"] == {"duplicate": 10} and minhash["dropped"] == {"near_duplicate": 8}
    for before, after in itertools.pairwise(funnel):
        assert (after["documents_in"], after["bytes_in"]) == (before["documents_out"], before["bytes_out"])
        assert after["documents_in"] - after["documents_out"] == sum(after["dropped"].values())
    assert source["bytes_out"] == sum(len(text.encode()) for _, text in plan)
    assert minhash["bytes_out"] == sum(len(d["text"].encode()) for d in documents)
    assert [e["reason"] for e in gopher["examples"]] == ["gopher_short_doc"] * 3
    shorts = [(f"{i}-short", text) for i, (kind, text) in enumerate(plan) if kind == "short"]
    assert [(e["id"], e["text"]) for e in gopher["examples"]] == shorts[:3]

    printed = capsys.readouterr().out.splitlines()
    assert (
        len(printed) == 7
        and printed[6].endswith("out/curation.html")
        and "gopher_short_doc 30" in printed[2]
        and "298 > 268" in printed[2]
        and "read 2" in printed[1]
    )
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["curation.html", "documents", "dropped", "logs", "quarantine.jsonl"]
    assert len((tmp_path / "out/quarantine.jsonl").read_text().splitlines()) == 2


def test_groups_are_split_whole(corpus, tmp_path):
    out = curate(corpus[0], tmp_path / "out", held_out=0.1)
    split, documents = json.loads((out / "split.json").read_text()), read(out)
    assert all(d["metadata"]["group"] == d["metadata"]["site"] for d in documents)
    sizes = {True: 0, False: 0}
    for d in documents:
        sizes[d["metadata"]["group"] in split["held_out"]] += len(d["text"].encode())
    assert split["bytes"] == {"train": sizes[False], "held_out": sizes[True]}
    assert 0.05 < sizes[True] / sum(sizes.values()) <= 0.1


def test_tasks_and_workers_change_nothing(corpus, tmp_path):
    one = curate(corpus[0], tmp_path / "one", tasks=1)
    many = curate(corpus[0], tmp_path / "many", tasks=5, workers=2)
    again = curate(corpus[0], tmp_path / "again", tasks=5, workers=1)
    assert read(one) == read(many)
    assert (one / "funnel.json").read_text() == (many / "funnel.json").read_text()
    assert {f.name: f.read_bytes() for f in many.iterdir()} == {f.name: f.read_bytes() for f in again.iterdir()}  # to the bit


def test_without_filters_and_dedupers(corpus, tmp_path):
    folder, plan = corpus
    documents = read(curate(folder, tmp_path / "out", filters={}, dedupers={}))
    assert [d["text"] for d in documents] == [text for _, text in plan]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"min_bytes": 10**7},
            r"^curate\.min_bytes=10000000: 0\.\d\d MB of text are left; filter 'gopher' removed most.*'gopher_short_doc'",
        ),
        ({"filters": {"gopher": GopherQuality(min_words=10**6)}}, r"0\.00 MB of text are left; .*'gopher' removed most"),
        ({"min_bytes": 10**7, "filters": {}, "dedupers": {}}, r"the source gave 0\.\d\d MB and 2 unreadable records"),
    ],
)
def test_too_little_is_an_error_that_says_where_it_went(corpus, tmp_path, options, message):
    options = {"filters": {"gopher": GopherQuality(max_mean_word_length=0)}, "dedupers": {}} | options
    with pytest.raises(ModelwrightError, match=message):
        curate(corpus[0], tmp_path / "out", **options)


def test_what_can_be_known_before_it_runs(corpus):
    folder, _ = corpus
    stage = Curate()
    assert stage.problems({"source": Jsonl(paths=[str(folder)]), "filter": {}}) == []
    size = sum(file.stat().st_size for file in folder.iterdir()) / 1e6
    assert stage.forecast({"source": Jsonl(paths=[str(folder)])}) == {"files to read": "12", "text in them, about": f"{size:.1f} MB"}
    (problem,) = stage.problems({"source": Jsonl(paths=["nowhere/*.jsonl"]), "filter": {}})
    assert problem == "source.paths: nothing matches nowhere/*.jsonl"


def test_wrong_share():
    with pytest.raises(ValueError, match="held_out=1"):
        Curate(held_out=1)


def test_the_turns_of_a_conversation_hold_nothing_that_was_taken_out(tmp_path):
    from modelwright_plugins.filter.pii import PII
    from modelwright_plugins.filter.regex import Regex

    turns = ["Write to ada@acme.com please, tomorrow.", "I will do so, as soon as I can."]
    talk = {"site": "a", "messages": [{"role": role, "content": turn} for role, turn in zip(("user", "assistant"), turns, strict=True)]}
    (folder := tmp_path / "talks").mkdir()
    (folder / "a.jsonl").write_text(
        "".join(json.dumps({"text": "\n\n".join(turns), "id": str(i), "metadata": talk}) + "\n" for i in range(2))
    )

    def kept(name, part):
        documents = read(curate(folder, tmp_path / name, tasks=1, filters={name: part}, dedupers={}, held_out=0))
        return [document["metadata"].get("messages") for document in documents]

    assert (
        kept("length", GopherQuality(min_words=1, min_mean_word_length=0, min_stop_words=0, min_alphabetic_words=0))
        == [talk["messages"]] * 2
    )
    for turns_kept in kept("pii", PII()):
        assert [turn["content"] for turn in turns_kept] == ["Write to [EMAIL] please, tomorrow.", turns[1]]
    assert kept("regex", Regex(patterns=("tomorrow",), mode="edit")) == [None, None]


@pytest.mark.parametrize("dedupers", [{}, {"exact": Exact()}])
def test_groups_are_counted_at_the_last_place_only(tmp_path, monkeypatch, dedupers):
    """A group may be a page: there are as many as documents, and each place would keep all of them in memory and on disk."""
    (tmp_path / "in").mkdir()
    lines = [{"text": f"number {n} of them", "site": f"s{n}"} for n in range(6)]
    (tmp_path / "in/a.jsonl").write_text("\n".join(map(json.dumps, lines)))
    counted = {}

    def kept(self, rank, save=Count._save):
        save(self, rank)
        counted[self.place] = json.loads((self.folder / f"{self.place:02d}_{rank:05d}.json").read_text())

    monkeypatch.setattr(Count, "_save", kept)
    out = curate(tmp_path / "in", tmp_path / "out", tasks=1, filters={"c4": Length(min_words=1)}, dedupers=dedupers)
    *before, last = (counted[place] for place in sorted(counted))
    assert len(before) == 1 + len(dedupers) and all(place["groups"] is None for place in before)
    assert last["groups"] == {f"s{n}": 16 for n in range(6)} and {place["bytes"] for place in counted.values()} == {96}
    assert all("groups" not in step for step in json.loads((out / "funnel.json").read_text()))


class Marked(BaseFilter):
    """Writes into metadata what a person's filter may."""

    name = "marked"

    def filter(self, doc):
        doc.metadata |= {"none": float("nan"), "far": [float("-inf")], "long": 2**70, "by number": {1: (True, None)}, "odd": "a\ud800"}
        doc.text += "\udfff."
        return True


@dataclass(frozen=True, kw_only=True)
class Mark(Filter):
    """A filter of this test."""

    def build(self):
        return Marked()


def test_metadata_is_the_same_with_and_without_a_deduper(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.jsonl").write_text('{"text": "a text", "id": "x", "site": "s", "é": 1.5}\n{"text": "b", "id": "y", "site": "s"}\n')
    outs = [
        curate(
            tmp_path / "in", tmp_path / f"out{n}", tasks=1, filters={"mark": Mark()}, dedupers={"exact": Exact()} if n else {}, held_out=0
        )
        for n in range(2)
    ]
    bits = [gzip.decompress((out / "00000.jsonl.gz").read_bytes()).decode() for out in outs]
    assert bits[0] == bits[1] and "NaN" not in bits[0]
    found = {"none": None, "far": [None], "long": 2**70, "by number": {"1": [True, None]}, "odd": "a?", "group": "s", "site": "s"}
    assert [(d["text"], d["metadata"]) for d in read(outs[1])] == [("a text?.", found | {"é": 1.5}), ("b?.", found)]


def test_the_quarantine_is_never_all_in_memory(tmp_path):
    """Two million records that can't be read would be gigabytes."""
    folders = [tmp_path / name for name in ("counts", "bad", "dropped")]
    for folder in folders:
        folder.mkdir()
    whole = {"documents": 7, "bytes": 70, "groups": {"s": 70}, "dropped": {}, "examples": [], "bounds": {}}
    (folders[0] / "00_00000.json").write_text(json.dumps(whole | {"edited": 0, "edited_bytes": 0, "edits": []}))
    record = json.dumps({"file": "f" * 100, "reason": "not JSON"}) + "\n"
    for rank in range(2):
        (folders[1] / f"{rank:05d}.jsonl").write_text(record * 10_000)
    funnel = [{"step": "jsonl", "kind": "source"}]
    tracemalloc.start()
    merge(funnel, *folders, Kept(3, 10, 10))
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (len(funnel[0]["quarantined"]), funnel[0]["quarantined_count"], funnel[0]["documents_in"]) == (100, 20_000, 20_007)
    assert most < 1e6
