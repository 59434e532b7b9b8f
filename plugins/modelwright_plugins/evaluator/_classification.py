"""Texts as a model's vectors, classes told from them, and how right that is."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from modelwright_plugins.engine.classifying import Pool, Text
from modelwright_plugins.evaluator import Score
from modelwright_plugins.evaluator.interval import bootstrap, proportion
from modelwright_plugins.progress import progress

if TYPE_CHECKING:
    from modelwright_plugins.evaluator.classification import Classification, Row
    from modelwright_plugins.evaluator.model import Model

Labels = NDArray[np.int64]
Vectors = NDArray[np.floating[Any]]


def judged(evaluator: Classification, model: Model, out: Path, *, seed: int) -> list[Score]:
    """Every rank asks the model, and learns the same."""
    train, test, classes = evaluator.read(lambda line: print(f"  {line}", flush=True) if model.first else None)
    number = {name: place for place, name in enumerate(classes)}
    learned, asked = (texts(model, rows, number) for rows in (train, test))
    pool: Pool = evaluator.pool or ("last" if model.trained.causal else "first")
    if evaluator.tune:
        told = _tuned(evaluator, model, learned, pool, len(classes), seed)(asked).argmax(-1)
    else:
        vectors = model.trained.vectors([*learned, *asked], pool)
        labels = np.array([text.label for text in learned])
        told = regression(vectors[: len(learned)], labels, len(classes))(vectors[len(learned) :]).argmax(-1)
    right = np.array([text.label for text in asked])
    if model.first:
        with (out / "predictions.jsonl").open("w", encoding="utf-8") as file:
            for row, place in zip(test, told, strict=True):
                file.write(json.dumps({"texts": row.texts, "label": row.label, "told": classes[place]}, ensure_ascii=False) + "\n")
    return scores(right, told, len(classes))


def _tuned(evaluator: Classification, model: Model, learned: list[Text], pool: Pool, classes: int, seed: int) -> Any:
    how: dict[str, Any] = {"lr": evaluator.lr, "epochs": evaluator.epochs, "batch": evaluator.batch, "seed": seed}
    if not model.first:
        return model.trained.tuned(learned, pool, classes=classes, told=lambda *_: None, **how)
    with progress("classification", evaluator.epochs * len(learned), "text") as bar:
        return model.trained.tuned(learned, pool, classes=classes, told=lambda *_: bar.update(evaluator.batch), **how)


def texts(model: Model, rows: Sequence[Row], number: dict[str, int]) -> list[Text]:
    """As tokens; the end of what is longer than the model's sequence is left out."""
    special = model.trained.special_tokens
    begin, after = special.get("[CLS]", model.end), special.get("[SEP]")
    found = []
    for row in rows:
        first, *more = (model.encoder.encode(text) for text in row.texts)
        tokens = [begin, *first] + ([] if after is None else [after])
        second = len(tokens)
        for other in more:
            tokens += [model.end, *other] if after is None else [*other, after]
        tokens = tokens[: model.length]
        found.append(Text(tuple(tokens), min(second, len(tokens)), number[row.label]))
    return found


def regression(vectors: Vectors, labels: Labels, classes: int) -> Any:
    """Logistic regression with L2, 0.5 |W|² + the sum of cross-entropies, on standardised vectors [texts, width], in float64: a function
    from vectors to logits [texts, classes]. Two classes have one row of weights, as scikit-learn's LogisticRegression has it."""
    mean, spread = vectors.mean(0, dtype=np.float64), vectors.std(0, dtype=np.float64)
    spread = np.where(spread > 0, spread, 1.0)
    x, y = torch.from_numpy((vectors - mean) / spread), torch.from_numpy(labels)
    rows = 1 if classes == 2 else classes
    weight = torch.zeros(rows, x.shape[1], dtype=torch.float64, requires_grad=True)
    offset = torch.zeros(rows, dtype=torch.float64, requires_grad=True)

    def logits(x: torch.Tensor) -> torch.Tensor:
        found = F.linear(x, weight, offset)
        return torch.cat([torch.zeros_like(found), found], 1) if rows == 1 else found

    search = torch.optim.LBFGS([weight, offset], max_iter=2000, tolerance_grad=1e-8, tolerance_change=1e-14, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        search.zero_grad()
        total = F.cross_entropy(logits(x), y, reduction="sum") + 0.5 * weight.square().sum()
        total.backward()
        return total

    search.step(loss)

    def told(vectors: Vectors) -> Vectors:
        with torch.no_grad():
            found: Vectors = logits(torch.from_numpy((vectors - mean) / spread)).numpy()
        return found

    return told


def scores(right: Labels, told: Labels, classes: int) -> list[Score]:
    """Accuracy with Wilson's interval; the others' are of drawing the texts again."""
    one_hot = np.eye(classes)
    table = np.concatenate([one_hot[right] * (right == told)[:, None], one_hot[right], one_hot[told]], 1)

    def f1(sums: Any) -> float:
        both, are, said = np.split(np.asarray(sums), 3)
        each = 2 * both / np.maximum(are + said, 1e-300)
        return float(each[1] if classes == 2 else each[are + said > 0].mean())

    def matthews(sums: Any) -> float:
        both, are, said = np.split(np.asarray(sums), 3)
        count = are.sum()
        apart = (count**2 - said @ said) * (count**2 - are @ are)
        return float((both.sum() * count - are @ said) / np.sqrt(apart)) if apart > 0 else 0.0

    return [
        proportion("accuracy", (right == told).tolist()),
        bootstrap("f1" if classes == 2 else "macro_f1", table, f1),
        bootstrap("matthews", table, matthews),
    ]
