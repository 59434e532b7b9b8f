"""A router of tokens to experts whose auxiliary losses weigh the same in every layout."""

from __future__ import annotations

from typing import Any

import torch
from megatron.core.transformer.moe.moe_utils import MoEAuxLossAutoScaler, save_to_aux_losses_tracker, z_loss_func
from megatron.core.transformer.moe.router import TopKRouter


class Router(TopKRouter):
    """Megatron's, for losses that are sums over tokens (`calculate_per_token_loss`), mended.

    Where tensor or context ranks split the tokens of a micro-batch, each rank's part of an auxiliary loss, a mean over all of these
    tokens, must be weighted by all of them: the parts are then summed. Megatron-Core 0.16.1 weights it by the tokens of the rank, so
    that on n ranks the loss is n times too weak, silently. A version that multiplies by the size of the group makes this unnecessary.
    """

    def attach_and_log_load_balancing_loss(
        self, activation: torch.Tensor, aux_loss_coeff: float, aux_loss: torch.Tensor, aux_loss_name: str, reduce_group: Any, **named: Any
    ) -> torch.Tensor:
        own = named.pop("valid_token_count", None)
        count = (len(activation) if own is None else own) * reduce_group.size()
        return super().attach_and_log_load_balancing_loss(
            activation, aux_loss_coeff, aux_loss, aux_loss_name, reduce_group, valid_token_count=count, **named
        )

    def apply_z_loss(self, logits: torch.Tensor, padding_mask: torch.Tensor | None = None) -> torch.Tensor:
        """Zoph et al. 2022 (arXiv:2202.08906), equation 5, of logits [tokens, experts]. The coefficient is not divided among the ranks."""
        coefficient = self.config.moe_z_loss_coeff
        if coefficient is None or not self.training or not torch.is_grad_enabled():  # without gradients recomputation has yet to come
            return logits
        mean = z_loss_func(logits, coefficient, padding_mask=padding_mask)
        count = len(logits) if padding_mask is None else (~padding_mask).sum()
        logits = MoEAuxLossAutoScaler.apply(logits, mean * count)
        layers = self.config.num_layers + (self.config.mtp_num_layers or 0)
        save_to_aux_losses_tracker("z_loss", mean / coefficient, self.layer_number, layers)
        return logits
