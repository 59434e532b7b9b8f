"""A datatrove filter that looks for evaluation sets in texts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from math import inf, nextafter
from typing import TYPE_CHECKING

from modelwright_plugins.filter._evaluation import Evaluation, words
from modelwright_plugins.filter.measured import Bounds, Measured

if TYPE_CHECKING:
    from datatrove.data import Document


class Overlaps(Measured):
    """Records in `metadata["contaminated"]` which sets it found in what it keeps."""

    name = "decontamination"
    statistic = "largest share of an evaluation example"

    def __init__(self, evaluation: Evaluation, overlap: float, mode: str, window: int, min_piece: int, max_pieces: int) -> None:
        super().__init__()
        self.evaluation, self.overlap, self.mode = evaluation, overlap, mode
        self.window, self.min_piece, self.max_pieces = window, min_piece, max_pieces

    def bounds(self) -> Mapping[str, Bounds]:
        if self.mode == "cut":
            return {}
        return {self.statistic: Bounds(most=nextafter(self.overlap, -inf) if self.overlap else 0.0)}  # as much as `overlap` is too much

    def measure(self, document: Document) -> Mapping[str, float]:
        return {} if self.mode == "cut" else {self.statistic: max(self._shares(self.evaluation.find(document.text)).values(), default=0.0)}

    def filter(self, doc: Document) -> bool | tuple[bool, str]:
        found = self._contaminated(self.evaluation.find(doc.text))
        if not found:
            return True
        hits: dict[str, int] = {}
        for _, _, place in found:
            name = self.evaluation.sets[self.evaluation.set_of[self.evaluation.example_of[place]]]
            hits[name] = hits.get(name, 0) + 1
        reason = f"overlaps_{max(hits, key=lambda name: (hits[name], name))}"[:60]
        if self.mode == "drop":
            return False, reason
        pieces = self._pieces(doc.text, [(at, at + n) for at, n, _ in found])
        kept = [piece for piece in pieces if len(piece) >= self.min_piece and piece.strip()]
        if len(pieces) > self.max_pieces or not kept:
            return False, reason
        doc.text = "\n\n".join(kept)
        doc.metadata["contaminated"] = sorted(hits)
        return True

    def _contaminated(self, found: list[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
        """Of overlaps those with examples that the text has enough of."""
        if not self.overlap or not found:
            return found
        shares = self._shares(found)
        return [one for one in found if shares[int(self.evaluation.example_of[one[2]])] >= self.overlap]

    def _shares(self, found: list[tuple[int, int, int]]) -> dict[int, float]:
        """Example -> the share of its words that is in overlaps; a word that is in several counts once."""
        there: dict[int, set[int]] = {}
        for _, n, place in found:
            there.setdefault(int(self.evaluation.example_of[place]), set()).update(range(place, place + n))
        return {example: len(places) / self.evaluation.sizes[example] for example, places in there.items()}

    def _pieces(self, text: str, found: list[tuple[int, int]]) -> list[str]:
        """What is left when words from and up to these numbers are cut out, with `window` characters on each side."""
        spans = [m.span() for m in re.finditer(r"\S+", text) for _ in words(m[0])]  # of each word in the text
        pieces, last = [], 0
        for first, end in sorted(found):
            begin = max(0, spans[first][0] - self.window)
            if begin > last:
                pieces.append(text[last:begin])
            last = max(last, spans[end - 1][1] + self.window)
        if last < len(text):
            pieces.append(text[last:])
        return pieces
