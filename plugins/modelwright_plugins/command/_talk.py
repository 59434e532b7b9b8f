"""A conversation in a terminal, or through a pipe."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelwright.errors import ModelwrightError
from modelwright_plugins.generator import TokenByToken
from modelwright_plugins.tokenizer.chat_tokens import ChatEncoder
from modelwright_plugins.tokenizer.encoder import Encoder
from modelwright_plugins.tokenizer.turn_end import ReplyEnd, TurnEnd

if TYPE_CHECKING:
    from modelwright_plugins.generator import Generated, Generator

Draw = Callable[..., "Generated"]
"""(prompt, turn=…, end=…, stop=…) -> what it goes on with; `turn` counts what was drawn before, `stop` is asked after each token."""


def talk(checkpoint: Path, tokenizer: Path, generator: Generator, parts: Mapping[str, Any], *, seed: int) -> int:
    """`parts`: the run's components, of which the precision, the kernel and the attention are taken; on one rank."""
    from modelwright_plugins.artifacts import Checkpoint
    from modelwright_plugins.attention.cores import Native
    from modelwright_plugins.engine.card import ModelCard
    from modelwright_plugins.engine.inference import open_model
    from modelwright_plugins.engine.pretrained import template_of
    from modelwright_plugins.evaluator.likelihood import without_likelihood
    from modelwright_plugins.generator.seeds import seed_of
    from modelwright_plugins.kernel.local import Torch
    from modelwright_plugins.parallel.megatron import Megatron
    from modelwright_plugins.precision.floats import FP32
    from modelwright_plugins.tokenizer.find_template import own_template

    card = ModelCard.read(checkpoint / "model.json", _registry())
    if why := without_likelihood(card.architecture, card.head):
        raise ModelwrightError(f"{checkpoint}: {why}, so there is nobody to talk to")
    template = template_of(checkpoint) or own_template(tokenizer)
    chat = None if template is None else ChatEncoder(tokenizer, template)
    encoder = Encoder(tokenizer) if chat is None else chat.encoder
    defaults = {"precision": FP32(), "kernel": Torch(), "attention": Native()}
    how: dict[str, Any] = {kind: parts.get(kind, default) for kind, default in defaults.items()}
    with open_model(Checkpoint(checkpoint), parallel=Megatron(), seed=seed, **how) as model:

        def draw(prompt: Sequence[int], *, turn: int, **ends: Any) -> Generated:
            (found,) = model.generate([prompt], generator, seed=seed_of(seed, turn), **ends)
            return found

        with uninterrupted():
            ending = ReplyEnd(encoder, generator, None if chat is None else TurnEnd.of(chat))
        most = generator.max_new_tokens
        Talk(draw, chat, ending, context=model.sequence_length, most=most).go(_lines())
    return 0


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Inside, Ctrl-C does nothing, also in processes that are started there: a terminal sends it to the one that renders templates, too."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _registry() -> Any:
    from modelwright.hooks import discover

    return discover().registry


def _lines() -> Iterator[str | None]:
    """What is typed, line by line; None: Ctrl-C."""
    if not sys.stdin.isatty():
        yield from (line.rstrip("\n") for line in sys.stdin)
        return
    with contextlib.suppress(ImportError):
        import readline  # noqa: F401  # arrows and history
    while True:
        try:
            yield input("> ")
        except EOFError:
            print()
            return
        except KeyboardInterrupt:
            print()
            yield None


@dataclass
class Talk:
    """`chat`: None for a model of texts alone. `context`: tokens that the model sees, `most`: of a reply."""

    draw: Draw
    chat: ChatEncoder | None
    ending: ReplyEnd
    context: int
    most: int
    drawn: int = 0  # turns that were, also before /reset
    out: Any = field(default_factory=lambda: sys.stdout)
    turns: list[dict[str, str]] = field(default_factory=list)
    system: str = ""
    cut: bool = False  # that something was left out is told once

    def go(self, lines: Iterable[str | None]) -> None:
        if self.chat is None:
            self._tell("this model has no chat template, so it goes on with what you type, as with the beginning of a text")
        for line in lines:
            if line is None or not line.strip():
                continue
            if line.startswith("/") and not line.startswith("//"):
                self._command(line)
            else:
                try:
                    self._turn(line.removeprefix("/") if line.startswith("//") else line)
                except ModelwrightError as error:  # the template refuses it
                    self._tell(str(error))
                except KeyboardInterrupt:  # before the reply begins, or after its end
                    print(file=self.out, flush=True)

    def _command(self, line: str) -> None:
        word, _, text = line.partition(" ")
        if word == "/reset":
            self.turns, self.cut = [], False
        elif word == "/system":
            self.system = text.strip()
        else:
            self._tell(f"{word} is no command; there are /reset and /system TEXT, Ctrl-C and Ctrl-D; // begins a turn that begins with /")

    def _turn(self, line: str) -> None:
        begun = [*self.turns, {"role": "user", "content": line}]
        prompt, begun = self._prompt(begun)
        said = Streamed(self.ending, self.out)
        stop = said.stop if isinstance(self.ending.generator, TokenByToken) else self.ending.stop  # others have several texts at a time
        try:
            found = self.draw(prompt, end=self.ending.tokens, stop=stop, turn=self.drawn)
            said.show(self.ending.said(found), last=True)
        except KeyboardInterrupt:
            pass  # what was said until then is the turn
        print(file=self.out, flush=True)
        self.drawn += 1
        if self.chat is not None:
            self.turns = [*begun, {"role": "assistant", "content": said.shown}]

    def _prompt(self, turns: list[dict[str, str]]) -> tuple[list[int], list[dict[str, str]]]:
        """Tokens of the turns, and which of them: the first ones are left out where all don't fit beside a reply."""
        room = self.context - min(self.most, self.context // 4)
        if self.chat is None:
            text = [self.ending.encoder.end_of_document, *self.ending.encoder.encode(turns[-1]["content"])]
            self._refuse_longer(text, room)
            return text, turns
        system = [{"role": "system", "content": self.system}] if self.system else []
        while True:
            with uninterrupted():
                (found,) = self.chat.encode([{"messages": [*system, *turns], "add_generation_prompt": True}])
            if isinstance(found, ModelwrightError):
                raise found
            if len(found.tokens) <= room:
                return found.tokens.tolist(), turns
            if len(turns) < 3:
                self._refuse_longer(found.tokens, room)
            turns = turns[2:]
            if not self.cut:
                self._tell(f"the first turns are left out from now on: the model sees {self.context} tokens")
                self.cut = True

    def _refuse_longer(self, tokens: Sized, room: int) -> None:
        """ModelwrightError: the model would not see the beginning of this turn, and would answer something else."""
        if len(tokens) > room:
            raise ModelwrightError(
                f"this is {len(tokens)} tokens; the model sees {self.context}, and {room} beside a reply: make it shorter"
            )

    def _tell(self, what: str) -> None:
        print(f"modelwright: {what}", file=sys.stderr, flush=True)


@dataclass
class Streamed:
    """A reply that is printed as it comes: as much of it as no further token can change."""

    ending: ReplyEnd
    out: Any
    shown: str = ""

    def stop(self, tokens: Sequence[int]) -> bool:
        """Whether the reply stops here. It is asked after each token, which is printed on the way."""
        self.show(self.ending.text(tokens))
        own = self.ending.stop
        return own is not None and own(tokens)

    def show(self, text: str, *, last: bool = False) -> None:
        """The part of `text` that is new. Unless it is the `last`, not what may be half of a character or the beginning of a stop."""
        if not last:
            text = text.rstrip("\ufffd")
            text = text[: len(text) - max((_begun(text, stop) for stop in self._stops()), default=0)]
            text = text if self.ending.turn is None else text.rstrip()
        if text.startswith(self.shown):
            print(text[len(self.shown) :], end="", file=self.out, flush=True)
            self.shown = text
        elif last:  # it was changed behind: what is printed stays, and the turn is what the whole reply says
            if not self.shown.startswith(text):
                print(f"\n{text}", end="", file=self.out, flush=True)
            self.shown = text

    def _stops(self) -> Sequence[str]:
        turn, generator = self.ending.turn, self.ending.generator
        return [*(turn.texts if turn else ()), *getattr(generator, "stop", ())]


def _begun(text: str, stop: str) -> int:
    """How many characters at the end of `text` begin `stop`."""
    return next((size for size in range(min(len(stop) - 1, len(text)), 0, -1) if text.endswith(stop[:size])), 0)
