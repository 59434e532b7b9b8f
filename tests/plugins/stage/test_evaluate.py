from __future__ import annotations

import itertools
import json
import math
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer as Fast
from tokenizers import decoders, models, pre_tokenizers

from modelwright.component import Job
from modelwright.errors import ModelwrightError
from modelwright.hooks import discover
from modelwright_plugins.architecture.decoder import CausalDecoder
from modelwright_plugins.architecture.encoder import Encoder
from modelwright_plugins.architecture.encoder_decoder import EncoderDecoder
from modelwright_plugins.artifacts import Checkpoint, Evaluation, Examples, Metrics, Tokenizer, TokenShards
from modelwright_plugins.attention.cores import Native
from modelwright_plugins.engine import checkpoint, inference
from modelwright_plugins.engine.card import ModelCard
from modelwright_plugins.engine.one_rank import on_one_rank
from modelwright_plugins.engine.pretrained import Pretrained, carry_on, template_of
from modelwright_plugins.evaluator import Evaluator, Score
from modelwright_plugins.evaluator.interval import mean
from modelwright_plugins.evaluator.ngram import NGrams
from modelwright_plugins.evaluator.preferences import Preferences
from modelwright_plugins.evaluator.shards import Seen, seen_spans
from modelwright_plugins.generator.sampling import Sampling
from modelwright_plugins.kernel.local import Torch
from modelwright_plugins.parallel.megatron import Megatron
from modelwright_plugins.precision.floats import FP32
from modelwright_plugins.stage import _judged
from modelwright_plugins.stage.evaluate import Evaluate

sys.path.insert(0, str(Path(__file__).parents[1] / "engine"))
from ranks import joined, on_ranks

VOCAB, LENGTH, SEED = 40, 16, 5
GROUPS = ["b", "a", "b", "c"]


def documents(count: int, seed: int) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [np.append(np.cumsum(rng.zipf(1.6, rng.integers(20, 200))) % (VOCAB - 1) + 1, 0) for _ in range(count)]


def write_shard(path: Path, every: list[np.ndarray]) -> None:
    from megatron.core.datasets.indexed_dataset import IndexedDatasetBuilder

    builder = IndexedDatasetBuilder(f"{path}.bin", dtype=np.uint16)
    for tokens in every:
        builder.add_document(torch.from_numpy(tokens.astype(np.int64)), [len(tokens)])
    builder.finalize(f"{path}.idx")


class Trigram:
    """What the engine's model promises, from a Kneser-Ney trigram: it knows of a token only what is in its window."""

    sequence_length, vocab_size, end_of_document, rank = LENGTH, VOCAB, 0, 0
    seen = Seen(SEED, (LENGTH + 1,), None)

    def __init__(self, fitted: NGrams) -> None:
        self.fitted = fitted

    def token_losses(self, tokens: torch.Tensor, *, apart: bool = True) -> torch.Tensor:
        rows = [-self.fitted.log2_probabilities(row.numpy(), 3, start=1) * math.log(2) for row in tokens]
        return torch.tensor(np.stack(rows), dtype=torch.float32)

    def token_scores(self, tokens: torch.Tensor) -> torch.Tensor:
        nats = self.token_losses(tokens)
        return torch.stack([nats, ((tokens[:, :-1] + tokens[:, 1:]) % 3 == 0).float()])  # any that tells which token it is of

    def start(self, prompts: list[list[int]]) -> torch.Tensor:
        self.texts = [list(prompt) for prompt in prompts]
        rows = [[self.fitted.log2_probabilities(np.array([*text, word]), 3)[-1] for word in range(VOCAB)] for text in self.texts]
        return torch.tensor(rows) * math.log(2)

    def step(self, tokens: list[int], rows: list[int]) -> torch.Tensor:
        return self.start([[*self.texts[row], token] for row, token in zip(rows, tokens, strict=True)])

    def generate(self, prompts: list[list[int]], generator: Any, *, seed: int, end: Any, stop: Any = None) -> list[Any]:
        found: list[Any] = generator.generate(self, prompts, end=end, seeds=[seed + i for i in range(len(prompts))], stop=stop)
        return found


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Job:
    monkeypatch.setattr("modelwright_plugins.stage._judged.tokens_per_second", lambda model: 9.5)  # a trigram takes seconds to write them
    shards, train, held = tmp_path / "shards", documents(60, 1), documents(4, 2)
    shards.mkdir()
    write_shard(shards / "train", train)
    write_shard(shards / "held_out", held)
    (shards / "shards.json").write_text(json.dumps({"vocab_size": VOCAB, "end_of_document": 0}))
    lines = [{"id": str(i), "group": group, "bytes": 3 * (len(doc) - 1)} for i, (group, doc) in enumerate(zip(GROUPS, held, strict=True))]
    (shards / "held_out.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    fast = Fast(models.BPE(vocab={"<eod>": 0, **{c: i for i, c in enumerate(["a", "b", "(", *alphabet], 1) if i < VOCAB}}, merges=[]))
    fast.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)  # type: ignore[assignment]
    fast.decoder = decoders.ByteLevel()  # type: ignore[assignment]
    (tmp_path / "tokenizer").mkdir()
    fast.save(str(tmp_path / "tokenizer/tokenizer.json"))
    (tmp_path / "metrics.jsonl").write_text('{"step": 1, "tokens": 512}\n{"step": 2, "tokens": 1024}\n')
    out = tmp_path / "evaluate"
    out.mkdir()
    parts = {"parallel": Megatron(), "precision": FP32(), "kernel": Torch(), "attention": Native(), "generator": Sampling(max_new_tokens=5)}
    ModelCard(CausalDecoder(), VOCAB, LENGTH, 0, SEED).write(tmp_path / "checkpoint" / "model.json", discover().registry)
    return Job(tmp_path, out, SEED, parts | {"evaluator": {}}, inputs_of(tmp_path), discover())


def inputs_of(folder: Path) -> dict[Any, Any]:
    return {
        Checkpoint: Checkpoint(folder / "checkpoint"),
        TokenShards: TokenShards(folder / "shards"),
        Tokenizer: Tokenizer(folder / "tokenizer"),
        Metrics: Metrics(folder / "metrics.jsonl"),
    }


def evaluated(job: Job, model: Any, monkeypatch: pytest.MonkeyPatch, **fields: Any) -> dict[str, Any]:
    @contextmanager
    def opened(checkpoint: Checkpoint, **given: Any) -> Iterator[Any]:
        assert checkpoint is job.inputs[Checkpoint] and sorted(given) == ["attention", "kernel", "parallel", "precision", "seed"]
        yield model

    monkeypatch.setattr(inference, "open_model", opened)
    Evaluate(prompts=["ab", "b(a"], **fields).run(job)
    found: dict[str, Any] = json.loads(job.make(Evaluation).path.read_text())
    return found


def test_a_model_that_is_a_trigram_scores_as_that_trigram(
    job: Job, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    everything = np.concatenate(documents(60, 1))
    found = evaluated(job, Trigram(NGrams([everything], 3, VOCAB)), monkeypatch)
    model = found["model"]
    (same,) = [b for b in found["baselines"] if b["fitted_on"] == "all" and b["order"] == 3]
    assert model["bits_per_token"] == pytest.approx(same["bits_per_token"], rel=1e-6)
    assert same["tokens"] == len(everything)

    held, size = documents(4, 2), sum(3 * (len(doc) - 1) for doc in documents(4, 2))
    assert found["held_out"] == {"documents": 4, "tokens": sum(map(len, held)), "bytes": size}
    stream = np.concatenate([[0], *held])
    bits = -NGrams([everything], 3, VOCAB).log2_probabilities(stream, 3, start=1)
    assert model["bits_per_byte"] == pytest.approx(bits.sum() / size, rel=1e-6)
    assert model["perplexity"] == pytest.approx(2 ** bits.mean(), rel=1e-6)
    ends = np.cumsum([len(doc) for doc in held])
    by_hand = bits[: ends[0]].sum() + bits[ends[1] : ends[2]].sum()  # both documents of group b
    (b,) = [group for group in found["groups"] if group["group"] == "b"]
    assert b["bits_per_byte"]["model"] == pytest.approx(by_hand / b["bytes"], rel=1e-6)
    assert [group["group"] for group in found["groups"]] == ["a", "b", "c"]
    assert found["beats"] is True and found["beaten"][:3] == ["unigram", "bigram", "trigram"]  # it was fitted on more than it "saw"
    assert [sample["prompt"] for sample in found["samples"]] == ["ab", "b(a"] and all(sample["text"] for sample in found["samples"])
    assert "it beats unigram, bigram, trigram" in capsys.readouterr().out


def test_a_model_worse_than_a_bigram_is_said_to_be(job: Job, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    found = evaluated(job, Trigram(NGrams([np.arange(VOCAB)], 3, VOCAB)), monkeypatch)
    assert found["beats"] is False and found["beaten"] == ["unigram"]
    assert "and not bigram, trigram" in capsys.readouterr().out


def test_the_ngrams_of_what_was_seen_are_fitted_on_just_that(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    from modelwright_plugins.engine.texts import ShardTexts

    found = evaluated(job, Trigram(NGrams([np.arange(VOCAB)], 3, VOCAB)), monkeypatch)
    texts = ShardTexts(job.take(TokenShards).path / "train", (LENGTH + 1,), seed=SEED)
    rows = np.stack([texts.spans(number)[0] for number in range(1024 // LENGTH)])
    # Which places of the text those rows are: looked up by content, in a text where each row occurs once.
    everything = np.concatenate(documents(60, 1))
    starts = sorted(next(i for i in range(0, len(everything), LENGTH) if (everything[i : i + LENGTH + 1] == row).all()) for row in rows)
    places = np.unique(np.concatenate([np.arange(start, start + LENGTH + 1) for start in starts]))
    assert found["model"]["tokens_seen"] == len(places)
    spans = [everything[run] for run in np.split(places, np.flatnonzero(np.diff(places) > 1) + 1)]
    stream = np.concatenate([[0], *documents(4, 2)])
    for row in [b for b in found["baselines"] if b["fitted_on"] == "seen"]:
        expected = -NGrams(spans, row["order"], VOCAB).log2_probabilities(stream, row["order"], start=1).mean()
        assert row["bits_per_token"] == pytest.approx(expected, rel=1e-9)
        assert row["tokens"] == len(places)


@pytest.mark.parametrize(("spans", "skipped"), [((LENGTH + 1,), ((5, 3),)), ((LENGTH + 1, 10), ()), ((40,), ((0, 2), (7, 1)))])
def test_what_was_seen_is_what_was_drawn_and_not_skipped(spans: tuple[int, ...], skipped: tuple[tuple[int, int], ...], job: Job) -> None:
    from modelwright_plugins.engine.texts import ShardTexts

    shards, everything = job.take(TokenShards), np.concatenate(documents(60, 1))
    texts = ShardTexts(shards.path / "train", spans, seed=SEED)
    drawn = texts.count + 9  # into the second epoch
    covered = np.zeros(len(everything), bool)
    for number in range(drawn):
        if not any(first <= number < first + count for first, count in skipped):
            epoch, place = divmod(number, texts.count)
            for order, length in zip(texts.orders(epoch), spans, strict=True):
                covered[order[place] * texts.step :][:length] = True
    found = seen_spans(shards, Seen(SEED, spans, drawn, skipped), trained=0)
    assert np.array_equal(np.concatenate(found), everything[covered])
    assert len(found) == np.count_nonzero(np.diff(np.concatenate([[0], covered])) == 1)


def test_a_model_that_saw_everything_twice_saw_each_token_once(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    job.take(Metrics).path.write_text('{"step": 9, "tokens": 100000}\n')
    found = evaluated(job, Trigram(NGrams([np.arange(VOCAB)], 3, VOCAB)), monkeypatch)
    total = sum(map(len, documents(60, 1)))
    assert total - LENGTH < found["model"]["tokens_seen"] <= total
    assert found["model"]["tokens_trained"] == 100000


def test_a_model_that_was_trained_further_saw_what_its_pretraining_showed_it(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own checkpoint and metrics count examples, not sequences of the shards."""
    plain = evaluated(job, Trigram(NGrams([np.arange(VOCAB)], 3, VOCAB)), monkeypatch)
    Pretrained(Seen(SEED, (LENGTH + 1,), 20, ((3, 4),), LENGTH), 16 * LENGTH).write(job.run / "checkpoint")
    found = evaluated(job, Trigram(NGrams([np.arange(VOCAB)], 3, VOCAB)), monkeypatch)
    assert (found["model"]["tokens_trained"], found["model"]["trained_further"]) == (16 * LENGTH, True)
    expected = seen_spans(job.take(TokenShards), Seen(SEED, (LENGTH + 1,), 20, ((3, 4),), LENGTH), trained=0)
    assert found["model"]["tokens_seen"] == sum(map(len, expected)) < plain["model"]["tokens_seen"]
    (job.run / "checkpoint/pretrained.json").write_text('{"seed": 1}')
    with pytest.raises(ModelwrightError, match=r"pretrained\.json does not say what a model saw"):
        evaluated(job, Trigram(NGrams([np.arange(VOCAB)], 3, VOCAB)), monkeypatch)


def test_each_score_has_the_interval_of_drawing_documents_again(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    found = evaluated(job, Trigram(NGrams([np.concatenate(documents(60, 1))], 3, VOCAB)), monkeypatch)
    bits, perplexity, accuracy = found["scores"]
    whole = np.concatenate([[0], *documents(4, 2)]).astype(int)
    assert (accuracy["name"], accuracy["value"]) == ("token_accuracy", pytest.approx(((whole[:-1] + whole[1:]) % 3 == 0).mean()))
    assert (bits["value"], perplexity["value"]) == pytest.approx((found["model"]["bits_per_byte"], found["model"]["perplexity"]))
    held, stream = documents(4, 2), np.concatenate([[0], *documents(4, 2)])
    nats = -NGrams([np.concatenate(documents(60, 1))], 3, VOCAB).log2_probabilities(stream, 3, start=1)
    each = np.array([[part.sum(), 3 * (len(part) - 1)] for part in np.split(nats, np.cumsum([len(doc) for doc in held])[:-1])])
    drawn = [each[list(places)].sum(0) for places in itertools.product(range(4), repeat=4)]  # every sample that there is
    low, high = np.quantile([total / size for total, size in drawn], [0.025, 0.975])
    wide = high - low
    assert bits["low"] == pytest.approx(low, abs=0.1 * wide) and bits["high"] == pytest.approx(high, abs=0.1 * wide)
    assert (bits["count"], bits["better"], bits["evaluator"]) == (4, "lower", "")


@dataclass(frozen=True, kw_only=True)
class Counted(Evaluator):
    """The first token's nats after each of two others; written down, too."""

    def evaluate(self, model: Any, out: Path, *, seed: int) -> list[Score]:
        nats = [float(each[0]) for each in model.nats([[1, 2], [3, 4]])]
        (out / "nats.txt").write_text(f"{nats}")
        return [mean(name, [value]) for value, name in sorted(zip(nats, ("one", "other"), strict=True))]  # the order differs


@dataclass(frozen=True, kw_only=True)
class Shared(Evaluator):
    """It says the same of any weights, and counts how often it is asked."""

    asked: list[int] = field(default_factory=list)

    @property
    def of_weights(self) -> bool:
        return False

    def evaluate(self, model: Any, out: Path, *, seed: int) -> list[Score]:
        self.asked.append(seed)
        return [mean("same", [1.0])]


@dataclass(frozen=True, kw_only=True)
class Tuned(Evaluator):
    """What a second copy of the model says that learns from two texts: its weights are to be the checkpoint's that is asked."""

    def evaluate(self, model: Any, out: Path, *, seed: int) -> list[Score]:
        from modelwright_plugins.engine.classifying import Text

        texts = [Text((1, 2), 2, 0), Text((3, 4), 2, 1)]
        ask = model.trained.tuned(texts, "last", classes=2, lr=1e-3, epochs=1, batch=2, seed=seed, told=lambda *_: None)
        return [mean("logit", [float(ask(texts)[0, 0])])]


def test_every_checkpoint_that_was_kept_is_scored(job: Job, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    everything = np.concatenate(documents(60, 1))
    grams = {step: NGrams([everything[: 500 * step]], 3, VOCAB) for step in (1, 3, 7)}
    model: Any = Trigram(grams[7])
    model.chunks, model.opened = [], {}
    for name in ("weight_bytes", "weight_count"):
        monkeypatch.setattr(_judged, name, lambda folder: 0)  # there is no checkpoint
    shared = Shared()
    job = replace(job, parts=job.parts | {"evaluator": {"counted": Counted(), "shared": shared}})
    monkeypatch.setattr(checkpoint, "latest", lambda folder, below=9: max((step for step in grams if step < below), default=None))
    monkeypatch.setattr(checkpoint, "load", lambda folder, step, chunks, optimizer: setattr(model, "fitted", grams[step]))
    found = evaluated(job, model, monkeypatch, every=True)
    printed = capsys.readouterr().out
    assert [each["step"] for each in found["checkpoints"]] == [1, 3, 7] and found["checkpoints"][-1]["scores"] == found["scores"]
    assert len(shared.asked) == 1  # what depends on no weights, of the newest
    assert ["shared" in {score["evaluator"] for score in each["scores"]} for each in found["checkpoints"]] == [False, False, True]
    assert re.search(r"(?m)^  shared/same  *7  *1 ", printed) and not re.search(r"(?m)^  shared/same  *[13] ", printed)
    job = replace(job, parts=job.parts | {"evaluator": {"counted": Counted()}})
    for each in found["checkpoints"]:
        each["scores"] = [score for score in each["scores"] if score["evaluator"] != "shared"]
        out = job.run / f"alone {each['step']}"
        out.mkdir()
        scores = evaluated(replace(job, out=out), Trigram(grams[each["step"]]), monkeypatch)["scores"]
        assert each["scores"] == scores
        written = job.out / "counted" if each["step"] == 7 else job.out / f"step_{each['step']:08d}" / "counted"
        assert (written / "nats.txt").read_text() == (out / "counted/nats.txt").read_text()
        (one,) = [score for score in scores if score["name"] == "one"]
        assert re.search(rf"(?m)^  (counted/one)? *{each['step']}  *{one['value']:.4g} ", printed)


def test_baselines_can_be_kept_small(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    found = evaluated(job, Trigram(NGrams([np.arange(VOCAB)], 3, VOCAB)), monkeypatch, baseline_tokens=500)
    assert {row["tokens"] for row in found["baselines"]} == {500}


def test_documents_that_are_not_the_shards_are_refused(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    file = job.take(TokenShards).path / "held_out.jsonl"
    file.write_text(file.read_text().splitlines(keepends=True)[0])
    with pytest.raises(ModelwrightError, match=r"held_out\.jsonl: 1 documents, where held_out\.idx has 4"):
        evaluated(job, Trigram(NGrams([np.arange(VOCAB)], 3, VOCAB)), monkeypatch)


def trained_and_evaluated(rank: int, here: str, layouts: list[dict[str, int]]) -> list[Any]:
    """Train on one rank, then evaluate in each layout: evaluation.json of each, on rank 0."""
    from modelwright_plugins.engine.start import started
    from modelwright_plugins.objective.causal_lm import CausalLM
    from modelwright_plugins.optimizer.adam import AdamW
    from modelwright_plugins.schedule.warmup import Constant
    from modelwright_plugins.stability.spikes import Finite
    from modelwright_plugins.stage.train import Train
    from modelwright_plugins.tracker.jsonl import Jsonl

    home, hooks = Path(here), discover()
    parts = {
        "architecture": CausalDecoder(layers=2, width=32, heads=4), "objective": CausalLM(), "optimizer": AdamW(lr=1e-2),
        "schedule": Constant(), "tracker": {"jsonl": Jsonl()}, "precision": FP32(), "kernel": Torch(),
        "attention": Native(), "stability": Finite(), "generator": Sampling(max_new_tokens=5), "evaluator": {"tuned": Tuned()},
    }  # fmt: skip
    joined(rank, 2, 6)
    with started(Megatron(data=2), seed=SEED):
        assert on_one_rank(lambda: [rank]) == [0]  # what evaluators do once, and a failure of it, all ranks are told
        with pytest.raises(ModelwrightError, match="ZeroDivisionError"):
            on_one_rank(lambda: 1 // rank)
    joined(rank, 2, 0)
    train = Train(steps=30, sequence_length=LENGTH, global_batch=4, micro_batch=2, checkpoint_every=10, keep_last=None)
    train.run(Job(home, home, SEED, parts | {"parallel": Megatron(data=2)}, inputs_of(home), hooks))
    found = []
    for number, layout in enumerate(layouts, 1):
        parallel = Megatron(**layout)  # type: ignore[arg-type]
        if rank >= (count := parallel.ranks(None)):
            continue
        joined(rank, count, number)
        out = home / f"evaluate {number} {rank}"
        out.mkdir()
        judges = {"parallel": parallel, "evaluator": parts["evaluator"] if number == 1 else {}}
        Evaluate(prompts=["ab"], every=True).run(Job(home, out, SEED, parts | judges, inputs_of(home), hooks))
        files = [file.name for file in out.iterdir()]
        assert files == (["evaluation.json"] if rank == 0 else [])
        found.append(json.loads((out / "evaluation.json").read_text()) if rank == 0 else None)
    if rank == 0:  # what a training further would bring along, and one after that
        for step in (10, 20):  # a folder with this step alone
            alone = home / f"alone {step}"
            shutil.copytree(
                home / "checkpoint",
                alone,
                ignore=lambda _, names, step=step: [n for n in names if n.startswith("step_") and n != f"step_{step:08d}"],
            )
            (alone / "latest.json").write_text(json.dumps({"step": step}))
            (out := home / f"evaluate alone {step}").mkdir()
            inputs = inputs_of(home) | {Checkpoint: Checkpoint(alone)}
            joined(rank, 1, len(layouts) + step // 10)
            Evaluate(prompts=[]).run(Job(home, out, SEED, parts | {"parallel": Megatron()}, inputs, hooks))
            found.append(json.loads((out / "evaluation.json").read_text()))
        one, (further, again) = home / "checkpoint", [home / "further", home / "again"]
        card = ModelCard.read(one / "model.json", hooks.registry)
        for base, folder, template in ((one, further, "T"), (further, again, None)):
            folder.mkdir()
            carry_on(base, card, folder, template=template)
    return found


@pytest.mark.slow
def test_a_trained_model_scores_the_same_in_every_layout(job: Job) -> None:
    job.take(Metrics).path.unlink()
    layouts: list[dict[str, int]] = [{"data": 1}, {"tensor": 2}, {"pipeline": 2}]
    (one, tensor, pipeline, *alone), _ = on_ranks(trained_and_evaluated, 2, job.out, groups=7, here=str(job.run), layouts=layouts)
    assert [each["step"] for each in one["checkpoints"]] == [10, 20, 30]
    assert [each["scores"] for each in one["checkpoints"]] == [*(each["scores"] for each in alone), one["scores"]]
    assert len({each["scores"][-1]["value"] for each in one["checkpoints"]}) == 3
    bits = [each["scores"][0]["value"] for each in one["checkpoints"]]
    assert bits[0] > bits[1] > bits[2]  # it learns
    unigram = next(b for b in one["baselines"] if b["name"] == "unigram" and b["fitted_on"] == "seen")
    assert one["model"]["bits_per_token"] < unigram["bits_per_token"]  # it did learn
    assert one["model"]["tokens_trained"] == 30 * 4 * LENGTH
    for folder in (job.run / "further", job.run / "again"):
        known = Pretrained.read(folder)
        assert known is not None and known.tokens == 30 * 4 * LENGTH and template_of(folder) == "T"
        assert sum(map(len, seen_spans(job.take(TokenShards), known.seen, trained=0))) == one["model"]["tokens_seen"]
    for other in (tensor, pipeline):
        assert other["model"]["bits_per_token"] == pytest.approx(one["model"]["bits_per_token"], rel=1e-5)
        assert [each["scores"][0]["value"] for each in other["checkpoints"]] == pytest.approx(bits, rel=1e-5)
        assert other["samples"] == one["samples"]
        assert other["baselines"] == one["baselines"]


@pytest.mark.parametrize("architecture", [Encoder, EncoderDecoder])
def test_a_model_without_a_likelihood_is_not_asked_for_it(
    architecture: type, job: Job, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It would be late to refuse it: it is trained."""
    ModelCard(architecture(), VOCAB, LENGTH, 0, SEED).write(job.run / "checkpoint" / "model.json", discover().registry)
    assert evaluated(job, Trigram(NGrams([np.arange(VOCAB)], 3, VOCAB)), monkeypatch) == {"parameters": 0, "samples": [], "scores": []}
    assert "gives no likelihood of text" in capsys.readouterr().out


def test_without_text_no_shards_are_taken() -> None:
    assert set(Evaluate(text=False).takes) == {Checkpoint, Tokenizer}
    assert set(Evaluate(text=False, examples=True).takes) == {Checkpoint, Tokenizer, Examples}
    assert Evaluate().takes == Evaluate.takes


def test_an_evaluator_that_wants_examples_is_told_before_the_run() -> None:
    parts = {"kernel": Torch(), "attention": Native(), "generator": Sampling(), "evaluator": {"preferences": Preferences()}}
    assert Evaluate(examples=True).problems(parts) == []
    (line,) = Evaluate().problems(parts)
    assert line == "evaluator preferences wants held-out examples (preference): evaluate.examples=true gives them"
