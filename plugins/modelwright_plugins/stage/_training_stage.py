"""What stages have in common that train with Megatron-Core: how long, in which batches, and when they save."""

from __future__ import annotations

from abc import ABC
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from modelwright.component import Artifact, Parts, Stage
from modelwright_plugins.artifacts import Checkpoint, Metrics
from modelwright_plugins.parallel.available import available
from modelwright_plugins.parts import called

if TYPE_CHECKING:
    from modelwright_plugins.architecture import Architecture
    from modelwright_plugins.engine.position import Ramp


@dataclass(frozen=True, kw_only=True)
class TrainingStage(Stage, ABC):
    """A stage that trains, in any parallel layout."""

    key: ClassVar[str]  # what the stage is called in a config
    makes: ClassVar[tuple[type[Artifact], ...]] = (Checkpoint, Metrics)
    resumable: ClassVar[bool] = True

    steps: int = 1000  # updates
    sequence_length: int = 1024  # tokens a sequence
    global_batch: int = 32  # sequences an update, over all ranks
    batch_ramp: list[int] | None = None  # [first batch, increment, sequences over which it grows to global_batch]; None: no growth
    micro_batch: int = 8  # sequences a forward pass, on one rank: memory and speed, not what is learned
    clip: float = 1.0  # largest norm of the gradient; 0 leaves it as it is
    checkpoint_every: int | None = 500  # steps between checkpoints, from which a stopped run goes on; None: only at the end
    keep_last: int | None = 2  # checkpoints kept; None: all
    keep_every: int | None = None  # steps; checkpoints at multiples of it are kept beside them
    asynchronous_checkpoints: bool = True  # train on while a checkpoint is written; takes memory for a copy of what is saved
    quantization_aware: bool = False  # compute with matrices as `quantizer` (qat) rounds them; the stage quantize then stores these

    def __post_init__(self) -> None:
        for name in ("steps", "sequence_length", "global_batch", "micro_batch", "checkpoint_every", "keep_last", "keep_every"):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it is 1 or more")
        if self.keep_every and (not self.checkpoint_every or self.keep_every % self.checkpoint_every):
            raise ValueError(f"keep_every is {self.keep_every}; it is a multiple of checkpoint_every={self.checkpoint_every}, or null")
        if self.batch_ramp is not None:
            first, increment, over = self.batch_ramp if len(self.batch_ramp) == 3 else (0, 0, 0)
            if not (0 < first < self.global_batch and over > 0 and increment > 0 and (self.global_batch - first) % increment == 0):
                raise ValueError(
                    f"batch_ramp is {self.batch_ramp}; it is [first batch, increment, sequences], where increments lead from the first "
                    f"to global_batch={self.global_batch}"
                )

        if self.quantization_aware:
            object.__setattr__(self, "uses", (*self.uses, "quantizer"))

    def ranks(self, parts: Parts) -> int:
        return parts["parallel"].ranks(available()[0])

    def ramp(self) -> Ramp:
        """How the batch grows."""
        from modelwright_plugins.engine.position import Ramp

        return Ramp(self.global_batch, *(self.batch_ramp or ()))

    def fit(self, parts: Parts, architecture: Architecture, lengths: tuple[int, ...] = ()) -> list[str]:
        """Why this model can't be trained in such batches on such ranks, one line each. `lengths`: of its further sequences."""
        world = available()[0]

        def spread(batch: int) -> list[str]:
            shape = {"micro_batch": self.micro_batch, "sequence_length": self.sequence_length, "world": world}
            found: list[str] = parts["parallel"].problems(architecture, global_batch=batch, **shape)
            return found

        found = spread(self.global_batch)
        for other in () if found else lengths:
            numbers = {"global_batch": self.global_batch, "micro_batch": self.micro_batch, "sequence_length": other, "world": world}
            problems = parts["parallel"].problems(architecture, **numbers)
            found += [line.replace("train.sequence_length", "objective.targets") for line in problems]
        if not found and self.batch_ramp is not None and (spread(self.batch_ramp[0]) or spread(self.batch_ramp[1])):
            found.append(
                f"train.batch_ramp={self.batch_ramp}: its first batch and its increment are each to be a multiple of what global_batch is"
                f" a multiple of: micro_batch={self.micro_batch} times the data ranks"
            )
        positions = getattr(architecture, "positions", None)
        if positions is not None and self.sequence_length > positions:
            found.append(f"train.sequence_length={self.sequence_length} is more than architecture.positions={positions}")
        return [line.replace("train.", f"{self.key}.") for line in [*found, *architecture.problems(parts["parallel"])]]

    def parts_problems(self, parts: Parts) -> list[str]:
        """What is wrong whatever the model is."""
        found, (world, started), ranks = [], available(), self.ranks(parts)
        if world is not None and (ranks > world or (started and ranks != world)):
            found.append(f"parallel.* makes {ranks} ranks, and there are {world} {'started' if started else 'GPUs'}")
        kernel = parts["kernel"]
        found += self._not_fully_sharded(parts) + self._nothing_to_go_back_to(parts)
        found += kernel.problems() + parts["attention"].problems() + parts["precision"].problems(kernel)
        return found + (self._not_aware(parts) if self.quantization_aware else [])

    def _not_aware(self, parts: Parts) -> list[str]:
        """Why training can't compute with what a quantizer rounds."""
        from modelwright_plugins.kernel.transformer_engine import TransformerEngine

        found, named = [], f"{self.key}.quantization_aware=true"
        if not parts["quantizer"].trains:
            found.append(f"{named}: quantizer {called('quantizer', parts['quantizer'])} rounds only what is trained already; quantizer=qat")
        if isinstance(parts["kernel"], TransformerEngine):
            found.append(f"{named} rounds Megatron's own linear layers, and kernel=transformer_engine has others; kernel=torch")
        if "adapter" in parts and parts["adapter"].adapts:
            found.append(f"{named} trains the matrices that it rounds, and adapter {called('adapter', parts['adapter'])} freezes them")
        return found

    def _not_fully_sharded(self, parts: Parts) -> list[str]:
        if not parts["parallel"].fully_sharded:
            return []
        from modelwright_plugins.precision.fp8 import FP8

        found = []
        if not parts["optimizer"].elementwise:
            name = called("optimizer", parts["optimizer"])
            found.append(
                f"parallel.fully_sharded=true cuts matrices into rows, and optimizer {name} wants them whole; optimizer=adamw does not"
            )
        if isinstance(parts["precision"], FP8):
            found.append("parallel.fully_sharded=true saves no FP8 scales; precision=bf16, or parallel.distributed_optimizer=true")
        return found

    def _nothing_to_go_back_to(self, parts: Parts) -> list[str]:
        rollbacks: int = parts["stability"].rollbacks
        if not rollbacks or self.checkpoint_every:
            return []
        return [f"stability.rollbacks={rollbacks} goes back to a checkpoint, and {self.key}.checkpoint_every=null makes none; 500 does"]
