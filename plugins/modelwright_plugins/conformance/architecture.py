"""What an architecture promises."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from modelwright.testing import Conformance
from modelwright_plugins.conformance.promise import close, hold, promised
from modelwright_plugins.conformance.ranks import joined, on_ranks
from modelwright_plugins.conformance.training import LENGTH, SEED, VOCABULARY, Case, built_in, losses, texts


@dataclass(frozen=True, kw_only=True)
class Architectures(Conformance):
    """An architecture: logits of the right shape, their loss, causal if it says so, and on two ranks the same model.

    It is checked at a small size where its parameters allow: 2 layers, width 64, 4 heads.
    """

    example = "modelwright_plugins.conformance.examples.architecture"

    def check(self, component: Any, folder: Path) -> None:
        tiny = small(component)
        with promised(component, "it builds on one rank and gives finite logits [batch, length, vocab_size]"):
            facts = on_ranks(_facts, 1, folder / "facts", groups=1, component=tiny)[0]
            hold(facts["shape"] == (4, LENGTH, VOCABULARY), f"they are {list(facts['shape'])}, not {[4, LENGTH, VOCABULARY]}")
            hold(facts["finite"], "some are not finite")
        with promised(component, "with labels it gives the cross-entropy of its logits, in nats a token"):
            hold(facts["loss_shape"] == (4, LENGTH), f"it has shape {list(facts['loss_shape'])}, not {[4, LENGTH]}")
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
            cases = [Case(parts={"architecture": tiny, "parallel": each}, steps=3) for each in layouts]
            one, *others = losses(cases, folder / "losses", ranks=2)
            for name, other in zip(("tensor=2", "pipeline=2"), others, strict=True):
                hold(close(one, other, 1e-5), f"{name}: losses are {other}, and on one rank {one}")


def small(component: Any) -> Any:
    """The same architecture at a size that is checked in seconds, or as it is when its parameters don't go with that."""
    heads = min(component.heads, 4)
    few = None if component.kv_heads is None else max(1, heads * component.kv_heads // component.heads)
    try:
        return replace(component, layers=min(component.layers, 2), width=min(component.width, 64), heads=heads, kv_heads=few)
    except (ValueError, TypeError):
        return component


def _facts(rank: int, component: Any) -> dict[str, Any]:
    import torch
    import torch.nn.functional as F

    from modelwright_plugins.engine import model
    from modelwright_plugins.engine.start import started
    from modelwright_plugins.engine.trainer import how

    parts = built_in()
    joined(rank, 1)
    with started(parts["parallel"], seed=SEED):

        def made(seed: int) -> Any:
            torch.manual_seed(seed)
            chunks = model.build(component, **how(parts), vocab_size=VOCABULARY, sequence_length=LENGTH)
            model.initialise(chunks, component, seed=seed, vocab_size=VOCABULARY)
            return chunks[0].eval()

        def weights(module: Any) -> list[torch.Tensor]:
            return list(module.parameters())

        one, two, other = made(SEED), made(SEED), made(SEED + 1)
        tokens = texts(4)
        text, labels = tokens[:, :-1], tokens[:, 1:].contiguous()
        position = torch.arange(LENGTH).expand_as(text)
        with torch.no_grad():
            logits = one(text, position, None).float()
            nats = one(text, position, None, labels=labels).float()
            expected = F.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="none").view_as(labels)
            half = LENGTH // 2
            changed = text.clone()
            changed[:, half:] = (changed[:, half:] + 7) % VOCABULARY
            leak = (one(changed, position, None).float() - logits)[:, :half].abs().max().item()
        count = sum(p.numel() for p in weights(one))
        return {
            "shape": tuple(logits.shape),
            "finite": bool(torch.isfinite(logits).all()),
            "loss_shape": tuple(nats.shape),
            "loss_error": (nats - expected).abs().max().item() if nats.shape == expected.shape else float("inf"),
            "leak": leak,
            "same_seed": all(torch.equal(a, b) for a, b in zip(weights(one), weights(two), strict=True)),
            "other_seed": any(not torch.equal(a, b) for a, b in zip(weights(one), weights(other), strict=True)),
            "flops": component.flops_per_token(count, LENGTH),
        }
