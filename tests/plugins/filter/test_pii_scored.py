"""What is found of each type, on lines labelled by hand (pii_lines.txt): precision and recall; and beside datatrove on real text."""

import json
import re
import sysconfig
from collections import Counter
from pathlib import Path

import pytest
from datatrove.pipeline.formatters import PIIFormatter

from modelwright_plugins.filter._pii_find import TYPES, Finder
from modelwright_plugins.filter._secrets import entropy
from modelwright_plugins.filter.pii import COUNTRIES

LABEL = re.compile(r"⟨(\w+)\|([^⟩]*)⟩")
LINES = [line for line in (Path(__file__).parent / "pii_lines.txt").read_text(encoding="utf-8").splitlines() if line[0] != "#"]
SGD = Path("/work/shared/data/sgd-dialogues")
FINDER = Finder(TYPES, public_ips=True, countries=COUNTRIES, regions=("US",))


def labelled(line):
    """The line as it would be read, and (type, start, end) of each label."""
    text, labels, last = "", [], 0
    for m in LABEL.finditer(line):
        text += line[last : m.start()]
        labels.append((m[1], len(text), len(text) + len(m[2])))
        text, last = text + m[2], m.end()
    return text + line[last:], labels


def found(text):
    return [(f.type, f.start, f.end) for f in FINDER.find(text)]


def test_precision_and_recall(capsys):
    right, missed, wrong = Counter(), Counter(), Counter()
    bad = []
    for line in LINES:
        text, labels = labelled(line)
        got = found(text)
        for one in {*labels, *got}:
            (right if one in labels and one in got else missed if one in labels else wrong)[one[0]] += 1
        if {*labels} != {*got}:
            bad.append((text, [(t, text[a:b]) for t, a, b in got]))
    with capsys.disabled():
        for kind in TYPES:
            there, said = right[kind] + missed[kind], right[kind] + wrong[kind]
            print(f"\n  {kind:12} precision {right[kind] / said:.3f} of {said:3}  recall {right[kind] / there:.3f} of {there:3}", end="")
    for kind in TYPES:
        assert right[kind] >= 0.95 * (right[kind] + wrong[kind]), (kind, bad)
        assert right[kind] >= 0.9 * (right[kind] + missed[kind]), (kind, bad)
    assert sum(right.values()) >= 80


@pytest.mark.skipif(not SGD.is_dir(), reason="needs dialogues of SGD")
def test_phones_in_dialogues_that_others_labelled():
    """Schema-Guided Dialogue: every number that its slots name is found, and nothing else of 4,000 utterances."""
    labels = hits = utterances = 0
    for file in sorted(SGD.glob("dialogues*.json")):
        for turn in (turn for dialogue in json.loads(file.read_text(encoding="utf-8")) for turn in dialogue["turns"]):
            utterances += 1
            slots = [slot for frame in turn["frames"] for slot in frame["slots"] if "phone" in slot["slot"]]
            spans = {("phone", slot["start"], slot["exclusive_end"]) for slot in slots}
            assert {*found(turn["utterance"])} <= spans, turn["utterance"]
            labels, hits = labels + len(spans), hits + len({*found(turn["utterance"])})
    assert hits == labels > 40 and utterances > 4000


def test_addresses_as_datatrove_finds_them():
    """On the Python library: each address that this finds datatrove's expressions match too."""
    stock = PIIFormatter(email_replacement="⟦e⟧", ip_replacement="⟦i⟧")
    finder = Finder(("email", "ip"), public_ips=True, countries=(), regions=())
    count = 0
    for file in (
        sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py")) + sorted(Path(sysconfig.get_paths()["purelib"]).glob("*/METADATA"))[:60]
    ):
        text = file.read_text(encoding="utf-8", errors="replace")
        for f in finder.find(text):
            count += 1
            assert "⟦" in stock.format(f" {text[f.start : f.end]} "), text[f.start : f.end]
    assert count > 50


@pytest.mark.parametrize(("text", "bits"), [("aaaa", 0.0), ("abab", 1.0), ("abcd", 2.0), ("aabc", 1.5)])
def test_entropy(text, bits):
    assert entropy(text) == pytest.approx(bits, abs=1e-12)
