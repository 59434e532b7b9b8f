"""The stage that measures a trained model: text that it never saw, beside n-gram models, and whatever evaluators ask of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from modelwright.component import Artifact, Job, Parts, Stage
from modelwright_plugins.artifacts import Checkpoint, Evaluation, Examples, Metrics, Tokenizer, TokenShards
from modelwright_plugins.stage.known_model import Model, OfModel


@dataclass(frozen=True, kw_only=True)
class Evaluate(OfModel, Stage):
    """What a model is worth: bits per byte of held-out text, beside n-grams; samples; and the scores of evaluators.

    The model is what the checkpoint says, whatever stage made it; its architecture is that of its `model.json`.

    The held-out documents stand one after another as in training, each closed by its end-of-document token, which is predicted too
    and costs bits, but is no byte. Each token is predicted once, by the model and by each n-gram model. The n-gram models are
    fitted twice: on the training text that the model saw, and on all of it. With `text=false` nothing of this is done, and no token
    shards and metrics are taken. With `examples=true` it takes the examples that `prepare` made, and evaluators get those held out.
    With `every=true` each checkpoint that the training's `keep_last` and `keep_every` left has scores, the newest n-grams and samples.
    """

    uses: ClassVar[tuple[str, ...]] = ("parallel", "precision", "kernel", "attention", "generator", "evaluator")
    takes: ClassVar[tuple[type[Artifact], ...]] = (Checkpoint, TokenShards, Tokenizer, Metrics)
    makes: ClassVar[tuple[type[Artifact], ...]] = (Evaluation,)

    text: bool = True  # bits per byte of the held-out text of token shards; a model that gives no likelihood is not asked for it
    examples: bool = False  # evaluators get the held-out examples that stage prepare made
    every: bool = False  # the checkpoints kept before the newest get scores too: a table and a plot over training
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
        shards: tuple[type[Artifact], ...] = (TokenShards, Tokenizer, Metrics) if self.text else (Tokenizer,)
        # what this one takes, where it differs from what the class says; a run looks at the instance
        object.__setattr__(self, "takes", (Checkpoint, *shards, *((Examples,) if self.examples else ())))

    def ranks(self, parts: Parts) -> int:
        from modelwright_plugins.parallel.available import available

        ranks: int = parts["parallel"].ranks(available()[0])
        return ranks

    def problems(self, parts: Parts) -> list[str]:
        from modelwright_plugins.generator import Remote

        found: list[str] = parts["kernel"].problems() + parts["attention"].problems() + parts["generator"].problems()
        remote = isinstance(parts["generator"], Remote)
        if self.prompts and remote:
            found.append("evaluate.prompts are beginnings of texts, and a server answers conversations; evaluate.prompts=[]")
        for name, evaluator in parts["evaluator"].items():
            if evaluator.needs and not self.examples:
                found.append(
                    f"evaluator {name} wants held-out examples ({' or '.join(evaluator.needs)}): evaluate.examples=true gives them"
                )
            if evaluator.reads_shards and not self.text:
                found.append(f"evaluator {name} reads the token shards that the model was pretrained on: evaluate.text=true gives them")
            if remote and evaluator.goes_on:
                found.append(f"evaluator {name} has texts gone on with, and a server answers conversations; evaluator.{name}.chat=true")
            found += [f"evaluator {name}: {line}" for line in [*evaluator.problems(), *evaluator.misfits(parts)]]
        return found

    def model_misfits(self, parts: Parts, model: Model) -> list[str]:
        if model.length is None:
            return []
        every = parts["evaluator"].items()
        return [f"evaluator {name}: {line}" for name, evaluator in every for line in evaluator.overflows(model.length, parts)]

    def run(self, job: Job) -> Mapping[str, float] | None:
        from modelwright_plugins.stage._judged import judged, table

        if (told := judged(self, job)) is None:  # one rank tells it
            return None
        found, cost = told
        job.make(Evaluation).path.write_text(json.dumps(found, indent=1, ensure_ascii=False), encoding="utf-8")
        print("\n".join(table(found)), flush=True)
        numbers = {name: found["model"][name] for name in ("bits_per_byte", "perplexity") if "model" in found}
        numbers |= {f"{score['evaluator']}/{score['name']}": score["value"] for score in found["scores"] if score["evaluator"]}
        job.hooks.call("on_evaluate", run=job.run, metrics=numbers)
        return {**numbers, **cost}
