"""What is exported is what PEFT computes on transformers' model of the same weights, and what PEFT saved is read so."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from by_hand import GPT2, LAYERS, LLAMA, VOCAB, WIDTH, asked, gpt2, llama, ours, tokens

from modelwright_plugins.adapter.dora import DoRA
from modelwright_plugins.adapter.lora import LoRA
from modelwright_plugins.adapter.qlora import QLoRA
from modelwright_plugins.conformance.ranks import joined, on_ranks

pytest.importorskip("peft")
pytestmark = pytest.mark.slow

LAYOUTS: list[dict[str, Any]] = [{}, {"tensor": 2, "sequence": True}, {"pipeline": 2}]
OUT = [
    ("llama", LoRA(rank=4, alpha=8)),
    ("llama", LoRA(rank=4, alpha=6, rank_stabilized=True, targets=["qkv", "fc1"])),
    ("llama", DoRA(rank=4)),
    ("gpt2", LoRA(rank=4)),
    ("gpt2", DoRA(rank=4, targets=["qkv", "fc2"])),
    ("llama", QLoRA(rank=4, block=8)),
]
FIELDS: dict[str, Any] = {"llama": LLAMA, "gpt2": GPT2}
THEIRS: dict[str, Any] = {"llama": llama, "gpt2": gpt2}


def disturbed(chunks: list[Any]) -> None:
    """As if all of the adapter had learned, whatever the layout."""
    import torch

    from modelwright_plugins.adapter._frozen import draw

    kept = {name: data.clone() for name, data, *_ in _parts(chunks) if name.endswith(".m")}

    def drawn(name: str, shape: tuple[int, ...], numbers: torch.Generator) -> torch.Tensor | None:
        return torch.rand(shape, generator=numbers) - (0.5 if len(shape) > 1 else 0) if ".adapter." in name else None

    draw(chunks, 5, drawn)
    with torch.no_grad():
        for name, data, *_ in _parts(chunks):
            if name in kept:
                data += 0.5


def _parts(chunks: list[Any]) -> list[Any]:
    from modelwright_plugins.engine import model

    return list(model.named_parts(chunks))


def exported(rank: int, out: str) -> dict[str, float]:
    """Adapters are saved in a layout each, exported without one, and asked on one rank: the largest differences of logits."""
    import torch
    from peft import PeftModel

    from modelwright.component import Job
    from modelwright.hooks import discover
    from modelwright_plugins.architecture.decoder import CausalDecoder
    from modelwright_plugins.artifacts import Checkpoint
    from modelwright_plugins.engine import checkpoint
    from modelwright_plugins.engine.adapted import AdapterCard
    from modelwright_plugins.engine.card import ModelCard
    from modelwright_plugins.engine.start import started
    from modelwright_plugins.parallel.megatron import Megatron
    from modelwright_plugins.stage.export_adapter import ExportAdapter

    found: dict[str, float] = {}
    groups, hooks = iter(range(100)), discover()
    for number, (family, adapter) in enumerate(OUT):
        layout, folder = LAYOUTS[number % len(LAYOUTS)], Path(out) / f"{number}"
        count = Megatron(**layout).ranks(None)
        group, alone = next(groups), next(groups)
        if rank < count:
            joined(rank, count, group)
            with started(Megatron(**layout), seed=0):
                chunks = ours(layout, **FIELDS[family])
                adapter.apply(chunks, seed=1)
                disturbed(chunks)
                (folder / "checkpoint").mkdir(parents=True, exist_ok=True)
                checkpoint.save(folder / "checkpoint", 3, chunks, None, keep_last=None)
        if rank:
            continue
        a = CausalDecoder(layers=LAYERS, width=WIDTH, heads=4, **FIELDS[family])
        ModelCard(a, VOCAB, 12, 0, 1).write(folder / "checkpoint" / "model.json", hooks.registry)
        AdapterCard(adapter, Path("/base"), 1, "").write(folder / "checkpoint", hooks.registry)
        job = Job(folder, folder, 1, {}, {Checkpoint: Checkpoint(folder / "checkpoint")}, hooks, {})
        ExportAdapter().run(job)
        joined(0, 1, alone)
        with started(Megatron(), seed=0), torch.no_grad():
            chunks = ours(**FIELDS[family])
            if isinstance(adapter, QLoRA):  # theirs stands on the weights that four bits say
                adapter.apply(chunks, seed=1)
                adapter.merge(chunks)
            base, theirs = asked(chunks[0], tokens()), THEIRS[family](chunks[0])
            chunks = ours(**FIELDS[family])
            adapter.apply(chunks, seed=1)
            checkpoint.load(folder / "checkpoint", 3, chunks, None)
            learned = asked(chunks[0], tokens())
            assert (learned - base).abs().max() > 0.1
            expected = PeftModel.from_pretrained(theirs, str(folder / "peft_adapter")).eval()(tokens()).logits
            name = f"{number} {family} {type(adapter).__name__}"
            found[name] = ((learned - expected).abs().max() / expected.abs().max()).item()
            chunks = ours(**FIELDS[family])  # and back
            more: dict[str, Any] = {"block": adapter.block} if isinstance(adapter, QLoRA) else {}
            again = type(adapter)(rank=4, alpha=64, targets=adapter.targets, init_from=folder / "peft_adapter", **more)
            again.apply(chunks, seed=2)
            found[f"{name} again"] = ((asked(chunks[0], tokens()) - expected).abs().max() / expected.abs().max()).item()
    return found


def test_peft_computes_what_was_exported(tmp_path: Path) -> None:
    found = on_ranks(exported, 2, tmp_path, groups=20, out=str(tmp_path))[0]
    assert len(found) == 2 * len(OUT) and max(found.values()) < 1e-5, found
    told = json.loads((tmp_path / "0" / "peft_adapter" / "adapter_config.json").read_text())
    assert told["target_modules"] == ["down_proj", "gate_proj", "k_proj", "o_proj", "q_proj", "up_proj", "v_proj"]
    assert told["base_model_name_or_path"] == "/base"


IN: list[tuple[str, dict[str, Any], LoRA]] = [
    ("llama", {"target_modules": "all-linear", "r": 2, "lora_alpha": 6}, LoRA(rank=6, alpha=10)),  # three of rank 2 in one
    ("llama", {"target_modules": ["q_proj", "v_proj"], "r": 3, "lora_alpha": 5, "use_rslora": True}, LoRA(rank=8, targets=["qkv"])),
    ("llama", {"target_modules": "all-linear", "r": 2, "use_dora": True}, DoRA(rank=7)),
    ("gpt2", {"target_modules": ["c_attn", "c_fc"], "r": 3, "fan_in_fan_out": True}, LoRA(rank=3, targets=["qkv", "fc1", "fc2"])),
]


def read(rank: int, out: str) -> list[dict[str, Any]]:
    import dataclasses

    import torch
    from peft import LoraConfig, get_peft_model

    from modelwright_plugins.engine.start import started
    from modelwright_plugins.parallel.megatron import Megatron

    found: list[dict[str, Any]] = []
    groups = iter(range(100))
    for number, (family, config, adapter) in enumerate(IN):
        folder, told = Path(out) / f"theirs{number}", {}
        adapter = dataclasses.replace(adapter, init_from=folder)
        alone, both = next(groups), next(groups)
        if rank == 0:
            joined(0, 1, alone)
            with started(Megatron(), seed=0):
                chunks = ours(**FIELDS[family])
                theirs = get_peft_model(THEIRS[family](chunks[0]), LoraConfig(task_type="CAUSAL_LM", **config)).eval()
                numbers = torch.Generator().manual_seed(8)
                with torch.no_grad():
                    for name, p in theirs.named_parameters():
                        if "lora_B" in name:
                            p.copy_(torch.randn(p.shape, generator=numbers) * 0.2)
                        elif "magnitude" in name:
                            p.mul_(1 + torch.rand(p.shape, generator=numbers))
                    theirs.save_pretrained(str(folder))
                    told["theirs"], told["base"] = theirs(tokens()).logits, asked(chunks[0], tokens())
                    adapter.apply(chunks, seed=2)
                    told["ours"] = asked(chunks[0], tokens())
        joined(rank, 2, both)
        layout = {"tensor": 2, "sequence": True}
        with started(Megatron(**layout), seed=0), torch.no_grad():
            torch.distributed.barrier()  # the files are there
            chunks = ours(layout, **FIELDS[family])
            adapter.apply(chunks, seed=2)
            place = torch.arange(12).expand_as(tokens())
            told["split"] = chunks[0](tokens(), place, None, runtime_gather_output=True)
            try:
                dataclasses.replace(adapter, rank=2).apply(ours(layout, **FIELDS[family]), seed=2)
            except Exception as e:
                told["refused"] = str(e)
        found.append(told)
    return found


def test_what_peft_saved_is_read(tmp_path: Path) -> None:
    for told in on_ranks(read, 2, tmp_path, groups=20, out=str(tmp_path))[0]:
        scale = told["theirs"].abs().max()
        assert (told["theirs"] - told["base"]).abs().max() > 0.1
        assert (told["ours"] - told["theirs"]).abs().max() / scale < 1e-5
        assert (told["split"] - told["theirs"]).abs().max() / scale < 1e-5
        assert "adapter.rank=" in told["refused"]
