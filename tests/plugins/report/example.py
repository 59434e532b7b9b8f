"""A run's findings, as the stages write them: made up, but of real proportions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from modelwright_plugins.report.page import Findings
from modelwright_plugins.stage._histogram import histogram

NAMES = [
    "argparse",
    "asyncio",
    "bisect",
    "calendar",
    "configparser",
    "dataclasses",
    "email",
    "fractions",
    "heapq",
    "json",
    "lib2to3",
    "zipfile",
]


def numbers(bits: float) -> dict[str, float]:
    each = bits * 3.91
    return {"bits_per_byte": bits, "bits_per_token": each, "loss": each * math.log(2), "perplexity": 2**each}


def evaluation(model: float = 1.573) -> dict[str, Any]:
    seen, every = [2.48, 1.79, 1.65, 1.63], [2.47, 1.74, 1.58, 1.55]
    rng = np.random.default_rng(0)
    names = ["unigram", "bigram", "trigram", "4-gram"]
    rows = [
        {"name": name, "order": order, "fitted_on": text, "tokens": tokens, **numbers(bits[order - 1])}
        for text, bits, tokens in (("seen", seen, 1_179_777), ("all", every, 2_501_339))
        for order, name in enumerate(names, 1)
    ]
    beaten = [row["name"] for row in rows if row["fitted_on"] == "seen" and row["bits_per_byte"] > model]
    groups = [
        {"group": name, "documents": int(rng.integers(1, 30)), "tokens": int(size / 3.9), "bytes": int(size),
         "bits_per_byte": {"model": model + shift, "trigram": 1.65 + shift + rng.normal(-0.0, 0.06)}}
        for name, size, shift in zip(NAMES, rng.lognormal(10.4, 1, len(NAMES)), rng.normal(0, 0.22, len(NAMES)), strict=True)
    ]  # fmt: skip
    size = sum(group["bytes"] for group in groups)
    return {
        "held_out": {"documents": 61, "tokens": int(size / 3.9), "bytes": size},
        "context": {"window": 128, "stride": 64, "how": "Held-out documents stand one after another; each token is predicted once."},
        "model": {"tokens_trained": 1_179_648, "tokens_seen": 1_179_777, **numbers(model)},
        "parameters": 1_235_000,
        "baselines": rows,
        "beats": {"unigram", "bigram", "trigram"} <= set(beaten),
        "beaten": beaten,
        "groups": groups,
        "scores": [
            {"evaluator": "", "name": "bits_per_byte", "value": model, "low": model - 0.04, "high": model + 0.05, "count": 61,
             "better": "lower"},
            {"evaluator": "reply", "name": "bleu", "value": 31.4159, "low": 28.9, "high": 34.25, "count": 1200, "better": "higher"},
        ],
        "samples": [
            {"prompt": "def read_lines(path", "text": ", mode=None):\n    if mode is None:\n        mode = self.mode\n    return None"},
            {"prompt": "import os\nimport", "text": " sys\nimport re\n\nfrom test import support\n\nclass TestCase(unittest.TestCase):\n"},
            {"prompt": "class Queue:\n    ", "text": '"""A queue of the queue.\n\n    A queue.\n    """\n\n    def __init__(self):\n'},
        ],
    }  # fmt: skip


def metrics(steps: int = 576) -> list[dict[str, Any]]:
    rng = np.random.default_rng(1)
    return [
        {"step": s, "tokens": s * 2048, "loss": 9.0 * s**-0.13 + float(rng.normal(0, 0.06)),
         "grad_norm": 3 / s**0.3 + float(rng.random()) / 4,
         "lr": 6e-3 * min(s / 17, (1 + math.cos(math.pi * s / steps)) / 2), "tokens_per_second": 5400 + float(rng.normal(0, 150))}
        for s in range(1, steps + 1)
    ]  # fmt: skip


def step(name: str, kind: str, documents: tuple[int, int], size: tuple[int, int], **dropped: int) -> dict[str, Any]:
    examples = [{"id": f"{name}/{reason}.py", "reason": reason, "text": f"x = {i}\n" * 8} for i, reason in enumerate(dropped)]
    return {"step": name, "kind": kind, "documents_in": documents[0], "documents_out": documents[1], "bytes_in": size[0],
            "bytes_out": size[1], "dropped": dropped, "examples": examples}  # fmt: skip


def findings(**changed: Any) -> Findings:
    funnel = [
        step("python_library", "source", (3_213, 3_210), (31_400_000, 31_400_000)),
        step("language", "filter", (3_210, 3_031), (31_400_000, 30_100_000), not_english=179),
        step("gopher_quality", "filter", (3_031, 2_410), (30_100_000, 24_700_000), too_short=502, too_few_words=119),
        step("gopher_repetition", "filter", (2_410, 1_902), (24_700_000, 15_100_000), duplicate_lines=508),
        step("c4_quality", "filter", (1_902, 1_711), (15_100_000, 13_900_000), lorem_ipsum=2, too_few_sentences=189),
        step("exact", "deduper", (1_711, 1_655), (13_900_000, 13_600_000), duplicate=56),
        step("minhash", "deduper", (1_655, 1_580), (13_600_000, 12_100_000), near_duplicate=75),
    ]
    funnel[0] |= {"quarantined": [{"file": "lib2to3/tests/data/bom.py", "offset": 0, "reason": "not UTF-8"}] * 3, "quarantined_count": 3}
    given: dict[str, Any] = {
        "funnel": funnel,
        "shards": {
            "train": {"documents": 1500, "tokens": 2_501_339, "bytes": 11_500_000, "groups": [f"m{i}" for i in range(190)]},
            "held_out": {"documents": 61, "tokens": 150_000, "bytes": 600_000, "groups": NAMES},
            "vocab_size": 8192,
            "end_of_document": 0,
        },
        "metrics": metrics(),
        "evaluation": evaluation(),
        "config": {
            "recipe": "pretrain/quickstart",
            "seed": 1234,
            "stages": ["curate", "train"],
            "generator": {"name": "sampling", "temperature": 0.8, "top_p": 0.95},
            "architecture": {"name": "causal_decoder", "layers": 4, "width": 96},
            "optimizer": {"name": "muon", "lr": 0.03},
        },
        "manifest": {
            "overrides": ["recipe=pretrain/quickstart", "train.steps=576"],
            "versions": {"python": "3.11.7", "torch": "2.13.0"},
            "git": "7e7fbc0815471594967ba6b3a328556094ef878c-dirty",
            "stages": {"curate": {"seconds": 61.2}, "train": {"seconds": 225.0}, "evaluate": {"seconds": 31.9}},
        },
        "run": "runs/pretrain/quickstart/2026-11-21_02-10-00",
    }
    return Findings(**given | changed)


def measured(seed: int, scale: str, least: float | None, most: float | None, many: int = 2000) -> dict[str, Any]:
    """A statistic as a filter's sample has it."""
    rng = np.random.default_rng(seed)
    values = {
        "words": np.floor(rng.lognormal(6, 1.8, many)),
        "length": rng.normal(4.6, 0.7, many),
        "share": np.where(rng.random(many) < 0.6, 0, rng.beta(1, 8, many)),
        "count": rng.integers(0, 9, many).astype(float),
    }[scale]
    inside = (values >= (-np.inf if least is None else least)) & (values <= (np.inf if most is None else most))
    return histogram(values, inside & (rng.random(many) < 0.9), least, most) | {"alone": 0.01, "without": seed % 3}


def curation() -> list[dict[str, Any]]:
    """A funnel with everything that there can be: statistics, edits, many reasons, long names, a step that removed nothing."""
    found = findings().funnel
    funnel = [dict(each) | {"edited": 0, "edited_bytes": 0, "edits": []} for each in found]
    funnel[2] |= {
        "measured": 2000,
        "statistics": {
            "words": measured(1, "words", 50, 100_000),
            "mean word length in characters": measured(2, "length", 3, 10),
            "share of lines that end with an ellipsis": measured(3, "share", None, 0.3),
            "different stop words": measured(4, "count", 2, None),
            "a_long_name_of_a_statistic_of_somebody's_own_filter_without_spaces": measured(5, "length", 9, None),
            "no threshold": measured(6, "words", None, None),
        },
    }
    funnel[1] |= {"dropped": {f"language_{n}_" + "x" * n: 40 - n for n in range(40)}, "examples": []}
    funnel[4] |= {
        "edited": 812,
        "edited_bytes": 123_456,
        "edits": [
            {"id": "a/b.py", "pieces": [["same", "…before "], ["gone", "what went\n" * 9], ["new", "what came"], ["same", " after…"]]},
            {"id": "c" * 150, "pieces": [["gone", "w" * 300]]},
        ],
    }
    funnel.append(step("nothing", "filter", (1_580, 1_580), (12_100_000, 12_100_000)))
    return funnel
