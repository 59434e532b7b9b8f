"""What a generator promises."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelwright.errors import ModelwrightError
from modelwright.testing import Conformance
from modelwright_plugins.conformance.process import elsewhere
from modelwright_plugins.conformance.promise import hold, promised
from modelwright_plugins.generator import Remote, Reply

if TYPE_CHECKING:
    import torch

VOCABULARY, END, NEW = 29, 0, 12
PROMPTS = [[3], [5, 9, 1, 4], [7, 7], [11, 2, 8, 6, 5, 4, 3, 2, 1, 9, 10, 12]]
Plain = tuple[list[int], bool, list[float]]
"""Tokens, whether it is finished, and log-probabilities."""


@dataclass(frozen=True, kw_only=True)
class Generators(Conformance):
    """A generator: a prompt's seed alone decides what is drawn for it, and it stops where it should."""

    example = "modelwright_plugins.conformance.examples.generator"

    def check(self, component: Any, folder: Path) -> None:
        _elsewhere(component) if isinstance(component, Remote) else self._at_hand(component, folder)

    @staticmethod
    def _at_hand(component: Any, folder: Path) -> None:
        short = replace(component, max_new_tokens=NEW)
        with promised(component, "each prompt gets a continuation: token ids, without the prompt"):
            found = generated(short, 1)
            hold(len(found) == len(PROMPTS), f"{len(PROMPTS)} prompts got {len(found)}")
            for tokens, _, _ in found:
                hold(tokens and all(isinstance(token, int) and 0 <= token < VOCABULARY for token in tokens), f"one is {tokens}")
        with promised(component, "each token has its log-probability under the plain softmax of the model's logits"):
            table = _Model("by chance").table.log_softmax(-1)
            for prompt, (tokens, _, logps) in zip(PROMPTS, found, strict=True):
                wanted = [float(table[before, token]) for before, token in zip([prompt[-1], *tokens], tokens, strict=False)]
                near = len(logps) == len(wanted) and all(abs(a - b) < 1e-4 for a, b in zip(logps, wanted, strict=True))
                hold(near, f"those of {tokens} after {prompt} are {wanted}, not {logps}")
        with promised(component, "it keeps no state, and the same seed gives the same tokens, in another process too"):
            hold(generated(short, 1) == found, "the second time there were others")
            hold(elsewhere(generated, short, 1, folder=folder) == found, "there, there were others")
        with promised(component, "a prompt's continuation does not depend on the prompts beside it"):
            for count in (1, 2, 3):
                few = generated(short, 1, PROMPTS[:count])
                hold(few == found[:count], f"of the first {count} prompts alone it is {few}, not {found[:count]}")
        with promised(component, f"it draws max_new_tokens at most, and as many of a model that never ends (here {NEW})"):
            endless = generated(short, 1, ending="never")
            lengths = [len(tokens) for tokens, _, _ in endless]
            hold(lengths == [NEW] * len(PROMPTS), f"it drew {lengths}")
            hold(not any(finished for _, finished, _ in endless), "it called one finished")
        with promised(component, "it stops after the end token, which is the last"):
            texts = [(tokens, finished) for tokens, finished, _ in generated(short, 1, ending="at once")]
            hold(texts == [([END], True)] * len(PROMPTS), f"of a model that ends at once it drew {texts}")
            for prompt, (tokens, finished, _) in zip(PROMPTS, generated(short, 1, ending="after 20"), strict=True):
                wanted = [*range(prompt[-1] + 1, 21), END][:NEW]
                hold(tokens == wanted, f"after {prompt}, of a model that counts up to 20 and ends, it drew {tokens}, not {wanted}")
                hold(finished is (tokens[-1] == END), f"after {prompt} it says finished={finished} of {tokens}")
        with promised(component, "it stops where it is told to"):
            for tokens, finished, _ in generated(short, 1, ending="never", stop=3):
                hold(len(tokens) == 3 and finished, f"of a reply that stops after 3 tokens it drew {tokens}, finished={finished}")
        with promised(component, "no prompts are no error"):
            hold(generated(short, 1, []) == [], "they gave something")


def _elsewhere(component: Remote) -> None:
    """It asks another model, which need not say the same twice."""
    asked = [{"messages": [{"role": "user", "content": "?" * count}]} for count in (1, 2, 3)]
    for few in (asked, asked[:1], []):
        with promised(component, "each conversation gets a reply: a text, and whether it came to its end"):
            found = component.said(few, seeds=[*range(len(few))])
            hold(len(found) == len(few), f"{len(few)} conversations got {len(found)}")
            for one in found:
                fine = isinstance(one, Reply) and isinstance(one.text, str) and isinstance(one.finished, bool)
                hold(fine, f"one is {one!r}")
    with promised(component, "it says how many tokens a reply has at most"):
        hold(component.max_new_tokens >= 1, f"they are {component.max_new_tokens}")
    with promised(component, "it goes on from no tokens, and says so in one line"):
        try:
            generated(component, 1)
        except ModelwrightError as error:
            hold("\n" not in str(error), f"it says {error}")
        else:
            hold(False, "it went on from them")


class _Model:
    """The next token's distribution depends on the last token, and on how the text ends."""

    def __init__(self, ending: str) -> None:
        import torch

        self.ending = ending
        self.table = torch.randn(VOCABULARY, VOCABULARY, generator=torch.Generator().manual_seed(5)) * 2
        self.texts: list[list[int]] = []

    def start(self, prompts: Sequence[Sequence[int]]) -> torch.Tensor:
        self.texts = [list(prompt) for prompt in prompts]
        return self._logits()

    def step(self, tokens: Sequence[int], rows: Sequence[int] | None = None) -> torch.Tensor:
        rows = range(len(self.texts)) if rows is None else rows
        self.texts = [[*self.texts[row], token] for row, token in zip(rows, tokens, strict=True)]
        return self._logits()

    def states(self) -> list[torch.Tensor]:
        return [self.table[text] for text in self.texts]

    def other(self) -> torch.Tensor:
        return self._logits() * 0.3

    def _logits(self) -> torch.Tensor:
        import torch

        last = torch.tensor([text[-1] for text in self.texts])
        logits = self.table[last].clone()
        if self.ending == "never":
            logits[:, END] = -torch.inf
        if self.ending == "at once":
            logits[:], logits[:, END] = -torch.inf, 0.0
        if self.ending == "after 20":
            following = torch.where(last < 20, last + 1, torch.zeros_like(last))
            logits = torch.full_like(logits, -torch.inf).scatter(1, following[:, None], 0.0)
        return logits


def generated(component: Any, seed: int, prompts: list[list[int]] | None = None, ending: str = "by chance", stop: int = 0) -> list[Plain]:
    asked = PROMPTS if prompts is None else prompts
    seeds = [seed + number for number in range(len(asked))]
    stops = (lambda tokens: len(tokens) >= stop) if stop else None
    found = component.generate(_Model(ending), asked, end={END}, seeds=seeds, stop=stops)
    return [(list(each.tokens), each.finished, each.logps.tolist()) for each in found]
