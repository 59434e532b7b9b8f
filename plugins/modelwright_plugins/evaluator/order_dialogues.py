"""Whether an assistant asks the right question, in ordering dialogues that it was not trained on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from modelwright_plugins.evaluator import Evaluator, Score

if TYPE_CHECKING:
    from modelwright_plugins.evaluator._order_judged import Asked
    from modelwright_plugins.evaluator.model import Model

TO_READ = 10  # whole dialogues


@dataclass(frozen=True, kw_only=True)
class OrderDialogues(Evaluator):
    """Ordering dialogues with pairs of values, phrases or names that `source=order_dialogues` holds out; two turns of each.

    correctness: where something is missing, the reply asks for all of that and for nothing else; appropriateness: there it asks for
    nothing that was given, and at the last turn, where nothing is missing, it confirms; exact_confirmation: it confirms the order to the
    letter. All three count dialogues, with Wilson's interval. What came before each turn is the dialogue's, whatever the model had said.
    BLEU, ROUGE-L, METEOR and perplexity are of the same replies. `replies.jsonl` has all of them, `dialogues.txt` ten to read.
    """

    dialogues: int = 500  # of each part
    draw: int = 1  # which dialogues they are
    similarity: bool = True  # BLEU, ROUGE-L and METEOR too
    perplexity: bool = True  # of the right replies too

    def __post_init__(self) -> None:
        if self.dialogues < 1:
            raise ValueError(f"dialogues is {self.dialogues}; it is 1 or more")

    @property
    def draws(self) -> bool:
        return True

    def evaluate(self, model: Model, out: Path, *, seed: int) -> list[Score]:
        from modelwright_plugins.evaluator import text_metrics
        from modelwright_plugins.evaluator._order_judged import drawn, every_turn, hits, judged, verdict
        from modelwright_plugins.evaluator.interval import proportion
        from modelwright_plugins.source._order_grammar import PARTS

        parts = [part for part in PARTS if part != "train"]
        dialogues = {part: drawn(part, self.dialogues, self.draw) for part in parts}
        asked = {part: judged(some) for part, some in dialogues.items()}
        shown = [every_turn(*dialogues[parts[place % len(parts)]][place // len(parts)]) for place in range(min(TO_READ, self.dialogues))]
        every = [one for some in (*asked.values(), *shown) for one in some]
        replies = iter(model.reply([one.messages for one in every]))
        scores, all_asked, all_replies = list[Score](), list["Asked"](), list[str]()
        for part, some in asked.items():
            said = [next(replies) for _ in some]
            found = hits([verdict(one, reply) for one, reply in zip(some, said, strict=True)])
            scores += [proportion(f"{part}/{name}", list(each)) for name, each in vars(found).items()]
            all_asked += some
            all_replies += said
        if model.first:
            _write(out, all_asked, all_replies)
            (out / "dialogues.txt").write_text("\n\n".join(_told(some, [next(replies) for _ in some]) for some in shown) + "\n", "utf-8")
        references = [one.reference for one in all_asked]
        if self.similarity:
            scores += [
                text_metrics.METRICS[name](all_replies, references, _dialogue_of_each(all_asked)) for name in ("bleu", "rouge_l", "meteor")
            ]
        return scores + ([_perplexity(model, all_asked)] if self.perplexity else [])


def _write(out: Path, asked: list[Asked], replies: list[str]) -> None:
    import json

    from modelwright_plugins.evaluator._order_judged import verdict

    with (out / "replies.jsonl").open("w", encoding="utf-8") as file:
        for one, reply in zip(asked, replies, strict=True):
            facts = {"part": one.part, "dialogue": one.number, "messages": one.messages, "missing": one.missing, "order": one.order}
            line = facts | {"reply": reply, "reference": one.reference, **vars(verdict(one, reply))}
            file.write(json.dumps(line, ensure_ascii=False) + "\n")


def _told(asked: list[Asked], replies: list[str]) -> str:
    """A dialogue as people read it; a wrong reply is followed by the right one, which the customer goes on from."""
    from modelwright_plugins.evaluator._order_judged import verdict

    lines = [f"[held-out {asked[0].part}]"]
    for one, reply in zip(asked, replies, strict=True):
        lines += [f"Customer:  {one.messages[-1]['content']}", f"Assistant: {reply}"]
        if not verdict(one, reply).exact:
            lines.append(f"    wrong; right would be: {one.reference}")
    return "\n".join(lines)


def _perplexity(model: Model, asked: list[Asked]) -> Score:
    """Of the right replies and the tokens that end them, each after what came before it."""
    import math

    from modelwright.errors import ModelwrightError
    from modelwright_plugins.evaluator.interval import bootstrap

    whole = [{"messages": [*one.messages, {"role": "assistant", "content": one.reference}]} for one in asked]
    rows, begins = [], []
    for chat in model.chat.encode(whole):
        if isinstance(chat, ModelwrightError):
            raise chat
        reply = chat.within(*chat.turns[-1])
        rows.append(chat.tokens[: reply.stop].tolist())
        begins.append(reply.start)
    table = [[nats[begin - 1 :].sum(), len(nats) - begin + 1] for nats, begin in zip(model.nats(rows), begins, strict=True)]
    return bootstrap("perplexity", table, lambda sums: math.exp(sums[0] / sums[1]), better="lower", groups=_dialogue_of_each(asked))


def _dialogue_of_each(asked: list[Asked]) -> list[tuple[str, int]]:
    """Of each turn, its dialogue: intervals are of dialogues."""
    return [(one.part, one.number) for one in asked]
