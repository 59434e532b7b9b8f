"""Text from a model, under any layout, also of one that is being trained."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.distributed as dist
from megatron.core import parallel_state

from modelwright.errors import ModelwrightError
from modelwright_plugins.engine.fully_sharded import FullySharded
from modelwright_plugins.engine.second_model import Asked, second_model
from modelwright_plugins.engine.stepping import Stepping, asked
from modelwright_plugins.generator import Generated, Generator, Stop

__all__ = ["Generated", "generate"]
DONE, FAILED, START, STEP = range(4)


def generate(
    chunks: Sequence[Any],
    prompts: Sequence[Sequence[int]],
    generator: Generator,
    *,
    end: int | Collection[int],
    context: int,
    seeds: Sequence[int],
    vocab_size: int,
    stop: Stop | None = None,
    bar: Any = None,
    batch: int = 64,
    own: Asked | None = None,
) -> list[Generated]:
    """What each prompt goes on with: every rank of a model-parallel group calls this with the same arguments, and gets the same.

    `chunks`: this rank's Megatron modules, as they are or as training wraps them; they are in evaluation mode meanwhile. A prompt is one
    text: end tokens inside of it begin nothing new. `end`: tokens that end a reply; `context`: how many tokens the model sees at most, of
    longer texts the last ones; `seeds`: a number a prompt, which alone decides what is drawn for it; `stop`: whether a reply ends after
    these tokens of it; `bar`: is updated by the prompts that are done; `batch`: prompts at a time on each rank, which are its data rank's
    own, or where experts or weights are shared out over data ranks too, the same on all of them, one data rank's after the other's; `own`:
    what is known of the model, for a generator that asks a second one too. Data ranks may have other prompts, and other numbers of them.

    Raises ValueError for an empty prompt, or another number of seeds than of prompts.
    """
    if len(seeds) != len(prompts):
        raise ValueError(f"there are {len(prompts)} prompts and {len(seeds)} seeds")
    if empty := [number for number, prompt in enumerate(prompts) if not len(prompt)]:
        raise ValueError(f"prompt {empty[0]} is empty; a text begins with some token")
    ends = frozenset([end] if isinstance(end, int) else end)
    mine = [([int(token) for token in prompt], int(seed)) for prompt, seed in zip(prompts, seeds, strict=True)]
    team = _team(chunks)
    every, first = _together(mine) if team.world else (mine, 0)
    found: dict[int, Generated] = {}
    order = sorted(range(len(every)), key=lambda number: len(every[number][0]))  # little filler in a batch
    other = None if generator.second is None else second_model(generator.second, chunks, vocab_size=vocab_size, beside=own)
    with asked(chunks) as modules:
        for begin in range(0, len(order), batch):
            some = order[begin : begin + batch]
            stepping = Stepping(modules, context=context, vocab_size=vocab_size, states=generator.states)
            texts, numbers = [every[i][0] for i in some], [every[i][1] for i in some]
            beside = other and Stepping(other[0], context=min(context, other[1]), vocab_size=vocab_size)
            led = Led(stepping, team, beside)
            drawn = led.all(partial(generator.generate, led, texts, end=ends, seeds=numbers, stop=stop))
            found.update(zip(some, drawn, strict=True))
            if bar is not None:
                bar.update(len(some))
    return [found[first + number] for number in range(len(mine))]


@dataclass(frozen=True)
class Team:
    """The ranks that do each step together, and the one among them that says which; None: one rank is alone."""

    group: Any
    leader: int
    world: bool  # all ranks, as experts or weights are shared out over data ranks too

    @property
    def leads(self) -> bool:
        return dist.get_rank() == self.leader


def _team(chunks: Sequence[Any]) -> Team:
    config = chunks[0].config
    world = config.expert_model_parallel_size > 1 or isinstance(chunks[0], FullySharded)
    group: Any = dist.group.WORLD if world else parallel_state.get_model_parallel_group()
    last = parallel_state.get_pipeline_model_parallel_world_size() - 1
    stage = parallel_state.get_pipeline_model_parallel_rank()
    leads = stage == last and parallel_state.get_tensor_model_parallel_rank() == 0
    if world:
        leads = leads and parallel_state.get_data_parallel_rank(with_context_parallel=True) == 0
    if group.size() == 1:
        return Team(None, dist.get_rank(), world)
    told = [None] * group.size()
    dist.all_gather_object(told, dist.get_rank() if leads else -1, group=group)
    return Team(group, max(told), world)  # type: ignore[type-var,arg-type]


def _together(mine: list[Any]) -> tuple[list[Any], int]:
    """All data ranks' prompts, and where this one's begin."""
    group = parallel_state.get_data_parallel_group(with_context_parallel=True)
    each: list[Any] = [None] * group.size()
    dist.all_gather_object(each, mine, group=group)
    return [one for some in each for one in some], sum(map(len, each[: group.rank()]))


class Led:
    """A model that one rank asks, and the others of its team do the same steps.

    What is drawn is decided on one rank: were it decided on each, a difference in the last bit would have them go apart, and wait for
    each other for ever.
    """

    def __init__(self, stepping: Stepping, team: Team, beside: Stepping | None = None) -> None:
        """`beside`: a second model that does the same."""
        self.stepping, self.team, self.device, self.beside = stepping, team, stepping.device, beside
        self._other: torch.Tensor | None = None

    def all(self, generate: Callable[[], list[Generated]]) -> list[Generated]:
        """What `generate` gives on the leader, on every rank."""
        if self.team.group is None:
            return list(generate())
        found: list[Any] = [None]
        if self.team.leads:
            try:
                found = [generate()]
            except BaseException:
                self._tell(FAILED)
                raise
            self._tell(DONE)
        else:
            self._follow()
        dist.broadcast_object_list(found, self.team.leader, group=self.team.group, device=self.device)
        return list(found[0])

    def start(self, prompts: Sequence[Sequence[int]]) -> torch.Tensor:
        self._tell(START, [number for prompt in prompts for number in (len(prompt), *prompt)])
        return _there(self._start(prompts))

    def step(self, tokens: Sequence[int], rows: Sequence[int] | None = None) -> torch.Tensor:
        rows = range(len(tokens)) if rows is None else rows
        self._tell(STEP, [*tokens, *rows])
        return _there(self._step(tokens, rows))

    def other(self) -> torch.Tensor:
        return _there(self._other)

    def _start(self, prompts: Sequence[Sequence[int]]) -> torch.Tensor | None:
        self._other = None if self.beside is None else self.beside.start(prompts)
        return self.stepping.start(prompts)

    def _step(self, tokens: Sequence[int], rows: Sequence[int]) -> torch.Tensor | None:
        self._other = None if self.beside is None else self.beside.step(tokens, rows)
        return self.stepping.step(tokens, rows)

    def states(self) -> list[torch.Tensor]:
        assert self.stepping.states is not None, "a generator that asks for states says so"
        return self.stepping.states

    def _tell(self, what: int, numbers: Sequence[int] = ()) -> None:
        if self.team.group is None:
            return
        dist.broadcast(torch.tensor([what, len(numbers)], device=self.device), self.team.leader, group=self.team.group)
        if numbers:
            dist.broadcast(torch.tensor(numbers, device=self.device), self.team.leader, group=self.team.group)

    def _follow(self) -> None:
        while True:
            head = torch.zeros(2, dtype=torch.long, device=self.device)
            dist.broadcast(head, self.team.leader, group=self.team.group)
            what, count = head.tolist()
            if what == DONE:
                return
            if what == FAILED:
                raise ModelwrightError(f"generation failed on rank {self.team.leader}")
            body = torch.zeros(count, dtype=torch.long, device=self.device)
            dist.broadcast(body, self.team.leader, group=self.team.group)
            numbers = body.tolist()
            if what == START:
                prompts, at = [], 0
                while at < count:
                    prompts.append(numbers[at + 1 : at + 1 + numbers[at]])
                    at += 1 + numbers[at]
                self._start(prompts)
            else:
                self._step(numbers[: count // 2], numbers[count // 2 :])


def _there(logits: torch.Tensor | None) -> torch.Tensor:
    assert logits is not None, "the leader is of a last pipeline stage"
    return logits
