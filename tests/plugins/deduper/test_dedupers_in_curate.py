"""Every deduper in the curate stage itself: the same documents whatever the tasks, and a funnel that says what went."""

import gzip
import json
import random

import pytest

from modelwright.component import Job
from modelwright_plugins.artifacts import Documents
from modelwright_plugins.deduper.exact import Exact
from modelwright_plugins.deduper.minhash import MinHash
from modelwright_plugins.deduper.parts import Lines, Paragraphs, Sentences
from modelwright_plugins.deduper.semantic import Semantic
from modelwright_plugins.deduper.substring import Substring
from modelwright_plugins.executor.local import Local
from modelwright_plugins.source.jsonl import Jsonl
from modelwright_plugins.stage.curate import Curate

DEDUPERS = {
    "exact": Exact(nfkc=True, punctuation=False),
    "paragraphs": Paragraphs(),
    "lines": Lines(min_chars=2),
    "sentences": Sentences(),
    "substring": Substring(),
    "minhash": MinHash(),
    "semantic": Semantic(min_similarity=0.85),
}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """90 texts in 7 files, with one thing planted for each deduper, and a file that they are compared against."""
    folder = tmp_path_factory.mktemp("corpus")
    pick = random.Random(0)
    say = lambda count: " ".join("".join(pick.choices("abcdefghijklmnopqrstuvwxyz", k=6)) for _ in range(count))  # noqa: E731
    texts = [f"{say(60)}. {say(40)}. {say(50)}! {say(30)}.\n{say(20)}\n\n{say(20)}." for _ in range(60)]
    line, paragraph, span, run = say(9), say(12), f"{say(8)}. {say(9)}! {say(9)}?", say(60).replace(" ", "_")
    half = texts[1].split()
    pick.shuffle(half)
    texts += [texts[0].upper() + "!", texts[2] + "\n\nand one line more", " ".join(half)]
    texts += [f"{say(50)}\n{line}\n{say(50)}" for _ in range(3)] + [f"{say(50)}\n\n{paragraph}\n\n{say(50)}" for _ in range(3)]
    texts += [f"{say(50)}. {span} {say(50)}." for _ in range(3)] + [f"{say(50)}{run}{say(50)}" for _ in range(3)]
    known = say(100)
    texts += [known, known + " "]
    for number in range(7):
        (folder / f"{number}.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts[number::7]))
    (folder / "known.txt").write_text(known)
    return folder, line, paragraph, span, run, known


def curated(folder, out, tasks, workers):
    dedupers = DEDUPERS | {"exact": Exact(nfkc=True, punctuation=False, against=(str(folder / "known.txt"),))}
    parts = {"source": Jsonl(paths=[str(folder)]), "filter": {}, "deduper": dedupers, "executor": Local(tasks=tasks, workers=workers)}
    out.mkdir()
    job = Job(run=out, out=out, seed=0, parts=parts, inputs={}, hooks=None)
    Curate(held_out=0.0).run(job)
    made = job.make(Documents).path
    documents = [json.loads(row) for file in sorted(made.glob("*.jsonl.gz")) for row in gzip.decompress(file.read_bytes()).splitlines()]
    return documents, json.loads((made / "funnel.json").read_text())


@pytest.mark.slow
def test_each_takes_out_what_was_planted_for_it(corpus, tmp_path):
    folder, line, paragraph, span, run, known = corpus
    documents, funnel = curated(folder, tmp_path / "one", 1, 1)
    everything = "\n".join(document["text"] for document in documents)
    assert known not in everything
    for planted in (line, paragraph, span, run):
        assert everything.count(planted) == 1
    steps = {step["step"]: step for step in funnel}
    assert list(steps) == ["jsonl", *DEDUPERS]
    assert steps["exact"]["dropped"] == {"duplicate": 3} and steps["semantic"]["dropped"] == {"semantic_duplicate": 1}
    assert all(step["bytes_in"] > step["bytes_out"] for name, step in steps.items() if name not in ("jsonl", "minhash"))
    for tasks, workers in ((3, 2), (7, 1)):
        assert curated(folder, tmp_path / f"{tasks}", tasks, workers) == (documents, funnel)
