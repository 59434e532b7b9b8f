"""Parameters that data ranks have cut up among them: made whole for a checkpoint, and cut up again.

A rank of Megatron's distributed optimizer, and of fully sharded data parallelism, has a run of a parameter's elements, in the
order of the flattened parameter. In a checkpoint a parameter is whole, so that any layout can load it. One rank, its home, puts it
together and writes it: homes are spread, so that no rank ever holds much more than its share.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.distributed as dist
from megatron.core.optimizer.distrib_optimizer import DistributedOptimizer

Runs = tuple[tuple[int, int], ...]
"""(start, stop) of each rank of a group, in elements of the flattened parameter; start equals stop where it has none."""


@dataclass(frozen=True)
class Cut:
    """How the ranks of `group` have cut up one parameter. Its methods are called by all of them, for each parameter in turn."""

    group: dist.ProcessGroup
    runs: Runs
    home: int  # the rank of `group` that has it whole when it is whole

    @property
    def mine(self) -> slice:
        return slice(*self.runs[self.group.rank()])

    @property
    def at_home(self) -> bool:
        return self.group.rank() == self.home

    def joined(self, run: torch.Tensor) -> torch.Tensor | None:
        """The whole, flat, at home; None elsewhere. `run` is this rank's part."""
        run = run.detach().reshape(-1)
        size = sum(stop - start for start, stop in self.runs)
        if not self.at_home:
            if len(run):
                dist.send(run.contiguous(), dist.get_global_rank(self.group, self.home), group=self.group)
            return None
        if len(run) == size:
            return run
        whole = run.new_empty(size)
        whole[self.mine] = run
        for part, rank in self._away(whole):
            dist.recv(part, rank, group=self.group)
        return whole

    def parted(self, whole: torch.Tensor | None, like: torch.Tensor) -> torch.Tensor:
        """This rank's run, flat, of the `whole` that is given at home; `like` tells its type and device."""
        if not self.at_home:
            run = torch.empty(self.mine.stop - self.mine.start, dtype=like.dtype, device=like.device)
            if len(run):
                dist.recv(run, dist.get_global_rank(self.group, self.home), group=self.group)
            return run
        assert whole is not None
        whole = whole.to(like.device, like.dtype).reshape(-1)
        for part, rank in self._away(whole):
            dist.send(part, rank, group=self.group)
        return whole[self.mine]

    def _away(self, whole: torch.Tensor) -> Iterator[tuple[torch.Tensor, int]]:
        """(part of the whole, rank in the world) of each other rank that has one."""
        for rank, (start, stop) in enumerate(self.runs):
            if rank != self.home and stop > start:
                yield whole[start:stop], dist.get_global_rank(self.group, rank)


def cuts(group: dist.ProcessGroup, runs: Iterable[Runs]) -> Iterator[Cut]:
    """Each at home where its longest run is; among equals, where the least is at home so far."""
    held = [0] * group.size()
    for each in runs:
        home = max(range(len(held)), key=lambda rank: (each[rank][1] - each[rank][0], -held[rank]))
        held[home] += sum(stop - start for start, stop in each)
        yield Cut(group, each, home)


def of_distributed_optimizer(optimizer: DistributedOptimizer) -> dict[torch.nn.Parameter, Cut]:
    """Each bucket of gradients, which holds parameters one after another, is cut into parts of the same size."""
    found: dict[torch.nn.Parameter, Cut] = {}
    for buffer in optimizer.buffers:
        group, runs = buffer.data_parallel_group, []
        for start, stop, number in buffer.param_index_map.values():
            bucket = buffer.buckets[number]
            share = bucket.grad_data.numel() // group.size()
            edges = [bucket.offset + rank * share for rank in range(group.size() + 1)]
            runs.append(tuple((_within(low, start, stop), _within(high, start, stop)) for low, high in pairwise(edges)))
        found |= zip(buffer.param_index_map, cuts(group, runs), strict=True)
    return found


def _within(edge: int, start: int, stop: int) -> int:
    return min(max(edge, start), stop) - start
