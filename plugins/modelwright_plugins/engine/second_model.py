"""Another checkpoint's model beside the one that is asked, in the same layout: a generator may want its logits too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import torch
from megatron.core.transformer.transformer_config import TransformerConfig

from modelwright.errors import ModelwrightError
from modelwright.hooks import discover
from modelwright_plugins.artifacts.tokens_of import hash_of
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


@dataclass(frozen=True)
class Asked:
    """The model that is asked, as far as a second one has to go with it."""

    card: ModelCard | None = None  # None: only the number of its tokens is known
    opened: Mapping[str, Any] = field(default_factory=dict)  # its checkpoint's folder, and the kernel and attention it is computed with


def second_model(folder: Path, chunks: Sequence[Any], *, vocab_size: int, beside: Asked | None = None) -> tuple[list[Any], int]:
    """This rank's modules of the checkpoint in `folder`, ready to be asked, and how many tokens it sees at most; all ranks together. They
    are loaded once for `chunks`, the modules that it stands `beside`. ModelwrightError: its tokens are others, or it predicts none."""
    if folder in (known := _opened.setdefault(chunks[0], {})):
        return known[folder]
    registry = discover().registry
    card = ModelCard.read(folder / "model.json", registry)
    if why := without_likelihood(card.architecture, card.head):
        raise ModelwrightError(f"{folder}: {why}")
    if card.vocab_size != vocab_size:
        raise ModelwrightError(f"{folder}: the model has {card.vocab_size} tokens, and the one beside it {vocab_size}")
    beside = beside or Asked()
    if beside.card is not None and (why := other_tokens(folder, card, beside.opened.get("checkpoint"), beside.card)):
        raise ModelwrightError(f"{folder}: {why}")
    config, device = chunks[0].config, next(chunks[0].parameters()).device
    how: dict[str, Any] = {"parallel": _layout(config), "precision": _precision(config)}
    how |= {"kernel": beside.opened.get("kernel", Torch()), "attention": beside.opened.get("attention", SDPA())}
    modules = model.build(card.architecture, **how, vocab_size=vocab_size, sequence_length=card.sequence_length)
    load(folder, modules, registry)
    known[folder] = [module.to(device).eval().requires_grad_(False) for module in modules], card.sequence_length
    return known[folder]


def other_tokens(folder: Path, card: ModelCard, asked: Path | None, theirs: ModelCard) -> str | None:
    """Why the tokens of the checkpoint in `folder` are no others' than those of `asked` (None: it is not known where it is), one line;
    None: as far as can be told they are the same. A number says little: vocabularies are often of a round size."""
    if card.end_of_document != theirs.end_of_document:
        return f"token {card.end_of_document} ends its documents, and token {theirs.end_of_document} those of the model beside it"
    if card.special_tokens and theirs.special_tokens and card.special_tokens != theirs.special_tokens:
        return f"its special tokens are {card.special_tokens}, and those of the model beside it {theirs.special_tokens}"
    hashes = [None if where is None else hash_of(where) for where in (folder, asked)]
    if None not in hashes and hashes[0] != hashes[1]:
        return f"its run has another tokenizer than that of {asked}, the model beside it"
    return None


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
