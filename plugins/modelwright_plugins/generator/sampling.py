"""Sampling, and greedy search, which is sampling at temperature 0."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from modelwright_plugins.generator import TokenByToken
from modelwright_plugins.generator.penalties import Penalties

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, kw_only=True)
class Sampling(Penalties, TokenByToken):
    """Draws each token from the model's distribution, cut by temperature, top-k, top-p, min-p and typicality.

    They apply in this order, as in Hugging Face's `generate`: bias and penalties, temperature, top-k (Fan et al. 2018,
    arXiv:1805.04833), top-p (Holtzman et al. 2019, arXiv:1904.09751), min-p (Nguyen et al. 2024, arXiv:2407.01082), locally typical
    sampling (Meister et al. 2022, arXiv:2202.00666).
    """

    max_new_tokens: int = 96  # tokens at most, a prompt
    temperature: float = 0.8  # divides the logits; 0 takes the likeliest token each time (greedy)
    top_k: int | None = None  # keep the k likeliest tokens (and any equal to the k-th)
    top_p: float = 0.95  # keep the fewest likeliest tokens whose probability sums to this or more; 1 keeps all
    min_p: float = 0.0  # keep tokens at least this share as likely as the likeliest (the paper: 0.05 to 0.1)
    typical_p: float = 1.0  # keep the tokens of this mass whose surprise is nearest to the entropy (the paper: 0.2 or 0.95); 1 keeps all

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.max_new_tokens < 1:
            raise ValueError(f"max_new_tokens: expected at least 1, found {self.max_new_tokens}")
        if not self.temperature >= 0:
            raise ValueError(f"temperature: expected 0 (greedy) or more, found {self.temperature}")
        if self.top_k is not None and self.top_k < 1:
            raise ValueError(f"top_k: expected 1 or more, or null for no limit, found {self.top_k}")
        for name in ("top_p", "typical_p"):
            if not 0 < getattr(self, name) <= 1:
                raise ValueError(f"{name}: expected more than 0 and at most 1, found {getattr(self, name)}")
        if not 0 <= self.min_p <= 1:
            raise ValueError(f"min_p: expected a share from 0 to 1, found {self.min_p}")

    def probabilities(self, logits: torch.Tensor) -> torch.Tensor:
        """The distribution [batch, vocab] that tokens are drawn from, given `logits` [batch, vocab]."""
        import torch

        from modelwright_plugins.generator import _cut

        logits = logits.float()
        if self.temperature == 0:
            return torch.nn.functional.one_hot(logits.argmax(-1), logits.shape[-1]).float()
        logits = logits / self.temperature
        if self.top_k is not None and self.top_k < logits.shape[-1]:
            logits = logits.masked_fill(logits < logits.topk(self.top_k).values[..., -1:], -torch.inf)
        found = logits.softmax(-1)
        if self.top_p < 1:
            found = _cut.nucleus(found, self.top_p)
        if self.min_p > 0:
            found = _cut.at_least(found, self.min_p)
        if self.typical_p < 1:
            found = _cut.typical(found, self.typical_p)
        return found

    def choose(
        self,
        logits: torch.Tensor,
        prompts: Sequence[Sequence[int]],
        replies: Sequence[Sequence[int]],
        numbers: Sequence[torch.Generator],
    ) -> list[int]:
        import torch

        if (edited := self.edited(logits, prompts, replies)) is not logits:
            forbidden = (edited == -torch.inf).all(-1, keepdim=True)  # where the rules leave no token, they are lifted for this one
            logits = torch.where(forbidden, logits, edited)
        if self.temperature == 0:
            greedy: list[int] = logits.argmax(-1).tolist()
            return greedy
        # each row's own number says where among the summed chances its token is: one operation for all rows
        summed = self.probabilities(logits).cumsum(-1, dtype=torch.double)
        drawn = torch.empty(len(numbers), device="cpu")
        for place, own in zip(drawn.unbind(), numbers, strict=True):
            place.uniform_(generator=own)
        found: list[int] = (summed <= drawn.double()[:, None].to(summed.device) * summed[:, -1:]).sum(-1).tolist()
        return found
