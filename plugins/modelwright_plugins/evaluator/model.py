"""The model that evaluators ask: text in, text and likelihoods out, whatever engine, layout, tokenizer and template stand behind it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelwright.errors import ModelwrightError
from modelwright_plugins.tokenizer.turn_end import ReplyEnd, TurnEnd

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from modelwright_plugins.artifacts.examples import StoredExamples
    from modelwright_plugins.engine.inference import TrainedModel
    from modelwright_plugins.generator import Generator


@dataclass(frozen=True)
class Likelihood:
    """How likely a model finds a continuation of a text."""

    nats: float  # minus the logarithm of its probability
    tokens: int


@dataclass(frozen=True)
class Said:
    """A reply that a model drew."""

    text: str  # without what ended it
    tokens: list[int]  # ids of the prompt and of the reply, with the token that ended it
    begin: int  # where the reply begins in them
    finished: bool  # something ended it, and not its length


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
        shards: Path | None = None,
        seed: int = 0,
        batch: int = 4,
    ) -> None:
        """`tokenizer`: its folder. `template`: the Jinja of conversations; None: the examples', or else the tokenizer's own. `examples`:
        held out. `shards`: the folder of the token shards that it was pretrained on. `batch`: rows that are asked at a time."""
        from modelwright_plugins.tokenizer.chat_tokens import ChatEncoder
        from modelwright_plugins.tokenizer.find_template import find_template

        self.trained, self.generator, self.examples, self.seed, self.batch = trained, generator, examples, seed, batch
        self.shards = shards
        if template is None:
            template = examples.about["template"] if examples is not None else find_template(None, tokenizer)
        self.chat = ChatEncoder(tokenizer, template)
        self.encoder = self.chat.encoder
        self.turn_end = TurnEnd.of(self.chat)
        self.length, self.end = trained.sequence_length, trained.end_of_document
        self.first = trained.rank == 0  # writes what is written

    def reply(
        self,
        conversations: Sequence[Sequence[Mapping[str, Any]]],
        generator: Generator | None = None,
        *,
        tools: Sequence[Sequence[Any]] | None = None,
    ) -> list[str]:
        """What the assistant says next in each conversation (messages, the last of them the user's), through the chat template; `tools`:
        those that it may call in each."""
        may = tools or [()] * len(conversations)
        asked = [{"messages": list(said), **({"tools": list(its)} if its else {})} for said, its in zip(conversations, may, strict=True)]
        prompts = []
        for found in self.prompts(asked):
            if isinstance(found, ModelwrightError):
                raise found
            prompts.append(found)
        self._tell_cut(prompts, generator)
        return [each.text for each in self.answered(asked, prompts, generator)]

    def answered(
        self, conversations: Sequence[Mapping[str, Any]], prompts: Sequence[Sequence[int]], generator: Generator | None = None
    ) -> list[Said]:
        """What follows each {"messages", "tools"?}, which `prompts` are as tokens; a server's reply, where the generator asks one."""
        from modelwright_plugins.engine.remote_replies import replied
        from modelwright_plugins.generator import Remote
        from modelwright_plugins.generator.seeds import seed_of

        if not isinstance(generator := generator or self.generator, Remote):
            return self.said(prompts, generator)
        from megatron.core import parallel_state

        rank, ranks = parallel_state.get_data_parallel_rank(), parallel_state.get_data_parallel_world_size()
        share = -(-len(prompts) // ranks)
        mine = range(len(prompts))[rank * share : (rank + 1) * share]
        ending = ReplyEnd(self.encoder, generator, self.turn_end)
        seeds = [seed_of(self.seed, number) for number in mine]
        told = replied(generator, [conversations[number] for number in mine], chat=self.chat, ending=ending, seeds=seeds)
        found = [one for each in told for one in each]
        return [
            Said(ending.said(one), [*prompt, *one.tokens], len(prompt), one.finished) for prompt, one in zip(prompts, found, strict=True)
        ]

    def prompts(self, conversations: Sequence[Mapping[str, Any]]) -> list[list[int] | ModelwrightError]:
        """Each {"messages", "tools"?} as tokens, up to where the assistant is to speak; an error for one that can't be rendered."""
        found = self.chat.encode([{**each, "add_generation_prompt": True} for each in conversations])
        return [each if isinstance(each, ModelwrightError) else each.tokens.tolist() for each in found]

    def replies(self, prompts: Sequence[Sequence[int]], generator: Generator | None = None) -> list[str]:
        """The same of conversations that are rendered and tokenized already, up to where the assistant is to speak."""
        return [each.text for each in self.said(prompts, generator)]

    def complete(self, texts: Sequence[str], generator: Generator | None = None) -> list[str]:
        """How each document goes on that begins so, up to its end."""
        ending = ReplyEnd(self.encoder, generator or self.generator, None)
        prompts = [[self.end, *self.encoder.encode(text)] for text in texts]
        self._tell_cut(prompts, generator)
        return [each.text for each in self.said(prompts, generator, ending)]

    def said(self, prompts: Sequence[Sequence[int]], generator: Generator | None = None, ending: ReplyEnd | None = None) -> list[Said]:
        """What each prompt (tokens) goes on with, to where a turn ends, or `ending` says."""
        if not prompts:
            return []
        generator = generator or self.generator
        ending = ending or ReplyEnd(self.encoder, generator, self.turn_end)
        found = self.trained.generate(prompts, generator, seed=self.seed, end=ending.tokens, stop=ending.stop)
        return [
            Said(ending.said(one), [*prompt, *one.tokens], len(prompt), one.finished) for prompt, one in zip(prompts, found, strict=True)
        ]

    def _tell_cut(self, prompts: Sequence[Sequence[int]], generator: Generator | None) -> None:
        """Prints how many prompts lose their beginning (their first shots, a judge's instruction …) before what is said is as long as it
        may be: scores of these are of something else than was asked."""
        from modelwright_plugins.generator import Remote

        generator = generator or self.generator
        if not prompts or not self.first or isinstance(generator, Remote):
            return
        room, longest = self.length - generator.max_new_tokens, max(map(len, prompts))
        if longest > room:
            cut, at_once = (sum(len(prompt) > most for prompt in prompts) for most in (room, self.length))
            print(
                f"  {cut:,} of {len(prompts):,} prompts lose their beginning, {at_once:,} of them before the first word is said: the "
                f"longest has {longest:,} tokens, {generator.max_new_tokens:,} more may be said, and the model sees {self.length:,}",
                flush=True,
            )

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
        return self._asked(rows, self.trained.token_losses)

    def scores(self, rows: Sequence[Sequence[int]]) -> list[NDArray[np.float64]]:
        """The same beside whether each token is the likeliest of all there, 1 or 0: [2, its tokens - 1]."""
        return self._asked(rows, self.trained.token_scores)

    def _asked(self, rows: Sequence[Sequence[int]], ask: Any) -> list[NDArray[np.float64]]:
        """What `ask` says of each row's tokens but the first, [..., its tokens - 1]."""
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
            told = ask(tokens, apart=False).double().cpu().numpy()
            for place, row in enumerate(mine):
                found[row] = told[..., place, : len(rows[row]) - 1]
        return [each for each in found if each is not None]
