"""Which of a component's settings Megatron does not know."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from modelwright_plugins.conformance.ranks import on_ranks


def unknown_settings(component: Any, folder: Path, configs: list[str]) -> list[str]:
    """The keys of `component.settings()` that are fields of none of these: TransformerConfig, OptimizerConfig."""
    found: list[str] = on_ranks(_unknown, 1, folder / "settings", component=component, configs=configs)[0]
    return found


def _unknown(rank: int, component: Any, configs: list[str]) -> list[str]:
    from megatron.core.optimizer.optimizer_config import OptimizerConfig
    from megatron.core.transformer.transformer_config import TransformerConfig

    known = {config.__name__: config for config in (OptimizerConfig, TransformerConfig)}
    fields = {field.name for name in configs for field in dataclasses.fields(known[name])}
    return sorted(component.settings().keys() - fields)
