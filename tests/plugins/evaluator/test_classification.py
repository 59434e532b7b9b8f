"""Classes from a model's states: the regression is scikit-learn's, the states are Hugging Face's, and so is what fine-tuning learns."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from modelwright_plugins.conformance.judge import judge
from modelwright_plugins.conformance.ranks import joined, on_ranks
from modelwright_plugins.evaluator.classification import Classification

LENGTH, VOCABULARY, EPOCHS, BATCH, LR = 24, 260, 3, 8, 3e-3
SIZES = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2}
LAYOUTS: list[dict[str, Any]] = [{}, {"tensor": 2, "sequence": True}, {"pipeline": 2}, {"data": 2}]


def sst2(folder: Path, count: int, seed: int) -> Path:
    """A TSV of SST-2's shape: what has more of "good" than of "bad" is 1."""
    rng, lines = np.random.default_rng(seed), ["sentence\tlabel"]
    for _ in range(count):
        words = rng.choice(["good", "bad", "soup", "is"], 4)
        lines.append(f"{' '.join(words)}\t{int((words == 'good').sum() > (words == 'bad').sum())}")
    (folder / f"{seed}.tsv").write_text("\n".join(lines) + "\n")
    return folder / f"{seed}.tsv"


def test_columns_are_named_or_numbered(tmp_path: Path) -> None:
    """MNLI's pairs, and CoLA's file, which has no header; quotes are letters."""
    (tmp_path / "mnli.tsv").write_text('index\tsentence1\tsentence2\tgold_label\n0\tA "b\tc\tneutral\n1\td\te"\tentailment\n')
    mnli = tmp_path / "mnli.tsv"
    train, test, classes = Classification(train=mnli, test=mnli, columns=["sentence1", "sentence2"], label="gold_label").read()
    assert [row.texts for row in train] == [('A "b', "c"), ("d", 'e"')] and train == test and classes == ["entailment", "neutral"]
    (tmp_path / "cola.tsv").write_text("gj04\t1\t\tThey drank.\ngj04\t0\t*\tDrank they the.\n")
    cola = Classification(train=tmp_path / "cola.tsv", test=tmp_path / "cola.tsv", columns=["4"], label="2", header=False)
    assert [(row.texts, row.label) for row in cola.read()[0]] == [(("They drank.",), "1"), (("Drank they the.",), "0")]
    for fields, told in (
        ({"columns": ["sentence3"]}, "it has no column sentence3, which evaluator.classification asks for; did you mean 'sentence"),
        ({"columns": ["sentence1"], "label": "index"}, "nothing"),
        ({"train": tmp_path / "x.tsv"}, "x.tsv: cannot read it"),
    ):
        (said, *_) = [*Classification(**({"train": mnli, "test": mnli, "label": "gold_label"} | fields)).problems(), "nothing"]  # type: ignore[arg-type]
        assert told in said
    mnli.write_text(mnli.read_text() + "2\tonly\n")
    assert (
        "mnli.tsv:4: it has 2 columns; expected 4"
        in Classification(train=mnli, test=mnli, columns=["sentence1"], label="gold_label").problems()[0]
    )


def test_files_as_glue_has_them(tmp_path: Path) -> None:
    """MRPC's begin with a byte order mark; of QQP's some lines lack columns, which are counted, and are an error where they are many."""
    lines = [f"{number % 2}\tsoup {number}" for number in range(200)]
    (tmp_path / "mrpc.tsv").write_text("\ufefflabel\tsentence\n" + "\n".join([*lines, "1", "broken"]) + "\n", encoding="utf-8")
    task, told = Classification(train=tmp_path / "mrpc.tsv", test=tmp_path / "mrpc.tsv"), list[str]()
    train, _, classes = task.read(told.append)
    assert (len(train), classes, train[0].texts) == (200, ["0", "1"], ("soup 0",)) and task.problems() == []
    assert told == [f"{tmp_path}/mrpc.tsv:202: it has 1 columns; expected 2; 2 such lines left out, 200 read"] * 2
    (tmp_path / "mrpc.tsv").write_text("label\tsentence\n" + "\n".join([*lines, "1", "1", "1"]) + "\n")
    assert task.problems() == [f"{tmp_path}/mrpc.tsv:202: it has 1 columns; expected 2 (3 such lines)"]


@pytest.mark.parametrize("classes", [2, 3])
def test_regression_is_scikit_learns(classes: int) -> None:
    linear = pytest.importorskip("sklearn.linear_model")
    from modelwright_plugins.evaluator._classification import regression

    rng = np.random.default_rng(classes)
    labels = rng.integers(0, classes, 150)
    vectors = (rng.normal(size=(150, 6)) * [1, 5, 0.1, 1, 1, 2] + np.eye(6)[labels] * 1.5).astype(np.float32)
    told = regression(vectors[:100], labels[:100], classes)(vectors[100:])
    mean, spread = vectors[:100].mean(0, dtype=np.float64), vectors[:100].std(0, dtype=np.float64)
    theirs = linear.LogisticRegression(C=1.0, max_iter=5000, tol=1e-10).fit((vectors[:100] - mean) / spread, labels[:100])
    expected = theirs.decision_function((vectors[100:] - mean) / spread)  # of two classes, the second's above the first's
    found = told[:, 1] - told[:, 0] if classes == 2 else told - told.mean(1, keepdims=True)
    assert found == pytest.approx(expected if classes == 2 else expected - expected.mean(1, keepdims=True), abs=1e-3)


@pytest.mark.parametrize("classes", [2, 4])
def test_scores_are_scikit_learns(classes: int) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    from modelwright_plugins.evaluator._classification import scores

    rng = np.random.default_rng(classes)
    right = rng.integers(0, classes, 60)
    told = np.where(rng.random(60) < 0.6, right, rng.integers(0, classes, 60))
    accuracy, f1, matthews = scores(right, told, classes)
    assert accuracy.value == pytest.approx(metrics.accuracy_score(right, told))
    expected = metrics.f1_score(right, told) if classes == 2 else metrics.f1_score(right, told, average="macro")
    assert (f1.name, f1.value) == ("f1" if classes == 2 else "macro_f1", pytest.approx(expected))
    assert matthews.value == pytest.approx(metrics.matthews_corrcoef(right, told))
    assert all(score.low < score.value < score.high for score in (accuracy, f1, matthews))
    same = scores(right, np.zeros(60, int), classes)
    assert same[2].value == metrics.matthews_corrcoef(right, np.zeros(60, int)) == 0


def test_a_frozen_models_vectors_are_those_of_the_token_asked_for(tmp_path: Path) -> None:
    asked = judge("", tmp_path / "model", first=True)
    (out := tmp_path / "out").mkdir()
    scores = Classification(train=sst2(tmp_path, 60, 1), test=sst2(tmp_path, 40, 2), pool="mean").evaluate(asked, out, seed=1)
    assert [score.name for score in scores] == ["accuracy", "f1", "matthews"] and scores[0].value > 0.9  # letters tell it
    lines = [json.loads(line) for line in (out / "predictions.jsonl").read_text().splitlines()]
    assert sum(line["label"] == line["told"] for line in lines) / 40 == scores[0].value


def made(rank: int, where: Path) -> None:
    """A checkpoint of the model of Hugging Face's that is there, or of a drawn encoder."""
    from modelwright.hooks import discover
    from modelwright_plugins.architecture.encoder import Encoder
    from modelwright_plugins.conformance.training import built_in
    from modelwright_plugins.engine import checkpoint, model
    from modelwright_plugins.engine.card import ModelCard
    from modelwright_plugins.engine.hugging_face_in import Incoming
    from modelwright_plugins.engine.start import started
    from modelwright_plugins.engine.trainer import how

    joined(rank, 1)
    with started(built_in()["parallel"], seed=1):
        theirs = Incoming.of(where / "their" / "model") if (where / "their").is_dir() else None
        architecture: Any = Encoder(layers=2, width=32, heads=4, initializer_std=0.1) if theirs is None else theirs.architecture
        chunks: list[Any] = model.build(architecture, **how(built_in()), vocab_size=VOCABULARY, sequence_length=LENGTH)
        if theirs is None:
            model.initialise(chunks, architecture, seed=1, vocab_size=VOCABULARY)
        else:
            theirs.load(chunks, vocab_size=VOCABULARY)
        ModelCard(architecture, VOCABULARY, LENGTH, 0, 1).write(where / "checkpoint" / "model.json", discover().registry)
        checkpoint.save(where / "checkpoint", 1, chunks, None, keep_last=None)


def ours(rank: int, where: Path, layouts: list[dict[str, Any]]) -> list[Any]:
    """In each layout: vectors of two texts by each pool, scores of the frozen and the tuned model, and vectors again."""
    from modelwright_plugins.artifacts import Checkpoint
    from modelwright_plugins.conformance.training import built_in
    from modelwright_plugins.engine.classifying import Text
    from modelwright_plugins.engine.inference import open_model
    from modelwright_plugins.engine.trainer import how
    from modelwright_plugins.evaluator.model import Model
    from modelwright_plugins.generator.sampling import Sampling
    from modelwright_plugins.parallel.megatron import Megatron

    folder = where / "checkpoint"
    texts = [Text((0, 5, 9, 70, 71), 5), Text((0, 9, 33), 3)]
    found: list[Any] = []
    for number, fields in enumerate(layouts):
        layout = Megatron(**fields)
        if rank >= (ranks := layout.ranks(None)):
            found.append(None)
            continue
        joined(rank, ranks, number)
        with open_model(Checkpoint(folder), **how({**built_in(), "parallel": layout}), seed=1) as trained:
            asked = Model(trained, where / "their", Sampling())
            told = {
                "first": trained.vectors(texts, "first"),
                "last": trained.vectors(texts, "last"),
                "mean": trained.vectors(texts, "mean"),
            }
            for tune in (False, True):
                out = where / f"out {number} {tune}"
                if rank == 0:
                    out.mkdir()
                evaluator = Classification(train=where / "1.tsv", test=where / "2.tsv", tune=tune, epochs=EPOCHS, batch=BATCH, lr=LR)
                told[f"scores {tune}"] = [score.value for score in evaluator.evaluate(asked, out, seed=5)]
            told["again"] = trained.vectors(texts, "last")
            told["logits"] = _logits(asked, evaluator.read())
            found.append(told)
    return found


def encoders(rank: int, where: Path, layouts: list[dict[str, Any]]) -> list[Any]:
    """In each layout, of an encoder: vectors of a pair and of a text, together and alone, and logits of one that is tuned; and on one rank
    what comes out of its last layer."""
    import torch

    from modelwright_plugins.artifacts import Checkpoint
    from modelwright_plugins.conformance.training import built_in
    from modelwright_plugins.engine.classifying import Text
    from modelwright_plugins.engine.inference import open_model
    from modelwright_plugins.engine.trainer import how
    from modelwright_plugins.parallel.megatron import Megatron

    folder = where / "checkpoint"
    pair, single, found = Text((0, 5, 9, 0, 71), 3, 1), Text((0, 9, 33), 3, 0), list[Any]()
    states: list[Any] = []
    for number, fields in enumerate(layouts):
        layout = Megatron(**fields)
        if rank >= (ranks := layout.ranks(None)):
            found.append(None)
            continue
        joined(rank, ranks, number)
        with open_model(Checkpoint(folder), **how({**built_in(), "parallel": layout}), seed=1) as trained:
            told = {pool: trained.vectors([pair, single], pool) for pool in ("first", "last", "mean")}  # type: ignore[arg-type]
            told["alone"] = np.concatenate([trained.vectors([text], "mean") for text in (pair, single)])
            how_long: dict[str, Any] = {"classes": 2, "lr": 1e-2, "epochs": 8, "batch": 4, "seed": 5, "told": lambda *_: None}
            told["logits"] = trained.tuned([pair, single] * 4, "first", **how_long)([single, pair])
            if not fields:
                trained.chunks[0].encoder.register_forward_hook(lambda module, given, out: states.append(out))
                with torch.no_grad():
                    trained.chunks[0](torch.tensor([pair.tokens]), None, None, torch.tensor([[0, 0, 0, 1, 1]]))
                told["states"] = states[0][:, 0].detach().numpy()
            found.append(told)
    return found


@pytest.mark.slow
def test_an_encoders_states_see_both_ways_and_no_filler(tmp_path: Path) -> None:
    layouts = LAYOUTS[:3]
    on_ranks(made, 1, tmp_path / "made", where=tmp_path)
    ranks = on_ranks(encoders, 2, tmp_path / "ranks", groups=len(layouts), where=tmp_path, layouts=layouts)
    one = ranks[0][0]
    assert one["mean"] == pytest.approx(one["alone"], abs=1e-5)
    for pool, expected in {"first": one["states"][0], "last": one["states"][-1], "mean": one["states"].mean(0)}.items():
        assert one[pool][0] == pytest.approx(expected, abs=1e-5)
    assert one["logits"].argmax(-1).tolist() == [0, 1]  # it learned which is which
    for other in (rank[number] for rank in ranks for number in range(len(layouts))):
        if other is not None:
            assert all(other[name] == pytest.approx(one[name], abs=1e-4) for name in ("first", "last", "mean", "alone"))
            assert other["logits"] == pytest.approx(one["logits"], abs=5e-3)


@pytest.mark.parametrize("holds", ["quantizer.json", "adapter.json"])
def test_what_learns_in_part_is_not_tuned(tmp_path: Path, holds: str) -> None:
    from types import SimpleNamespace

    from modelwright.errors import ModelwrightError
    from modelwright_plugins.engine.classifying import Text, tuned

    (tmp_path / holds).write_text("{}")
    trained: Any = SimpleNamespace(opened={"checkpoint": tmp_path}, _architecture=SimpleNamespace(family="decoder"))
    how: dict[str, Any] = {"classes": 2, "lr": 1e-3, "epochs": 1, "batch": 4, "seed": 1, "told": print}
    with pytest.raises(ModelwrightError, match=r"holds (an adapter|a quantized).*classification.tune=false asks the model as it is"):
        tuned(trained, [Text((0, 1), 2, 0)], "last", **how)


def _logits(asked: Any, read: Any) -> Any:
    from modelwright_plugins.evaluator._classification import texts

    train, test, classes = read
    number = {name: place for place, name in enumerate(classes)}
    how: dict[str, Any] = {"classes": 2, "lr": LR, "epochs": EPOCHS, "batch": BATCH, "seed": 5, "told": lambda *_: None}
    return asked.trained.tuned(texts(asked, train, number), "last", **how)(texts(asked, test, number))


def by_hand(llama: Any, where: Path, encode: Any) -> Any:
    """Fine-tuning with torch alone: the same order, head, schedule and AdamW (no decay of vectors), clipped at 1. Logits of the test's."""
    import torch

    from modelwright_plugins.engine.classifying import _order

    def read(file: str) -> list[tuple[list[int], int]]:
        lines = (where / file).read_text().splitlines()[1:]
        return [([0, *encode(line.split("\t")[0])], int(line.split("\t")[1])) for line in lines]

    train, test, body = read("1.tsv"), read("2.tsv"), llama.model.train()
    head = torch.nn.Linear(SIZES["hidden_size"], 2)
    with torch.no_grad():
        head.weight.copy_(torch.randn(2, SIZES["hidden_size"], generator=torch.Generator().manual_seed(5)) * 0.02)
        head.bias.zero_()
    parameters = [*body.parameters(), *head.parameters()]
    groups = [
        {"params": [p for p in parameters if p.dim() > 1], "weight_decay": 0.01},
        {"params": [p for p in parameters if p.dim() == 1], "weight_decay": 0.0},
    ]
    adam, steps = torch.optim.AdamW(groups, lr=LR, betas=(0.9, 0.999), eps=1e-8), -(-EPOCHS * len(train) // BATCH)
    for step in range(steps):
        warm = round(0.1 * steps)
        for group in adam.param_groups:
            group["lr"] = LR * ((step + 1) / warm if step + 1 <= warm else 1 - (step + 1 - warm) / max(1, steps - warm))
        drawn = [divmod(step * BATCH + place, len(train)) for place in range(BATCH)]
        picked = [train[_order(5, epoch, len(train))[place]] for epoch, place in drawn]
        logits = torch.stack([head(body(torch.tensor([tokens])).last_hidden_state[0, -1]) for tokens, _ in picked])
        adam.zero_grad()
        torch.nn.functional.cross_entropy(logits, torch.tensor([label for _, label in picked])).backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        adam.step()
    with torch.no_grad():
        return torch.stack([head(body(torch.tensor([tokens])).last_hidden_state[0, -1]) for tokens, _ in test]).numpy()


@pytest.mark.slow
def test_states_and_fine_tuning_are_those_of_hugging_faces_model(tmp_path: Path) -> None:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from modelwright_plugins.tokenizer.bpe import ByteLevelBPE
    from modelwright_plugins.tokenizer.encoder import Encoder

    (tmp_path / "their").mkdir()
    ByteLevelBPE(vocab_size=VOCABULARY).train(iter(["x"]), tmp_path / "their")
    sst2(tmp_path, 48, 1), sst2(tmp_path, 24, 2)
    torch.manual_seed(3)
    config = LlamaConfig(
        vocab_size=VOCABULARY, **SIZES, max_position_embeddings=LENGTH, initializer_range=0.1, bos_token_id=None, eos_token_id=0
    )
    llama = LlamaForCausalLM(config).eval()
    llama.save_pretrained(tmp_path / "their" / "model")
    with torch.no_grad():
        hidden = [llama.model(torch.tensor([row])).last_hidden_state[0].numpy() for row in ([0, 5, 9, 70, 71], [0, 9, 33])]
    expected = {"first": [h[0] for h in hidden], "last": [h[-1] for h in hidden], "mean": [h.mean(0) for h in hidden]}
    on_ranks(made, 1, tmp_path / "made", where=tmp_path)
    ranks = on_ranks(ours, 2, tmp_path / "ranks", groups=len(LAYOUTS), where=tmp_path, layouts=LAYOUTS)
    reference = by_hand(llama, tmp_path, Encoder(tmp_path / "their").encode)
    one = ranks[0][0]
    for pool, vectors in expected.items():
        assert one[pool] == pytest.approx(np.stack(vectors), rel=1e-4, abs=1e-5)
    assert (one["again"] == one["last"]).all()  # what was tuned was another
    assert one["logits"] == pytest.approx(reference, abs=2e-3)
    assert np.abs(reference[:, 0] - reference[:, 1]).max() > 0.1  # it learned something
    told = (reference.argmax(-1) == [int(line.split("\t")[1]) for line in (tmp_path / "2.tsv").read_text().splitlines()[1:]]).mean()
    assert one["scores True"][0] == pytest.approx(told)
    for number, _ in enumerate(LAYOUTS):
        for rank in ranks:
            if (other := rank[number]) is not None:
                assert other["logits"] == pytest.approx(one["logits"], abs=2e-3)
                assert other["scores False"] == one["scores False"]
                assert all(other[pool] == pytest.approx(one[pool], rel=1e-4, abs=1e-5) for pool in expected)
