"""From documents to a tokenizer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from modelwright.component import Job, Stage
from modelwright_plugins.artifacts import Documents, Tokenizer
from modelwright_plugins.progress import progress

if TYPE_CHECKING:
    from modelwright_plugins.tokenizer import Tokenizer as Learner


@dataclass(frozen=True, kw_only=True)
class TrainTokenizer(Stage):
    """Trains a tokenizer on the training documents; held-out groups are not read."""

    uses = ("tokenizer",)
    takes = (Documents,)
    makes = (Tokenizer,)

    def run(self, job: Job) -> None:
        from modelwright_plugins.artifacts.documents import read, split

        learner: Learner = job.parts["tokenizer"]
        documents = job.take(Documents)
        aside = split(documents)
        held_out = frozenset(aside["held_out"])
        folder = job.make(Tokenizer).path
        folder.mkdir()
        with progress("learn tokens", aside["bytes"]["train"], "B") as bar:

            def texts() -> Iterator[str]:
                for document in read(documents):
                    if document["metadata"]["group"] not in held_out:
                        yield document["text"]
                        bar.update(len(document["text"].encode()))
                bar.set_postfix_str("merging")

            learner.train(texts(), folder)
            bar.set_postfix_str("")
