"""Parts of training that break one promise each."""

from __future__ import annotations

import itertools
import random
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from broken_table import breaks

from modelwright.component import Artifact, Command
from modelwright.errors import ModelwrightError
from modelwright_plugins.architecture.decoder import CausalDecoder
from modelwright_plugins.attention.cores import Native
from modelwright_plugins.conformance.examples.aligner.aligner import SLiC
from modelwright_plugins.conformance.examples.generator.generator import Epsilon
from modelwright_plugins.conformance.examples.stage.stage import CountWords, WordCounts
from modelwright_plugins.conformance.examples.tracker.tracker import Table
from modelwright_plugins.generator import Generated, Remote, Reply
from modelwright_plugins.kernel.local import Torch
from modelwright_plugins.objective.causal_lm import CausalLM
from modelwright_plugins.optimizer.adam import AdamW
from modelwright_plugins.parallel.megatron import Megatron
from modelwright_plugins.precision.floats import BF16, FP32
from modelwright_plugins.schedule.warmup import Cosine
from modelwright_plugins.tracker import TrackerLog

COUNT = itertools.count()

# ---- schedules


@breaks("schedule", "factor(2, 2) is 2")
class Rising(Cosine):
    def factor(self, step: int, steps: int) -> float:
        return step


@breaks("schedule", "factor(1, 1) is nan")
class Undefined(Cosine):
    def factor(self, step: int, steps: int) -> float:
        return float("nan")


@breaks("schedule", "it is, in a run of 2 steps")
class Asleep(Cosine):
    def factor(self, step: int, steps: int) -> float:
        return 0


@breaks("schedule", "the other way round")
class Remembering(Cosine):
    def factor(self, step: int, steps: int) -> float:
        return 1 / (1 + next(COUNT) % 7)


# ---- optimizers


class Built(AdamW):
    def build(self, groups: Any) -> Any:
        from broken_torch import broken

        return broken(type(self).__name__, super().build(groups), groups)


OPTIMIZERS = {
    "Reordering": "the roles are",
    "LosingKeys": "the keys",
    "Undecayed": "weight_decay is None",
    "Rateless": "lr is 0",
    "Still": "is as it was",
    "Exploding": "a number that is not finite",
    "Ascending": "lower the loss of a quadratic",
    "Noisy": "the same gradients give the same bits",
    "Outside": "after 3 steps, saving, loading",
    "Executable": "nothing but plain data and tensors",
    "Wasteful": "it keeps 12 bytes, not 8",
    "Norming": "it is elementwise",
}
for name, said in OPTIMIZERS.items():
    globals()[name] = breaks("optimizer", said)(type(name, (Built,), {"__module__": __name__}))


@breaks("optimizer", "tensor=2: losses of 4 steps")
class Splitting(Built):
    elementwise: ClassVar[bool] = False


@breaks("optimizer", "saved in a checkpoint and loaded it goes on exactly")
class Counting(Built):
    pass


# ---- objectives


@breaks("objective", "it says (1,)")
class Spanless(CausalLM):
    def spans(self, length: int) -> tuple[int, ...]:
        return (1,)


@breaks("objective", "it gives {}")
class Inputless(CausalLM):
    def example(self, passage: Any) -> Any:
        return {}


@breaks("objective", "labels is a list")
class Listed(CausalLM):
    def example(self, passage: Any) -> Any:
        found = super().example(passage)
        return found | {"labels": found["labels"].tolist()}


@breaks("objective", "labels has the shapes")
class Ragged(CausalLM):
    def example(self, passage: Any) -> Any:
        found = super().example(passage)
        return found | {"labels": found["labels"][: 20 + passage.random.integers(10)]}


@breaks("objective", "labels is another the second time")
class Dicing(CausalLM):
    def example(self, passage: Any) -> Any:
        found = super().example(passage)
        return found | {"labels": found["labels"] + next(COUNT)}


@breaks("objective", "no architecture that is registered is of ornament")
class Strange(CausalLM):
    architectures = ("ornament",)


@breaks("objective", "they have shapes (8, 32)")
class Unsummed(CausalLM):
    def loss(self, output: Any, inputs: Any) -> Any:
        return output, super().loss(output, inputs)[1]


@breaks("objective", "it counts 0 targets")
class Targetless(CausalLM):
    def loss(self, output: Any, inputs: Any) -> Any:
        total, count = super().loss(output, inputs)
        return total, count * 0


@breaks("objective", "no finite gradient")
class Rooted(CausalLM):
    def loss(self, output: Any, inputs: Any) -> Any:
        total, count = super().loss(output, inputs)
        return total + (output - output.detach()).sqrt().sum(), count


@breaks("objective", "micro-batches of 2: losses are")
class Squared(CausalLM):
    def loss(self, output: Any, inputs: Any) -> Any:
        total, count = super().loss(output, inputs)
        return total**2 / 1000, count


# ---- aligners


@breaks("aligner", "there is no kind ['riddle']")
class Riddling(SLiC):
    examples = ("riddle",)


@breaks("aligner", "it says 1 of 2 replies (preference)")
class Rowless(SLiC):
    def rows(self, replies: int) -> int:
        return 1


@breaks("aligner", "it gives None for 0.0")
class Unconditioned(SLiC):
    def condition(self, score: float) -> Any:
        return None


@breaks("aligner", "they have shapes (6,) and ()")
class Separate(SLiC):
    def loss(self, output: Any, inputs: Any) -> Any:
        return output.sum(-1)[0::2], super().loss(output, inputs)[1]


@breaks("aligner", "with other context")
class Unmasked(SLiC):
    def loss(self, output: Any, inputs: Any) -> Any:
        return output.sum(), super().loss(output, inputs)[1]


@breaks("aligner", "and together")
class Averaged(SLiC):
    def loss(self, output: Any, inputs: Any) -> Any:
        total, count = super().loss(output, inputs)
        return total / count, count


@breaks("aligner", "it gives (), and measures are ('margins',)")
class Unmeasured(SLiC):
    measures = ("margins",)


# ---- architectures


class Small(CausalDecoder):
    def build(self, config: Any, modules: Any, **how: Any) -> Any:
        module = super().build(config, modules, **how)
        return self.changed(module) or module

    def changed(self, module: Any) -> Any: ...


@breaks("architecture", "they are [4, 32, 212]")
class Wider(CausalDecoder):
    def build(self, config: Any, modules: Any, *, vocab_size: int, **how: Any) -> Any:
        return super().build(config, modules, vocab_size=vocab_size + 1, **how)


@breaks("architecture", "some are not finite")
class Infinite(CausalDecoder):
    def initial_std(self, parameter: str) -> float | None:
        std = super().initial_std(parameter)
        return std and float("inf")


@breaks("architecture", "the cross-entropy of its logits")
class Doubled(Small):
    def changed(self, module: Any) -> Any:
        loss = module.compute_language_model_loss
        module.compute_language_model_loss = lambda labels, logits: 2 * loss(labels, logits)


@breaks("architecture", "a later token changes earlier logits")
class Leaking(CausalDecoder):
    def build(self, config: Any, modules: Any, **how: Any) -> Any:
        module = super().build(config, modules, **how)
        for each in module.modules():
            if hasattr(each, "attend"):
                each.causal = False
        return module


@breaks("architecture", "no later token changes")
class Pretending(CausalDecoder):
    causal: ClassVar[bool] = False

    def build(self, config: Any, modules: Any, **how: Any) -> Any:
        module = super().build(config, modules, **how)
        for each in module.modules():
            if hasattr(each, "attend"):
                each.causal = True
        return module


@breaks("architecture", "gave two different models")
class Fickle(CausalDecoder):
    def initial_std(self, parameter: str) -> float | None:
        std = super().initial_std(parameter)
        return std and std * random.random()


@breaks("architecture", "gave the same model")
class Seedless(CausalDecoder):
    def initial_std(self, parameter: str) -> float | None:
        std = super().initial_std(parameter)
        return std and 0.0


@breaks("architecture", "flops_per_token")
class Free(CausalDecoder):
    def flops_per_token(self, parameters: int, sequence_length: int) -> float:
        return 0


@breaks("architecture", "tensor=2: losses are")
class Sized(CausalDecoder):
    def initial_std(self, parameter: str) -> float | None:
        from megatron.core import parallel_state

        std = super().initial_std(parameter)
        return std and std * parallel_state.get_tensor_model_parallel_world_size()


# ---- layouts


@breaks("parallel", "of tensor=2 it is 1")
class Alone(Megatron):
    def ranks(self, world: int | None) -> int:
        return 1


@breaks("parallel", "divides all, and it says")
class Complaining(Megatron):
    def problems(self, architecture: Any, **how: Any) -> list[str]:
        return ["I don't like it"]


@breaks("parallel", "it says nothing of tensor=2")
class Content(Megatron):
    def problems(self, architecture: Any, **how: Any) -> list[str]:
        return []


@breaks("parallel", "it imports torch")
class Heavy(Megatron):
    def problems(self, architecture: Any, **how: Any) -> list[str]:
        import torch  # noqa: F401

        return super().problems(architecture, **how)


@breaks("parallel", "there is no tensors")
class Misspelt(Megatron):
    def settings(self) -> dict[str, Any]:
        return super().settings() | {"tensors": 2}


@breaks("parallel", "every layout learns what one rank learns")
class Unsplit(Megatron):
    def settings(self) -> dict[str, Any]:
        return super().settings() | {"tensor_model_parallel_size": 1}


# ---- precisions


@breaks("precision", "params_dtype is torch.bfloat16")
class TwoTypes(FP32):
    def settings(self) -> dict[str, Any]:
        return BF16().settings()


@breaks("precision", "it is torch.int8")
class Whole(FP32):
    def dtype(self) -> Any:
        import torch

        return torch.int8


@breaks("precision", "there is no bfloat16")
class Unknown(BF16):
    def settings(self) -> dict[str, Any]:
        return super().settings() | {"bfloat16": True}


@breaks("precision", "has 2 bytes, not 4")
class Weighty(BF16):
    def bytes_per_parameter(self) -> tuple[int, int, int]:
        return 4, 4, 4


@breaks("precision", "a gradient has 4 bytes, not 2")
class Halved(BF16):
    def bytes_per_parameter(self) -> tuple[int, int, int]:
        return 2, 2, 4


@breaks("precision", "has 0 bytes")
class Copyless(BF16):
    def bytes_per_parameter(self) -> tuple[int, int, int]:
        return 2, 4, 0


@breaks("precision", "training in it goes as in FP32")
class Off(FP32):
    """Trains in FP16 with no scaling of the loss: small gradients are 0."""

    def dtype(self) -> Any:
        import torch

        return torch.float16

    def bytes_per_parameter(self) -> tuple[int, int, int]:
        return 2, 4, 4


# ---- kernels


@breaks("kernel", "it is None")
class Speechless(Torch):
    def problems(self) -> Any:
        return None


@breaks("kernel", "it imports torch")
class Importing(Torch):
    def problems(self) -> list[str]:
        import torch  # noqa: F401

        return []


@breaks("kernel", "there is no fusion")
class Fusing(Torch):
    def settings(self) -> dict[str, Any]:
        return super().settings() | {"fusion": True}


@breaks("kernel", "logits differ")
class Inexact(Torch):
    def modules(self) -> Any:
        from broken_torch import Scaled

        modules: Any = super().modules()
        modules.core_attention = lambda: Scaled
        return modules


@breaks("kernel", "parameters are")
class Renaming(Torch):
    def modules(self) -> Any:
        from broken_torch import Biased

        modules: Any = super().modules()
        modules.layer_norm = lambda *_, **__: Biased
        return modules


# ---- attentions


@breaks("attention", "it is None")
class Quiet(Native):
    def problems(self) -> Any:
        return None


@breaks("attention", "it imports torch")
class Fetching(Native):
    def problems(self) -> list[str]:
        import torch  # noqa: F401

        return []


@breaks("attention", "causal: it is softmax")
class Scaling(Native):
    def module(self, own: Any) -> Any:
        from broken_torch import Scaled

        return Scaled


@breaks("attention", "documents apart, causal: it is softmax")
class Joining(Native):
    def module(self, own: Any) -> Any:
        from broken_torch import Blind

        return Blind


@breaks("attention", "a bias, causal: it is softmax")
class Unbiased(Native):
    def module(self, own: Any) -> Any:
        from broken_torch import Unbiased

        return Unbiased


@breaks("attention", "causal: two context ranks compute")
class AloneOverContext(Native):
    def module(self, own: Any) -> Any:
        from broken_torch import Alone

        return Alone


# ---- trackers


class Changed(Table):
    def change(self, log: Any, step: int) -> None: ...

    def open(self, out: Path, config: Mapping[str, Any], *, step: int) -> TrackerLog:
        log = super().open(out, config, step=step)
        self.change(log, step)
        return log


@breaks("tracker", "NaN and infinity too")
class Finite(Changed):
    def change(self, log: Any, step: int) -> None:
        write = log.log
        log.log = lambda metrics: write({k: int(v) for k, v in metrics.items()})


@breaks("tracker", "it opens again at step 3")
class Once(Changed):
    def change(self, log: Any, step: int) -> None:
        assert not step


@breaks("tracker", "has lost step 3")
class Amnesic(Changed):
    def open(self, out: Path, config: Mapping[str, Any], *, step: int) -> TrackerLog:
        (out / self.file).unlink(missing_ok=True)
        return super().open(out, config, step=step)


@breaks("tracker", "still has step 5")
class Appending(Changed):
    def open(self, out: Path, config: Mapping[str, Any], *, step: int) -> TrackerLog:
        return super().open(out, config, step=step and 9)


@breaks("tracker", "it printed 'hello")
class Printing(Changed):
    def change(self, log: Any, step: int) -> None:
        print("hello", flush=True)


@breaks("tracker", "it wrote here.txt")
class Straying(Changed):
    def change(self, log: Any, step: int) -> None:
        Path("here.txt").touch()


# ---- generators


class Drawn(Epsilon):
    def changed(self, found: list[Generated]) -> Any:
        return found

    def generate(self, model: Any, prompts: Any, **how: Any) -> Any:
        return self.changed(super().generate(model, prompts, **how))


@breaks("generator", "4 prompts got 3")
class Skipping(Drawn):
    def changed(self, found: Any) -> Any:
        return found[:-1]


@breaks("generator", "one is [-1")
class Negative(Drawn):
    def changed(self, found: Any) -> Any:
        return [replace(each, tokens=[-1, *each.tokens]) for each in found]


@breaks("generator", "those of [")
class Sharpened(Drawn):
    def changed(self, found: Any) -> Any:
        return [replace(each, logps=each.logps * 0.9) for each in found]


@breaks("generator", "the second time there were others")
class Stateful(Drawn):
    def generate(self, model: Any, prompts: Any, *, seeds: Any, **how: Any) -> Any:
        return super().generate(model, prompts, seeds=[seed + next(COUNT) for seed in seeds], **how)


@breaks("generator", "there, there were others")
class HashSeeded(Drawn):
    def generate(self, model: Any, prompts: Any, *, seeds: Any, **how: Any) -> Any:
        return super().generate(model, prompts, seeds=[abs(hash("seed")) % 1000 for _ in seeds], **how)


@breaks("generator", "of the first 1 prompts alone")
class Crowded(Drawn):
    def generate(self, model: Any, prompts: Any, *, seeds: Any, **how: Any) -> Any:
        return super().generate(model, prompts, seeds=[seed + len(prompts) for seed in seeds], **how)


@breaks("generator", "it drew [11, 11, 11, 11]")
class Short(Drawn):
    def changed(self, found: Any) -> Any:
        return [replace(each, tokens=each.tokens[:11], logps=each.logps[:11]) for each in found]


@breaks("generator", "it called one finished")
class Overdone(Drawn):
    def changed(self, found: Any) -> Any:
        return [replace(each, finished=True) for each in found]


@breaks("generator", "of a model that ends at once it drew")
class Unending(Drawn):
    def generate(self, model: Any, prompts: Any, *, end: Any, **how: Any) -> Any:
        return super().generate(model, prompts, end=(), **how)


@breaks("generator", "that counts up to 20 and ends")
class Clipped(Drawn):
    def changed(self, found: Any) -> Any:
        return [
            replace(each, tokens=each.tokens[:-1])
            if 20 in each.tokens[-2:-1] and len(each.tokens) > 2 and each.tokens[:-1] == sorted(each.tokens[:-1])
            else each
            for each in found
        ]


@breaks("generator", "of a reply that stops after 3 tokens it drew")
class Unstopped(Drawn):
    def generate(self, model: Any, prompts: Any, *, stop: Any, **how: Any) -> Any:
        return super().generate(model, prompts, **how)


@breaks("generator", "no prompts are no error")
class Needy(Drawn):
    def changed(self, found: Any) -> Any:
        assert found
        return found


class Parrot(Remote):
    def said(self, conversations: Any, *, seeds: Any) -> Any:
        return [Reply(each["messages"][-1]["content"], True) for each in conversations]


@breaks("generator", "3 conversations got 2")
class HardOfHearing(Parrot):
    def said(self, conversations: Any, *, seeds: Any) -> Any:
        return super().said(conversations[:2], seeds=seeds)


@breaks("generator", "one is '?'")
class Bare(Parrot):
    def said(self, conversations: Any, *, seeds: Any) -> Any:
        return [each.text for each in super().said(conversations, seeds=seeds)]


@breaks("generator", "it went on from them")
class Babbling(Parrot):
    def generate(self, model: Any, prompts: Any, **how: Any) -> Any:
        return []


# ---- stages


@breaks("stage", "there is no kind ['optimiser']")
class Unkind(CountWords):
    uses = ("optimiser",)


@breaks("stage", "and no tuple")
class Listing(CountWords):
    uses: Any = ["optimizer"]  # noqa: RUF012


@breaks("stage", "is no type of Artifact")
class Pathy(CountWords):
    takes: Any = (Path,)


class Nameless(Artifact):
    pass


@breaks("stage", "the name of Nameless is None")
class MakingNameless(CountWords):
    makes = (Nameless,)


@breaks("stage", "they are ['word_counts.json', 'word_counts.json']")
class Overwriting(CountWords):
    makes = (WordCounts, type("Copy", (WordCounts,), {}))


@breaks("stage", "it gives 'all is well'")
class Chatty(CountWords):
    def problems(self, parts: Any) -> Any:
        return "all is well"


@breaks("stage", "it imports torch")
class Slow(CountWords):
    def problems(self, parts: Any) -> list[str]:
        import torch  # noqa: F401

        return []


@breaks("stage", "it wrote notes")
class Noting(CountWords):
    def problems(self, parts: Any) -> list[str]:
        Path("notes").touch()
        return []


@breaks("stage", "it is 0")
class Rankless(CountWords):
    def ranks(self, parts: Any) -> int:
        return 0


@breaks("stage", "it gives [")
class Oracle(CountWords):
    def forecast(self, parts: Any) -> Any:
        return ["rain"]


# ---- commands


@breaks("command", "says how it is used")
class Mute(Command):
    """Do something."""

    def run(self, arguments: list[str]) -> int:
        raise ModelwrightError("no")


@breaks("command", "--no-such-option was no error")
class Deaf(Command):
    """Do something: modelwright deaf."""

    def run(self, arguments: list[str]) -> int:
        return 0


@breaks("command", "it says 'no\\nand no'")
class Wordy(Command):
    """Do something: modelwright wordy."""

    def run(self, arguments: list[str]) -> int:
        raise ModelwrightError("no\nand no")


@breaks("command", "KeyError")
class Raising(Command):
    """Do something: modelwright raising."""

    def run(self, arguments: list[str]) -> int:
        raise KeyError(arguments[0])


@breaks("command", "it wrote out")
class Hasty(Command):
    """Do something: modelwright hasty."""

    def run(self, arguments: list[str]) -> int:
        Path("out").mkdir()
        raise ModelwrightError("no")
