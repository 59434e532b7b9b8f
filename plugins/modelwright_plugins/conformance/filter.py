"""What a filter promises."""

from __future__ import annotations

import pickle
import random
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelwright.testing import Conformance
from modelwright_plugins.conformance.process import elsewhere
from modelwright_plugins.conformance.promise import hold, promised
from modelwright_plugins.conformance.texts import HARD, different

Decision = tuple[str, str | None, str | None]  # kept or why not, the text that is kept, its group
LONGEST, MOST = 60, 30  # characters of a reason, and how many there may be


@dataclass(frozen=True, kw_only=True)
class Filters(Conformance):
    """A filter: one decision for a text, wherever and beside whatever it is read, and any text is copable with."""

    example = "modelwright_plugins.conformance.examples.filter"

    def check(self, component: Any, folder: Path) -> None:
        texts = {**HARD, **{f"random words {i}": text for i, text in enumerate(different(20, 80))}}
        with promised(component, "it copes with any text: empty, very long, of any script, with control characters"):
            for name, text in texts.items():
                try:
                    decided(component.build(), {name: text})
                except Exception as e:
                    raise AssertionError(f"{name}: {type(e).__name__}: {e}") from e
            found = decided(component.build(), texts)
        with promised(component, "reasons are short strings, and few: they are counted by name"):
            reasons = {reason for reason, text, _ in found.values() if text is None}
            for reason in reasons:
                hold(reason and reason == reason.strip() and "\n" not in reason and len(reason) <= LONGEST, f"one is {reason!r}")
            hold(len(reasons) <= MOST, f"{len(texts)} texts gave {len(reasons)}, such as {sorted(reasons)[:3]}")
        with promised(component, "ids and groups are left as they are, and what is kept is text"):
            for name, (_, kept, group) in found.items():
                hold(name in texts, f"a document is now called {name!r}")
                hold(kept is None or (isinstance(kept, str) and group == "group"), f"{name}: text {type(kept).__name__}, group {group!r}")
        with promised(component, "a text's decision is always the same"):
            _same(found, decided(component.build(), texts), "built again")
        with promised(component, "a text's decision depends on no other text: what comes out does not depend on the number of tasks"):
            _same(
                found,
                decided(component.build(), {name: texts[name] for name in random.Random(1).sample(list(texts), len(texts))}),
                "with the texts in another order",
            )
        with promised(component, "a built filter can be pickled, and decides the same after it"):
            _same(found, decided(pickle.loads(pickle.dumps(component.build())), texts), "after pickle")
        with promised(component, "it decides the same in another process"):
            _same(found, elsewhere(_decided, component, texts, folder=folder), "in another process")


def decided(built: Any, texts: dict[str, str]) -> dict[str, Decision]:
    """What a built filter decides of each text, by the document's id when it is done."""
    from datatrove.data import Document

    dropped = _Dropped()
    built.exclusion_writer = dropped
    documents = [Document(text=text, id=name, metadata={"group": "group"}) for name, text in texts.items()]
    kept = list(built.run(iter(documents), 0, 1))
    found: dict[str, Decision] = {d.id: ("kept", d.text, d.metadata.get("group")) for d in kept}
    for document in dropped.documents:
        found[document.id] = (str(document.metadata.get("filter_reason", "dropped")), None, None)
    hold(len(found) == len(documents), f"of {len(documents)} documents {len(found)} were kept or dropped")
    return found


class _Dropped:
    def __init__(self) -> None:
        self.documents: list[Any] = []

    def __enter__(self) -> _Dropped:
        return self

    def __exit__(self, *error: object) -> None: ...

    def write(self, document: Any, rank: int = 0) -> None:
        self.documents.append(document)


def _decided(component: Any, texts: dict[str, str]) -> dict[str, Decision]:
    return decided(component.build(), texts)


def _same(found: dict[str, Decision], again: dict[str, Decision], how: str) -> None:
    differ: Iterable[str] = (name for name in found if found[name] != again.get(name))
    if (name := next(iter(differ), None)) is not None:
        hold(False, f"{name!r} was {found[name][0]!r} and, {how}, {(again.get(name) or ['gone'])[0]!r}")
