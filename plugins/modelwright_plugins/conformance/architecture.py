"""What an architecture promises."""

from __future__ import annotations

from dataclasses import MISSING, dataclass, fields, replace
from pathlib import Path
from typing import Any

from modelwright.hooks import discover
from modelwright.testing import Conformance
from modelwright_plugins.conformance.promise import close, hold, promised
from modelwright_plugins.conformance.ranks import joined, on_ranks
from modelwright_plugins.conformance.training import LENGTH, SEED, Case, batches, built_in, losses


@dataclass(frozen=True, kw_only=True)
class Architectures(Conformance):
    """An architecture: logits of the right shape, their loss, causal if it says so, and on two ranks the same model.

    It is checked at a small size where its parameters allow: 2 layers, width 64, 4 heads. What it reads and learns is an example of the
    first registered objective that trains its family.
    """

    example = "modelwright_plugins.conformance.examples.architecture"

    def check(self, component: Any, folder: Path) -> None:
        tiny = small(component)
        with promised(component, "some registered objective trains its family"):
            objective = trained_with(tiny)
        with promised(component, "it builds on one rank and gives finite logits [batch, length, vocab_size]"):
            facts = on_ranks(_facts, 1, folder / "facts", groups=1, component=tiny, objective=objective)[0]
            expected = facts["expected_shape"]
            hold(expected is None or facts["shape"] == expected, f"they are {facts['shape']}, not {expected}")
            hold(facts["finite"], "some are not finite")
        with promised(
            component,
            "with labels it gives the loss of each in nats, which is the cross-entropy of its logits if it has a vocabulary of them",
        ):
            hold(facts["loss_shape"] == facts["labels"], f"it has shape {facts['loss_shape']}, not {facts['labels']}")
            hold(facts["loss_error"] < 1e-4, f"they differ by up to {facts['loss_error']:.3g}")
        causal = getattr(component, "causal", True)
        if causal:
            with promised(component, "it is causal (causal = True): no position sees a later token"):
                hold(facts["leak"] < 1e-5, f"a later token changes earlier logits by up to {facts['leak']:.3g}")
        else:
            with promised(component, "it is not causal (causal = False): positions see later tokens"):
                hold(facts["leak"] > 0, "no later token changes an earlier logit")
        with promised(component, "the same seed gives the same initial weights, and another seed others"):
            hold(facts["same_seed"], f"seed {SEED} gave two different models")
            hold(facts["other_seed"], f"seeds {SEED} and {SEED + 1} gave the same model")
        with promised(component, "flops_per_token is a number above 0"):
            hold(isinstance(facts["flops"], int | float) and facts["flops"] > 0, f"it is {facts['flops']!r}")
        with promised(component, "tensor=2 and pipeline=2 learn what one rank learns: losses of 3 steps within 1e-5"):
            layout = type(built_in()["parallel"])
            layouts = [layout(), layout(tensor=2), layout(pipeline=2)]
            layouts = [each for each in layouts if not tiny.problems(each)]  # what plan refuses, nobody trains
            cases = [Case(parts={"architecture": tiny, "objective": objective, "parallel": each}, steps=3) for each in layouts]
            one, *others = losses(cases, folder / "losses", ranks=2)
            for each, other in zip(layouts[1:], others, strict=True):
                name = "tensor=2" if each.tensor == 2 else "pipeline=2"
                hold(close(one, other, 1e-5), f"{name}: losses are {other}, and on one rank {one}")


def small(component: Any) -> Any:
    """The same architecture at a size that is checked in seconds, or as it is when its parameters don't go with that."""
    heads = min(component.heads, 4)
    few = None if component.kv_heads is None else max(1, heads * component.kv_heads // component.heads)
    try:
        return replace(component, layers=min(component.layers, 2), width=min(component.width, 64), heads=heads, kv_heads=few)
    except (ValueError, TypeError):
        return component


def trained_with(architecture: Any) -> Any:
    """An objective that can train the architecture: the first that is registered and needs no settings."""
    registry = discover().registry
    for name in registry.names("objective"):
        kind = registry.load("objective", name)
        whole = all(field.default is not MISSING or field.default_factory is not MISSING for field in fields(kind))
        if whole and not (found := kind()).problems(architecture):
            return found
    raise AssertionError(f"none is of the family {architecture.family}")


def _facts(rank: int, component: Any, objective: Any) -> dict[str, Any]:
    import torch
    import torch.nn.functional as F

    from modelwright_plugins.engine import model
    from modelwright_plugins.engine.start import started
    from modelwright_plugins.engine.trainer import how

    parts, data = built_in(), batches(objective)
    size, inputs = data.vocabulary.size, {name: value for name, value in data.batch(0, 4).items() if not name.startswith("loss_")}
    labels = inputs.pop("labels")
    joined(rank, 1)
    with started(parts["parallel"], seed=SEED):

        def made(seed: int) -> Any:
            torch.manual_seed(seed)
            chunks = model.build(component, **how(parts), vocab_size=size, sequence_length=LENGTH)
            model.initialise(chunks, component, seed=seed, vocab_size=size)
            return chunks[0].eval()

        def weights(module: Any) -> list[torch.Tensor]:
            return list(module.parameters())

        one, two, other = made(SEED), made(SEED), made(SEED + 1)
        with torch.no_grad():
            logits, nats = one(**inputs).float(), one(**inputs, labels=labels).float()
            error = 0.0
            if each_has_a_token := labels.dim() == 2:
                targets = labels >= 0
                expected = F.cross_entropy(logits[targets], labels[targets], reduction="none")
                error = (nats[targets] - expected).abs().max().item() if nats.shape == labels.shape else float("inf")
            half = LENGTH // 2
            unsaid = {name: None if name.endswith("attention_mask") else value for name, value in inputs.items()}  # what it sees by itself
            text = inputs["input_ids"]
            del unsaid["input_ids"]
            changed = text.clone()
            changed[:, half:] = (changed[:, half:] + 7) % size
            leak = (one(changed, **unsaid).float() - one(text, **unsaid).float())[:, :half].abs().max().item()
        count = sum(p.numel() for p in weights(one))
        return {
            "shape": list(logits.shape),
            "expected_shape": [*labels.shape, size] if each_has_a_token else None,
            "finite": bool(torch.isfinite(logits).all()),
            "labels": list(labels.shape),
            "loss_shape": list(nats.shape),
            "loss_error": error,
            "leak": leak,
            "same_seed": all(torch.equal(a, b) for a, b in zip(weights(one), weights(two), strict=True)),
            "other_seed": any(not torch.equal(a, b) for a, b in zip(weights(one), weights(other), strict=True)),
            "flops": component.flops_per_token(count, LENGTH),
        }
