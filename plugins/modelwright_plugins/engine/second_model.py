"""Another checkpoint's model beside the one that is asked, in the same layout: a generator may want its logits too."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import torch
from megatron.core.transformer.transformer_config import TransformerConfig

from modelwright.errors import ModelwrightError
from modelwright.hooks import discover
from modelwright_plugins.attention.cores import SDPA
from modelwright_plugins.engine import model
from modelwright_plugins.engine.adapted import load
from modelwright_plugins.engine.card import ModelCard
from modelwright_plugins.evaluator.likelihood import without_likelihood
from modelwright_plugins.kernel.local import Torch
from modelwright_plugins.parallel.megatron import Megatron
from modelwright_plugins.precision import Precision
from modelwright_plugins.precision.floats import BF16, FP16, FP32

_opened: WeakKeyDictionary[torch.nn.Module, dict[Path, tuple[list[Any], int]]] = WeakKeyDictionary()


def second_model(folder: Path, chunks: Sequence[Any], *, vocab_size: int) -> tuple[list[Any], int]:
    """This rank's modules of the checkpoint in `folder`, ready to be asked, and how many tokens it sees at most; all ranks together. They
    are loaded once for `chunks`, the modules that it stands beside. ModelwrightError: its tokens are others, or it predicts none."""
    if folder in (known := _opened.setdefault(chunks[0], {})):
        return known[folder]
    registry = discover().registry
    card = ModelCard.read(folder / "model.json", registry)
    if why := without_likelihood(card.architecture, card.head):
        raise ModelwrightError(f"{folder}: {why}")
    if card.vocab_size != vocab_size:
        raise ModelwrightError(f"{folder}: the model has {card.vocab_size} tokens, and the one beside it {vocab_size}")
    config, device = chunks[0].config, next(chunks[0].parameters()).device
    how: dict[str, Any] = {"parallel": _layout(config), "precision": _precision(config), "kernel": Torch(), "attention": SDPA()}
    modules = model.build(card.architecture, **how, vocab_size=vocab_size, sequence_length=card.sequence_length)
    load(folder, modules, registry)
    known[folder] = [module.to(device).eval().requires_grad_(False) for module in modules], card.sequence_length
    return known[folder]


def _layout(config: TransformerConfig) -> Megatron:
    return Megatron(
        tensor=config.tensor_model_parallel_size,
        pipeline=config.pipeline_model_parallel_size,
        virtual=config.virtual_pipeline_model_parallel_size,
        sequence=config.sequence_parallel,
        context=config.context_parallel_size,
        expert=config.expert_model_parallel_size,
        expert_tensor=config.expert_tensor_parallel_size,
    )


def _precision(config: TransformerConfig) -> Precision:
    return {torch.bfloat16: BF16, torch.float16: FP16}.get(config.params_dtype, FP32)()
