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
        with promised(component, "spans gives the text's units, (units, 2) int64, in order and without overlaps; cut of none is the text"):
            spans = [component.spans(text) for text in texts]
            for text, found in zip(texts, spans, strict=True):
                hold(found.ndim == 2 and found.shape[1] == 2 and found.dtype == np.int64, f"it is {found.dtype} of shape {found.shape}")
                flat = found.ravel()
                hold((np.diff(flat) >= 0).all() and 0 <= flat.min(initial=0) <= flat.max(initial=0) <= len(text), f"they are {flat[:20]}")
                whole = component.cut(text, np.ones(len(found), dtype=bool))
                hold(whole == text or len(whole.strip()) == 0, f"of {text[:40]!r} cut leaves {whole[:40]!r}")
                hold(not component.cut(text, np.zeros(len(found), dtype=bool)).strip(), f"without its units {text[:40]!r} isn't empty")
        with promised(component, "sign gives an array of unsigned integers, (units, values), for any texts and for none"):
            signed, none = component.sign(texts), component.sign([])
            hold(np.issubdtype(signed.dtype, np.unsignedinteger), f"its type is {signed.dtype}")
            units = sum(len(found) for found in spans)
            hold(signed.ndim == 2 and len(signed) == units, f"its shape is {signed.shape} for {units} units")
            hold(none.shape == (0, signed.shape[1]), f"of no texts its shape is {none.shape}, not {(0, signed.shape[1])}")
        with promised(component, "a signature depends on its own text only, whatever texts are signed with it"):
            for name, parts in (("one by one", 1), ("in pieces of 7", 7)):
                apart = np.concatenate([component.sign(texts[i : i + parts]) for i in range(0, len(texts), parts)])
                hold(apart.shape == signed.shape, f"signed {name}, there are {len(apart)}")
                hold((apart == signed).all(), f"signed {name}, {(apart != signed).any(axis=1).sum()} of {len(signed)} are others")
        with promised(component, "the same text has the same signature in another process"):
            there = elsewhere(_signed, component, texts, folder=folder)
            hold(there.shape == signed.shape and (there == signed).all(), "there it has another")
        many = different(200)
        copies = [*many[:100], *many[50:], *many[:10], many[0]]  # first seen at: 0-99, 50-99 again, 100-199, …
        with promised(component, "first gives (units,) int64: for each the first unit that is the same, itself if it is the first"):
            (file := folder / "signatures.npy").parent.mkdir(exist_ok=True)
            np.save(file, everything := component.sign(copies))
            found = component.first(np.load(file, mmap_mode="r"))
            hold(found.shape == (len(everything),) and found.dtype == np.int64, f"it is {found.dtype} of shape {found.shape}")
            hold((found <= np.arange(len(everything))).all(), "a later document stands for an earlier one")
            hold((found[found] == found).all(), "a document that goes stands for another")
        with promised(component, "of texts that are the same exactly one is kept, and of texts that are not all"):
            ends = np.cumsum([len(component.spans(text)) for text in copies])
            for place, (text, stays) in enumerate(zip(copies, np.split(found == np.arange(len(found)), ends[:-1]), strict=True)):
                left = text if stays.all() else component.cut(text, stays)
                wanted = copies.index(text)
                if wanted == place:
                    hold(left == text, f"document {place} has nothing in common with an earlier one, and {left[:40]!r} is left of it")
                else:
                    hold(not left.strip(), f"document {place} is a copy of document {wanted}, and {left[:40]!r} is left of it")
        with promised(component, "no documents at all are no error"):
            hold(component.first(component.sign([])).shape == (0,), "first of none is not none")
        with promised(component, "reason is what a document that goes is counted under"):
            hold(isinstance(component.reason, str) and component.reason, f"it is {component.reason!r}")


def _signed(component: Any, texts: list[str]) -> Any:
    return component.sign(texts)
