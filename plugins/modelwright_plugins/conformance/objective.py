"""What an objective promises."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelwright.hooks import discover
from modelwright.testing import Conformance
from modelwright_plugins.conformance.architecture import small
from modelwright_plugins.conformance.promise import close, hold, promised
from modelwright_plugins.conformance.training import Case, Counting, losses


@dataclass(frozen=True, kw_only=True)
class Objectives(Conformance):
    """An objective: inputs made row by row, a loss that is a sum and a count, the same however the batch is cut."""

    example = "modelwright_plugins.conformance.examples.objective"

    def check(self, component: Any, folder: Path) -> None:
        import torch

        tokens = Counting().batch(0)
        with promised(component, "inputs gives the model's named arguments, a row for each of the tokens' [batch, length + 1]"):
            inputs = component.inputs(tokens)
            hold(isinstance(inputs, dict) and inputs, f"it gives {type(inputs).__name__}")
            for name, value in inputs.items():
                hold(
                    isinstance(value, torch.Tensor) and len(value) == len(tokens), f"{name} has no row for each of {len(tokens)} sequences"
                )
        with promised(
            component, "inputs depends on its tokens only, each row on its own: no layout or micro-batch changes what is learned"
        ):
            again, part = component.inputs(tokens.clone()), component.inputs(tokens[2:4])
            for name, value in inputs.items():
                hold(torch.equal(value, again[name]), f"{name} is another the second time")
                hold(torch.equal(value[2:4], part[name]), f"{name} of two rows is another than within a batch of {len(tokens)}")
        with promised(component, "loss gives the sum and the count of this micro-batch's targets, both of no dimension"):
            output = torch.rand(len(tokens), tokens.shape[1] - 1, generator=torch.Generator().manual_seed(1)).requires_grad_()
            if "labels" in inputs:  # else it is given logits
                total, count = component.loss(output, inputs)
                hold(total.dim() == 0 and count.dim() == 0, f"they have shapes {tuple(total.shape)} and {tuple(count.shape)}")
                hold(count > 0, f"of {tokens.numel()} tokens it counts {count} targets")
                total.backward()
                hold(output.grad is not None and torch.isfinite(output.grad).all(), "the loss has no finite gradient")
        with promised(component, "the same batch gives the same losses in micro-batches of 8, 2 and 1, and over two data ranks"):
            from modelwright_plugins.parallel.megatron import Megatron

            architecture = discover().registry.load("architecture", component.architecture)()
            parts = {"objective": component, "architecture": small(architecture)}
            cases = [Case(parts=parts, micro_batch=size) for size in (8, 2, 1)]
            one, *others = losses([*cases, Case(parts={**parts, "parallel": Megatron(data=2)})], folder, ranks=2)
            for name, other in zip(("micro-batches of 2", "micro-batches of 1", "data=2"), others, strict=True):
                hold(close(one, other, 1e-5), f"{name}: losses are {other}, and in one micro-batch {one}")
