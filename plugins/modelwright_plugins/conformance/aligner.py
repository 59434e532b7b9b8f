"""What an aligner promises."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelwright.testing import Conformance
from modelwright_plugins.conformance import _rounds
from modelwright_plugins.conformance.promise import hold, promised

if TYPE_CHECKING:
    import torch

KINDS = {"conversation": 1, "preference": 2, "ranking": 3, "unpaired": 1, "reward": 1, "steps": 1, "prompt": 0}
EXAMPLES, LENGTH, VOCABULARY = 6, 24, 50


@dataclass(frozen=True, kw_only=True)
class Aligners(Conformance):
    """An aligner: a loss of examples, which no cutting of the batch changes, and in which only targets count."""

    example = "modelwright_plugins.conformance.examples.aligner"

    def check(self, component: Any, folder: Path) -> None:
        import torch

        with promised(component, "examples names kinds of examples that there are"):
            kinds: Any = getattr(component, "examples", None)
            hold(isinstance(kinds, tuple) and kinds, f"it is {kinds!r}")
            hold(
                not (unknown := [kind for kind in kinds if kind not in KINDS]), f"there is no kind {unknown}; there are {', '.join(KINDS)}"
            )
        with promised(component, "rows says how many rows an example has in a batch"):
            for kind in kinds:
                rows = component.rows(KINDS[kind])
                hold(isinstance(rows, int) and rows >= max(1, KINDS[kind]), f"it says {rows!r} of {KINDS[kind]} replies ({kind})")
        with promised(component, "condition gives a text for each score"):
            for score in (0.0, 1.0, float("nan")):
                hold(isinstance(found := component.condition(score), str), f"it gives {found!r} for {score}")
        for kind in kinds:
            inputs, rows = batch(component, kind, folder / kind)
            output = torch.rand(inputs["labels"].shape, generator=torch.Generator().manual_seed(1)) + 0.5
            with promised(component, "loss gives the sum and the count of this micro-batch, both of no dimension"):
                leaf = output.clone().requires_grad_()
                total, count = component.loss(leaf, inputs)
                hold(total.dim() == 0 and count.dim() == 0, f"they have shapes {tuple(total.shape)} and {tuple(count.shape)}")
                hold(count > 0, f"of {len(output)} rows ({kind}) it counts {count}")
                total.backward()
                hold(leaf.grad is not None and torch.isfinite(leaf.grad).all(), "the loss has no finite gradient")
                assert leaf.grad is not None
                hold(bool(leaf.grad.any()), "the loss has no gradient but 0")
            with promised(component, "what is no target does not count"):
                again, _ = component.loss(output + 3 * (1 - inputs["loss_mask"]), inputs)
                hold(torch.allclose(again, total.detach()), f"the loss is {total.detach():.6g}, and with other context {again:.6g}")
            with promised(component, "examples one at a time have the sum and the count of all together"):
                parts = [component.loss(output[i : i + rows], _rows(inputs, i, rows)) for i in range(0, len(output), rows)]
                sums = float(sum(part[0] for part in parts)), int(sum(part[1] for part in parts))
                one = float(total.detach()), int(count)
                hold(sums[1] == one[1] and abs(sums[0] - one[0]) < 1e-4 * max(1.0, abs(one[0])), f"they are {sums}, and together {one}")
            with promised(component, "metrics gives (sum, count) of each of `measures`"):
                found = component.metrics(output, inputs)
                hold(tuple(found) == tuple(component.measures), f"it gives {tuple(found)}, and measures are {tuple(component.measures)}")
                for name, (value, of) in found.items():
                    hold(value.dim() == 0 and of.dim() == 0, f"{name} has shapes {tuple(value.shape)} and {tuple(of.shape)}")


def _rows(inputs: dict[str, torch.Tensor], first: int, count: int) -> dict[str, torch.Tensor]:
    return {name: value[first : first + count] for name, value in inputs.items()}


def batch(aligner: Any, kind: str, folder: Path) -> tuple[dict[str, torch.Tensor], int]:
    """A batch of small examples of this kind, and how many rows each has."""
    if aligner.samples:
        return _rounds.batch(aligner, LENGTH)
    import numpy as np
    import torch

    from modelwright_plugins.artifacts.examples import ExamplesWriter, StoredExamples
    from modelwright_plugins.engine.example_batches import MISMATCHED, ExampleBatches
    from modelwright_plugins.tokenizer.vocabulary import Vocabulary

    folder.mkdir(parents=True, exist_ok=True)
    random, numbers = np.random.default_rng(1), {}
    for part in ("train", "held_out"):
        writer = ExamplesWriter(folder, part, kind)
        for number in range(EXAMPLES):
            sizes = [int(random.integers(6, LENGTH)) for _ in range(max(1, KINDS[kind]))]
            rows = [(random.integers(1, VOCABULARY, size), (np.arange(size) >= 3).astype(np.uint8)) for size in sizes]
            steps = [np.where(np.arange(size) % 4 == 3, (np.arange(size) // 4) % 2, np.nan) for size in sizes]
            scores = [float((number + place) % 2) for place in range(len(rows))]
            writer.write({"id": f"{number}", "group": f"{number}"}, rows, scores, steps if kind == "steps" else None)
        numbers[part] = writer.close()
    about = {"kind": kind, "vocab_size": VOCABULARY, "end_of_document": 0, "template": "", "loss_on": "assistant"}
    (folder / "examples.json").write_text(json.dumps(about | numbers))
    stored = StoredExamples(folder)
    first = np.linspace(-20, -10, len(stored.scores)).astype(np.float32) if aligner.needs_reference else None
    vocabulary = Vocabulary(VOCABULARY, 0)
    batches = ExampleBatches.of(stored, aligner, vocabulary, length=LENGTH, global_batch=EXAMPLES, seed=1)
    found = replace(batches, reference=first).batch(0, EXAMPLES)
    found = {name: value for name, value in found.items() if not name.startswith(MISMATCHED)}
    if aligner.mismatched:
        found["loss_divergence"] = torch.full((len(found["labels"]),), 0.5)
    return found, batches.rows
