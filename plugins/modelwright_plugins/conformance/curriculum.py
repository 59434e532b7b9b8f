"""What a curriculum promises."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelwright.errors import ModelwrightError
from modelwright.testing import Conformance
from modelwright_plugins.conformance.promise import hold, promised
from modelwright_plugins.conformance.texts import HARD


@dataclass(frozen=True, kw_only=True)
class Curricula(Conformance):
    """A curriculum: a number for every document, or an error that names it, which depends on nothing but the document."""

    example = "modelwright_plugins.conformance.examples.curriculum"

    def check(self, component: Any, folder: Path) -> None:
        documents = [
            {"text": text, "id": f"t/{n}", "metadata": {"group": "t", "perplexity": 3.5 + n % 7, "quality": 0.1 * n}}
            for n, text in enumerate(HARD.values())
        ]
        with promised(component, "score gives a number for every text, empty ones too"):
            scores = [component.score(copy.deepcopy(each), tokens) for tokens, each in enumerate(documents, 1)]
            for each, score in zip(documents, scores, strict=True):
                hold(isinstance(score, int | float) and score == score, f"of {each['text']!r:.40} it says {score!r}")
        with promised(component, "score depends on the document and its tokens alone, and changes nothing of it"):
            for tokens, each, score in [*zip(range(1, len(scores) + 1), documents, scores, strict=True)][::-1]:
                given = copy.deepcopy(each)
                hold((found := component.score(given, tokens)) == score, f"of {each['text']!r:.40} it says {found}, and said {score}")
                hold(given == each, f"it made {given!r:.80} of {each!r:.80}")
        with promised(component, "a document that has no such number is an error that names it"):
            try:
                found = component.score({"text": "one", "id": "t/bare", "metadata": {"group": "t"}}, 1)
                hold(isinstance(found, int | float) and found == found, f"it says {found!r}")
            except ModelwrightError as e:
                hold("t/bare" in str(e), f"it says {e}")
        with promised(component, "within is a number of sequences from 1 up, or None"):
            within = component.within()
            hold(within is None or (isinstance(within, int) and within >= 1), f"it is {within!r}")
