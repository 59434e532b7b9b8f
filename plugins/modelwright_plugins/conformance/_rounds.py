"""A round of replies that nobody drew, for aligners that learn from such."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

PROMPTS = 3


def batch(aligner: Any, length: int) -> tuple[dict[str, torch.Tensor], int]:
    """Inputs of the loss of a round's rows, and how many rows each prompt has."""
    import torch

    from modelwright_plugins.aligner.on_policy import Round

    random, rows = torch.Generator().manual_seed(2), PROMPTS * aligner.samples
    begins = torch.randint(2, length // 2, (rows, 1), generator=random)
    places = torch.arange(length)
    mask = ((places >= begins) & (places < begins + 2 + torch.arange(rows)[:, None] % 5)).float()

    def drawn() -> torch.Tensor:
        return torch.rand(rows, length, generator=random) * mask

    old, first = -0.7 - drawn(), -0.8 - drawn()
    more = {"old": old * mask if aligner.remembers else None, "first": first * mask if aligner.compares else None}
    more |= {"values": drawn() if aligner.head == "both" else None}
    rewards, steps = torch.rand(rows, generator=random), 0.1 * drawn()
    one = Round(aligner.samples, mask, rewards, steps, rewards > 0.5, length, coefficient=aligner.begins, **more)
    kept = aligner.kept(one)
    kept = torch.arange(rows) if kept is None else kept
    each = aligner.rows(0)
    labels = torch.where(mask > 0, 7, -1)
    found = {"labels": labels, "loss_mask": mask, **aligner.prepared(one)} | ({"loss_values": drawn()} if aligner.head == "both" else {})
    return {name: value[kept] for name, value in found.items()} | {"loss_rows": torch.full((len(kept),), each)}, each
