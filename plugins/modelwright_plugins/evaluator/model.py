"""The model that evaluators ask: text in, text and likelihoods out, whatever engine, layout, tokenizer and template stand behind it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelwright.errors import ModelwrightError
from modelwright_plugins.tokenizer.turn_end import TurnEnd

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from modelwright_plugins.artifacts.examples import StoredExamples
    from modelwright_plugins.engine.inference import TrainedModel
    from modelwright_plugins.generator import Generator, Stop


@dataclass(frozen=True)
class Likelihood:
    """How likely a model finds a continuation of a text."""

    nats: float  # minus the logarithm of its probability
    tokens: int


class Model:
    """Each rank calls each method, with the same arguments, and gets the same answer."""

    def __init__(
        self,
        trained: TrainedModel,
        tokenizer: Path,
        generator: Generator,
        *,
        template: str | None = None,
        examples: StoredExamples | None = None,
        seed: int = 0,
        batch: int = 4,
    ) -> None:
        """`tokenizer`: its folder. `template`: the Jinja of conversations; None: the examples', or else the tokenizer's own. `examples`:
        held out. `batch`: rows that are asked at a time."""
        from modelwright_plugins.tokenizer.chat_tokens import ChatEncoder
        from modelwright_plugins.tokenizer.find_template import find_template

        self.trained, self.generator, self.examples, self.seed, self.batch = trained, generator, examples, seed, batch
        if template is None:
            template = examples.about["template"] if examples is not None else find_template(None, tokenizer)
        self.chat = ChatEncoder(tokenizer, template)
        self.encoder = self.chat.encoder
        self.turn_end = TurnEnd.of(self.chat)
        self.length, self.end = trained.sequence_length, trained.end_of_document
        self.first = trained.rank == 0  # writes what is written

    def reply(self, conversations: Sequence[Sequence[Mapping[str, Any]]], generator: Generator | None = None) -> list[str]:
        """What the assistant says next in each conversation (messages, the last of them the user's), through the chat template."""
        asked = [{"messages": list(messages), "add_generation_prompt": True} for messages in conversations]
        prompts = []
        for found in self.chat.encode(asked):
            if isinstance(found, ModelwrightError):
                raise found
            prompts.append(found.tokens.tolist())
        return self.replies(prompts, generator)

    def replies(self, prompts: Sequence[Sequence[int]], generator: Generator | None = None) -> list[str]:
        """The same of conversations that are rendered and tokenized already, up to where the assistant is to speak."""
        texts = self.turn_end.texts
        stop = (lambda tokens: any(text in self.encoder.decode(tokens) for text in texts)) if texts else None
        found = self.generated(prompts, generator, {self.end, *self.turn_end.tokens}, stop)
        return [self.turn_end.cut(self.encoder.decode(tokens)) for tokens in found]

    def complete(self, texts: Sequence[str], generator: Generator | None = None) -> list[str]:
        """How each document goes on that begins so, up to its end."""
        found = self.generated([[self.end, *self.encoder.encode(text)] for text in texts], generator, {self.end})
        return [self.encoder.decode(tokens) for tokens in found]

    def generated(
        self, prompts: Sequence[Sequence[int]], generator: Generator | None, ends: set[int], stop: Stop | None = None
    ) -> list[list[int]]:
        """The tokens that each prompt goes on with, up to one of `ends`, or to where `stop` says so."""
        if not prompts:
            return []
        found = self.trained.generate(prompts, generator or self.generator, seed=self.seed, end=ends, stop=stop)
        return [one.without(ends) for one in found]

    def likelihoods(self, pairs: Sequence[tuple[str, str]]) -> list[Likelihood]:
        """Of each (context, continuation): the likelihood of the continuation after the context, which begins a document.

        The two are tokenized as one text; tokens that begin before the continuation are the context's, so that white space at its end
        belongs to the continuation (as lm-evaluation-harness moves it). A context that is too long loses its beginning."""
        rows, sizes = [], []
        for context, continuation in pairs:
            kept = context.rstrip()
            continuation = context[len(kept) :] + continuation
            whole = self.encoder.encode(kept + continuation)
            before = len(self.encoder.encode(kept))
            own = max(1, len(whole) - before)
            if not continuation or own > self.length:
                raise ModelwrightError(f"a continuation of {own} tokens; a model of {self.length} positions scores 1 to {self.length}")
            rows.append([self.end, *whole][-(self.length + 1) :])
            sizes.append(own)
        found = []
        for nats, own in zip(self.nats(rows), sizes, strict=True):
            found.append(Likelihood(float(nats[-own:].sum()), own))
        return found

    def nats(self, rows: Sequence[Sequence[int]]) -> list[NDArray[np.float64]]:
        """Of each row of tokens, minus the log-probability of each but the first after those before it: [its tokens - 1]. A row is one
        text, whatever tokens it has. ModelwrightError: one is longer than the model's sequence and a token."""
        import numpy as np
        import torch

        found: list[NDArray[np.float64] | None] = [None] * len(rows)
        order = sorted(range(len(rows)), key=lambda row: -len(rows[row]))  # rows of about a length are asked together
        if order and len(rows[order[0]]) > self.length + 1:
            raise ModelwrightError(f"a text of {len(rows[order[0]]):,} tokens; the model sees {self.length:,}")
        for at in range(0, len(order), self.batch):
            mine = order[at : at + self.batch]
            tokens = torch.full((len(mine), len(rows[mine[0]])), self.end, dtype=torch.int64)
            for place, row in enumerate(mine):
                tokens[place, : len(rows[row])] = torch.as_tensor(np.asarray(rows[row], np.int64))
            nats = self.trained.token_losses(tokens, apart=False).double().cpu().numpy()
            for place, row in enumerate(mine):
                found[row] = nats[place, : len(rows[row]) - 1]
        return [each for each in found if each is not None]
