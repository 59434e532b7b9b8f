"""What a curation keeps to be looked at: statistics, dropped documents and edits, whatever the number of tasks; and its page."""

from __future__ import annotations

import gzip
import json
import os
import random
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from typing import Any, ClassVar

import pytest
import xxhash
from datatrove.data import Document

sys.path.insert(0, str(Path(__file__).parent))

from modelwright.component import Job
from modelwright.errors import ModelwrightError
from modelwright.hooks import Hooks
from modelwright_plugins.artifacts import CurationReport, Documents
from modelwright_plugins.artifacts.documents import read, split
from modelwright_plugins.deduper.exact import Exact
from modelwright_plugins.deduper.parts import Lines
from modelwright_plugins.executor.local import Local
from modelwright_plugins.filter import Filter
from modelwright_plugins.filter.measured import Bounds, Measured
from modelwright_plugins.filter.pii import PII
from modelwright_plugins.filter.regex import Regex
from modelwright_plugins.source.code import Code
from modelwright_plugins.source.jsonl import Jsonl
from modelwright_plugins.stage._edits import pieces
from modelwright_plugins.stage.curate import Curate


class ByWords(Measured):
    """Keeps texts of 3 to 7 words, and none with a 'z'; in batches, as a classifier on a GPU would."""

    name = "by words"
    looked_at: ClassVar[list[str]] = []

    def __init__(self, batch: int = 1) -> None:
        super().__init__(batch_size=batch)

    def filter_batch(self, batch: list[Document]) -> list[bool | tuple[bool, str]]:
        return [self.filter(document) for document in batch]

    def filter(self, doc: Document) -> bool | tuple[bool, str]:
        words = len(doc.text.split())
        if words < 3:
            return False, "short"
        if words > 7:
            return False, "long"
        doc.text = doc.text.replace("y", "x")  # after it was measured
        return ("z" not in doc.text) or (False, "z")

    def bounds(self) -> Mapping[str, Bounds]:
        return {"words": Bounds(3, 7), "letters y for each word": Bounds()}

    def measure(self, document: Document) -> Mapping[str, float]:
        self.looked_at.append(document.id)
        words = len(document.text.split())
        return {"words": words, "letters y for each word": document.text.count("y") / words if words > 1 else float("nan")}


@dataclass(frozen=True, kw_only=True)
class Words(Filter):
    """A filter of this test."""

    batch: int = 1  # documents at a time

    def build(self) -> Measured:
        return ByWords(self.batch)


def curated(folder: Path, out: Path, *, tasks: int = 1, filters: Any = None, dedupers: Any = None, source: Any = None, **stage: Any) -> Job:
    out.mkdir()
    parts = {
        "source": source or Jsonl(paths=(str(folder),), group_key="site"),
        "filter": {"words": Words()} if filters is None else filters,
        "deduper": dedupers or {},
        "executor": Local(tasks=tasks, workers=1),
    }
    job = Job(run=out, out=out, seed=0, parts=parts, inputs={}, hooks=Hooks(), config={"recipe": "curate/test"})
    Curate(**{"held_out": 0.0, **stage}).run(job)
    return job


def funnel(job: Job) -> Any:
    return json.loads((job.make(Documents).path / "funnel.json").read_text())


def page(job: Job) -> str:
    return job.make(CurationReport).path.read_text(encoding="utf-8")


def dropped(job: Job, name: str) -> list[Any]:
    return [json.loads(line) for line in gzip.open(job.out / "dropped" / f"{name}.jsonl.gz", "rt", encoding="utf-8")]


def written(folder: Path, texts: Mapping[str, str], files: int = 1) -> Path:
    folder.mkdir()
    lines = [json.dumps({"text": text, "id": name, "site": "s"}) + "\n" for name, text in texts.items()]
    each = -(-len(lines) // files)
    for number in range(files):
        (folder / f"{number:02d}.jsonl").write_text("".join(lines[number * each : (number + 1) * each]))
    return folder


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    pick = random.Random(3)
    letters = [*"abcdefghy"]
    texts = {
        f"doc {n}": " ".join(pick.choice(letters) for _ in range(pick.randrange(1, 12))) + pick.choice(["", "", " z"]) for n in range(600)
    }
    return written(tmp_path_factory.mktemp("texts") / "in", texts, files=14), texts


def test_a_tiny_corpus_is_counted_by_hand(tmp_path: Path) -> None:
    texts = {"one": "a", "two": "a b", "three": "a b c", "z": "a y c z", "five": "a y c d y", "nine": "a b c d e f g h i"}
    job = curated(written(tmp_path / "in", texts), tmp_path / "out")
    source, words = funnel(job)
    assert "statistics" not in source and words["measured"] == 6
    found = words["statistics"]["words"]
    assert (found["least"], found["most"], found["scale"]) == (3, 7, "whole")
    assert found["edges"] == [n + 0.5 for n in range(10)]  # 1 to 9 words
    assert found["kept"] == [0, 0, 1, 0, 1, 0, 0, 0, 0]
    assert found["dropped"] == [1, 1, 0, 1, 0, 0, 0, 0, 1]
    assert found["outside"] == found["alone"] == 0.5 and found["without"] == 0
    letters = words["statistics"]["letters y for each word"]
    assert letters["without"] == 1 and sum(letters["kept"]) == 2 and letters["highest"] == pytest.approx(2 / 5)
    assert words["dropped"] == {"short": 2, "long": 1, "z": 1}
    assert (words["edited"], words["edited_bytes"]) == (1, 0)
    assert words["edits"] == [
        {"id": "five", "pieces": [["same", "a "], ["gone", "y"], ["new", "x"], ["same", " c d "], ["gone", "y"], ["new", "x"]]}
    ]
    assert {d["id"]: (d["reason"], d["text"], d["metadata"]["group"]) for d in dropped(job, "01_words")} == {
        name: (reason, texts[name], "s") for name, reason in (("one", "short"), ("two", "short"), ("nine", "long"), ("z", "z"))
    }


def test_the_sample_is_the_same_for_any_number_of_tasks(corpus: tuple[Path, dict[str, str]], tmp_path: Path) -> None:
    folder, texts = corpus
    options: dict[str, Any] = {"measured": 100, "dropped": 20, "examples": 4}
    jobs = [curated(folder, tmp_path / str(tasks), tasks=tasks, **options) for tasks in (1, 3, 7)]
    batched = curated(folder, tmp_path / "batched", tasks=2, filters={"words": Words(batch=16)}, **options)
    for job in (*jobs[1:], batched):
        assert funnel(job) == funnel(jobs[0])
        assert dropped(job, "01_words") == dropped(jobs[0], "01_words")
    assert page(jobs[0]) == page(jobs[1]) == page(jobs[2])

    # and it is what the smallest hashes choose
    chosen = sorted(texts, key=lambda name: xxhash.xxh3_64_intdigest(name.encode()))[:100]
    counts = [len(texts[name].split()) for name in chosen]
    found = funnel(jobs[0])[1]["statistics"]["words"]
    at = {int(edge + 0.5): kept + gone for edge, kept, gone in zip(found["edges"], found["kept"], found["dropped"], strict=False)}
    assert at == {n: counts.count(n) for n in at} and sum(at.values()) == 100
    kept = [name for name in chosen if 3 <= len(texts[name].split()) <= 7 and "z" not in texts[name]]
    assert sum(found["kept"]) == len(kept) < 100
    gone = [name for name in texts if not (3 <= len(texts[name].split()) <= 7 and "z" not in texts[name])]
    sample = set(sorted(gone, key=lambda name: xxhash.xxh3_64_intdigest(name.encode()))[:20])
    assert [d["id"] for d in dropped(jobs[0], "01_words")] == [name for name in gone if name in sample]  # in the source's order
    assert all(d["text"] == texts[d["id"]] for d in dropped(jobs[0], "01_words"))
    assert len(funnel(jobs[0])[1]["edits"]) == 4 and funnel(jobs[0])[1]["edited"] > 50


def test_a_task_passes_over_what_others_have_ruled_out(corpus: tuple[Path, dict[str, str]], tmp_path: Path) -> None:
    """Of 600 documents in any order, 20 smallest: some 20 (1 + ln 30) = 88 are among them when they come, in one task as in 14."""
    counts, found = [], []
    for tasks in (1, 14):
        ByWords.looked_at.clear()
        found.append(funnel(curated(corpus[0], tmp_path / str(tasks), tasks=tasks, measured=20)))
        counts.append(len(ByWords.looked_at))
    assert found[0] == found[1] and found[0][1]["measured"] == 20
    assert all(80 < count < 110 for count in counts)  # alone, each of 14 tasks would look at 20 (1 + ln (43 / 20)) = 35


def test_ids_that_are_not_unique(tmp_path: Path) -> None:
    """All ids are one; their texts tell them apart, in batches too."""
    pick = random.Random(1)
    (folder := tmp_path / "in").mkdir()
    for part in range(5):
        lines = [json.dumps({"text": "a " * pick.randrange(1, 12) + str(part * 40 + n), "id": "same", "site": "s"}) for n in range(40)]
        (folder / f"{part}.jsonl").write_text("\n".join(lines))
    jobs = [
        curated(folder, tmp_path / f"{tasks}_{batch}", tasks=tasks, filters={"words": Words(batch=batch)}, measured=50)
        for tasks, batch in ((1, 1), (5, 1), (2, 8))
    ]
    found = [funnel(job)[1] for job in jobs]
    assert found[0] == found[1] == found[2] and found[0]["measured"] == 50
    words = found[0]["statistics"]["words"]
    assert sum(words["dropped"]) == round(words["outside"] * 50)


def test_nothing_is_measured_or_kept_when_nobody_asks(corpus: tuple[Path, dict[str, str]], tmp_path: Path) -> None:
    job = curated(corpus[0], tmp_path / "out", measured=0, dropped=0, examples=0)
    _, words = funnel(job)
    assert "statistics" not in words and words["examples"] == [] and words["edits"] == [] and words["edited"] > 0
    assert list((job.out / "dropped").iterdir()) == []
    assert "<svg" not in page(job)
    for name in ("measured", "dropped", "examples"):
        with pytest.raises(ValueError, match=f"{name} is -1"):
            Curate(**{name: -1})


def test_the_page_shows_each_threshold_where_it_is(tmp_path: Path) -> None:
    texts = {"a": "a", "b": "a b c", "c": "a b c d e f g h"}
    text = page(curated(written(tmp_path / "in", texts), tmp_path / "out"))
    assert text.count('<svg class="histogram"') == 2
    told = unescape(text)
    assert (
        "words of 3 documents: from 1 to 8, half of them up to 3. Allowed: at least 3 and at most 7; 66.7\N{NO-BREAK SPACE}% are outside."
        in told
    )
    first = text[text.index("<svg") : text.index("</svg>")]
    # Values 1 to 8 have bins of 38 units from 8 on: 3 begins at 8 + 2 * 38, 8 at 8 + 7 * 38.
    assert '<path class="limit" d="M84 12V112"/>' in first and '<path class="limit" d="M274 2V112"/>' in first
    assert 'class="outside" d="M8 24H84V112H8z"' in first and 'class="outside" d="M274 24H312V112H274z"' in first
    assert first.count(">least 3</text>") == first.count(">most 7</text>") == 1
    kept, gone = (first[first.index(f'class="{name}"') :].split('"')[3] for name in ("stay", "drop"))
    assert (kept.count("M"), gone.count("M")) == (1, 2) and kept.startswith("M84 112.0v-88.0h37.4")


def test_what_documents_say_is_escaped(tmp_path: Path) -> None:
    bad = '<script>alert("1")</script><img src=x onerror=alert(2)>{{ 7*7 }}'
    texts = {f"{bad} 1": "a", f"{bad} 2": f"{bad} y", f"{bad} 3": "a b c d e f g h i" + bad}
    text = page(curated(written(tmp_path / "in", texts), tmp_path / "out", filters={bad: Words()}))
    assert "<script" not in text and "<img" not in text and "onerror=alert" in unescape(text)
    assert "{{ 7*7 }}" in text and unescape(text).count('<script>alert("1")</script>') >= 7


def test_without_filters_and_with_dedupers_only(tmp_path: Path) -> None:
    texts = {"a": "first line here\nsecond line here", "b": "first line here\nthird line is here", "c": "first line here\nsecond line here"}
    folder = written(tmp_path / "in", texts)
    alone = page(curated(folder, tmp_path / "alone", filters={}))
    assert "No step removed anything." in alone and "100\N{NO-BREAK SPACE}% of the text is left." in alone
    job = curated(folder, tmp_path / "dedupers", filters={}, dedupers={"exact": Exact(), "lines": Lines()})
    _, exact, lines = funnel(job)
    assert exact["dropped"] == {"duplicate": 1} and [d["id"] for d in dropped(job, "01_exact")] == ["c"]
    assert lines["edited"] == 1
    assert lines["edits"] == [{"id": "b", "pieces": [["gone", "first line here\n"], ["same", "third line is here"]]}]
    assert "1 document that stayed was edited" in page(job) and "<svg" not in page(job)


@pytest.mark.parametrize("dedupers", [{}, {"exact": Exact()}])
def test_a_file_name_that_is_not_utf_8_stops_nothing(tmp_path: Path, dedupers: dict[str, Any]) -> None:
    """Of a file that can be read, and of one that can't."""
    for folder, content in (("in/caf", b"A = 1\n"), ("in/bad", b"\0\0")):
        file = Path(os.fsdecode(os.fsencode(tmp_path / folder) + b"\xe9/caf\xe9.py"))
        file.parent.mkdir(parents=True)
        file.write_bytes(content)
    source = Code(paths=[str(tmp_path / "in")])
    job = curated(tmp_path, tmp_path / "out", filters={}, dedupers=dedupers, source=source)
    (document,) = read(job.make(Documents))
    assert document["id"] == f"{tmp_path}/in/caf\\udce9/caf\\udce9.py"
    assert (document["metadata"]["path"], document["metadata"]["group"]) == ("caf\\udce9.py", f"{tmp_path}/in/caf\\udce9")
    (bad,) = funnel(job)[0]["quarantined"]
    assert bad == {"file": f"{tmp_path}/in/bad\\udce9/caf\\udce9.py", "reason": "a binary file"}
    assert split(job.make(Documents))["bytes"]["train"] == 6


def test_when_nothing_is_left_the_page_is_there_and_the_error_names_it(tmp_path: Path) -> None:
    folder = written(tmp_path / "in", {"a": "a", "b": "b"})
    with pytest.raises(ModelwrightError, match=r"'words' removed most.*curation\.html shows each step"):
        curated(folder, tmp_path / "out")
    text = (tmp_path / "out/curation.html").read_text(encoding="utf-8")
    assert "Nothing is left of 2 documents." in text and text.count('<svg class="histogram"') == 1
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty/a.jsonl").write_text("{}\n")
    with pytest.raises(ModelwrightError, match="1 unreadable records"):
        curated(tmp_path / "empty", tmp_path / "none")
    assert "The source has no documents that can be read." in (tmp_path / "none/curation.html").read_text(encoding="utf-8")


def test_edits_show_what_went_and_what_came(tmp_path: Path) -> None:
    texts = {"mail": "Write to ada@acme.com please, before tomorrow.", "plain": "Nothing to see in this one, is there."}
    filters = {"pii": PII(), "cut": Regex(patterns=("please, ",), mode="edit")}
    _, pii, cut = funnel(curated(written(tmp_path / "in", texts), tmp_path / "out", filters=filters))
    (edit,) = pii["edits"]
    assert edit["id"] == "mail"
    assert "".join(text for what, text in edit["pieces"] if what != "new") == texts["mail"]
    assert "".join(text for what, text in edit["pieces"] if what != "gone") == "Write to [EMAIL] please, before tomorrow."
    assert [text for what, text in cut["edits"][0]["pieces"] if what == "gone"] == ["please, "]
    assert cut["edited_bytes"] == len("please, ") and pii["edited"] == cut["edited"] == 1


def test_long_edits_are_cut() -> None:
    """A long piece that went is shown by its ends; far changes are left out; a word is never cut."""
    long = pieces("x " * 100 + "START\n" + "junk words " * 80 + "END of it, and on", "x " * 100 + "START\nEND of it, and on")
    assert [what for what, _ in long] == ["same", "gone", "same"]
    assert long[0][1].startswith("…x x") and long[0][1].endswith("START\n") and long[2][1] == "END of it, and on"
    assert "… 380 characters …" in long[1][1] and len(long[1][1]) < 540
    many = pieces("abc " * 3000, "abc " * 1000 + "abd " * 2000)
    assert many[0][1] == "…" + "abc " * 15 and many[1:3] == [("gone", "abc"), ("new", "abd")] and many[-1] == ("same", "…")
    assert sum(len(text) for _, text in many) < 1200
    assert pieces("mail info@a.org now", "mail ines@b.net now")[:3] == [("same", "mail "), ("gone", "info"), ("new", "ines")]
    assert pieces("gone", "") == [("gone", "gone")] and pieces("", "new") == [("new", "new")]


@pytest.mark.parametrize("seed", range(40))
def test_what_stayed_and_went_is_the_text_before_and_what_stayed_and_came_the_one_after(seed: int) -> None:
    pick = random.Random(seed)
    before = [pick.choice(["the", "cat", "a@b.c", "\n", "  ", "é", "."]) for _ in range(pick.randrange(0, 60))]
    after = [pick.choice([word, word, word, "", "[X]"]) for word in before]
    found = pieces("".join(before), "".join(after))
    assert "".join(text for what, text in found if what != "new").lstrip("…") in "".join(before)
    assert "".join(before).endswith("".join(text for what, text in found if what != "new").lstrip("…"))
    assert "".join(after).endswith("".join(text for what, text in found if what != "gone").lstrip("…"))
