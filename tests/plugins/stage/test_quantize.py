"""The stage quantize: what is written is the same from any layout, is read in any, and is as far from the original as it says."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from modelwright.errors import ModelwrightError
from modelwright_plugins.quantizer import Quantizer
from modelwright_plugins.stage.quantize import Quantize

sys.path.insert(0, str(Path(__file__).parents[1] / "engine"))
from ranks import joined, on_ranks

VOCAB, LENGTH, SEED = 50, 16, 5
LAYOUTS: list[dict[str, Any]] = [{}, {"tensor": 2, "sequence": True}, {"pipeline": 2, "virtual": 2}]
STAGED = [*LAYOUTS, {"context": 2}]


@dataclass(frozen=True, kw_only=True)
class Told(Quantizer):
    """Keeps what it is told of a layer's inputs beside plain weights, and adds an error to them that is seen downstream."""

    calibrates = True

    def quantized(self, weight, inputs):
        told = {"hessian": inputs.hessian, "largest": inputs.largest, "mean": inputs.mean, "tokens": torch.tensor(inputs.tokens)}
        return {"codes": weight * 1.25, **told}

    def weight(self, stored):
        return stored["codes"].float()


def _original(layout: Any) -> Any:
    from modelwright_plugins.conformance.training import built_in, small_decoder
    from modelwright_plugins.engine import model
    from modelwright_plugins.engine.card import ModelCard
    from modelwright_plugins.engine.inference import TrainedModel
    from modelwright_plugins.engine.trainer import how

    architecture = small_decoder(layers=4, width=64, feed_forward=96, qkv_bias=True)
    chunks = model.build(architecture, **how({**built_in(), "parallel": layout}), vocab_size=VOCAB, sequence_length=LENGTH)
    model.initialise(chunks, architecture, seed=SEED, vocab_size=VOCAB)
    return TrainedModel([chunk.eval() for chunk in chunks], ModelCard(architecture, VOCAB, LENGTH, 0, SEED), torch.device("cpu"))


def _rows(count: int) -> torch.Tensor:
    return torch.randint(1, VOCAB, (count, LENGTH + 1), generator=torch.Generator().manual_seed(SEED))


def told_inputs(rank: int) -> list[Any]:
    """Of each layout, what `Told` was told on this rank."""
    from modelwright_plugins.engine import calibration
    from modelwright_plugins.engine.start import started
    from modelwright_plugins.parallel.megatron import Megatron

    found: list[Any] = []
    for number, fields in enumerate(LAYOUTS):
        layout = Megatron(**fields)
        if rank < (count := layout.ranks(None)):
            joined(rank, count, number)
            with started(layout, seed=SEED):
                model = _original(layout)
                before = by_hand(model) if count == 1 else None
                found.append((calibration.quantize(model, Told(), _rows(6), batch=2, done=lambda: None).mine, before))
    return found


def by_hand(model: Any) -> dict[str, Any]:
    """What the layers of the last block are given when those before it have 1.25 of their weights: name -> [tokens, inputs]."""
    from modelwright_plugins.engine.quantized import sites

    found: dict[str, Any] = {}
    every = sites(model.chunks)
    last = [site for site in every if ".layers.3." in site.name]
    for site in every:
        if site not in last:
            site.layer.weight.data.mul_(1.25)
    hooks = [
        site.layer.register_forward_pre_hook(
            lambda _, given, name=site.name: found.update({name: given[0].reshape(-1, given[0].shape[-1])})
        )
        for site in last
    ]
    model.token_losses(_rows(6))
    for hook in hooks:
        hook.remove()
    for site in every:
        if site not in last:
            site.layer.weight.data.div_(1.25)
    return found


def test_layers_are_told_what_they_are_given_after_quantized_ones(tmp_path):
    ranks = on_ranks(told_inputs, 2, tmp_path, groups=len(LAYOUTS))
    (alone, expected), one, other = ranks[0][0], ranks[0][1:], ranks[1]
    assert len(alone) == 4 * 4 and all(int(stored["tokens"]) == 6 * LENGTH for stored in alone.values())
    for name, x in expected.items():
        stored = alone[name]
        assert torch.allclose(stored["hessian"], x.T @ x / len(x), rtol=1e-4, atol=1e-5 * x.square().mean().item())
        assert torch.allclose(stored["mean"], x.abs().mean(0), rtol=1e-4)
        assert torch.allclose(stored["largest"], x.abs().amax(0), rtol=1e-4)
    for place in range(2):
        split = {**one[place][0], **other[place][0]}
        assert split.keys() == alone.keys(), LAYOUTS[place + 1]
        for name, stored in alone.items():
            for key, value in stored.items():
                assert torch.allclose(value.float(), split[name][key].float(), rtol=1e-4, atol=1e-5 * value.float().abs().max().item())


def run_stage(rank: int, base: str) -> list[Any]:
    """The stage in each layout, of one checkpoint; on one rank also what the written model says, and what can't be done with it."""
    from modelwright_plugins.engine import checkpoint, quantization_error
    from modelwright_plugins.engine.adapted import refuse_adapter
    from modelwright_plugins.engine.start import started
    from modelwright_plugins.parallel.megatron import Megatron

    base, found = Path(base), []
    quantization_error.PIECE = 7  # of 16
    for number, fields in enumerate(STAGED):
        layout = Megatron(**fields)
        if rank >= (count := layout.ranks(None)):
            continue
        joined(rank, count, number)
        if not number:
            with started(layout, seed=SEED):
                model = _original(layout)
                model.card.write(base / "checkpoint" / "model.json", _registry())
                checkpoint.save(base / "checkpoint", 3, model.chunks, None, keep_last=None, progress={"drawn": 8, "trained": 8})
            _shards(base / "token_shards")
            (base / "ready").touch()
        while not (base / "ready").exists():
            time.sleep(0.05)
        found.append(_staged(base, base / f"out{number}", layout))
    if rank == 0:
        with pytest.raises(ModelwrightError, match="holds a quantized model, which can't be trained further"):
            refuse_adapter(base / "out0" / "checkpoint")
        with pytest.raises(ModelwrightError, match="is quantized already"):
            _staged(base / "out0", base / "again", Megatron())
        found.append(_by_hand(base))
        joined(0, 1, len(STAGED) + 4)
        with pytest.MonkeyPatch.context() as patched:
            patched.delattr("modelwright_plugins.stage._quantize.write")
            found.append(_staged(base, base / "out0", Megatron()))  # as if it had been stopped while it compared
        joined(0, 1, len(STAGED) + 3)
        weights = next((base / "out0" / "checkpoint").glob("quantized-*"))
        whole = weights.read_bytes()
        weights.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        with pytest.raises(ModelwrightError, match="is missing or damaged"):
            _opened(base / "out0" / "checkpoint", lambda model: None)
        weights.write_bytes(whole)
    return found


def _registry() -> Any:
    from modelwright.hooks import discover

    return discover().registry


def _staged(base: Path, out: Path, layout: Any) -> dict[str, float]:
    from modelwright.component import Job
    from modelwright.hooks import discover
    from modelwright_plugins.artifacts import Checkpoint, TokenShards
    from modelwright_plugins.conformance.training import built_in
    from modelwright_plugins.quantizer.absmax import Absmax

    out.mkdir(exist_ok=True)
    parts = {**built_in(), "parallel": layout, "quantizer": Absmax(bits=3, group=16)}
    inputs = {Checkpoint: Checkpoint(base / "checkpoint"), TokenShards: TokenShards(base / "token_shards")}
    return dict(Quantize(compared=5, batch=2).run(Job(out, out, SEED, parts, inputs, discover())) or {})


def _shards(folder: Path) -> None:
    import numpy as np
    from megatron.core.datasets.indexed_dataset import IndexedDatasetBuilder

    folder.mkdir()
    for name in ("train", "held_out"):
        builder = IndexedDatasetBuilder(str(folder / f"{name}.bin"), dtype=np.uint16)
        builder.add_document(_rows(8).flatten(), [8 * (LENGTH + 1)])
        builder.finalize(str(folder / f"{name}.idx"))


def _opened(folder: Path, ask: Any) -> Any:
    from modelwright_plugins.artifacts import Checkpoint
    from modelwright_plugins.conformance.training import built_in
    from modelwright_plugins.engine.inference import open_model
    from modelwright_plugins.engine.trainer import how
    from modelwright_plugins.parallel.megatron import Megatron

    with open_model(Checkpoint(folder), **how({**built_in(), "parallel": Megatron()}), seed=SEED) as model:
        return ask(model)


def _by_hand(base: Path) -> dict[str, Any]:
    """Nats and KL of the first rows, position by position; and greedy text."""
    from modelwright_plugins.generator.sampling import Sampling

    rows = _rows(8)[:5]

    def logs(model: Any) -> torch.Tensor:
        at = [torch.full((5,), place) for place in range(LENGTH)]
        return torch.stack([torch.log_softmax(model.next_logits(rows[:, :-1], place).double(), -1) for place in at], 1)

    found = []
    for group, each in enumerate((".", "out0"), len(STAGED)):
        joined(0, 1, group)
        found.append(_opened(base / each / "checkpoint", logs))
    one, other = found
    joined(0, 1, len(STAGED) + 2)
    text = _opened(base / "out0" / "checkpoint", lambda m: m.generate([[1, 2]], Sampling(temperature=0, max_new_tokens=3), seed=1))
    nats = -other.gather(-1, rows[:, 1:, None]).mean().item()
    return {"loss": nats, "kl": (one.exp() * (one - other)).sum(-1).mean().item(), "text": len(text[0].tokens)}


def test_what_is_written_is_the_same_from_any_layout_and_as_far_off_as_it_says(tmp_path):
    from safetensors.torch import load_file

    found = on_ranks(run_stage, 2, tmp_path / "ranks", groups=len(STAGED) + 5, base=str(tmp_path))[0]
    again, by_hand = found.pop(), found.pop()
    assert again == found[0]
    for name in ("loss", "kl"):
        assert found[0][name] == pytest.approx(by_hand[name], rel=1e-4)
    assert found[0]["kl"] > 1e-4 and by_hand["text"] == 3
    assert found[0]["bits"] == pytest.approx(4.0)  # 3, and 16 more for each 16 weights
    whole = [
        {k: v for file in (tmp_path / f"out{n}" / "checkpoint").glob("*.safetensors") for k, v in load_file(file).items()}
        for n in range(len(STAGED))
    ]
    for place in range(1, len(STAGED)):
        assert found[place] == pytest.approx(found[0], rel=1e-4, abs=1e-6), STAGED[place]
        assert whole[place].keys() == whole[0].keys() and all(torch.equal(value, whole[place][name]) for name, value in whole[0].items())
    told = json.loads((tmp_path / "out0" / "quantization.json").read_text())
    assert len(told["layers"]) == 16 and told["bytes"]["matrices"] == sum(value.nbytes for value in whole[0].values())
    assert told["bytes"]["before"] == 4 * (told["parameters"]["matrices"] + told["parameters"]["others"])  # as FP32, which it is
    assert told["bytes"]["others"] == 4 * told["parameters"]["others"]
    assert found[0]["bytes"] == told["bytes"]["matrices"] + told["bytes"]["others"]
    assert "decoder.layers.3.mlp.linear_fc2" in (tmp_path / "out0" / "quantization.html").read_text().replace("\N{ZERO WIDTH SPACE}", "")
