"""Whose replies a judge prefers."""

from __future__ import annotations

import json
import re
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelwright.errors import ModelwrightError
from modelwright_plugins.evaluator import Score
from modelwright_plugins.evaluator._of_files import OfFiles
from modelwright_plugins.generator import Remote
from modelwright_plugins.parts import built_parts

if TYPE_CHECKING:
    from modelwright_plugins.evaluator._verdicts import Judged, Replied
    from modelwright_plugins.evaluator.model import Model

MODEL = "model"  # what the model that is evaluated is called
AT_ONCE = 128  # texts that a server judges before what it said is kept
PRIOR = 1.0  # draws against an average player that each is given, so that one that won, or lost, all has a strength
INSTRUCTION = """Please act as an impartial judge and evaluate the quality of the responses provided by two AI assistants to the user \
question displayed below. You should choose the assistant that follows the user's instructions and answers the user's question \
better. Your evaluation should consider factors such as the helpfulness, relevance, accuracy, depth, creativity, and level of detail \
of their responses. Begin your evaluation by comparing the two responses and provide a short explanation. Avoid any position biases \
and ensure that the order in which the responses were presented does not influence your decision. Do not allow the length of the \
responses to influence your evaluation. Do not favor certain names of the assistants. Be as objective as possible. After providing \
your explanation, output your final verdict by strictly following this format: "[[A]]" if assistant A is better, "[[B]]" if \
assistant B is better, and "[[C]]" for a tie.

[User Question]
{prompt}

[The Start of Assistant A's Answer]
{a}
[The End of Assistant A's Answer]

[The Start of Assistant B's Answer]
{b}
[The End of Assistant B's Answer]"""


@dataclass(frozen=True, kw_only=True)
class PairwiseJudge(OfFiles):
    """Win rates and Elo of replies that a model compares, two at a time, in both orders (Zheng et al. 2023, arXiv:2306.05685).

    The judge is another model, on a server, or else the one that is evaluated. It is asked for [[A]], [[B]] or [[C]], a tie; the last
    that it says counts, and none is a tie. A reply has won where it wins in both orders, all else is a tie (section 3.4). win_rate: of
    all comparisons, ties as halves; elo: Bradley and Terry's strengths, 1000 on average, with one draw against an average player added
    for each; consistent: both have a verdict, and agree; first_twice: the reply shown first won both times; verdicts: there was
    one. Intervals are of prompts. `comparisons.jsonl` has what the judge said, `replies.jsonl` what the model replied,
    where it plays.

    A line of a file: {"prompt": text (or "messages": [{role, content}, …]), "tools"?, "reply"}, as `evaluator/reply` and others write
    `replies.jsonl`. Prompts count that all files have, and of several replies to one the first.
    """

    replies: dict[str, Path]  # who replied, and where the replies are: JSON lines
    judge: dict[str, Any] = field(default_factory=dict)  # {name: server, url: …, model: …, temperature: 0}; none: the model at hand judges
    plays: bool = False  # the model that is evaluated replies too, and is called "model"; another judges then
    instruction: str = INSTRUCTION  # what is asked; {prompt}, {a} and {b} stand for the turns before and the two replies
    prompts: int | None = None  # the first so many; null: all

    def __post_init__(self) -> None:
        if bad := [name for name in self.replies if not re.fullmatch(r"[\w.-]+", name) or (self.plays and name == MODEL)]:
            raise ValueError(f"replies are of {bad[0]!r}; a player's name is letters, digits, _, . and -, and not that of another player")
        if len(self.replies) + self.plays < 2:
            raise ValueError(f"replies are of {len(self.replies)} players; two are compared, or one with the model (plays=true)")
        if self.plays and not self.judge:
            raise ValueError("plays is true, and there is no judge: a model does not judge its own replies")
        if not all(part in self.instruction for part in ("{a}", "{b}")):
            raise ValueError("instruction lacks {a} or {b}; the judge would not see what it compares")
        if self.prompts is not None and self.prompts < 1:
            raise ValueError(f"prompts is {self.prompts}; it is 1 or more, or null")
        if self.judge:
            object.__setattr__(self, "judge", self._judge()[0])  # a frozen config says all that is asked

    def _judge(self) -> tuple[dict[str, Any], Remote]:
        settings = {"name": "server", **self.judge}
        told, built = built_parts("generator", {"judge": settings}, own=PairwiseJudge, names="pairwise_judge")
        if not isinstance(remote := built["judge"], Remote):
            raise ValueError(f"judge is {settings['name']}; it is a generator that asks a model elsewhere, such as server")
        return told["judge"], remote

    @property
    def of_weights(self) -> bool:
        return self.draws

    @property
    def draws(self) -> bool:
        return self.plays or not self.judge

    @property
    def files(self) -> tuple[Path, ...]:
        return tuple(self.replies.values())

    def read(self) -> dict[str, list[Replied]]:
        """Each player's replies to the prompts that all have. ModelwrightError: a file can't be read, or a line of it, which is named; or
        there is no such prompt."""
        from modelwright_plugins.evaluator._records import records
        from modelwright_plugins.evaluator._verdicts import Replied

        every: dict[str, dict[str, Replied]] = {}
        for name, path in self.replies.items():
            every[name] = {one.key: one for one in reversed(records(path, Replied.of, "reply"))}
        order = list(dict.fromkeys(reversed(next(iter(every.values())))))
        common = [key for key in order if all(key in own for own in every.values())][: self.prompts]
        if not common:
            raise ModelwrightError(f"{', '.join(map(str, self.replies.values()))}: there is no prompt that all of them reply to")
        return {name: [own[key] for key in common] for name, own in every.items()}

    def evaluate(self, model: Model, out: Path, *, seed: int) -> list[Score]:
        from modelwright_plugins.engine.one_rank import on_one_rank
        from modelwright_plugins.evaluator._records import write
        from modelwright_plugins.evaluator._verdicts import judged
        from modelwright_plugins.evaluator.interval import proportion
        from modelwright_plugins.evaluator.pairwise import elo, win_rates

        replied = self.read()
        shown = next(iter(replied.values()))
        players = {name: [one.reply for one in own] for name, own in replied.items()}
        if self.plays:
            tools = [next((one.tools for one in of_all if one.tools), ()) for of_all in zip(*replied.values(), strict=True)]
            players[MODEL] = model.reply([one.messages for one in shown], tools=tools)
            if model.first:  # a judge may fail, and a file of replies is what another evaluation takes
                own = zip(shown, tools, players[MODEL], strict=True)
                lines = [{"messages": one.messages, **({"tools": may} if may else {}), "reply": reply} for one, may, reply in own]
                write(out / "replies.jsonl", lines)

        def ask(texts: list[str]) -> list[str]:
            if not self.judge:
                return model.reply([_asked(text) for text in texts])
            return on_one_rank(lambda: self._said(texts, out / "judge.jsonl"))

        found = judged(players, [one.prompt for one in shown], self.instruction, ask)
        if model.first:
            _write(out, found, shown, players)
            (out / "judge.jsonl").unlink(missing_ok=True)
        comparisons, prompts = [one.comparison for one in found], [one.prompt for one in found]
        orders = [verdict for one in found for verdict in one.verdicts]
        return [
            *win_rates(comparisons, groups=prompts),
            *elo(comparisons, prior=PRIOR, groups=prompts),
            proportion("consistent", [one.consistent for one in found], groups=prompts),
            proportion("first_twice", [one.won == (1, 0) for one in found], better="lower", groups=prompts),
            proportion("verdicts", [verdict is not None for verdict in orders], groups=[p for p in prompts for _ in range(2)]),
        ]

    def _said(self, texts: list[str], kept: Path) -> list[str]:
        """What the judge, a server, says to each. So far as it came, in `kept`: what was paid for is not lost where it fails."""
        judge, found = self._judge()[1], list[str]()
        for at in range(0, len(texts), AT_ONCE):
            some = texts[at : at + AT_ONCE]
            seeds = [zlib.crc32(text.encode("utf-8", "replace")) for text in some]  # a comparison's own, wherever it stands
            said = [one.text for one in judge.said([{"messages": _asked(text)} for text in some], seeds=seeds)]
            found += said
            with kept.open("a", encoding="utf-8") as file:
                for text, reply in zip(some, said, strict=True):
                    file.write(json.dumps({"asked": text, "said": reply}, ensure_ascii=False) + "\n")
        return found


def _asked(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


def _write(out: Path, found: list[Judged], shown: list[Replied], players: dict[str, list[str]]) -> None:
    from modelwright_plugins.evaluator._records import write

    lines = []
    for one in found:
        line = {"prompt": shown[one.prompt].prompt, "first": one.first, "second": one.second, "score": one.comparison.score}
        lines.append(line | {"replies": [players[name][one.prompt] for name in (one.first, one.second)], "said": one.said})
    write(out / "comparisons.jsonl", lines)
