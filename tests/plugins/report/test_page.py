from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from example import evaluation, findings, metrics, step

from modelwright_plugins.artifacts.blend import Blend, BlendedDomain
from modelwright_plugins.mixture import Phase
from modelwright_plugins.report.page import duration, megabytes, page, short

HOSTILE = "\"><script>alert(1)</script><img src=x onerror=alert(2)>'{{ 7*7 }}$x_1$&amp;"


class Reader(HTMLParser):
    """The page as a browser's parser sees it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.inside: list[str] = []
        self.text: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append((tag, dict(attrs)))
        self.inside.append(tag)

    def handle_endtag(self, tag: str) -> None:
        while self.inside and self.inside.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if "style" not in self.inside:
            self.text.append(data)


def replaced(value: Any, text: str) -> Any:
    """Every string in `value` becomes `text` (but those that say what a row is), and every key that is a reason."""
    if isinstance(value, str):
        return value if value in {"seen", "all", "source", "filter", "deduper", "unigram", "bigram", "trigram", "4-gram"} else text
    if isinstance(value, list):
        return [replaced(item, text) for item in value]
    if isinstance(value, Mapping):
        return {(text if key == "too_short" else key): replaced(item, text) for key, item in value.items()}
    return value


def test_hostile_text_stays_text() -> None:
    plain = findings()
    fields = {name: replaced(getattr(plain, name), HOSTILE) for name in ("funnel", "evaluation", "config", "manifest", "run")}
    seen = Reader(page(findings(**fields)))
    tags = {tag for tag, _ in seen.tags}
    assert not tags & {"script", "img", "iframe", "object", "embed", "link", "form", "base"}
    assert not [name for _, attributes in seen.tags for name in attributes if name.startswith("on")]
    said = "".join(seen.text)
    assert said.count("<script>alert(1)</script>") > 20
    assert "{{ 7*7 }}" in said and "$x_1$" in said


def test_nothing_comes_from_elsewhere() -> None:
    text = page(findings())
    for tag, attributes in Reader(text).tags:
        for name in ("src", "href", "xlink:href", "srcset", "action", "data"):
            assert (attributes.get(name) or "#").startswith("#"), (tag, attributes)
    assert not re.search(r"@import|url\((?!#)", text)
    assert "default-src &#39;none&#39;" in text or "default-src 'none'" in text


def test_ids_are_unique_and_every_reference_has_its_target() -> None:
    text = page(findings())
    ids = [attributes["id"] for _, attributes in Reader(text).tags if "id" in attributes]
    assert len(ids) == len(set(ids)) > 50
    assert set(re.findall(r'(?:url\(|href=")#([^")]+)', text)) <= set(ids)


def test_same_findings_same_bytes_in_another_process() -> None:
    program = (
        "import sys; sys.path.insert(0, sys.argv[1]); from example import findings; from modelwright_plugins.report.page import page\n"
    )
    program += "sys.stdout.buffer.write(page(findings()).encode())"
    command = [sys.executable, "-c", program, str(Path(__file__).parent)]
    other = subprocess.run(command, env={**os.environ, "PYTHONHASHSEED": "77"}, capture_output=True, check=True).stdout
    assert other.decode() == page(findings())


def test_figures_say_in_words_what_they_show() -> None:
    drawn = [attributes for tag, attributes in Reader(page(findings())).tags if tag == "svg"]
    labels = [attributes["aria-label"] or "" for attributes in drawn]
    assert len(labels) == 6 and all(attributes["role"] == "img" for attributes in drawn)
    assert "this model 1.57" in labels[0] and "4-gram 1.63 on what the model saw, 1.55 on all text" in labels[0]
    assert any(label.startswith("Loss over 576 steps") for label in labels)


def test_headline_follows_the_numbers() -> None:
    def headline(bits: float) -> str:
        found = re.search(r"<h1>(.*?)</h1>", page(findings(evaluation=evaluation(bits))))
        assert found
        return found[1]

    assert headline(1.573) == "It beats every n\u2011gram that read the same text."
    assert headline(1.64) == "It beats the unigram, bigram and trigram that read the same text."
    assert headline(1.70) == "It does not beat the trigram that read the same text."
    smaller = evaluation()
    for row in smaller["baselines"]:
        row["tokens"] = 500_000
    assert "that read the first 500\N{NO-BREAK SPACE}k tokens of the same text.</h1>" in page(findings(evaluation=smaller))
    assert headline(3.0) == "It does not beat the unigram or the bigram or the trigram that read the same text."


def test_the_table_has_the_evaluations_numbers() -> None:
    text = page(findings())
    for row in [evaluation()["model"], *evaluation()["baselines"]]:
        assert f"<td>{row['bits_per_byte']:.3f}</td><td>{row['bits_per_token']:.3f}</td><td>{row['perplexity']:,.1f}</td>" in text


def test_the_numbers_say_how_large_the_model_is() -> None:
    said = re.sub(r"\s+", " ", " ".join(Reader(page(findings(evaluation={**evaluation(), "parameters": 1_234_567}))).text))
    assert "parameters, all that are trained 1.23 M 1.18 M" in said.replace("tokens trained on, of 2.5 M there are ", "")


def test_training_is_told_with_its_parts() -> None:
    text = page(findings())
    assert (
        "576 updates on 1.18\N{NO-BREAK SPACE}M tokens: 47% of the training text. causal_decoder (layers 4, width 96), muon (lr 0.03)"
        in text
    )
    twice = evaluation() | {"model": {**evaluation()["model"], "tokens_trained": 5_002_678, "tokens_seen": 2_501_339}}
    assert "so it read the text 2.0 times" in page(findings(evaluation=twice))


def test_funnel_bars_and_words() -> None:
    funnel = [step("jsonl", "source", (12, 10), (1_000_000, 1_000_000)), step("keep", "filter", (10, 4), (1_000_000, 250_000), rude=6)]
    funnel[0] |= {"quarantined": [{"file": "a.jsonl", "line": 7, "reason": "no text"}], "quarantined_count": 2}
    text = page(findings(funnel=funnel))
    assert 'class="kept" style="width: 25.00%"></i><i class="gone" style="width: 75.00%"' in text
    said = " ".join(Reader(text).text)
    assert "rude: 6 documents" in said and "x = 0" in said
    assert "2 records were set aside" in said and "a.jsonl:7" in said and "The first 1" in said


def test_a_loss_that_blew_up_and_a_group_without_bytes_are_left_out() -> None:
    rows, found = metrics(20), evaluation()
    rows[10]["loss"] = None
    found["groups"].append({"group": "empty", "documents": 1, "tokens": 1, "bytes": 0, "bits_per_byte": {"model": None, "trigram": None}})
    assert "<td>–</td>" in page(findings(metrics=rows, evaluation=found))
    assert "Gradient norm" in page(findings(metrics=[{**row, "loss": None} for row in rows]))


def test_control_characters_are_shown_and_surrogates_do_not_stop_it() -> None:
    found = evaluation()
    found["samples"] = [{"prompt": "a\x00b", "text": "c\x1b[31m\ud800"}]
    text = page(findings(evaluation=found))
    assert "a␀b" in text and "c␛[31m" in text
    assert not re.search(r"[\x00-\x08\x0b-\x1f]", text)


@pytest.mark.parametrize(
    ("said", "expected"),
    [(megabytes(12_140_000), "12.1 MB"), (megabytes(4_200), "4.2 kB"), (short(1_234_567), "1.23 M"), (short(999), "999"),
     (short(2.5e9), "2.5 B"), (duration(61), "61 s"), (duration(318), "5 min"), (duration(9000), "2.5 h")],
)  # fmt: skip
def test_numbers_in_words(said: str, expected: str) -> None:
    assert said.replace("\N{NO-BREAK SPACE}", " ") == expected


def test_what_training_read_of_each_domain() -> None:
    assert "What training was to read of each domain" not in page(findings())
    code, prose = BlendedDomain("train_code", 10, 4_000, 16_000), BlendedDomain("train_<b>", 5, 1_000, 4_000)
    blend = Blend(
        8_000, None, {"code": code, "<b>": prose}, [Phase("one", 0.5, {"code": 1.0}), Phase("two", 0.5, {"code": 0.25, "<b>": 0.75})]
    )
    text = page(findings(blend=blend))
    row = "".join(f"<td>{cell}</td>" for cell in ("1,000", "0.375", "3,000", "3.00"))
    assert f'<th scope="row">&lt;b&gt;</th>{row}' in text
    assert "for 8,000 tokens; this training read 1,179,648" in text
    assert len(re.findall(r"<tr><td>(?:one|two|in all)</td>", text)) == 6


def test_scores_stand_in_a_table_with_their_intervals() -> None:
    text = " ".join(" ".join(Reader(page(findings())).text).split())
    assert "reply/bleu 31.42 28.9 to 34.25 1,200 higher" in text
    assert "bits_per_byte 1.573 1.533 to 1.623 61 lower" in text
    old = {key: value for key, value in evaluation().items() if key != "scores"}  # written before there were any
    assert 'aria-label="Scores"' not in page(findings(evaluation=old))


def test_a_model_that_gives_no_likelihood_has_a_page() -> None:
    found = page(findings(evaluation={"samples": [], "scores": []}))
    assert "A model that was asked for no likelihood" in found and "On text that it never saw" not in found


def test_a_model_that_was_trained_further_is_said_to_be() -> None:
    one = evaluation()
    one["model"]["trained_further"] = True
    said = page(findings(evaluation=one)).replace("\N{NO-BREAK SPACE}", " ")
    assert "576 updates on 1.18 M tokens of examples, after a pretraining on 1.18 M tokens." in said
