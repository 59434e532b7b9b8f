"""What a generator promises."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelwright.testing import Conformance
from modelwright_plugins.conformance.process import elsewhere
from modelwright_plugins.conformance.promise import hold, promised

if TYPE_CHECKING:
    import torch

VOCABULARY, END, CONTEXT, NEW = 29, 0, 8, 12
PROMPTS = [[3], [5, 9, 1, 4], [7, 7], [11, 2, 8, 6, 5, 4, 3, 2, 1, 9, 10, 12]]


@dataclass(frozen=True, kw_only=True)
class Generators(Conformance):
    """A generator: the same seed gives the same tokens, whatever other prompts follow, and it stops where it should."""

    example = "modelwright_plugins.conformance.examples.generator"

    def check(self, component: Any, folder: Path) -> None:
        short = replace(component, max_new_tokens=NEW)
        _Model.lengths.clear()
        with promised(component, "each prompt gets a continuation: token ids, without the prompt and without the end"):
            found = generated(short, seed=1)
            hold(len(found) == len(PROMPTS), f"{len(PROMPTS)} prompts got {len(found)}")
            for text in found:
                hold(all(isinstance(token, int) and 0 < token < VOCABULARY for token in text), f"one is {text}")
        with promised(component, "it keeps no state, and the same seed gives the same tokens, in another process too"):
            hold(generated(short, seed=1) == found, "the second time there were others")
            hold(elsewhere(generated, short, 1, folder=folder) == found, "there, there were others")
        with promised(component, "a prompt's continuation does not depend on the prompts after it"):
            for count in (1, 2, 3):
                few = generated(short, 1, PROMPTS[:count])
                hold(few == found[:count], f"of the first {count} prompts alone it is {few}, not {found[:count]}")
        with promised(component, f"it draws max_new_tokens at most, and as many of a model that never ends (here {NEW})"):
            lengths = [len(text) for text in generated(short, 1, ending="never")]
            hold(lengths == [NEW] * len(PROMPTS), f"it drew {lengths}")
        with promised(component, "it stops at the end token"):
            hold((texts := generated(short, 1, ending="at once")) == [[]] * len(PROMPTS), f"of a model that ends at once it drew {texts}")
            texts = generated(short, 1, ending="after 20")
            for prompt, text in zip(PROMPTS, texts, strict=True):
                wanted = _until_20(prompt)
                hold(text == wanted, f"after {prompt}, of a model that counts up to 20 and ends, it drew {text}, not {wanted}")
        with promised(component, f"the model is never shown more than `context` tokens (here {CONTEXT})"):
            hold((most := max(_Model.lengths)) <= CONTEXT, f"it was shown {most}")
        with promised(component, "no prompts are no error"):
            hold(generated(short, 1, []) == [], "they gave something")


class _Model:
    """The next token's distribution depends on the last token, and on how the text ends."""

    lengths: list[int] = []  # noqa: RUF012

    def __init__(self, ending: str) -> None:
        import torch

        self.ending = ending
        self.table = torch.randn(VOCABULARY, VOCABULARY, generator=torch.Generator().manual_seed(5)) * 2

    def __call__(self, tokens: torch.Tensor, at: torch.Tensor | None = None) -> torch.Tensor:
        import torch

        _Model.lengths.append(tokens.shape[1])
        last = tokens[:, -1] if at is None else tokens[torch.arange(len(tokens)), at]
        logits = self.table[last].clone()
        if self.ending == "never":
            logits[:, END] = -torch.inf
        if self.ending == "at once":
            logits[:], logits[:, END] = -torch.inf, 0.0
        if self.ending == "after 20":
            following = torch.where(last < 20, last + 1, torch.zeros_like(last))
            logits = torch.full_like(logits, -torch.inf).scatter(1, following[:, None], 0.0)
        return logits


def generated(component: Any, seed: int, prompts: list[list[int]] | None = None, ending: str = "by chance") -> list[list[int]]:
    asked = PROMPTS if prompts is None else prompts
    found: list[list[int]] = component.generate(_Model(ending), asked, end=END, context=CONTEXT, seed=seed)
    return found


def _until_20(prompt: list[int]) -> list[int]:
    return list(range(prompt[-1] + 1, 21))[:NEW]
