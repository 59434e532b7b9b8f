"""Mixtures of experts from a kernel's modules."""

from __future__ import annotations

from megatron.core.models.backends import BackendSpecProvider
from megatron.core.transformer.mlp import MLPSubmodules
from megatron.core.transformer.moe.moe_layer import MoELayer, MoESubmodules
from megatron.core.transformer.moe.shared_experts import SharedExpertMLP
from megatron.core.transformer.spec_utils import ModuleSpec

from modelwright_plugins.engine.router import Router


def mixture(modules: BackendSpecProvider) -> ModuleSpec:
    """Experts one after another, each a feed-forward network; a router; and a shared expert if the config says so.

    No norm is fused into it: the router needs what the norm gives, too.
    """
    experts, parts = modules.grouped_mlp_modules(False, False)
    shared = MLPSubmodules(linear_fc1=modules.column_parallel_linear(), linear_fc2=modules.row_parallel_linear())
    return ModuleSpec(
        module=MoELayer,
        submodules=MoESubmodules(
            experts=ModuleSpec(module=experts, submodules=parts),
            shared_experts=ModuleSpec(module=SharedExpertMLP, submodules=shared),
            router=Router,
        ),
    )
