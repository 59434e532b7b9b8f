"""What a component of any kind promises."""

from __future__ import annotations

import importlib
import inspect
import json
import pickle
import re
from dataclasses import MISSING, dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

from modelwright.component import Component
from modelwright.schema import conform, plain
from modelwright.testing import Conformance
from modelwright_plugins.conformance.process import elsewhere, heavy_modules
from modelwright_plugins.conformance.promise import hold, promised
from modelwright_plugins.parameters import parameters

FIRST_LINE = 120  # characters, for `modelwright list`


@dataclass(frozen=True, kw_only=True)
class Components(Conformance):
    """Any component: a documented dataclass that survives its config, pickle and a fresh process, and is quick to import."""

    def check(self, component: Any, folder: Path) -> None:
        cls = type(component)
        with promised(component, "it is a dataclass, @dataclass(frozen=True, kw_only=True)"):
            hold(is_dataclass(cls) and "__dataclass_params__" in vars(cls), "its class has no @dataclass of its own")
            hold(not (bare := [f.name for f in fields(cls) if not f.kw_only]), f"parameters {bare} are not keyword-only")
        with promised(component, "the first line of its docstring says what it is"):
            said = inspect.cleandoc(vars(cls).get("__doc__") or "")
            hold(said and not said.startswith(f"{cls.__name__}("), "it has no docstring")
            hold(len(first := said.splitlines()[0]) <= FIRST_LINE, f"it has {len(first)} characters, more than {FIRST_LINE}")
        with promised(component, "every parameter is documented by a comment beside it"):
            hold(not (mute := [p.name for p in parameters(cls) if not p.doc]), f"there is none beside {', '.join(mute)}")
        with promised(component, "its parameters survive being written to a config and read again"):
            values = json.loads(json.dumps(plain(component)))
            hold((again := conform(values, cls, "")) == component, f"it was {component} and became {again}")
            if all(f.default is not MISSING or f.default_factory is not MISSING for f in fields(cls)):
                hold((found := conform({}, cls, "")) == cls(), f"of the defaults {cls()} a config makes {found}")
        with promised(component, "equal configs give equal components"):
            other = conform(values, cls, "")
            hold(again == other and plain(again) == plain(other), f"the same config gave {again} and {other}")
            hold(not [f.name for f in fields(cls) if not f.compare], "a parameter is left out of comparison (field(compare=False))")
        with promised(component, "it can be pickled"):
            hold(pickle.loads(pickle.dumps(component)) == component, "what came out of pickle is not equal to it")
        with promised(component, "importing its module imports nothing heavy: torch and the like are imported inside methods"):
            hold(
                not (heavy := elsewhere(_imports, cls.__module__, folder=folder / "imports")),
                f"{cls.__module__} imports {', '.join(heavy)}",
            )
        with promised(component, "its fingerprint is a string, the same twice"):
            one, two = component.fingerprint(), component.fingerprint()
            hold(isinstance(one, str), f"it is {one!r}")
            hold(one == two, f"it was {one!r} and then {two!r}")
        with promised(component, "one that reads files has a fingerprint of them: else a later run takes over what was made of others"):
            paths = [f.name for f in fields(cls) if re.search(r"\bPath\b", str(f.type))]
            hold(
                not paths or cls.fingerprint is not Component.fingerprint,
                f"{', '.join(paths)} are paths, and it has no fingerprint of its own",
            )


def _imports(module: str) -> list[str]:
    importlib.import_module(module)
    return heavy_modules()
