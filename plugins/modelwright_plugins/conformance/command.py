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


@dataclass(frozen=True, kw_only=True)
class Commands(Conformance):
    """A command: --help says how it is used, and an option that it does not know is an error, before anything is done."""

    example = "modelwright_plugins.conformance.examples.command"

    def check(self, component: Any, folder: Path) -> None:
        with promised(component, "its docstring, which --help prints, says how it is used: modelwright NAME …"):
            hold("modelwright " in (type(component).__doc__ or ""), "it does not")
        with promised(
            component, "an option that it does not know is a ModelwrightError in one line (or argparse's: usage, and exit code 2)"
        ):
            told, written = elsewhere(_asked, component, "--no-such-option", folder=folder / "option")
            hold(told, "--no-such-option was no error")
            hold("\n" not in told.strip(), f"it says {told!r}")
            hold(not written, f"it wrote {', '.join(written)}")


def _asked(component: Any, word: str) -> tuple[str, list[str]]:
    told = ""
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            component.run([word])
    except ModelwrightError as e:
        told = str(e)
    except SystemExit as e:
        if e.code != 2:
            raise
        told = "usage"
    return told, sorted(p.name for p in Path().iterdir() if p.name != "call.pickle")
