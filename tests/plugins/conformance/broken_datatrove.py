"""datatrove filters that each break one promise, by name."""

from __future__ import annotations

import itertools
from typing import Any

from datatrove.pipeline.filters.base_filter import BaseFilter

COUNT = itertools.count()


class Changed(BaseFilter):
    name = "changed"

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how, self.seen = how, 0
        if how == "Lambda":
            self.key = lambda text: text

    def filter(self, doc: Any) -> Any:
        self.seen += 1
        if self.how == "Crash":
            return doc.text[0] == "x"
        if self.how == "LongReason":
            return False, f"the text {doc.text[:100]!r} is no good because I don't like it at all"
        if self.how == "ManyReasons":
            return False, f"length {len(doc.text)} {doc.id}"
        if self.how == "Renames":
            doc.id += "!"
        if self.how == "Regroups":
            doc.metadata["group"] = "other"
        if self.how == "Dice" and next(COUNT) % 40 == 0:
            return False, "dice"
        if self.how == "Seen":
            return self.seen % 2 == 0 or (False, "odd")
        if self.how == "Hash":
            return hash(doc.text) % 2 == 0 or (False, "odd")
        return True
