"""Writes trl.json: what TRL's trainers make of the same logits. Run where TRL is installed: python tests/plugins/aligner/record_trl.py

The methods of its trainers that compute losses are called with a stand-in for the trainer, which has their settings, and for the model,
whose logits are given; the gradient is with respect to those. Of reward models the rewards are given.
"""

from __future__ import annotations

import json
from collections import defaultdict
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch

TARGETS = [[2, 6], [1, 7], [3, 5], [2, 7]]  # from where to where each row's reply is, in tokens; the first token is at 0
ROWS, LENGTH, VOCABULARY = 4, 7, 5


def kept() -> dict[str, torch.Tensor]:
    random = torch.Generator().manual_seed(7)
    logits = (2 * torch.randn(ROWS, LENGTH - 1, VOCABULARY, generator=random)).round(decimals=3)
    tokens = torch.randint(VOCABULARY, (ROWS, LENGTH), generator=random)
    mask = torch.tensor([[int(begin <= place < end) for place in range(LENGTH)] for begin, end in TARGETS])
    reference = (-4 - 3 * torch.rand(ROWS, generator=random)).round(decimals=3)
    rewards = torch.randn(ROWS, generator=random).round(decimals=3)
    return {"logits": logits, "tokens": tokens, "mask": mask, "reference": reference, "rewards": rewards}


def stand_in(**settings: Any) -> SimpleNamespace:
    alone = SimpleNamespace(device=torch.device("cpu"), gather=lambda x: x, gather_for_metrics=lambda x: x)
    common = {"accelerator": alone, "aux_loss_enabled": False, "_metrics": defaultdict(lambda: defaultdict(list)), "_tp_size": 1}
    common |= {"model": SimpleNamespace(training=True), "_total_train_tokens": 0, "label_smoothing": 0.0, "precompute_ref_logps": True}
    return SimpleNamespace(**{**common, **settings})


def answers(logits: torch.Tensor) -> Any:
    def model(labels: torch.Tensor, **_: Any) -> SimpleNamespace:
        logps, wanted = logits.log_softmax(-1), labels[:, 1:]
        own = logps.gather(-1, wanted.clamp(min=0)[..., None])[..., 0] * (wanted != -100)
        nothing = torch.zeros_like(own)
        return SimpleNamespace(log_probs=own, entropy=nothing, mean_logits=nothing, is_top1=nothing.bool())

    return model


# rows of `kept` are chosen, rejected, chosen, rejected; TRL wants chosen, chosen, rejected, rejected
ORDER = torch.tensor([0, 2, 1, 3])


def dpo(logits: torch.Tensor, given: dict[str, torch.Tensor], **settings: Any) -> torch.Tensor:
    from trl.trainer.dpo_trainer import DPOTrainer

    common = {"ld_alpha": None, "f_divergence_type": "reverse_kl", "loss_weights": [1.0], "use_weighting": False}
    inputs = {"input_ids": given["tokens"][ORDER], "attention_mask": torch.ones(ROWS, LENGTH), "completion_mask": given["mask"][ORDER]}
    first = given["reference"][ORDER]
    inputs |= {"ref_chosen_logps": first[:2], "ref_rejected_logps": first[2:]}
    return DPOTrainer._compute_loss(stand_in(**{**common, **settings}), answers(logits[ORDER]), inputs, False)


def logps(logits: torch.Tensor, given: dict[str, torch.Tensor], mean: bool) -> torch.Tensor:
    from trl.experimental.cpo.cpo_trainer import CPOTrainer

    labels = given["tokens"].masked_fill(given["mask"] == 0, -100)
    whole = torch.cat([logits, logits[:, -1:]], 1)  # it drops the last position
    found: torch.Tensor = CPOTrainer.get_batch_logps(whole, labels, average_log_prob=mean)
    return found


def simpo(logits: torch.Tensor, given: dict[str, torch.Tensor], **settings: Any) -> torch.Tensor:
    from trl.experimental.cpo.cpo_trainer import CPOTrainer

    each = logps(logits, given, True)
    me = stand_in(loss_type="simpo", alpha=0.0, **settings)
    return CPOTrainer.cpo_loss(me, each[0::2], each[1::2])[0].mean()


def orpo(logits: torch.Tensor, given: dict[str, torch.Tensor], **settings: Any) -> torch.Tensor:
    """Its part with the odds ratio; TRL adds the cross-entropy of the prompt's tokens too, the paper that of the reply's."""
    from trl.experimental.orpo.orpo_trainer import ORPOTrainer

    each = logps(logits, given, True)
    return -ORPOTrainer.odds_ratio_loss(stand_in(**settings), each[0::2], each[1::2])[0].mean()


def kto(logits: torch.Tensor, given: dict[str, torch.Tensor], divergence: float, **settings: Any) -> torch.Tensor:
    from trl.trainer.kto_trainer import KTOTrainer

    me = stand_in(loss_type="kto", calculate_KL=True, **settings)
    me._compute_kl_logps = lambda model, batch: torch.full((ROWS,), divergence)
    inputs = {"input_ids": given["tokens"], "attention_mask": torch.ones(ROWS, LENGTH), "completion_mask": given["mask"]}
    inputs |= {"label": torch.tensor([True, False, True, True]), "ref_logps": given["reference"], "ref_KL_logps": torch.zeros(ROWS)}
    return KTOTrainer._compute_loss(me, answers(logits), inputs, False)


def reward(rewards: torch.Tensor, given: dict[str, torch.Tensor], centering: float | None, margin: list[float] | None) -> torch.Tensor:
    from trl.trainer.reward_trainer import RewardTrainer

    me = stand_in(args=SimpleNamespace(center_rewards_coefficient=centering))
    inputs = {"attention_mask": torch.ones(ROWS, LENGTH)} | ({} if margin is None else {"margin": torch.tensor(margin)})
    model = lambda margin=None, **_: SimpleNamespace(logits=rewards[ORDER][:, None])  # noqa: E731
    return RewardTrainer.compute_loss(me, model, inputs)


CASES: dict[str, tuple[Any, dict[str, Any]]] = {
    "dpo sigmoid": (dpo, {"loss_types": ["sigmoid"], "beta": 0.3}),
    "dpo robust": (dpo, {"loss_types": ["robust"], "beta": 0.3, "label_smoothing": 0.1}),
    "dpo hinge": (dpo, {"loss_types": ["hinge"], "beta": 0.2}),
    "dpo ipo": (dpo, {"loss_types": ["ipo"], "beta": 0.4}),
    "dpo length-normalised": (dpo, {"loss_types": ["sigmoid_norm"], "beta": 5.0}),
    "simpo": (simpo, {"beta": 2.0, "simpo_gamma": 0.7}),
    "orpo": (orpo, {"beta": 0.3}),
    "reward_model": (reward, {"centering": None, "margin": None}),
    "reward_model centred": (reward, {"centering": 0.1, "margin": None}),
    "reward_model margin": (reward, {"centering": None, "margin": [0.5, 1.25]}),
    "kto": (kto, {"divergence": 0.8, "beta": 0.3, "desirable_weight": 1.0, "undesirable_weight": 1.33}),
}

if __name__ == "__main__":
    given, found = kept(), {}
    for name, (compute, settings) in CASES.items():
        leaf = given["rewards" if compute is reward else "logits"].clone().requires_grad_()
        loss = compute(leaf, given, **settings)
        loss.backward()
        assert leaf.grad is not None
        found[name] = {"settings": settings, "loss": loss.item(), "gradient": [float(f"{x:.7g}") for x in leaf.grad.flatten()]}
    told = {"trl": version("trl"), "torch": torch.__version__, "given": {name: value.tolist() for name, value in given.items()}}
    Path(__file__).with_name("trl.json").write_text(json.dumps(told | {"cases": found}) + "\n")
