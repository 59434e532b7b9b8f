"""What an objective promises."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from modelwright.hooks import discover
from modelwright.testing import Conformance
from modelwright_plugins.conformance.architecture import small
from modelwright_plugins.conformance.promise import close, hold, promised
from modelwright_plugins.conformance.training import BATCH, LENGTH, Case, batches, losses


@dataclass(frozen=True, kw_only=True)
class Objectives(Conformance):
    """An objective: examples that depend on their passage alone, and a loss that no cutting of the batch changes."""

    example = "modelwright_plugins.conformance.examples.objective"

    def check(self, component: Any, folder: Path) -> None:
        import numpy as np
        import torch

        data = batches(component)
        with promised(component, "spans says how many tokens of text a sequence is made of"):
            lengths = component.spans(LENGTH)
            hold(isinstance(lengths, tuple) and lengths and min(lengths) > 1, f"it says {lengths!r}")
        with promised(component, "example gives the model's named inputs, arrays of one shape for every passage"):
            examples = [data.example(number) for number in range(BATCH)]
            hold(isinstance(examples[0], dict) and examples[0], f"it gives {examples[0]!r:.60}")
            for name, value in examples[0].items():
                hold(isinstance(value, np.ndarray), f"{name} is a {type(value).__name__}")
                shapes = {getattr(example.get(name), "shape", None) for example in examples}
                hold(len(shapes) == 1, f"{name} has the shapes {shapes}")
        with promised(component, "example depends on its passage alone: no layout, micro-batch or restart changes what is learned"):
            for number in (2, 0):
                for name, value in data.example(number).items():
                    hold(np.array_equal(value, examples[number][name]), f"{name} is another the second time")
        with promised(component, "loss gives the sum and the count of this micro-batch's targets, both of no dimension"):
            inputs = data.batch(0, BATCH)
            if "labels" in inputs:  # else it is given logits
                output = torch.rand(inputs["labels"].shape, generator=torch.Generator().manual_seed(1)).requires_grad_()
                total, count = component.loss(output, inputs)
                hold(total.dim() == 0 and count.dim() == 0, f"they have shapes {tuple(total.shape)} and {tuple(count.shape)}")
                hold(count > 0, f"of {inputs['labels'].numel()} labels it counts {count} targets")
                total.backward()
                hold(output.grad is not None and torch.isfinite(output.grad).all(), "the loss has no finite gradient")
        with promised(component, "architectures names families of architectures that there are"):
            architecture = trained_by(component)
        with promised(component, "the same batch gives the same losses in micro-batches of 8, 2 and 1, and over two data ranks"):
            from modelwright_plugins.parallel.megatron import Megatron

            parts = {"objective": component, "architecture": small(architecture)}
            cases = [Case(parts=parts, micro_batch=size) for size in (8, 2, 1)]
            one, *others = losses([*cases, Case(parts={**parts, "parallel": Megatron(data=2)})], folder, ranks=2)
            for name, other in zip(("micro-batches of 2", "micro-batches of 1", "data=2"), others, strict=True):
                hold(close(one, other, 1e-5), f"{name}: losses are {other}, and in one micro-batch {one}")


def trained_by(objective: Any) -> Any:
    """An architecture that the objective can train: the first that is registered, with the parameters that the objective needs."""
    registry = discover().registry
    for entry in registry.entries.values():
        if entry.kind == "architecture":
            kind = registry.load("architecture", entry.name)
            known = {field.name for field in fields(kind)}
            if known >= set(objective.needs) and not objective.problems(found := kind(**objective.needs)):
                return found
    raise AssertionError(f"no architecture that is registered is of {' or '.join(objective.architectures)}")
