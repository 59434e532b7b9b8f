"""What a deduper promises."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelwright.testing import Conformance
from modelwright_plugins.conformance.process import elsewhere
from modelwright_plugins.conformance.promise import hold, promised
from modelwright_plugins.conformance.texts import HARD, different


@dataclass(frozen=True, kw_only=True)
class Dedupers(Conformance):
    """A deduper: of what is the same the first stays, of what is not the same all; a signature depends on its own text only."""

    example = "modelwright_plugins.conformance.examples.deduper"

    def check(self, component: Any, folder: Path) -> None:
        import numpy as np

        texts = [*HARD.values(), *different(20)]
        with promised(component, "sign gives an array of unsigned integers, (texts, values), for any texts and for none"):
            signed, none = component.sign(texts), component.sign([])
            hold(np.issubdtype(signed.dtype, np.unsignedinteger), f"its type is {signed.dtype}")
            hold(signed.ndim == 2 and len(signed) == len(texts), f"its shape is {signed.shape} for {len(texts)} texts")
            hold(none.shape == (0, signed.shape[1]), f"of no texts its shape is {none.shape}, not {(0, signed.shape[1])}")
        with promised(component, "a signature depends on its own text only, whatever texts are signed with it"):
            for name, parts in (("one by one", 1), ("in pieces of 7", 7)):
                apart = np.concatenate([component.sign(texts[i : i + parts]) for i in range(0, len(texts), parts)])
                hold((apart == signed).all(), f"signed {name}, {(apart != signed).any(axis=1).sum()} of {len(texts)} are others")
        with promised(component, "the same text has the same signature in another process"):
            hold((elsewhere(_signed, component, texts, folder=folder) == signed).all(), "there it has another")
        many = different(200)
        copies = [*many[:100], *many[50:], *many[:10], many[0]]  # first seen at: 0-99, 50-99 again, 100-199, …
        expected = [copies.index(text) for text in copies]
        with promised(component, "first gives (documents,) int64: for each the first document that is the same, itself if it is the first"):
            (file := folder / "signatures.npy").parent.mkdir(exist_ok=True)
            np.save(file, component.sign(copies))
            found = component.first(np.load(file, mmap_mode="r"))
            hold(found.shape == (len(copies),) and found.dtype == np.int64, f"it is {found.dtype} of shape {found.shape}")
            hold((found <= np.arange(len(copies))).all(), "a later document stands for an earlier one")
            hold((found[found] == found).all(), "a document that goes stands for another")
        with promised(component, "of texts that are the same exactly one is kept, and of texts that are not all"):
            for place, (first, wanted) in enumerate(zip(found.tolist(), expected, strict=True)):
                same = "is a copy of" if wanted != place else "has nothing in common with an earlier one, being"
                hold(first == wanted, f"document {place} {same} document {wanted}, and document {first} stands for it")
        with promised(component, "no documents at all are no error"):
            hold(component.first(component.sign([])).shape == (0,), "first of none is not none")
        with promised(component, "reason is what a document that goes is counted under"):
            hold(isinstance(component.reason, str) and component.reason, f"it is {component.reason!r}")


def _signed(component: Any, texts: list[str]) -> Any:
    return component.sign(texts)
