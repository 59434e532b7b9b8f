"""The stage that measures a trained model on text that it never saw, beside n-gram models."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from modelwright.component import Artifact, Job, Parts, Stage
from modelwright_plugins.artifacts import Checkpoint, Evaluation, Metrics, Tokenizer, TokenShards

if TYPE_CHECKING:
    from modelwright_plugins.evaluator.shards import HeldOut, Tokens

ORDERS = {1: "unigram", 2: "bigram", 3: "trigram", 4: "4-gram"}


@dataclass(frozen=True, kw_only=True)
class Evaluate(Stage):
    """Perplexity and bits per byte on held-out text, beside Kneser-Ney n-grams; samples of text.

    The held-out documents stand one after another as in training, each closed by its end-of-document token, which is predicted too
    and costs bits, but is no byte. Each token is predicted once, by the model and by each n-gram model. The n-gram models are
    fitted twice: on the training text that the model saw, and on all of it.
    """

    uses: ClassVar[tuple[str, ...]] = ("architecture", "parallel", "precision", "kernel", "attention", "generator")
    takes: ClassVar[tuple[type[Artifact], ...]] = (Checkpoint, TokenShards, Tokenizer, Metrics)
    makes: ClassVar[tuple[type[Artifact], ...]] = (Evaluation,)

    stride: int | None = None  # new tokens a window, at most its length: fewer give each token more context; None: half the window
    batch: int = 4  # windows a forward pass: memory and speed, not what is found (a CPU is fastest while logits are below 32 MiB)
    baseline_tokens: int = 20_000_000  # training tokens at most that n-gram models are fitted on (they need about 150 bytes each)
    prompts: list[str] = field(
        default_factory=lambda: [
            "import os\nimport",
            "def read_lines(path",
            'class Queue:\n    """',
            'if __name__ == "__main__":\n',
            "for key, value in",
            "# The",
        ]
    )  # beginnings of documents that the generator goes on from

    def __post_init__(self) -> None:
        for name in ("stride", "batch", "baseline_tokens"):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it is 1 or more")

    def ranks(self, parts: Parts) -> int:
        from modelwright_plugins.parallel.available import available

        ranks: int = parts["parallel"].ranks(available()[0])
        return ranks

    def problems(self, parts: Parts) -> list[str]:
        from modelwright_plugins.evaluator.likelihood import without_likelihood

        found: list[str] = parts["kernel"].problems() + parts["attention"].problems()
        why = without_likelihood(parts["architecture"])
        return (
            [*found, f"{why}; leave evaluate and report out of stages, as 'stages=[curate,train_tokenizer,tokenize,train]' does"]
            if why
            else found
        )

    def run(self, job: Job) -> Mapping[str, float] | None:
        from modelwright_plugins.evaluator.shards import held_out

        held = held_out(job.take(TokenShards))
        asked = self._ask_model(job, held)
        return self._judge(job, held, *asked) if asked else None

    def _ask_model(self, job: Job, held: HeldOut) -> tuple[dict[str, Any], Any, list[dict[str, str]]] | None:
        """How the model was asked, nats of each held-out token, and samples; on rank 0 only, though all ranks do the work."""
        import numpy as np
        from tokenizers import Tokenizer as Fast

        from modelwright.errors import ModelwrightError
        from modelwright_plugins.engine.inference import open_model
        from modelwright_plugins.evaluator.windows import stream_losses
        from modelwright_plugins.progress import progress

        parts, fast = job.parts, Fast.from_file(str(job.take(Tokenizer).path / "tokenizer.json"))
        where = {kind: parts[kind] for kind in ("parallel", "precision", "kernel", "attention")}
        with open_model(job.take(Checkpoint), **where, seed=job.seed) as model:
            length, end = model.sequence_length, model.end_of_document
            stride = self.stride or max(1, length // 2)
            if stride > length:
                raise ModelwrightError(f"evaluate.stride={stride} is more than the model's sequence length, {length}")
            stream = np.concatenate([np.array([end], held.tokens.dtype), held.tokens])
            with progress("evaluating", len(held.tokens), "tok") if model.rank == 0 else _Silent() as bar:
                nats = stream_losses(model.token_losses, stream, length=length, stride=stride, batch=self.batch, bar=bar)
            # As in training, a text begins after the end of another.
            begun = [[end, *fast.encode(prompt, add_special_tokens=False).ids] for prompt in self.prompts]
            drawn = parts["generator"].generate(model.next_logits, begun, end=end, context=length, seed=job.seed) if begun else []
            if model.rank != 0:
                return None
            told = {
                "window": length,
                "stride": stride,
                "vocab_size": model.vocab_size,
                "end_of_document": end,
                "seen": model.seen,
            }
        samples = [{"prompt": prompt, "text": fast.decode(text)} for prompt, text in zip(self.prompts, drawn, strict=True)]
        return told, nats, samples

    def _judge(self, job: Job, held: HeldOut, told: dict[str, Any], nats: Any, samples: list[dict[str, str]]) -> dict[str, float]:
        import numpy as np

        from modelwright_plugins.evaluator.ngram import NGrams
        from modelwright_plugins.evaluator.shards import seen_spans, tokens_trained, train_tokens
        from modelwright_plugins.progress import progress

        shards, trained = job.take(TokenShards), tokens_trained(job.take(Metrics))
        seen = seen_spans(shards, told["seen"], trained=trained // told["window"])
        stream = np.concatenate([np.array([told["end_of_document"]], held.tokens.dtype), held.tokens])
        bits = {"model": nats / math.log(2)}
        baselines: list[dict[str, Any]] = []
        with progress("n-gram models", 2 * len(ORDERS), "model") as bar:
            for text, spans in (("seen", seen), ("all", [train_tokens(shards)])):
                fitted = _first(spans, self.baseline_tokens)
                counted = NGrams(fitted, max(ORDERS), told["vocab_size"])
                for order, name in ORDERS.items():
                    losses = bits[f"{text} {name}"] = -counted.log2_probabilities(stream, order, start=1)
                    row = {"name": name, "order": order, "fitted_on": text, "tokens": sum(map(len, fitted))}
                    baselines.append(row | _numbers(losses.sum(), held))
                    bar.update(1)
        model: dict[str, Any] = {"tokens_trained": trained, "tokens_seen": sum(map(len, seen))} | _numbers(bits["model"].sum(), held)
        beaten = [b["name"] for b in baselines if b["fitted_on"] == "seen" and b["bits_per_token"] > model["bits_per_token"]]
        found = {
            "held_out": {"documents": len(held.groups), "tokens": len(held.tokens), "bytes": int(held.bytes.sum())},
            "context": {
                "window": told["window"],
                "stride": told["stride"],
                "how": f"Held-out documents stand one after another, after one end-of-document token. The model sees windows of "
                f"{told['window']} tokens; each token is predicted once, from at least {told['window'] - told['stride']} tokens before it "
                "(at the very beginning, from all there are). N-gram models see the tokens before each in the same stream. "
                "End-of-document tokens are predicted too; they cost bits and are no bytes.",
            },
            "model": model,
            "baselines": baselines,
            "beats": {"unigram", "bigram", "trigram"} <= set(beaten),
            "beaten": beaten,
            "groups": _by_group(held, {"model": bits["model"], "trigram": bits["seen trigram"]}),
            "samples": samples,
        }
        job.make(Evaluation).path.write_text(json.dumps(found, indent=1, ensure_ascii=False), encoding="utf-8")
        print("\n".join(_table(found)), flush=True)
        numbers = {"bits_per_byte": model["bits_per_byte"], "perplexity": model["perplexity"]}
        job.hooks.call("on_evaluate", run=job.run, metrics=numbers)
        return numbers


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
    import numpy as np

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


def _table(found: Mapping[str, Any]) -> list[str]:
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
