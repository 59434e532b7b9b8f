"""What a command promises."""

from __future__ import annotations

import contextlib
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelwright.errors import ModelwrightError
from modelwright.testing import Conformance
from modelwright_plugins.conformance.process import elsewhere
from modelwright_plugins.conformance.promise import hold, promised

WRONG = ("--no-such-option", "no-such-word-at-all")


@dataclass(frozen=True, kw_only=True)
class Commands(Conformance):
    """A command: --help says how it is used, and words that it does not know are an error in one line, before anything is done."""

    example = "modelwright_plugins.conformance.examples.command"

    def check(self, component: Any, folder: Path) -> None:
        with promised(component, "its docstring, which --help prints, says how it is used: modelwright NAME …"):
            hold("modelwright " in (type(component).__doc__ or ""), "it does not")
        for number, word in enumerate(WRONG):
            with promised(component, "a word that it does not know is a ModelwrightError in one line"):
                told, written = elsewhere(_asked, component, word, folder=folder / f"word{number}")
                hold(told is not None, f"{word} was no error")
                hold("\n" not in told.strip(), f"of {word} it says {told!r}")
                hold(not written, f"{word}: it wrote {', '.join(written)}")


def _asked(component: Any, word: str) -> tuple[str | None, list[str]]:
    told = None
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            component.run([word])
    except ModelwrightError as e:
        told = str(e)
    return told, sorted(p.name for p in Path().iterdir() if p.name != "call.pickle")
