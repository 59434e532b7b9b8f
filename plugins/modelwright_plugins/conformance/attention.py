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
from modelwright_plugins.conformance.training import SEED, built_in

LENGTH = 24


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
        found = on_ranks(_errors, 1, folder / "errors", gpu=True, component=component)[0]
        for case, (error, gradient) in found.items():
            with promised(component, f"{case}: it is softmax(QKᵀ/√d)V of what each position sees, with its gradients"):
                hold(error < 1e-4, f"it differs by up to {error:.3g}")
                hold(gradient < 1e-4, f"its gradients differ by up to {gradient:.3g}")


def _problems(component: Any) -> tuple[list[str], list[str]]:
    return component.problems(), heavy_modules()


def _errors(rank: int, component: Any) -> dict[str, tuple[float, float]]:
    import numpy as np
    import torch
    from megatron.core.transformer.enums import AttnMaskType
    from megatron.core.transformer.spec_utils import build_module
    from megatron.core.transformer.transformer_config import TransformerConfig

    from modelwright_plugins.engine.start import started
    from modelwright_plugins.objective.visible import seen

    joined(rank, 1)
    parts, found = built_in(), {}
    documents = np.array([0] * 7 + [1] * 1 + [2] * 11 + [3] * 5)
    apart = [torch.from_numpy(np.stack([seen(documents, causal=causal), seen(documents[::-1], causal=causal)])) for causal in (False, True)]
    # a prefix of 6 is seen from everywhere in the sequence; what comes after it sees up to itself
    place = torch.arange(LENGTH)
    prefix = torch.stack([torch.zeros_like(place), (place + 1).clamp(min=6)], 1).expand(2, -1, -1)
    cases = {
        "causal": (True, None),
        "full": (False, None),
        "documents apart, causal": (True, apart[1]),
        "documents apart, full": (False, apart[0]),
        "a prefix": (False, prefix),
    }
    with started(parts["parallel"], seed=SEED) as device:
        own = parts["kernel"].modules().core_attention()
        for heads, kv_heads in ((4, 4), (4, 2)):
            config = TransformerConfig(
                num_layers=1, hidden_size=heads * 8, num_attention_heads=heads, num_query_groups=kv_heads, attention_dropout=0.0
            )
            for name, (causal, visible) in cases.items():
                kind = AttnMaskType.causal if causal else AttnMaskType.no_mask
                core = build_module(component.module(own), config=config, layer_number=1, attn_mask_type=kind, attention_type="self").to(
                    device
                )
                random = torch.Generator().manual_seed(SEED)
                q, k, v = (torch.randn(LENGTH, 2, n, 8, generator=random).to(device) for n in (heads, kv_heads, kv_heads))
                for each in (q, k, v):
                    each.requires_grad_()
                seen_by = None if visible is None else visible.to(device)
                ours = core(q, k, v, seen_by)
                slow = _formula(q.double(), k.double(), v.double(), seen_by, causal)
                weights = torch.randn(slow.shape, generator=random).to(device)
                gradients = [
                    torch.cat([g.flatten() for g in torch.autograd.grad((out * weights).sum(), (q, k, v), retain_graph=True)])
                    for out in (ours, slow)
                ]
                error = (ours.double() - slow).abs().max().item()
                found[f"{name}, {heads} heads and {kv_heads} of keys"] = (error, (gradients[0] - gradients[1]).abs().max().item())
    return found


def _formula(q: Any, k: Any, v: Any, visible: Any, causal: bool) -> Any:
    """Position by position, in FP64: [length, batch, heads, dim] -> [length, batch, heads * dim]."""
    import torch

    length, batch, heads, dim = q.shape
    repeat, rows = heads // k.shape[2], []
    for place in range(length):
        for b in range(batch):
            first, last = (0, place + 1 if causal else length) if visible is None else visible[b, place].tolist()
            for head in range(heads):
                keys, values = k[first:last, b, head // repeat], v[first:last, b, head // repeat]
                rows.append(torch.softmax(keys @ q[place, b, head] / dim**0.5, 0) @ values)
    return torch.stack(rows).view(length, batch, heads * dim)
