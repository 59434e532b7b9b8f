"""Encyclopaedia told from the web, prose from what is no prose, beside fastText; and a run of several tasks, which trains once."""

import ast
import gzip
import json
import math
import re
import subprocess
import sys
import sysconfig
from pathlib import Path
from random import Random

import numpy as np
import pytest
import xxhash

from modelwright_plugins.filter._classifier import train
from modelwright_plugins.filter._features import tokens
from modelwright_plugins.filter._logistic import auc

DEMO = Path("/work/shared/data/llamafactory-demo")
PIECE = 1200  # characters


def pieces(text):
    return [text[at : at + PIECE] for at in range(0, len(text), PIECE) if len(text) - at > 300]


def docstrings():
    """Of the Python library: prose about code."""
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
    found = set()
    for path in sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py"))[::3]:
        tree = ast.parse(path.read_text(encoding="utf-8", errors="replace"))
        found.update(ast.get_docstring(node) or "" for node in ast.walk(tree) if isinstance(node, documented))
    return sorted(text for text in found if len(text.split()) >= 15)


def spoiled(text, dice, kind):
    """The same words and signs: shuffled, with their letters shuffled, as a table of numbers, or as what is left of minified code."""
    words = text.split()
    dice.shuffle(words)
    if kind == 0:
        return " ".join(words)
    if kind == 1:
        return " ".join("".join(dice.sample(word, len(word))) for word in words)
    if kind == 2:
        return ", ".join(f"0x{dice.getrandbits(16):04x}" for _ in words)
    return "".join(f"{word[:1]}={{{word[-1:]}:{dice.randrange(10)}}};" for word in words)


@pytest.mark.slow
def test_prose_from_what_is_none():
    """Shuffled words have the same words as prose has: only bigrams can tell. With labels drawn at random, nothing does."""
    good, dice = docstrings(), Random(1)
    shuffled = [spoiled(text, dice, 0) for text in good]
    other = [spoiled(text, dice, 1 + n % 3) for n, text in enumerate(good)]
    bad = {"shuffled": shuffled, "other": other}
    found = {(name, n): train(("good", "bad"), (good, texts), n, 18, 1e-7).auc() for name, texts in bad.items() for n in (1, 2)}
    assert len(good) > 500 and found["other", 1] > 0.99 and found["other", 2] > 0.99
    assert found["shuffled", 1] < 0.65 and found["shuffled", 2] > 0.85, found
    every = good + other
    dice.shuffle(every)
    assert 0.4 < train(("good", "bad"), (every[::2], every[1::2]), 2, 18, 1e-7).auc() < 0.6


def fasttext(folder, train_on, asked):
    """The probability of __label__a of each text, by fastText with its bigrams; None where its training came to NaN."""
    (folder / "train").write_text("".join(f"__label__{label} {' '.join(tokens(text))}\n" for label, text in train_on))
    (folder / "asked").write_text("".join(" ".join(tokens(text)) + "\n" for text in asked))
    code = """
import json, sys
from fasttext.FastText import train_supervised
model = train_supervised("train", lr=0.5, epoch=25, wordNgrams=2, bucket=1 << 18, dim=16, thread=1, verbose=0, seed=1)
found = [{label: p for p, label in model.f.predict(line, -1, 0.0, "strict")} for line in open("asked")]
json.dump([one["__label__a"] for one in found], open("found", "w"))
"""
    for _ in range(4):
        done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode == 0 and not any(map(math.isnan, found := json.loads((folder / "found").read_text()))):
            return np.array(found)
    return None


@pytest.mark.slow
@pytest.mark.skipif(not DEMO.is_dir(), reason="needs the samples of Wikipedia and C4")
def test_wikipedia_from_the_web_as_fasttext_tells_them(tmp_path):
    wiki = pieces((DEMO / "wiki_demo.txt").read_text(encoding="utf-8"))
    web = [piece for line in (DEMO / "c4_demo.jsonl").open(encoding="utf-8") for piece in pieces(json.loads(line)["text"])]
    model = train(("good", "bad"), (wiki, web), 2, 18, 1e-7)
    assert model.auc() > 0.98

    def split(texts):
        ordered = sorted({*texts}, key=lambda text: xxhash.xxh3_64_intdigest(text.encode()))
        return ordered[: len(model.held_out[texts is web])], ordered[len(model.held_out[texts is web]) :]

    (good_out, good), (bad_out, bad) = split(wiki), split(web)
    for asked, side in ((good_out, 0), (bad_out, 1)):  # the same that the model held out
        assert np.allclose([model.probability(text) for text in asked], model.held_out[side], atol=1e-6)
    labelled = [("a", text) for text in good] + [("b", text) for text in bad]
    Random(1).shuffle(labelled)
    theirs = fasttext(tmp_path, labelled, good_out + bad_out)
    if theirs is None:
        pytest.skip("fastText's training comes to NaN in this build")
    other = auc(theirs[: len(good_out)], theirs[len(good_out) :])
    print(f"AUC {model.auc():.4f}, fastText {other:.4f}")
    assert model.auc() > other - 0.01


@pytest.mark.slow
def test_a_run_trains_once_and_the_kept_model_decides_the_same(tmp_path):
    here = Path(__file__).parent
    good, bad = (re.split("\n\n", (here / f"{side}_lines.txt").read_text().strip()) for side in ("good", "bad"))
    for part in range(4):
        rows = [{"text": text} for text in (good + bad)[part::4]]
        (tmp_path / f"in{part}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    common = "run source=jsonl source.paths=[in0.jsonl,in1.jsonl,in2.jsonl,in3.jsonl] stages=[curate] curate.held_out=0 executor.workers=2"
    given = [f"good=[{here}/good_lines.txt]", f"bad=[{here}/bad_lines.txt]", "keep=kept/q.safetensors"]
    found = []
    for name, model in (("one", given), ("two", ["model=kept/q.safetensors"])):
        words = [*common.split(), f"run.dir={name}", "filter=[quality_classifier]", *(f"filter.quality_classifier.{v}" for v in model)]
        done = subprocess.run([sys.executable, "-m", "modelwright", *words], check=True, cwd=tmp_path, capture_output=True, text=True)
        assert done.stdout.count("quality_classifier: trained on 16 good and 16 bad texts") == 1
        (folder,) = (tmp_path / name).glob("**/documents")
        lines = b"".join(gzip.decompress(file.read_bytes()) for file in sorted(folder.glob("*.jsonl.gz"))).splitlines()
        found.append([json.loads(line) for line in lines])
    assert found[0] == found[1] and {d["text"] for d in found[0]} >= {*good[:3]}
    assert all(0.5 <= d["metadata"]["quality"] <= 1 for d in found[0]) and len(found[0]) < 40
