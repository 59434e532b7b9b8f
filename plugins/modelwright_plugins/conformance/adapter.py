"""What an adapter promises."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelwright.testing import Conformance
from modelwright_plugins.conformance.process import elsewhere, heavy_modules
from modelwright_plugins.conformance.promise import hold, promised
from modelwright_plugins.conformance.ranks import joined, on_ranks
from modelwright_plugins.conformance.training import BATCH, LENGTH, SEED, VOCABULARY, batches, built_in, small_decoder, texts

MODEL = {"width": 128, "feed_forward": 128, "qkv_bias": True}  # what blocks of 64 weights divide, also on two tensor ranks
LAYOUTS: tuple[dict[str, Any], ...] = ({}, {"tensor": 2}, {"tensor": 2, "sequence": True}, {"pipeline": 2})
STEPS = 3


@dataclass(frozen=True, kw_only=True)
class Adapters(Conformance):
    """An adapter: it trains its own weights and no others, alike in any layout; saved or merged, it is what it learned."""

    example = "modelwright_plugins.conformance.examples.adapter"

    def check(self, component: Any, folder: Path) -> None:
        with promised(component, "problems tells, a line each, why it can't be trained so, and imports nothing heavy"):
            problems, heavy = elsewhere(_problems, component, folder=folder / "problems")
            hold(isinstance(problems, list), f"it is {problems!r}")
            hold(all(isinstance(line, str) and line and "\n" not in line for line in problems), f"they are not lines: {problems}")
            hold(not heavy, f"it imports {', '.join(heavy)}")
        with promised(component, "it is trained in every layout"):
            ranks = on_ranks(_facts, 2, folder / "facts", groups=len(LAYOUTS), component=component, out=str(folder))
        alone = ranks[0][0]
        with promised(component, "it trains its own weights and no others, and checkpoints hold what is trained"):
            hold(alone["trained"], "nothing is trained")
            expected = alone["trained"] if component.adapts else alone["before"]
            hold(alone["saved"] == expected, f"there are {sorted({*alone['saved']} ^ {*expected})[:3]} in one of both")
            both = {*alone["trained"]} & {*alone["before"]} if component.adapts else {}
            hold(not both, f"{sorted(both)[:3]} were there before")
            for place, facts in ((place, facts) for each in ranks for place, facts in enumerate(each) if facts):
                hold(facts["frozen"], f"under {LAYOUTS[place] or 'one rank'} a frozen weight has changed")
                hold(facts["updated"] == facts["count"], f"the optimizer has {facts['updated']} of {facts['count']} weights")
        with promised(component, "before its first update the model is what it was, where exact_start says so"):
            hold(not component.exact_start or alone["start"] == 0, f"logits differ by up to {alone['start']:.3g}")
        with promised(component, "it learns the same in every layout"):
            for layout, facts in zip(LAYOUTS[1:], ranks[0][1:], strict=True):
                for what in ("loss", "grad_norm"):
                    far = max(
                        abs(one[what] - other[what]) / one[what] for one, other in zip(alone["metrics"], facts["metrics"], strict=True)
                    )
                    hold(far < 1e-5, f"under {layout} {what} differs by {far:.3g}")
        with promised(component, "it learns"):
            hold(alone["metrics"][-1]["loss"] < alone["metrics"][0]["loss"], f"losses are {[m['loss'] for m in alone['metrics']]}")
        with promised(component, "what was saved gives the same model again, on the weights that it was trained on"):
            hold(alone["loaded"] < 1e-5, f"logits differ by up to {alone['loaded']:.3g}")
        if component.merges:
            with promised(component, "merged, the plain model computes the same, and its checkpoint is a plain model's"):
                hold(alone["merged"] < 1e-5, f"logits differ by up to {alone['merged']:.3g}")
                hold(alone["plain"] == alone["before"], f"there are {sorted({*alone['plain']} ^ {*alone['before']})[:3]}")


def _problems(component: Any) -> tuple[Any, list[str]]:
    from modelwright_plugins.conformance.stage import default_parts

    return component.problems(default_parts(("kernel", "parallel", "precision", "optimizer"))), heavy_modules()


def _facts(rank: int, component: Any, out: str) -> list[dict[str, Any] | None]:
    from modelwright_plugins.parallel.megatron import Megatron

    found: list[dict[str, Any] | None] = []
    for number, fields in enumerate(LAYOUTS):
        layout = Megatron(**fields)
        if rank < (count := layout.ranks(None)):
            joined(rank, count, number)
            found.append(_layout_facts(component, layout, count, Path(out) / f"saved{number}"))
        else:
            found.append(None)
    return found


def _layout_facts(component: Any, layout: Any, ranks: int, folder: Path) -> dict[str, Any]:
    from modelwright_plugins.engine import checkpoint, model
    from modelwright_plugins.engine.start import started
    from modelwright_plugins.engine.trainer import assembled, how
    from modelwright_plugins.optimizer.adam import AdamW

    # with less to divide by Adam makes whole steps of gradients that are nothing but rounding
    parts = {**built_in(), "parallel": layout, "optimizer": AdamW(lr=1e-3, epsilon=1e-4), "architecture": small_decoder(**MODEL)}
    found: dict[str, Any] = {}
    frozen: dict[int, Any] = {}

    def weights(chunks: list[Any]) -> None:
        model.initialise(chunks, parts["architecture"], seed=SEED, vocab_size=VOCABULARY)
        found["before"] = _names(chunks)
        before = _logits(chunks) if ranks == 1 else None
        component.apply(chunks, seed=SEED)
        frozen.update({id(p): p.detach().clone() for p in _parameters(chunks) if not p.requires_grad})
        if before is not None:
            found["start"] = (_logits(chunks) - before).abs().max().item()

    with started(layout, seed=SEED):
        trainer = assembled(parts, batches(parts["objective"]), global_batch=BATCH, micro_batch=2, steps=STEPS, weights=weights)
        chunks: list[Any] = [chunk.module for chunk in trainer.chunks]
        trained = [p for p in _parameters(chunks) if p.requires_grad]
        updated = [p for single in trainer.optimizer.chained_optimizers for group in single.optimizer.param_groups for p in group["params"]]
        found["count"], found["updated"] = (sum(p.numel() for p in each) for each in (trained, updated))
        found["metrics"] = list(trainer.updates(0))
        found["frozen"] = all(bool((p == frozen[id(p)]).all()) for p in _parameters(chunks) if not p.requires_grad)
        if ranks > 1:
            return found
        found["trained"] = sorted({_named_as_saved(name) for chunk in chunks for name, p in chunk.named_parameters() if p.requires_grad})
        found["saved"] = _names(chunks)
        learned = _logits(chunks)
        folder.mkdir(parents=True)
        checkpoint.save(folder, STEPS, chunks, None, keep_last=None)
        again = model.build(parts["architecture"], **how(parts), vocab_size=VOCABULARY, sequence_length=LENGTH)
        model.initialise(again, parts["architecture"], seed=SEED, vocab_size=VOCABULARY)
        component.apply(again, seed=SEED + 1)
        checkpoint.load(folder, STEPS, again, None)
        found["loaded"] = (_logits(again) - learned).abs().max().item()
        if component.merges:
            component.merge(again)
            found["merged"], found["plain"] = (_logits(again) - learned).abs().max().item(), _names(again)
    return found


def _named_as_saved(name: str) -> str:
    """Layers have one name in a checkpoint, and a number beside it."""
    return ".".join(part for part in name.split(".") if not part.isdigit())


def _names(chunks: list[Any]) -> list[str]:
    from modelwright_plugins.engine import model

    return sorted({name for name, *_ in model.named_parts(chunks)})


def _parameters(chunks: list[Any]) -> list[Any]:
    return [p for chunk in chunks for p in chunk.parameters()]


def _logits(chunks: list[Any]) -> Any:
    """Of a model on one rank."""
    import torch

    (chunk,), tokens = chunks, texts(4)[:, :-1]
    training = chunk.training
    with torch.no_grad():
        found = chunk.eval()(tokens, torch.arange(LENGTH).expand_as(tokens), None)
    chunk.train(training)
    return found
