"""Small models quantized in every way that others have a format for, exported, and asked; and these formats read as they are described."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "stage"))

from exported_models import LENGTH, VOCAB, built, decoder, drawn, tokens

from modelwright_plugins.quantizer import Quantizer
from modelwright_plugins.quantizer.absmax import Absmax
from modelwright_plugins.quantizer.awq import AWQ
from modelwright_plugins.quantizer.fp8 import FP8
from modelwright_plugins.quantizer.gptq import GPTQ
from modelwright_plugins.quantizer.llm_int8 import LLMInt8
from modelwright_plugins.quantizer.nf4 import NF4
from modelwright_plugins.quantizer.qat import QAT
from modelwright_plugins.quantizer.smoothquant import SmoothQuant
from modelwright_plugins.quantizer.zero_point import ZeroPoint

QWEN2 = decoder(kv_heads=2, feed_forward=128, qkv_bias=True)
LLAMA = decoder(feed_forward=128, bias=True)  # each head has values of its own
OLD: dict[str, Any] = {"norm": "layer", "activation": "gelu_tanh", "bias": True, "tied_embeddings": True}
BLOOM = decoder(position="alibi", embedding_norm=True, **{**OLD, "feed_forward": 256})
CASES: dict[str, tuple[Any, Quantizer]] = {
    "gptq": (QWEN2, GPTQ(group=32, act_order=True)),
    "gptq_3": (LLAMA, GPTQ(bits=3, group=32, symmetric=True)),
    "gptq_8": (QWEN2, GPTQ(bits=8, group=0)),
    "zero_point_2": (QWEN2, ZeroPoint(bits=2, group=16)),
    "awq": (QWEN2, AWQ(group=32)),
    "awq_alike": (LLAMA, AWQ(group=32, symmetric=True)),
    "awq_bloom": (BLOOM, AWQ(group=32)),
    "absmax_4": (QWEN2, Absmax(bits=4, group=32)),
    "absmax_8": (QWEN2, Absmax(bits=8, group=-1)),
    "zero_point_4": (QWEN2, ZeroPoint(bits=4, group=32)),
    "zero_point_8": (LLAMA, ZeroPoint(bits=8, group=0)),
    "qat": (QWEN2, QAT(group=16)),
    "smoothquant": (LLAMA, SmoothQuant(weights="row")),
    "smoothquant_o3": (QWEN2, SmoothQuant(activations="calibrated")),
    "fp8": (QWEN2, FP8()),
    "fp8_token": (LLAMA, FP8(group=-1, activations="token")),
    "nf4": (LLAMA, NF4(block=32)),
    "nf4_single": (QWEN2, NF4(block=64, double=False)),
    "llm_int8": (QWEN2, LLMInt8(threshold=3.0)),
    "llm_int8_none": (LLAMA, LLMInt8(threshold=0.0)),
}


def made(rank: int, out: str) -> None:
    """Each model quantized and exported, with its logits: as it computes, and with its matrices alone quantized."""
    import torch
    from ranks import joined

    from modelwright_plugins.engine.start import started
    from modelwright_plugins.parallel.megatron import Megatron

    joined(rank, 1, 0)
    with started(Megatron(), seed=0):
        for name, (architecture, quantizer) in CASES.items():
            torch.save(_made(Path(out), name, architecture, quantizer), Path(out) / name / "logits.pt")


def _made(out: Path, name: str, architecture: Any, quantizer: Quantizer) -> list[Any]:
    import torch

    from modelwright.component import Job
    from modelwright.hooks import discover
    from modelwright_plugins.artifacts import Checkpoint, Tokenizer
    from modelwright_plugins.engine import calibration, checkpoint, quantized_files
    from modelwright_plugins.engine import quantized as engine
    from modelwright_plugins.engine.card import ModelCard
    from modelwright_plugins.engine.inference import TrainedModel
    from modelwright_plugins.parallel.megatron import Megatron
    from modelwright_plugins.stage.export import Export

    hooks, folder = discover(), out / name
    chunks = built(architecture, Megatron())
    drawn(chunks, architecture)
    card = ModelCard(architecture, VOCAB, LENGTH, 0, 1)
    model = TrainedModel(chunks, card, torch.device("cpu"))
    if quantizer.calibrates:
        rows = torch.randint(1, VOCAB - 1, (8, LENGTH + 1), generator=torch.Generator().manual_seed(8))
        kept = calibration.quantize(model, quantizer, rows, batch=4, done=lambda: None)
    else:
        kept = engine.quantize(chunks, quantizer)
    source = folder / "checkpoint"
    card.write(source / "model.json", hooks.registry)
    quantized_files.write(source, kept, quantizer, hooks.registry)
    checkpoint.save(source, 3, chunks, None, keep_last=1, progress={"updates": 3})
    inputs = {Checkpoint: Checkpoint(source), Tokenizer: Tokenizer(out / "tokenizer")}
    Export(shard_gb=1e-4).run(Job(folder, folder, 1, {}, inputs, hooks, {}))
    found = []
    with torch.no_grad():
        for how in (None, _WeightsAlone, *([_TheirRounding] if isinstance(quantizer, SmoothQuant) else [])):
            for site in engine.sites(chunks) if how else ():
                site.layer.quantizer = how(quantizer, site.name, architecture)
            found.append(chunks[0](tokens(), torch.arange(LENGTH).expand(3, -1), None))
    return found


class _WeightsAlone:
    def __init__(self, quantizer: Quantizer, name: str, architecture: Any) -> None:
        self.quantizer, self.name, self.architecture = quantizer, name, architecture

    def forward(self, x: Any, stored: Any, *_: Any) -> Any:
        return x @ self.quantizer.weight(stored).T


class _TheirRounding(_WeightsAlone):
    """As compressed-tensors rounds inputs: 8 bits are -128 to 127, and a token's largest is 127.5; a plain matrix has plain inputs."""

    def forward(self, x: Any, stored: Any, *_: Any) -> Any:
        if not (self.name.endswith("linear_proj") and self.architecture.kv_heads == 2):
            smooth = x / stored["divisors"].float()
            scale = stored.get("input_scale", smooth.abs().amax(-1, keepdim=True) / 127.5)
            x = (smooth / scale).round().clamp(-128, 127) * scale * stored["divisors"].float()
        return super().forward(x, stored)


def asked(out: str) -> dict[str, list[float]]:
    """How far logits of transformers' plain model are, with matrices that `unpacked` has read, from ours: of the largest."""
    import torch
    import transformers
    from safetensors.torch import load_file
    from unpacking import unpacked

    found = {}
    for name in CASES:
        folder = Path(out) / name / "hugging_face"
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        told = config.pop("quantization_config")
        every = {key: value for file in folder.glob("*.safetensors") for key, value in load_file(file).items()}
        config = transformers.AutoConfig.for_model(**config)
        model = transformers.AutoModelForCausalLM.from_config(config, attn_implementation="eager", dtype=torch.float64).double().eval()
        weights = unpacked(every, told)
        if config.tie_word_embeddings:
            weights["lm_head.weight"] = weights[
                next(key for key in weights if key.endswith(("embed_tokens.weight", "word_embeddings.weight")))
            ]
        model.load_state_dict(weights)
        ours = torch.load(Path(out) / name / "logits.pt")[1]
        with torch.no_grad():
            theirs = model(tokens()).logits
        found[name] = ((ours - theirs).abs().max() / theirs.abs().max()).item()
    return found


def loaded(out: str, method: str) -> dict[str, dict[str, Any]]:
    """What the library itself makes of each folder of its: how far its logits are from each of ours, of the largest; its matrices from
    `unpacked`; and what it missed or had left."""
    import torch
    import transformers
    from safetensors.torch import load_file
    from unpacking import unpacked

    found: dict[str, dict[str, Any]] = {}
    for name in CASES:
        folder = Path(out) / name / "hugging_face"
        told = json.loads((folder / "config.json").read_text(encoding="utf-8"))["quantization_config"]
        if told["quant_method"] != method:
            continue
        given: dict[str, Any] = {"output_loading_info": True, "attn_implementation": "eager", "dtype": torch.float32}
        model, wrong = transformers.AutoModelForCausalLM.from_pretrained(folder, **given)
        weights = unpacked({key: value for file in folder.glob("*.safetensors") for key, value in load_file(file).items()}, told)
        far = [(_own(module) - weights[f"{key}.weight"]).abs().max().item() for key, module in model.named_modules() if _is_bnb(module)]
        with torch.no_grad():
            theirs = model.eval()(tokens()).logits
        logits = [((each - theirs).abs().max() / theirs.abs().max()).item() for each in torch.load(Path(out) / name / "logits.pt")]
        found[name] = {"logits": logits, "matrices": far, "wrong": {key: sorted(map(str, value)) for key, value in wrong.items() if value}}
    return found


def _is_bnb(module: Any) -> bool:
    return type(module).__module__.startswith("bitsandbytes")


def _own(module: Any) -> Any:
    """The matrix of a layer of bitsandbytes, by its own functions. (Its products on CPUs round to BF16, and of 8 bits to FP16.)"""
    import bitsandbytes.functional as functional

    weight = module.weight
    if hasattr(weight, "quant_state"):
        return functional.dequantize_4bit(weight.data, weight.quant_state)
    return functional.int8_vectorwise_dequant(weight.data, weight.SCB)
