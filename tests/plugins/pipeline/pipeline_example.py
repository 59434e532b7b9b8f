"""The folder of a pipeline with numbers of our own: a base model, SFT and DPO, of which DPO has not ended."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

RECORD: dict[str, Any] = {
    "recipe": "dialogue/orders",
    "words": ["recipe=dialogue/orders", "seed=7"],
    "next": [],
    "phases": [
        {"name": "base", "from": None, "overrides": ["recipe=pretrain/<b>tiny</b>"]},
        {"name": "sft", "from": "base", "overrides": ["stages=[align,evaluate]"]},
        {"name": "dpo", "from": "sft", "overrides": []},
        {"name": "export", "from": "dpo", "overrides": []},
    ],
}
SCORES = {  # phase -> score -> (value, low, high, better)
    "base": {"bits_per_byte": (1.91, 1.88, 1.95, "lower"), "orders/correctness": (0.12, 0.09, 0.15, "higher")},
    "sft": {"orders/correctness": (0.93, 0.91, 0.95, "higher"), "orders/bleu": (61.2, 60.0, 62.5, "higher")},
    "dpo": {"orders/correctness": (0.97, 0.955, 0.981, "higher"), "orders/bleu": (60.9, 59.8, 62.1, "higher")},
}


def written(folder: Path) -> Path:
    """The same in `folder`, with `pipeline.json`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "pipeline.json").write_text(json.dumps(RECORD))
    for number, (name, scores) in enumerate(SCORES.items()):
        _phase(folder / name, scores, running=name == "dpo", bytes_=10_000_000 * (number + 1))
    (folder / "sft" / "report.html").write_text("a page")
    for name in ("sft", "dpo"):
        (folder / name / "evaluate" / "orders").mkdir()
        (folder / name / "evaluate" / "orders" / "dialogues.txt").write_text(f"{name}: <i>a pizza</i>\n" * (2000 if name == "dpo" else 1))
    return folder


def _phase(run: Path, scores: dict[str, tuple[float, float, float, str]], *, running: bool, bytes_: int) -> None:
    for stage in ("train", "evaluate"):
        (run / stage).mkdir(parents=True, exist_ok=True)
    (run / "train" / "metrics.jsonl").write_text(
        "".join(json.dumps({"step": n, "tokens_per_second": 1000.0 * n}) + "\n" for n in (1, 2, 9))
    )
    told = [
        {
            "evaluator": key.rpartition("/")[0],
            "name": key.rpartition("/")[2],
            "value": v,
            "low": low,
            "high": high,
            "count": 500,
            "better": b,
        }
        for key, (v, low, high, b) in scores.items()
    ]
    (run / "evaluate" / "evaluation.json").write_text(json.dumps({"samples": [], "scores": told}))
    (run / "evaluation.json").symlink_to("evaluate/evaluation.json")
    made = {name: {"hash": "0", "bytes": bytes_} for name in ("checkpoint", "metrics.jsonl")}
    train = {"status": "finished", "seconds": 61.0, "artifacts": made, "results": {"loss": 2.5}}
    evaluate = {"status": "finished", "seconds": 3.0, "artifacts": {"evaluation.json": {"hash": "0", "bytes": 9}}}
    evaluate["results"] = {"bytes": 3_500_000, "tokens_per_second": 1200.0}
    asked = {"python": ["from transformers import AutoTokenizer", "…"], "parameters": 7}
    export = {"status": "finished", "seconds": 1.0, "artifacts": {"hugging_face": {"hash": "0", "bytes": 9}}, "results": asked}
    stages = {"train": train, "evaluate": evaluate, **({"export": export} if running else {})}
    manifest = {"status": "running" if running else "finished", "overrides": [], "stages": stages}
    (run / "manifest.json").write_text(json.dumps(manifest))
