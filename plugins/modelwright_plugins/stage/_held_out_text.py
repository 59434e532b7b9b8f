"""Likelihood of held-out text: what a model needs for it, beside n-gram models of the text that it was trained on."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from modelwright.component import Job
from modelwright.errors import ModelwrightError
from modelwright_plugins.artifacts import Checkpoint, Metrics, TokenShards
from modelwright_plugins.engine.pretrained import Pretrained
from modelwright_plugins.evaluator import Score
from modelwright_plugins.evaluator.interval import bootstrap
from modelwright_plugins.evaluator.ngram import NGrams
from modelwright_plugins.evaluator.shards import HeldOut, held_out, seen_spans, tokens_trained, train_tokens
from modelwright_plugins.evaluator.windows import stream_losses
from modelwright_plugins.progress import progress

if TYPE_CHECKING:
    from modelwright_plugins.engine.inference import TrainedModel
    from modelwright_plugins.evaluator.shards import Tokens
    from modelwright_plugins.stage.evaluate import Evaluate

ORDERS = {1: "unigram", 2: "bigram", 3: "trigram", 4: "4-gram"}


class HeldOutText:
    """The held-out text of a job's shards, the nats that the model needs for each of its tokens, and what there is to say of them."""

    def __init__(self, stage: Evaluate, job: Job, model: TrainedModel) -> None:
        """All ranks ask the model."""
        self.stage, self.shards, self.held = stage, job.take(TokenShards), held_out(job.take(TokenShards))
        self.length, self.end, self.vocab_size = model.sequence_length, model.end_of_document, model.vocab_size
        self.stride = stage.stride or max(1, self.length // 2)
        if self.stride > self.length:
            raise ModelwrightError(f"evaluate.stride={self.stride} is more than the model's sequence length, {self.length}")
        self.stream = np.concatenate([np.array([self.end], self.held.tokens.dtype), self.held.tokens])
        with progress("evaluating", len(self.held.tokens), "tok") if model.rank == 0 else _Silent() as bar:
            how: dict[str, Any] = {"length": self.length, "stride": self.stride, "batch": stage.batch, "bar": bar}
            self.nats, self.hits = stream_losses(model.token_scores, self.stream, **how)
        # a model that was trained further still saw what pretraining showed it
        earlier = Pretrained.read(job.take(Checkpoint).path)
        self.further = earlier is not None
        self.seen, self.trained = (earlier.seen, earlier.tokens) if earlier else (model.seen, tokens_trained(job.take(Metrics)))

    def scores(self) -> list[Score]:
        """Bits per byte, perplexity, and the share of tokens that the model finds likeliest where they stand; their intervals are of
        drawing the documents again."""
        begins = np.concatenate([[0], np.cumsum(self.held.lengths)[:-1]])
        nats, hits = (np.add.reduceat(each, begins) for each in (self.nats, self.hits))
        table = np.stack([nats, self.held.bytes, self.held.lengths, hits], 1)
        return [
            bootstrap("bits_per_byte", table, lambda sums: sums[0] / math.log(2) / sums[1] if sums[1] else math.nan, better="lower"),
            bootstrap("perplexity", table, lambda sums: math.exp(sums[0] / sums[2]), better="lower"),
            bootstrap("token_accuracy", table, lambda sums: sums[3] / sums[2]),
        ]

    def judged(self) -> dict[str, Any]:
        """Beside n-gram models; on one rank."""
        held, stream, window = self.held, self.stream, self.length
        seen = seen_spans(self.shards, self.seen, trained=self.trained // window)
        bits = {"model": self.nats / math.log(2)}
        baselines: list[dict[str, Any]] = []
        with progress("n-gram models", 2 * len(ORDERS), "model") as bar:
            for text, spans in (("seen", seen), ("all", [train_tokens(self.shards)])):
                fitted = _first(spans, self.stage.baseline_tokens)
                counted = NGrams(fitted, max(ORDERS), self.vocab_size)
                for order, name in ORDERS.items():
                    losses = bits[f"{text} {name}"] = -counted.log2_probabilities(stream, order, start=1)
                    row = {"name": name, "order": order, "fitted_on": text, "tokens": sum(map(len, fitted))}
                    baselines.append(row | _numbers(losses.sum(), held))
                    bar.update(1)
        model: dict[str, Any] = {"tokens_trained": self.trained, "tokens_seen": sum(map(len, seen))}
        model |= {"trained_further": self.further} | _numbers(bits["model"].sum(), held)
        beaten = [b["name"] for b in baselines if b["fitted_on"] == "seen" and b["bits_per_token"] > model["bits_per_token"]]
        return {
            "held_out": {"documents": len(held.groups), "tokens": len(held.tokens), "bytes": int(held.bytes.sum())},
            "context": {
                "window": window,
                "stride": self.stride,
                "how": f"Held-out documents stand one after another, after one end-of-document token. The model sees windows of "
                f"{window} tokens; each token is predicted once, from at least {window - self.stride} tokens before it "
                "(at the very beginning, from all there are). N-gram models see the tokens before each in the same stream. "
                "End-of-document tokens are predicted too; they cost bits and are no bytes.",
            },
            "model": model,
            "baselines": baselines,
            "beats": {"unigram", "bigram", "trigram"} <= set(beaten),
            "beaten": beaten,
            "groups": _by_group(held, {"model": bits["model"], "trigram": bits["seen trigram"]}),
        }


class _Silent:
    """A progress bar on the ranks that show none."""

    def __enter__(self) -> _Silent:
        return self

    def __exit__(self, *error: object) -> None: ...

    def update(self, n: int) -> None: ...


def _first(spans: list[Tokens], most: int) -> list[Tokens]:
    """The first `most` tokens of these."""
    kept = []
    for span in spans:
        kept.append(span[:most])
        most -= len(kept[-1])
        if most == 0:
            break
    return kept


def _numbers(bits: float, held: HeldOut) -> dict[str, float]:
    each = float(bits) / len(held.tokens)
    return {"bits_per_byte": float(bits) / int(held.bytes.sum()), "bits_per_token": each, "loss": each * math.log(2), "perplexity": 2**each}


def _by_group(held: HeldOut, bits: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Size of each group, and bits per byte of each of these models on it; sorted by name."""
    names, at = np.unique(np.array(held.groups), return_inverse=True)
    starts = np.concatenate([[0], np.cumsum(held.lengths)[:-1]])
    sizes, tokens = np.bincount(at, held.bytes), np.bincount(at, held.lengths)
    each = {name: np.bincount(at, np.add.reduceat(found, starts)) for name, found in bits.items()}
    return [
        {
            "group": str(name),
            "documents": int((at == i).sum()),
            "tokens": int(tokens[i]),
            "bytes": int(sizes[i]),
            "bits_per_byte": {model: float(found[i] / sizes[i]) if sizes[i] else None for model, found in each.items()},
        }
        for i, name in enumerate(names)
    ]


def table(found: Mapping[str, Any]) -> list[str]:
    """What is printed of `judged`."""
    held, model = found["held_out"], found["model"]
    modules = len(found["groups"])
    lines = [f"  held out: {modules} groups, {held['documents']:,} documents, {held['tokens']:,} tokens, {held['bytes'] / 1e6:.2f} MB"]
    rows = [("", model | {"name": "this model", "tokens": model["tokens_seen"]})]
    rows += [({"seen": "on what it saw", "all": "on all"}[b["fitted_on"]], b) for b in found["baselines"]]
    lines.append(f"  {'':10}  {'fitted':14}  {'tokens':>12}  {'bits/byte':>9}  {'bits/token':>10}  {'perplexity':>10}")
    for where, row in rows:
        numbers = f"{row['bits_per_byte']:9.3f}  {row['bits_per_token']:10.3f}  {row['perplexity']:10.1f}"
        lines.append(f"  {row['name']:10}  {where:14}  {row['tokens']:12,}  {numbers}")
    won, lost = ([name for name in ORDERS.values() if (name in found["beaten"]) is side] for side in (True, False))
    lines.append(f"  of the n-grams of what it saw, it beats {', '.join(won) or 'none'}" + (f" and not {', '.join(lost)}" if lost else ""))
    return lines
