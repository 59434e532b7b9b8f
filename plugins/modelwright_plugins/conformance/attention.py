"""What an attention promises."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelwright.testing import Conformance
from modelwright_plugins.conformance.process import elsewhere, heavy_modules
from modelwright_plugins.conformance.promise import hold, promised
from modelwright_plugins.conformance.ranks import joined, on_ranks
from modelwright_plugins.conformance.training import SEED, built_in, small_decoder

LENGTH, KEYS = 24, 15  # of a sequence, and of another that is attended to


@dataclass(frozen=True, kw_only=True)
class Attentions(Conformance):
    """An attention: it says why it can't run here, or else computes the formula, over the positions that each one sees."""

    example = "modelwright_plugins.conformance.examples.attention"

    def check(self, component: Any, folder: Path) -> None:
        with promised(component, "problems tells, a line each, why it can't run on this machine, and imports nothing heavy"):
            problems, heavy = elsewhere(_problems, component, folder=folder / "problems")
            hold(isinstance(problems, list), f"it is {problems!r}")
            hold(all(isinstance(line, str) and line and "\n" not in line for line in problems), f"{problems} are not lines")
            hold(not heavy, f"it imports {', '.join(heavy)}")
        if problems:
            warnings.warn(f"{type(component).__name__} was not run: {problems[0]}", stacklevel=2)
            return
        facts = on_ranks(_facts, 1, folder / "facts", gpu=True, component=component)[0]
        within = 1e-4 if facts["device"] == "cpu" else 5e-2  # GPUs compute in BF16
        for case, (error, gradient) in facts["errors"].items():
            with promised(component, f"{case}: it is softmax(QKᵀ/√d + bias)V of what each position sees, with its gradients"):
                hold(error < within, f"it differs by up to {error:.3g} of the largest")
                hold(gradient < within, f"its gradients differ by up to {gradient:.3g} of the largest")
        for case, (apart, together) in facts["documents"].items():
            with promised(component, f"{case}: a document in a sequence has the losses that it has alone"):
                hold(apart < within, f"they differ by up to {apart:.3g} nats")
                hold(together > 10 * within, f"this tells nothing: even if documents are not apart they differ by {together:.3g} nats")
        if facts["device"] != "cpu":
            return  # one GPU is not two ranks
        found = on_ranks(_split, 2, folder / "split", component=component)
        for case in found[0]:
            with promised(component, f"{case}: two context ranks compute what one rank computes, with its gradients"):
                for error in (rank[case] for rank in found):
                    hold(error < within, f"they differ by up to {error:.3g} of the largest")


def _problems(component: Any) -> tuple[list[str], list[str]]:
    return component.problems(), heavy_modules()


def _cases() -> dict[str, dict[str, Any]]:
    """Arguments of `_inputs`."""
    import numpy as np
    import torch

    from modelwright_plugins.objective.visible import seen

    groups = np.array([0] * 7 + [1] * 1 + [2] * 11 + [3] * 5)
    full, causal = (
        torch.from_numpy(np.stack([seen(groups, causal=causal), seen(groups[::-1], causal=causal)])) for causal in (False, True)
    )
    # a prefix of 6 is seen from everywhere in the sequence; what comes after it sees up to itself
    place = torch.arange(LENGTH)
    prefix = torch.stack([torch.zeros_like(place), (place + 1).clamp(min=6)], 1).expand(2, -1, -1)
    apart = {"causal": True, "visible": causal}
    return {
        "causal": {"causal": True},
        "full": {"causal": False},
        "documents apart, causal": apart,
        "documents apart, full": {"causal": False, "visible": full},
        "a prefix": {"causal": False, "visible": prefix},
        "grouped queries": {**apart, "kv_heads": 2},
        "another scale": {**apart, "scale": 0.5},
        "values of another size": {**apart, "value_size": 16},
        "a bias, causal": {"causal": True, "bias": True},
        "a bias, documents apart": {**apart, "bias": True, "kv_heads": 2},
        "a bias, full": {"causal": False, "bias": True},
        "a window": {"causal": True, "window": (4, 0)},
        "a window, documents apart": {**apart, "window": (4, 0)},
        "a window both ways": {"causal": False, "window": (2, 3)},
        "ALiBi": {"causal": True, "alibi": True},
        "ALiBi, documents apart": {**apart, "alibi": True},
        "keys of another sequence": {"causal": False, "cross": True},
        "keys of another sequence's documents": {
            "causal": False,
            "cross": True,
            "visible": full.clamp(max=KEYS - 1) + torch.tensor([0, 1]),
        },
    }


def _config(context: int, dtype: Any, *, heads: int, kv_heads: int, window: Any, alibi: bool) -> Any:
    from modelwright_plugins.architecture._config import ModelConfig

    return ModelConfig(
        num_layers=1,
        hidden_size=heads * 8,
        num_attention_heads=heads,
        num_query_groups=kv_heads,
        attention_dropout=0.0,
        window_size=window,
        alibi=alibi,
        context_parallel_size=context,
        params_dtype=dtype,
    )


def _both(component: Any, context: int, own: Any, device: Any, *, causal: bool, scale: float | None = None, **case: Any) -> tuple[Any, Any]:
    """(its output on this rank, and the gradients of queries, keys and values; the same of the formula in FP64)."""
    import torch
    from megatron.core.transformer.enums import AttnMaskType
    from torch.autograd import grad

    from modelwright_plugins.engine import context as cut

    heads, kv_heads, value_size = 4, case.get("kv_heads", 4), case.get("value_size", 8)
    keys, cross, window, alibi = KEYS if case.get("cross") else LENGTH, case.get("cross"), case.get("window"), case.get("alibi", False)
    dtype = torch.float32 if device.type == "cpu" else torch.bfloat16
    kind = AttnMaskType.causal if causal else AttnMaskType.padding if cross else AttnMaskType.no_mask
    config = _config(context, dtype, heads=heads, kv_heads=kv_heads, window=window, alibi=alibi)
    sizes = {"k_channels": 8, "v_channels": value_size} if value_size != 8 else {}
    core = component.module(own)(
        config=config,
        layer_number=1,
        attn_mask_type=kind,
        attention_type="cross" if cross else "self",
        softmax_scale=scale,
        **sizes,
    ).to(device)
    random = torch.Generator().manual_seed(SEED)
    shapes = [(LENGTH, 2, heads, 8), (keys, 2, kv_heads, 8), (keys, 2, kv_heads, value_size), (LENGTH, 2, heads * value_size)]
    *wholes, weights = (torch.randn(shape, generator=random).to(device, dtype) for shape in shapes)
    bias = torch.randn(1, heads, LENGTH, keys, generator=random).to(device) if case.get("bias") else None
    visible = None if case.get("visible") is None else case["visible"].to(device)
    mine = cut.places(LENGTH // context, device)
    here = [(t if len(t) != LENGTH else t[mine]).clone().requires_grad_() for t in wholes]
    part = None if bias is None else bias[:, :, mine].to(dtype)
    out = core(*here, None if visible is None else visible[:, mine], attn_mask_type=kind, attention_bias=part)
    ours = [out, *grad((out * weights[mine]).sum(), here)]
    exact = [t.double().requires_grad_() for t in wholes]
    slow = _formula(exact, bias, visible, scale=scale, causal=causal, window=window, alibi=alibi)
    theirs = [slow, *grad((slow * weights).sum(), exact)]
    return ours, [t if len(t) != LENGTH else t[mine] for t in theirs]


def _formula(inputs: list[Any], bias: Any, visible: Any, *, scale: Any, causal: bool, window: Any, alibi: bool) -> Any:
    """Position by position, in FP64: q [length, batch, heads, dim] -> [length, batch, heads * value_dim]."""
    import torch

    q, k, v = inputs
    length, batch, heads, dim = q.shape
    repeat, rows = heads // k.shape[2], []
    for place in range(length):
        for b in range(batch):
            first, last = (0, place + 1 if causal else len(k)) if visible is None else visible[b, place].tolist()
            if window is not None:
                first, last = max(first, place - window[0]), min(last, place + window[1] + 1)
            for head in range(heads):
                keys, values = k[first:last, b, head // repeat], v[first:last, b, head // repeat]
                scores = keys @ q[place, b, head] * (dim**-0.5 if scale is None else scale)
                if bias is not None:
                    scores = scores + bias[0, head, place, first:last]
                if alibi:  # Press et al. 2021, section 3: with 4 heads the slopes are 2^-2, 2^-4, 2^-6, 2^-8
                    scores = scores - 4.0 ** -(head + 1) * (place - torch.arange(first, last, device=q.device))
                rows.append(torch.softmax(scores, 0) @ values)
    return torch.stack(rows).view(length, batch, -1)


def _far(found: list[Any], expected: list[Any]) -> tuple[float, float]:
    """Largest differences, of the largest values: of the outputs, and of the gradients."""
    each = [((a.double() - b).abs().max() / b.abs().max()).item() for a, b in zip(found, expected, strict=True)]
    return each[0], max(each[1:])


def _facts(rank: int, component: Any) -> dict[str, Any]:
    from modelwright_plugins.engine.start import started

    parts = built_in()
    joined(rank, 1)
    with started(parts["parallel"], seed=SEED) as device:
        own = parts["kernel"].modules().core_attention()
        errors = {name: _far(*_both(component, 1, own, device, **case)) for name, case in _cases().items()}
        models = {
            "rotary embeddings": small_decoder(),
            "learned positions": small_decoder(position="learned"),
            "ALiBi": small_decoder(position="alibi"),
        }
        found = {name: _documents({**parts, "attention": component, "architecture": model}, device) for name, model in models.items()}
        return {"device": device.type, "errors": errors, "documents": found}


def _documents(parts: dict[str, Any], device: Any) -> tuple[float, float]:
    """Between a document's losses after another in the same sequence, and alone: the largest difference; and that without any mask."""
    import numpy as np
    import torch

    from modelwright_plugins.engine import model
    from modelwright_plugins.engine.trainer import how
    from modelwright_plugins.objective import Passage
    from modelwright_plugins.precision.floats import BF16
    from modelwright_plugins.tokenizer.vocabulary import Vocabulary

    if device.type != "cpu":
        parts = {**parts, "precision": BF16()}
    (chunk,) = model.build(parts["architecture"], **how(parts), vocab_size=50, sequence_length=LENGTH)
    model.initialise([chunk], parts["architecture"], seed=SEED, vocab_size=50)
    chunk = chunk.to(device).eval()
    for parameter in chunk.parameters():  # so large that attention is far from uniform
        if parameter.dim() == 2:
            parameter.data.mul_(5)
    random = np.random.default_rng(SEED)
    before, document = random.integers(1, 50, 9), random.integers(1, 50, LENGTH - 9)

    @torch.no_grad()
    def losses(text: Any, apart: bool) -> Any:
        example = parts["objective"].example(Passage((text,), LENGTH, Vocabulary(50, 0), random))
        inputs: dict[str, Any] = {name: torch.from_numpy(value)[None].to(device) for name, value in example.items()}
        if not apart:
            inputs["attention_mask"] = None
        return chunk(**inputs)[0, -len(document) :].float()

    alone, both = np.concatenate([[0], document]), np.concatenate([before, [0], document])
    expected = losses(alone, True)
    return tuple((losses(both, apart) - expected).abs().max().item() for apart in (True, False))


def _split(rank: int, component: Any) -> dict[str, float]:
    from modelwright_plugins.engine.start import started

    parts = built_in()
    layout = type(parts["parallel"])(context=2)
    joined(rank, 2)
    with started(layout, seed=SEED) as device:
        own = parts["kernel"].modules().core_attention()
        cases = {name: case for name, case in _cases().items() if not case.get("cross")}
        return {name: max(_far(*_both(component, 2, own, device, **case))) for name, case in cases.items()}
