"""What a quantizer promises."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelwright.testing import Conformance
from modelwright_plugins.conformance.process import elsewhere, heavy_modules
from modelwright_plugins.conformance.promise import hold, promised
from modelwright_plugins.conformance.ranks import joined, on_ranks
from modelwright_plugins.conformance.training import LENGTH, SEED, VOCABULARY, built_in, small_decoder, texts

MODEL = {"width": 128, "feed_forward": 256, "qkv_bias": True}  # what groups of 64 weights divide, also on two tensor ranks
SPLIT: dict[str, Any] = {"tensor": 2, "sequence": True}


@dataclass(frozen=True, kw_only=True)
class Quantizers(Conformance):
    """A quantizer: fewer bytes, a matrix close to the one it was, and the same model in any layout, saved and loaded."""

    example = "modelwright_plugins.conformance.examples.quantizer"

    def check(self, component: Any, folder: Path) -> None:
        with promised(component, "problems tells, a line each, why a model can't be quantized so, and imports nothing heavy"):
            problems, heavy = elsewhere(_problems, component, folder=folder / "problems")
            hold(isinstance(problems, list), f"it is {problems!r}")
            hold(all(isinstance(line, str) and line and "\n" not in line for line in problems), f"they are not lines: {problems}")
            hold(not heavy, f"it imports {', '.join(heavy)}")
        if not component.quantizes:
            return
        alone, split = on_ranks(_facts, 2, folder / "facts", groups=2, component=component, out=str(folder / "saved"))[0]
        with promised(component, "what it stores is the same for the same matrix and inputs, and has tensors that a file can hold"):
            hold(alone["stored"], "it stores nothing")
            hold(alone["again"], "it stores something else the second time")
        with promised(component, "it stores fewer bytes than the matrix has in FP16"):
            hold(alone["bytes"] < alone["numbers"] * 2, f"it stores {alone['bytes']} bytes of {alone['numbers']} numbers")
        with promised(component, "weight gives the matrix again, FP32 of its shape and close to it"):
            hold(alone["like"], "it has another shape or format")
            hold(alone["error"] < 0.5, f"the difference has {alone['error']:.3g} of the matrix's length")
        with promised(component, "axes names what is stored"):
            hold(alone["split"], "none of what is stored is split over ranks, though axes are what says so")
        with promised(component, "two tensor ranks give the model that one rank gives"):
            within = 2e-2 if component.calibrates else 1e-4  # a sum in another order may tip a code over
            hold(split["far"] < within, f"logits differ by {split['far']:.3g} of their length")
        with promised(component, "what was saved gives the same model again, in any layout"):
            hold(alone["loaded"] < 1e-5, f"logits differ by {alone['loaded']:.3g} of their length")
            hold(split["loaded"] < 1e-4, f"on two tensor ranks logits differ by {split['loaded']:.3g} of their length")


def _problems(component: Any) -> tuple[Any, list[str]]:
    from modelwright_plugins.conformance.stage import default_parts

    return component.problems(default_parts(("kernel", "parallel", "precision", "attention"))), heavy_modules()


def _facts(rank: int, component: Any, out: str) -> list[dict[str, Any] | None]:
    from modelwright_plugins.parallel.megatron import Megatron

    found: list[dict[str, Any] | None] = []
    for number, fields in enumerate(({}, SPLIT)):
        layout = Megatron(**fields)
        if rank < (count := layout.ranks(None)):
            joined(rank, count, number)
            found.append(_layout_facts(component, layout, Path(out)))
        else:
            found.append(None)
    return found


def _layout_facts(component: Any, layout: Any, folder: Path) -> dict[str, Any]:
    """`folder`: what one rank writes, and both layouts read."""
    import torch

    from modelwright.hooks import discover
    from modelwright_plugins.engine import calibration, checkpoint, quantized, quantized_files
    from modelwright_plugins.engine.start import started

    found: dict[str, Any] = {}
    registry = _with(component, discover().registry)
    with started(layout, seed=SEED):
        model = _model(layout)
        if layout.ranks(None) == 1:
            found |= _matrix_facts(component, model)
        if component.calibrates:
            kept = calibration.quantize(model, component, texts(8), batch=4, done=lambda: None)
        else:
            kept = quantized.quantize(model.chunks, component)
        logits = _logits(model)
        if layout.ranks(None) == 1:
            folder.mkdir(parents=True)
            quantized_files.write(folder, kept, component, registry)
            checkpoint.save(folder, 1, model.chunks, None, keep_last=None)
            torch.save(logits, folder / "logits.pt")
        expected = torch.load(folder / "logits.pt", weights_only=True)
        found["far"] = ((logits - expected).norm() / expected.norm()).item()
        again = _model(layout)
        quantized_files.load(folder, again.chunks, registry)
        checkpoint.load(folder, 1, again.chunks, None)
        found["loaded"] = ((_logits(again) - expected).norm() / expected.norm()).item()
    return found


def _with(component: Any, registry: Any) -> Any:
    """The registry, which has this component: one that is only an example is there for as long as it is checked."""
    target = f"{type(component).__module__}:{type(component).__qualname__}"
    if not any(entry.kind == "quantizer" and entry.target == target for entry in registry.entries.values()):
        registry.add("quantizer", "under_test", target)
    return registry


def _model(layout: Any) -> Any:
    import torch

    from modelwright_plugins.engine import model
    from modelwright_plugins.engine.card import ModelCard
    from modelwright_plugins.engine.inference import TrainedModel
    from modelwright_plugins.engine.trainer import how

    architecture = small_decoder(**MODEL)
    chunks = model.build(architecture, **how({**built_in(), "parallel": layout}), vocab_size=VOCABULARY, sequence_length=LENGTH)
    model.initialise(chunks, architecture, seed=SEED, vocab_size=VOCABULARY)
    card = ModelCard(architecture, VOCABULARY, LENGTH, 0, SEED)
    return TrainedModel([chunk.eval() for chunk in chunks], card, torch.device("cpu"))


def _logits(model: Any) -> Any:
    import torch

    tokens = texts(4)[:, :-1]
    return torch.cat([model.next_logits(tokens, torch.full((4,), at)) for at in (5, LENGTH - 1)])


def _matrix_facts(component: Any, model: Any) -> dict[str, Any]:
    """Of one matrix by itself, on one rank."""
    import torch

    from modelwright_plugins.engine import quantized
    from modelwright_plugins.quantizer import LayerInputs

    weight = next(site for site in quantized.sites(model.chunks) if site.name.endswith("linear_fc2")).weight()
    inputs = None
    if component.calibrates:
        x = torch.randn(512, weight.shape[1], generator=torch.Generator().manual_seed(SEED))
        size = x.abs()
        inputs = LayerInputs(hessian=x.T @ x / len(x), largest=size.amax(0), mean=size.mean(0), tokens=len(x))
    stored, twice = (component.quantized(weight.clone(), inputs) for _ in range(2))
    back = component.weight(stored)
    same = stored.keys() == twice.keys() and all(_bytes(value) == _bytes(twice[name]) for name, value in stored.items())
    cut: list[str] = []
    axes = component.axes()
    for name, value in stored.items():
        cut += [name for along, size in zip(axes.get(name, ()), value.shape, strict=False) if along and size > 1]
    return {
        "stored": sorted(stored),
        "again": same,
        "bytes": sum(value.nbytes for value in stored.values()),
        "numbers": weight.numel(),
        "like": back.shape == weight.shape and back.dtype == torch.float32,
        "error": ((back - weight).norm() / weight.norm()).item(),
        "split": cut,
    }


def _bytes(value: Any) -> bytes:
    import torch

    found: bytes = value.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
    return found
