"""Writes trl_on_policy.json: what TRL's GRPO and RLOO make of the same logits. Run where TRL is installed, as record_trl.py."""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from record_trl import kept, stand_in

MOST = 8  # tokens that a reply may have
ADVANTAGES = [0.9, -0.7, 1.3, -1.5]


def more() -> dict[str, torch.Tensor]:
    """Beside what `kept` has: log-probabilities of each target under the weights that drew it and the first ones; some ratios are clipped,
    on both sides."""
    given, random = kept(), torch.Generator().manual_seed(11)
    own = given["logits"].log_softmax(-1).gather(-1, given["tokens"][:, 1:, None])[..., 0]
    old = (own + 0.35 * torch.randn(own.shape, generator=random)).round(decimals=3)
    first = (own + 0.5 * torch.randn(own.shape, generator=random)).round(decimals=3)
    return {**given, "old": old, "first": first, "advantages": torch.tensor(ADVANTAGES)}


def own(logits: torch.Tensor, given: dict[str, torch.Tensor]) -> Any:
    logps = logits.log_softmax(-1).gather(-1, given["tokens"][:, 1:, None])[..., 0]
    return lambda *_, **__: (logps, torch.zeros_like(logps), None)


def batch(given: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """All but the first token is TRL's completion; its mask is ours."""
    tokens, mask = given["tokens"], given["mask"]
    found = {"prompt_ids": tokens[:, :1], "prompt_mask": torch.ones_like(tokens[:, :1]), "completion_ids": tokens[:, 1:]}
    return {**found, "completion_mask": mask[:, 1:], "advantages": given["advantages"], "num_items_in_batch": mask[:, 1:].sum()}


def grpo(logits: torch.Tensor, given: dict[str, torch.Tensor], old: bool = True, **settings: Any) -> torch.Tensor:
    from trl.trainer.grpo_trainer import GRPOTrainer

    alone = SimpleNamespace(num_processes=1, gather=lambda x: x, reduce=lambda x, **_: x, sync_gradients=True)
    more = {"top_entropy_quantile": 1.0, "off_policy_mask_threshold": None, "use_vllm": False, "_entropy_bonus_enabled": False}
    more |= {"args": SimpleNamespace(use_bias_correction_kl=False, delta=None, steps_per_generation=1)}
    more |= {"current_gradient_accumulation_steps": 1, "max_completion_length": MOST, "accelerator": alone}
    more |= {"_get_per_token_logps_and_entropies": own(logits, given)}
    inputs = {**batch(given), "ref_per_token_logps": given["first"]} | ({"old_per_token_logps": given["old"]} if old else {})
    return GRPOTrainer._compute_loss(stand_in(**{**more, **settings}), None, inputs)


def rloo(logits: torch.Tensor, given: dict[str, torch.Tensor], **settings: Any) -> torch.Tensor:
    from trl.trainer.rloo_trainer import RLOOTrainer

    alone = SimpleNamespace(gather=lambda x: x, reduce=lambda x, **_: x)
    me = stand_in(**{"accelerator": alone, "_get_per_token_logps_and_entropies": own(logits, given), **settings})
    inputs = {**batch(given), "old_logps": (given["old"] * given["mask"][:, 1:]).sum(1)}
    return RLOOTrainer._compute_loss(me, None, inputs)


TOKEN: dict[str, Any] = {"importance_sampling_level": "token", "epsilon_low": 0.2, "epsilon_high": 0.2, "beta": 0.0}
CASES: dict[str, tuple[Any, dict[str, Any]]] = {
    "grpo": (grpo, {**TOKEN, "loss_type": "grpo", "beta": 0.3}),
    "grpo, its own weights drew": (grpo, {**TOKEN, "loss_type": "grpo", "old": False}),
    "dr_grpo": (grpo, {**TOKEN, "loss_type": "dr_grpo", "epsilon_high": 0.28}),
    "dapo": (grpo, {**TOKEN, "loss_type": "dapo", "epsilon_high": 0.28, "beta": 0.1}),
    "gspo": (grpo, {**TOKEN, "loss_type": "grpo", "importance_sampling_level": "sequence", "epsilon_low": 0.05, "epsilon_high": 0.05}),
    "gspo of tokens": (grpo, {**TOKEN, "loss_type": "dapo", "importance_sampling_level": "sequence"}),
    "rloo": (rloo, {"epsilon_low": 0.2, "epsilon_high": 0.2}),
    "rloo clipped": (rloo, {"epsilon_low": 0.9, "epsilon_high": 1.9}),
}

if __name__ == "__main__":
    given, found = more(), {}
    for name, (compute, settings) in CASES.items():
        logits = given["logits"].clone().requires_grad_()
        loss = compute(logits, given, **settings)
        loss.backward()
        assert logits.grad is not None and logits.grad.abs().max() > 0, name
        found[name] = {"settings": settings, "loss": loss.item(), "gradient": [float(f"{x:.7g}") for x in logits.grad.flatten()]}
    told = {"trl": version("trl"), "torch": torch.__version__, "given": {name: value.tolist() for name, value in given.items()}}
    Path(__file__).with_name("trl_on_policy.json").write_text(json.dumps(told | {"cases": found}) + "\n")
