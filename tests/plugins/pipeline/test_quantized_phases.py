"""Quantized models on a pipeline's page, and on their own."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from pipeline_example import RECORD, written

from modelwright_plugins.pipeline.page import write_page
from modelwright_plugins.pipeline.scores import cost
from modelwright_plugins.report.quantization import page


def told(name: str, bits: float, loss: float, kl: float, original: float = 1.25) -> dict[str, Any]:
    """quantization.json of a model with two layers, one of which is not wrong at all."""
    layers = [
        {
            "name": f"decoder.layers.{n}.mlp.linear_fc1",
            "outputs": 8,
            "inputs": 8,
            "bytes": 32,
            "bits": bits,
            "weight_sqnr": db,
            "output_sqnr": db,
        }
        for n, db in enumerate((20.5, None))
    ]
    scores = {"bits": (bits, bits, bits, 1), "kl": (kl, kl * 0.9, kl * 1.1, 4)}
    rows = [
        {"evaluator": "quantization", "name": key, "value": v, "low": low, "high": high, "count": count, "better": "lower"}
        for key, (v, low, high, count) in scores.items()
    ]
    text = {"rows": 4, "original": original, "quantized": loss, "kl": kl, "agreement": 0.9, "tokens": 64.0}
    size = {"matrices": 64, "others": 300_000, "before": 1_200_000}
    return {
        "quantizer": {"name": name, "fields": {"bits": 4}},
        "bits": bits,
        "bytes": size,
        "held_out": text,
        "layers": layers,
        "scores": rows,
    }


def quantized(run: Path, found: dict[str, Any]) -> None:
    """The stage's file in a phase, and in its manifest."""
    (run / "quantize").mkdir()
    (run / "quantize" / "quantization.json").write_text(json.dumps(found))
    manifest = json.loads((run / "manifest.json").read_text())
    made = {"quantization.json": {"hash": "0", "bytes": 9}}
    manifest["stages"]["quantize"] = {"status": "finished", "artifacts": made, "results": {"bytes": 64_064, "kl": 0.1}}
    (run / "manifest.json").write_text(json.dumps(manifest))


def test_bits_are_drawn_against_loss_and_scores_stand_side_by_side(tmp_path):
    folder = written(tmp_path / "p")
    quantized(folder / "base", told("absmax", 4.5, 1.3, 0.02))
    write_page(folder, RECORD)
    assert "Bits against loss" not in (folder / "report.html").read_text()  # of one there is nothing to compare
    quantized(folder / "sft", told("gptq", 4.75, 1.26, 0.002))
    quantized(folder / "dpo", told("qat", 2.5, 1.27, 0.0001, original=1.26))
    write_page(folder, RECORD)
    html = (folder / "report.html").read_text()
    assert "64.1\N{NO-BREAK SPACE}kB</td>" in html  # the weights that the last of its stages has left
    labels = re.findall(r'aria-label="(Bits a weight against [^"]*)"', html)
    assert labels[0].endswith("base 4.50 bits, loss 1.3; sft 4.75 bits, loss 1.26; dpo 2.50 bits, loss 1.27.")
    assert labels[1].endswith("base 4.50 bits, divergence 0.02; sft 4.75 bits, divergence 0.002.")  # dpo's is from another model
    assert re.search(r"bits</th>.*?<td>(<strong>)?4\.5(</strong>)?</td>", html)  # one thing: no interval
    assert re.search(r"kl</th>.*?0\.02<small>.*?<strong>0\.0001</strong>", html)


def test_a_page_says_what_was_lost():
    html = page(told("a<b>", 4.5, 1.3, 0.02), "mine<i>")
    assert "a&lt;b&gt;" in html and "mine&lt;i&gt;" in html and "<i>" not in html
    assert "1.2500 nats a token before, 1.3000 after (+0.0500)" in html
    assert "4.50</dd>" in html and re.search(r"25.\%", html)  # of 1.2 MB
    bare = {**told("absmax", 4.5, 1.3, 0.02), "held_out": None}
    assert "only its matrices are compared" in page(bare, None)


def test_what_a_model_costs_is_of_the_last_one_that_a_phase_has():
    train = {"artifacts": {"checkpoint": {}}, "results": {"tokens_per_second": 9}}  # of training, which is no matter here
    judged = {"artifacts": {"evaluation.json": {}}, "results": {"bytes": 100, "tokens_per_second": 50.0}}
    quantized = {"artifacts": {"checkpoint": {}, "quantization.json": {}}, "results": {"bytes": 20, "kl": 0.1}}
    for stages, expected in (
        ((train, judged), {"bytes": 100, "tokens_per_second": 50.0}),
        ((train, judged, quantized), {"bytes": 20}),
        ((quantized, judged), {"bytes": 100, "tokens_per_second": 50.0}),
        ((judged, train), {}),
    ):
        assert cost({"stages": dict(enumerate(stages))}) == expected
