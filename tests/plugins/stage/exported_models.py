"""Small models of every architecture that Hugging Face has too, saved in one layout, exported, taken in again, and asked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from modelwright_plugins.architecture.decoder import CausalDecoder
from modelwright_plugins.architecture.encoder import Encoder
from modelwright_plugins.architecture.encoder_decoder import EncoderDecoder

VOCAB, LENGTH, TARGETS = 203, 24, 11  # an odd vocabulary: it is padded under tensor parallelism
MASK = 202
DECODER: dict[str, Any] = {"layers": 2, "width": 64, "heads": 4, "feed_forward": 160, "initializer_std": 0.08, "tied_embeddings": False}
LATENT: dict[str, Any] = {"kv_rank": 32, "head_dim": 16, "rope_head_dim": 8, "value_head_dim": 12, "q_rank": 40}
MIXTURE: dict[str, Any] = {
    "experts": 4, "expert_feed_forward": 48, "shared_expert_feed_forward": 96, "first_dense_layers": 1, "router": "softmax_all",
}  # fmt: skip
YARN: dict[str, Any] = {
    "rope_scaling": "yarn", "rope_factor": 4.0, "rope_original": 16, "yarn_mscale": 0.707, "yarn_mscale_all": 0.707, "norm_epsilon": 1e-6,
}  # fmt: skip
LLAMA3: dict[str, Any] = {"rope_scaling": "llama3", "rope_factor": 8.0, "rope_original": 16}
OLD: dict[str, Any] = {"norm": "layer", "activation": "gelu_tanh", "bias": True, "tied_embeddings": True}
SIDES: dict[str, Any] = {"encoder_layers": 2, "decoder_layers": 2, "width": 32, "heads": 4, "head_dim": 16, "feed_forward": 48}


LAYOUT: dict[str, Any] = {"tensor": 2, "sequence": True, "pipeline": 2}


def decoder(**fields: Any) -> CausalDecoder:
    return CausalDecoder(**{**DECODER, **fields})


MODELS: dict[str, tuple[Any, str]] = {  # ours, and the class of theirs
    "llama": (decoder(kv_heads=2, bias=True, **LLAMA3), "LlamaForCausalLM"),
    "mistral": (decoder(kv_heads=2, window=7), "MistralForCausalLM"),
    "qwen2": (decoder(kv_heads=2, qkv_bias=True), "Qwen2ForCausalLM"),
    "qwen3": (decoder(kv_heads=2, qk_norm=True, head_dim=24, tied_embeddings=True), "Qwen3ForCausalLM"),
    "mixtral": (decoder(kv_heads=2, experts=4), "MixtralForCausalLM"),
    "granite": (
        decoder(embedding_multiplier=12.0, residual_multiplier=0.22, output_multiplier=0.25, attention_scale=0.1), "GraniteForCausalLM",
    ),
    "gpt2": (decoder(position="learned", **OLD), "GPT2LMHeadModel"),
    "t5": (EncoderDecoder(**SIDES), "T5ForConditionalGeneration"),
    "t5_v1_1": (EncoderDecoder(**SIDES, activation="geglu", tied_embeddings=False), "T5ForConditionalGeneration"),
    "bert": (Encoder(layers=2, width=32, heads=4, feed_forward=48, initializer_std=0.2), "BertForPreTraining"),
    "bert_masked": (
        Encoder(layers=2, width=32, heads=4, feed_forward=48, initializer_std=0.2, pair_head=False, tied_embeddings=False),
        "BertForMaskedLM",
    ),
    "bloom": (decoder(position="alibi", embedding_norm=True, **{**OLD, "feed_forward": 256}), "BloomForCausalLM"),
    "deepseek": (decoder(**LATENT, **MIXTURE, **YARN), "DeepseekV2ForCausalLM"),
}  # fmt: skip


def tokenizer(folder: Path) -> Path:
    """One of VOCAB - 1 tokens: the end of a document, and letters."""
    from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers

    folder.mkdir(parents=True, exist_ok=True)
    letters = {"<|endoftext|>": 0} | {chr(0x20 + n): 1 + n for n in range(VOCAB - 2)}
    made = Tokenizer(models.BPE(vocab=letters, merges=[], unk_token=None))
    made.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    made.add_special_tokens([AddedToken("<|endoftext|>", special=True)])
    made.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps({"eos_token": "<|endoftext|>"}), encoding="utf-8")
    return folder


def built(architecture: Any, layout: Any) -> list[Any]:
    from modelwright_plugins.attention.cores import Native
    from modelwright_plugins.engine import model
    from modelwright_plugins.kernel.local import Torch
    from modelwright_plugins.precision.floats import FP32

    parts = {"parallel": layout, "precision": FP32(), "kernel": Torch(), "attention": Native()}
    return [chunk.eval() for chunk in model.build(architecture, **parts, vocab_size=VOCAB, sequence_length=LENGTH)]


def drawn(chunks: list[Any], architecture: Any) -> None:
    """Initial weights, the same in every layout; what begins at 0 or 1 is moved, as it could hide a mistake."""
    import hashlib

    import torch

    from modelwright_plugins.engine import model

    model.initialise(chunks, architecture, seed=1, vocab_size=VOCAB)
    with torch.no_grad():
        for name, data, whole, offset in model.named_parts(chunks):
            if len(whole) > 1 and "_relative" not in name:
                continue
            digest = hashlib.sha256(repr((name, offset[: -len(whole)])).encode()).digest()
            count = (VOCAB if name == "output_layer.bias" else whole[0], *whole[1:])
            noise = torch.randn(count, generator=torch.Generator().manual_seed(digest[0])) * (0.1 if len(whole) == 1 else 5)
            mine = noise[tuple(slice(a, a + n) for a, n in zip(offset[-len(whole) :], data.shape, strict=True))]
            data[: len(mine)] += mine


def tokens() -> Any:
    import torch

    return torch.randint(0, VOCAB - 1, (3, LENGTH), generator=torch.Generator().manual_seed(3))


def saved(rank: int, out: str) -> None:
    """Each model saved from TP 2 x PP 2, and its logits on one rank."""
    import torch
    from ranks import joined

    from modelwright_plugins.engine import checkpoint
    from modelwright_plugins.engine.start import started
    from modelwright_plugins.parallel.megatron import Megatron

    joined(rank, 4, 0)
    with started(Megatron(**LAYOUT), seed=0):
        for name, (architecture, _) in MODELS.items():
            chunks = built(architecture, Megatron(**LAYOUT))
            drawn(chunks, architecture)
            checkpoint.save(Path(out) / name / "checkpoint", 3, chunks, None, keep_last=1, progress={"updates": 3})
    if rank:
        return
    joined(0, 1, 1)
    with started(Megatron(), seed=0), torch.no_grad():
        for name, (architecture, _) in MODELS.items():
            (model,) = built(architecture, Megatron())
            checkpoint.load(Path(out) / name / "checkpoint", 3, [model], None)
            text = tokens()
            if name.startswith("t5"):
                logits = model(text, text[:, :TARGETS], None, None, None)
            else:
                logits = model(text, *(() if name.startswith("bert") else (torch.arange(LENGTH).expand(3, -1), None)))
            torch.save(logits, Path(out) / name / "logits.pt")


def exported(out: Path) -> None:
    """By the stage, in this process alone."""
    from modelwright.component import Job
    from modelwright.hooks import discover
    from modelwright_plugins.artifacts import Checkpoint, Tokenizer
    from modelwright_plugins.engine.card import ModelCard
    from modelwright_plugins.stage.export import Export

    hooks = discover()
    for name, (architecture, _) in MODELS.items():
        folder, special = out / name, {"<mask>": MASK} if name.startswith("bert") else {}
        ModelCard(architecture, VOCAB, LENGTH, 0, 1, special).write(folder / "checkpoint" / "model.json", hooks.registry)
        inputs = {Checkpoint: Checkpoint(folder / "checkpoint"), Tokenizer: Tokenizer(out / "tokenizer")}
        Export(shard_gb=1e-4).run(Job(folder, folder, 1, {}, inputs, hooks, {}))


def taken_in(rank: int, out: str) -> dict[str, bool]:
    """Whether what was exported, taken in on TP 2 x PP 2, is what was saved there, to the bit."""
    import torch
    from ranks import joined

    from modelwright_plugins.engine.hugging_face_in import Incoming
    from modelwright_plugins.engine.model import named_parts
    from modelwright_plugins.engine.start import started
    from modelwright_plugins.parallel.megatron import Megatron

    found = {}
    joined(rank, 4, 0)
    with started(Megatron(**LAYOUT), seed=0):
        for name, (architecture, _) in MODELS.items():
            chunks, again = built(architecture, Megatron(**LAYOUT)), built(architecture, Megatron(**LAYOUT))
            drawn(chunks, architecture)
            with torch.no_grad():
                for _, data, *_ in named_parts(again):
                    data.fill_(7)
            Incoming.of(Path(out) / name / "hugging_face").load(again, vocab_size=VOCAB)
            pairs = zip(named_parts(chunks), named_parts(again), strict=True)
            found[name] = all(torch.equal(one[1], two[1]) for one, two in pairs)
    return found


def asked(out: str) -> dict[str, dict[str, Any]]:
    """What transformers says of each folder, in a process in which nothing of ours runs: the largest difference and logit, what was
    missing or left over, and what the three lines print."""
    import contextlib
    import io

    import torch
    import transformers

    found: dict[str, dict[str, Any]] = {}
    for name, (_, kind) in MODELS.items():
        folder = Path(out) / name
        config = json.loads((folder / "hugging_face" / "config.json").read_text(encoding="utf-8"))
        with torch.no_grad():
            model, told = getattr(transformers, kind).from_pretrained(
                folder / "hugging_face", output_loading_info=True, attn_implementation="eager"
            )
            given = {"decoder_input_ids": tokens()[:, :TARGETS], "use_cache": False} if name.startswith("t5") else {}
            answer = model.eval()(tokens(), **given)
        model.save_pretrained(folder / "again")
        theirs = answer.prediction_logits if kind == "BertForPreTraining" else answer.logits
        ours = torch.load(folder / "logits.pt")
        found[name] = {
            "architectures": config["architectures"],
            "difference": (ours - theirs).abs().max().item(),
            "largest": theirs.abs().max().item(),
            "again": _again(folder),
            "wrong": {key: sorted(map(str, value)) for key, value in told.items() if value},
        }
    for name in ("qwen3", "t5", "bert_masked"):  # what their cards tell people to do
        text = (Path(out) / name / "hugging_face" / "README.md").read_text(encoding="utf-8")
        lines = text.partition("```python\n")[2].partition("```")[0].replace('"."', json.dumps(str(Path(out) / name / "hugging_face")))
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            exec(lines, {})
        found[name]["said"] = said.getvalue()
    return found


def _again(folder: Path) -> list[str]:
    """What transformers has written of the model that it read, where that is not what it read, to the bit."""
    from safetensors.numpy import load_file

    from modelwright_plugins.architecture.hugging_face import differences, read_folder

    one, two = (
        {name: value for file in (folder / each).glob("*.safetensors") for name, value in load_file(file).items()}
        for each in ("hugging_face", "again")
    )
    wrong = [name for name in one.keys() & two.keys() if one[name].tobytes() != two[name].tobytes()]
    wrong += sorted((one.keys() ^ two.keys()) - {"cls.predictions.decoder.bias"})  # a copy, which it ties
    architectures = [read_folder(folder / each)[2] for each in ("hugging_face", "again")]
    return wrong + [f"{name}={value}" for name, value in differences(*architectures).items()]
