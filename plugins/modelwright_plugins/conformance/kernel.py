"""What a kernel promises."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelwright.testing import Conformance
from modelwright_plugins.conformance.process import elsewhere, heavy_modules
from modelwright_plugins.conformance.promise import hold, promised
from modelwright_plugins.conformance.ranks import joined, on_ranks
from modelwright_plugins.conformance.settings import unknown_settings
from modelwright_plugins.conformance.training import LENGTH, SEED, VOCABULARY, built_in, small_decoder, texts

MODELS: dict[str, dict[str, Any]] = {
    "Llama's kind of layer": {},
    "GPT-2's kind of layer": {"norm": "layer", "activation": "gelu_tanh", "position": "learned", "bias": True, "kv_heads": None},
    "QK norm": {"qk_norm": True, "activation": "relu"},
}


@dataclass(frozen=True, kw_only=True)
class Kernels(Conformance):
    """A kernel: it says why it can't run here, or else computes what the reference kernel computes, from the same checkpoint."""

    example = "modelwright_plugins.conformance.examples.kernel"

    def check(self, component: Any, folder: Path) -> None:
        with promised(component, "problems tells, a line each, why it can't run on this machine, and imports nothing heavy"):
            problems, heavy = elsewhere(_problems, component, folder=folder / "problems")
            hold(isinstance(problems, list), f"it is {problems!r}")
            hold(all(isinstance(line, str) and line and "\n" not in line for line in problems), f"{problems} are not lines")
            hold(not heavy, f"it imports {', '.join(heavy)}")
        with promised(component, "settings are fields of Megatron's TransformerConfig"):
            hold(not (unknown := unknown_settings(component, folder, ["TransformerConfig"])), f"there is no {', '.join(unknown)}")
        if problems:
            warnings.warn(f"{type(component).__name__} was not run: {problems[0]}", stacklevel=2)
            return
        for name, changes in MODELS.items():
            with promised(component, f"{name} is what the reference kernel computes, with the same names in checkpoints"):
                facts = on_ranks(_facts, 1, folder / "facts", gpu=True, component=component, changes=changes)[0]
                hold(facts["names"] == facts["reference_names"], f"parameters are {facts['names']}, not {facts['reference_names']}")
                for what in ("logits", "gradients"):
                    hold(facts[what] < facts["within"], f"{what} differ by up to {facts[what]:.3g} of the largest")


def _problems(component: Any) -> tuple[list[str], list[str]]:
    return component.problems(), heavy_modules()


def _facts(rank: int, component: Any, changes: dict[str, Any]) -> dict[str, Any]:
    import torch

    from modelwright_plugins.attention.cores import Native, Reference
    from modelwright_plugins.engine import model
    from modelwright_plugins.engine.start import started
    from modelwright_plugins.engine.trainer import how
    from modelwright_plugins.kernel.local import Torch

    parts, architecture = built_in(), small_decoder(**changes)
    joined(rank, 1)
    with started(parts["parallel"], seed=SEED) as device:
        found = []
        for kernel, attention in ((Torch(), Reference()), (component, Native())):
            chunks = model.build(
                architecture, **how({**parts, "kernel": kernel, "attention": attention}), vocab_size=VOCABULARY, sequence_length=LENGTH
            )
            model.initialise(chunks, architecture, seed=SEED, vocab_size=VOCABULARY)
            text = texts(2)[:, :-1].to(device)
            logits = chunks[0].to(device)(text, torch.arange(LENGTH, device=device).expand_as(text), None)
            (logits**2).sum().backward()
            gradients = torch.cat([p.grad.flatten() for p in chunks[0].parameters() if p.grad is not None])
            found.append((logits.detach(), gradients, sorted(name for name, *_ in model.named_parts(chunks))))
        (logits, gradients, names), (ours, our_gradients, our_names) = found
        return {
            "within": 1e-4 if device.type == "cpu" else 1e-2,  # GPUs multiply FP32 in TF32, whose mantissa has 10 bits
            "names": our_names,
            "reference_names": names,
            "logits": ((ours - logits).abs().max() / logits.abs().max()).item(),
            "gradients": ((our_gradients - gradients).abs().max() / gradients.abs().max()).item()
            if our_gradients.shape == gradients.shape
            else float("inf"),
        }
