"""Generators: how text is drawn from a model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from modelwright.component import Component
from modelwright.errors import ModelwrightError

if TYPE_CHECKING:
    import torch

Stop = Callable[[Sequence[int]], bool]
"""Whether a reply ends here, from its tokens so far. It is asked after each token."""


class Model(Protocol):
    """What a generator asks of a model, whatever engine runs it: logits of the next token of texts that grow."""

    def start(self, prompts: Sequence[Sequence[int]]) -> torch.Tensor:
        """Logits of the token after each of these prompts: FP32 [prompts, vocab], on the CPU. Each has at least one token."""

    def step(self, tokens: Sequence[int], rows: Sequence[int] | None = None) -> torch.Tensor:
        """Logits after one token more, FP32 [rows, vocab]: row i goes on from what was row `rows[i]` (None: from row i), with `tokens[i]`.
        A row may go on several times, or not at all."""

    def states(self) -> list[torch.Tensor]:
        """Of each row, the last layer's states of its tokens so far, FP32 [tokens, width] on the CPU; for generators that want `states`."""

    def other(self) -> torch.Tensor:
        """Logits of the same tokens by the model of the generator's `second` checkpoint, FP32 [rows, vocab]; for those that name one."""


@dataclass(frozen=True)
class Generated:
    """What a prompt went on with."""

    tokens: list[int]  # with the token that ended it, if one did
    finished: bool  # an end token or a stop ended it, and not its length
    logps: torch.Tensor  # FP32 [tokens]: log-probability of each under the plain softmax of the model's logits, nats

    def without(self, ends: Collection[int]) -> list[int]:
        """Its tokens without the end token, if one of these ended it."""
        return self.tokens[:-1] if self.tokens and self.tokens[-1] in ends else self.tokens


class Generator(Component, ABC):
    """How text is drawn from a model. It keeps no state, and a prompt's seed alone decides what is drawn for it."""

    states: ClassVar[bool] = False  # it asks for the model's states
    max_new_tokens: int = 96  # tokens at most, a prompt

    @property
    def second(self) -> Path | None:
        """The folder of another checkpoint, whose logits of the same texts it asks for too; None: it asks one model."""
        return None

    def problems(self) -> list[str]:
        """Why it can't draw from any model, one line each, before anything is trained: another checkpoint that is missing, say."""
        return []

    @abstractmethod
    def generate(
        self, model: Model, prompts: Sequence[Sequence[int]], *, end: Collection[int], seeds: Sequence[int], stop: Stop | None = None
    ) -> list[Generated]:
        """What each prompt (token ids, at least one) goes on with. `end`: tokens that end a text; `seeds`: a number a prompt."""

    def stopping(self, decode: Callable[[Sequence[int]], str]) -> Stop | None:
        """Where a reply stops because of its text, which `decode` gives of its tokens; None: nowhere."""
        return None

    def cut(self, reply: str) -> str:
        """A reply without the text that stopped it, and what follows."""
        return reply


@dataclass(frozen=True)
class Reply:
    """What another model said."""

    text: str  # without what ended it
    finished: bool  # it came to an end by itself, or to a stop word, and not to the limit of tokens


class Remote(Generator):
    """A generator that asks a model elsewhere, which answers conversations by texts: what it says is not drawn from the model at hand."""

    @abstractmethod
    def said(self, conversations: Sequence[Mapping[str, Any]], *, seeds: Sequence[int]) -> list[Reply]:
        """The assistant's next turn in each {"messages", "tools"?}, in their order; `seeds`: a number each, for what they are worth there.
        ModelwrightError, in one line that says who was asked: it could not be reached, or refused."""

    def generate(
        self, model: Model, prompts: Sequence[Sequence[int]], *, end: Collection[int], seeds: Sequence[int], stop: Stop | None = None
    ) -> list[Generated]:
        """ModelwrightError: it goes on from no tokens."""
        name = type(self).__name__
        raise ModelwrightError(f"generator {name} answers conversations, and goes on from no text or tokens; generator=sampling does")


class TokenByToken(Generator):
    """A generator that draws one token after another."""

    @abstractmethod
    def choose(
        self,
        logits: torch.Tensor,
        prompts: Sequence[Sequence[int]],
        replies: Sequence[Sequence[int]],
        numbers: Sequence[torch.Generator],
    ) -> list[int]:
        """The next token of each row, from the model's logits, FP32 [rows, vocab]. `replies`: what was drawn so far, `numbers`: each
        row's own random numbers."""

    def generate(
        self, model: Model, prompts: Sequence[Sequence[int]], *, end: Collection[int], seeds: Sequence[int], stop: Stop | None = None
    ) -> list[Generated]:
        import torch

        # Numbers of its own for each prompt: what it goes on with does not depend on the others.
        numbers = [torch.Generator().manual_seed(seed) for seed in seeds]
        replies: list[list[int]] = [[] for _ in prompts]
        nats: list[list[float]] = [[] for _ in prompts]
        finished = [False] * len(prompts)
        going = list(range(len(prompts)))
        logits = model.start(prompts) if going else None
        while going:
            assert logits is not None
            drawn = self.choose(logits, [prompts[i] for i in going], [replies[i] for i in going], [numbers[i] for i in going])
            likely = logits.log_softmax(-1)[torch.arange(len(going)), torch.tensor(drawn)].tolist()
            left = []
            for row, (i, token, logp) in enumerate(zip(going, drawn, likely, strict=True)):
                replies[i].append(token)
                nats[i].append(logp)
                finished[i] = token in end or (stop is not None and stop(replies[i]))
                if not finished[i] and len(replies[i]) < self.max_new_tokens:
                    left.append(row)
            going = [going[row] for row in left]
            if going:
                logits = model.step([drawn[row] for row in left], left)
        return [Generated(reply, done, torch.tensor(each)) for reply, done, each in zip(replies, finished, nats, strict=True)]
