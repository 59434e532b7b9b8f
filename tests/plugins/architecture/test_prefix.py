"""A prefix decoder is a causal decoder of the same weights, but for what is seen."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from modelwright_plugins.architecture.decoder import CausalDecoder
from modelwright_plugins.architecture.prefix import PrefixDecoder
from modelwright_plugins.conformance.training import VOCABULARY
from modelwright_plugins.engine.card import ModelCard
from modelwright_plugins.parallel.megatron import Megatron

sys.path.insert(0, str(Path(__file__).parents[1] / "engine"))
from ranks import joined, on_ranks

LENGTH, PREFIX = 12, 5
SMALL: dict[str, Any] = {"layers": 2, "width": 32, "heads": 4, "kv_heads": 2, "initializer_std": 0.2}


def compare(rank: int) -> dict[str, float]:
    """Largest differences of logits between the two, by what is seen; and what the last of the prefix tells the first."""
    import torch

    from modelwright_plugins.attention.cores import Native, Reference
    from modelwright_plugins.engine import model
    from modelwright_plugins.engine.start import started
    from modelwright_plugins.kernel.local import Torch
    from modelwright_plugins.precision.floats import FP32

    joined(rank, 1)
    tokens = torch.randint(0, VOCABULARY, (2, LENGTH), generator=torch.Generator().manual_seed(3))
    place = torch.arange(LENGTH).expand(2, -1)
    causal = torch.stack([torch.zeros_like(place), place + 1], -1)
    prefix = torch.stack([causal[..., 0], causal[..., 1].clamp(min=PREFIX)], -1)
    with started(Megatron(), seed=0), torch.no_grad():

        def logits(architecture: Any, tokens: Any, visible: Any, attention: Any) -> Any:
            options = {"parallel": Megatron(), "precision": FP32(), "kernel": Torch(), "attention": attention}
            (module,) = model.build(architecture, vocab_size=VOCABULARY, sequence_length=LENGTH, **options)
            model.initialise([module], architecture, seed=1, vocab_size=VOCABULARY)
            return module.eval()(tokens, place, visible)

        one, other, core = PrefixDecoder(**SMALL), CausalDecoder(**SMALL), Native()
        changed = tokens.clone()
        changed[:, PREFIX - 1] = (changed[:, PREFIX - 1] + 1) % VOCABULARY
        later = tokens.clone()
        later[:, PREFIX:] = (later[:, PREFIX:] + 1) % VOCABULARY
        seen = logits(one, tokens, prefix, core)
        return {
            "causal": (logits(one, tokens, causal, core) - logits(other, tokens, None, core)).abs().max().item(),
            "formula": (seen - logits(one, tokens, prefix, Reference())).abs().max().item(),
            "from later": (logits(one, later, prefix, core) - seen)[:, :PREFIX].abs().max().item(),
            "within": (logits(one, changed, prefix, core) - seen)[:, 0].abs().min().item(),
            "all": (logits(one, later, None, core) - logits(one, tokens, None, core))[:, 0].abs().max().item(),
        }


def test_the_prefix_sees_both_ways_and_the_rest_is_causal(tmp_path: Path) -> None:
    found = on_ranks(compare, 1, tmp_path, groups=1)[0]
    assert found["causal"] < 1e-5 and found["formula"] < 1e-5 and found["from later"] < 1e-5, found
    assert found["within"] > 1e-6 and found["all"] > 1e-2, found


def test_either_goes_on_from_the_others_checkpoint() -> None:
    one, other = (ModelCard(kind(**SMALL), VOCABULARY, LENGTH, 0, 0) for kind in (PrefixDecoder, CausalDecoder))
    assert one.difference(other) is None and other.difference(one) is None
    wider = ModelCard(CausalDecoder(**{**SMALL, "width": 64}), VOCABULARY, LENGTH, 0, 0)
    assert one.difference(wider) == "its architecture.width is 64, not 32"
