"""Whether an assistant asks for what it lacks, in held-out schema-guided dialogues."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelwright.errors import ModelwrightError
from modelwright_plugins.evaluator import Evaluator, Score

if TYPE_CHECKING:
    from modelwright_plugins.evaluator.model import Model

TO_READ = 10  # whole dialogues


@dataclass(frozen=True, kw_only=True)
class SGDDialogues(Evaluator):
    """Dialogues of Schema-Guided Dialogue that `source=sgd_dialogues` holds out: a reply's acts beside those of the system.

    correctness: of turns where the system requests slots, those where the reply requests just these; appropriateness: of all turns,
    those where the reply requests where the system does, confirms where it does, nowhere else, and requests nothing that the user has
    said; exact_confirmation: of turns where the system confirms values by their letters, those where the reply confirms just these slots
    and says their values. What came before each turn is the dialogue's. BLEU, ROUGE-L and METEOR are of the same replies.
    `replies.jsonl` has all of them, `dialogues.txt` ten dialogues to read.
    """

    path: Path  # as of the source
    turns: int | None = None  # at most so many are judged, the first; None: all
    similarity: bool = True  # BLEU, ROUGE-L and METEOR too

    def __post_init__(self) -> None:
        if self.turns is not None and self.turns < 1:
            raise ValueError(f"turns is {self.turns}; it is 1 or more, or null")

    def fingerprint(self) -> str:
        """Of the dialogues, as their source tells it; "" where there are none."""
        from modelwright_plugins.source.sgd_dialogues import SGDDialogues as Source

        try:
            return Source(path=self.path, part="held_out").fingerprint()
        except ModelwrightError:
            return ""

    def problems(self) -> list[str]:
        from modelwright_plugins.evaluator._sgd_judged import turns

        try:
            turns(self.path, 1)
        except ModelwrightError as e:
            return [str(e)]
        return []

    @property
    def draws(self) -> bool:
        return True

    def evaluate(self, model: Model, out: Path, *, seed: int) -> list[Score]:
        from modelwright_plugins.evaluator import text_metrics
        from modelwright_plugins.evaluator._sgd_judged import judged, scores, turns, write

        asked = turns(self.path, self.turns)
        replies = model.reply([turn.messages for turn in asked])
        verdicts = [judged(turn, reply) for turn, reply in zip(asked, replies, strict=True)]
        if model.first:
            write(out, asked, replies, verdicts, TO_READ)
        found = scores(asked, verdicts)
        references: Any = [turn.reference for turn in asked]
        return found + [
            text_metrics.METRICS[name](replies, references, [turn.dialogue for turn in asked])
            for name in ("bleu", "rouge_l", "meteor")
            if self.similarity
        ]
