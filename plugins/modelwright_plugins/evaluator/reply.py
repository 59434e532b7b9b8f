"""What a model answers, beside what was answered."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from modelwright.errors import nearest
from modelwright_plugins.evaluator import Evaluator, Score
from modelwright_plugins.evaluator.text_metrics import METRICS

if TYPE_CHECKING:
    from modelwright_plugins.evaluator.model import Model


@dataclass(frozen=True, kw_only=True)
class Reply(Evaluator):
    """The last reply of held-out conversations, drawn by the model and compared with what stands there; its perplexity.

    BLEU (Papineni et al. 2002) as sacreBLEU counts it, ROUGE-1, -2 and -L (Lin 2004) as rouge-score does, METEOR (Banerjee & Lavie
    2005) as nltk does, exact match and token F1 as SQuAD normalises (Rajpurkar et al. 2016). Of a preference the chosen reply is the
    reference, of a ranking the best. `replies.jsonl` has messages, the turns
    before, reply and reference of each; of examples that an earlier Modelwright prepared, text, the prompt as the model sees it.
    """

    needs: ClassVar[tuple[str, ...]] = ("conversation", "preference", "ranking")

    replies: int | None = 200  # of the conversations held out, the first so many; None: all
    metrics: list[str] = field(default_factory=lambda: [*METRICS])  # bleu, rouge_1, rouge_2, rouge_l, meteor, exact_match, f1
    perplexity: bool = True  # of the reference replies, given what comes before each

    def __post_init__(self) -> None:
        if self.replies is not None and self.replies < 1:
            raise ValueError(f"replies is {self.replies}; it is 1 or more, or null")
        if unknown := [name for name in self.metrics if name not in METRICS]:
            raise ValueError(f"metrics is {self.metrics}; there is no {unknown[0]}{nearest(unknown[0], METRICS)}")

    @property
    def draws(self) -> bool:
        return True

    def evaluate(self, model: Model, out: Path, *, seed: int) -> list[Score]:
        import json

        from modelwright.errors import ModelwrightError
        from modelwright_plugins.evaluator.rows import last_reply, refuse_longer

        examples = model.examples
        assert examples is not None
        wanted = min(len(examples), self.replies or len(examples))
        rows: list[int] = []
        lines: dict[int, Any] = {}
        begins: list[int] = []
        for example, line in enumerate(examples.lines()):
            row = examples.rows_of(example)[0]
            if len(rows) < wanted and (begin := last_reply(examples, row)) is not None:
                rows.append(row)
                lines[row] = line
                begins.append(begin)
        if not rows:
            raise ModelwrightError(f"{examples.folder}: no held-out example ends in a reply that is a target")
        if self.perplexity:
            refuse_longer(model, rows, model.length + 1)
        said = [examples.row(row)[0].tolist() for row in rows]
        prompts = [tokens[:begin] for tokens, begin in zip(said, begins, strict=True)]
        references = [model.turn_end.cut(model.encoder.decode(tokens[begin:])) for tokens, begin in zip(said, begins, strict=True)]
        replies = model.replies(prompts)
        if model.first:
            with (out / "replies.jsonl").open("w", encoding="utf-8") as file:
                for row, prompt, reply, reference in zip(rows, prompts, replies, references, strict=True):
                    line = {name: lines[row][name] for name in ("messages", "tools") if name in lines[row]}
                    line = (line or {"text": model.encoder.decode(prompt)}) | {"reply": reply, "reference": reference}
                    file.write(json.dumps(line, ensure_ascii=False) + "\n")
        found = [METRICS[name](replies, references) for name in self.metrics]
        return found + ([self._perplexity(model, said, begins)] if self.perplexity else [])

    def _perplexity(self, model: Model, rows: list[list[int]], begins: list[int]) -> Score:
        import math

        from modelwright_plugins.evaluator.interval import bootstrap

        table: list[Any] = []
        for nats, begin in zip(model.nats(rows), begins, strict=True):
            table.append([nats[begin - 1 :].sum(), len(nats) - begin + 1])
        return bootstrap("perplexity", table, lambda sums: math.exp(sums[0] / sums[1]), better="lower")
