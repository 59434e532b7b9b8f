"""What another model says of a reply."""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

from modelwright_plugins.generator.server import Server
from modelwright_plugins.reward import Asked, Reward, Score

INSTRUCTION = """Please act as an impartial judge and evaluate the quality of the response provided by an AI assistant to the user \
question displayed below. Your evaluation should consider factors such as the helpfulness, relevance, accuracy, depth, creativity, \
and level of detail of the response. Begin your evaluation by providing a short explanation. Be as objective as possible. After \
providing your explanation, please rate the response on a scale of 1 to 10 by strictly following this format: "[[rating]]", for \
example: "Rating: [[5]]".

[Question]
{prompt}

[The Start of Assistant's Answer]
{reply}
[The End of Assistant's Answer]"""
RATING = re.compile(r"\[\[\s*(\d{1,6}(?:\.\d{1,6})?)\s*\]\]")


@dataclass(frozen=True, kw_only=True)
class Judge(Reward):
    """The rating, from 0 to 1, that a model on a server gives a reply (Zheng et al. 2023, arXiv:2306.05685, figure 6).

    It is asked for [[rating]]; of several in what it says the last counts. A model that is trained on its judge's ratings learns
    what the judge likes, which may be length, confidence or flattery: read replies now and then.
    """

    server: Server  # who is asked: 'reward.judge.server={url: "http://localhost:8000/v1", model: NAME}', or these below it in a recipe
    instruction: str = INSTRUCTION  # what is asked; {prompt}, {reply} and {answer} stand for the turns before, the reply, the answer
    least: float = 1.0  # the rating that is 0
    most: float = 10.0  # the rating that is 1; ratings outside are cut
    samples: int = 1  # ratings of a reply, of which the mean is taken
    missing: float = 0.0  # for a rating that the judge did not give

    def __post_init__(self) -> None:
        super().__post_init__()
        if "{reply}" not in self.instruction:
            raise ValueError("instruction has no {reply}; the judge would not see what it judges")
        if not (-math.inf < self.least < self.most < math.inf):
            raise ValueError(f"most is {self.most}; it is more than `least`, {self.least}")
        if self.samples < 1:
            raise ValueError(f"samples is {self.samples}; it is 1 or more")
        if not math.isfinite(self.missing):
            raise ValueError(f"missing is {self.missing}; it is a finite number")

    def scores(self, asked: Sequence[Asked]) -> list[Score]:
        """ServerError, in one line: the judge can't be reached."""
        texts = [self._text(each) for each in asked]
        seeds = [zlib.crc32(text.encode("utf-8", "replace")) for text in texts]  # a reply's own, wherever it stands
        said = self.server.replies([[{"role": "user", "content": text}] for text in texts], self.samples, seed=seeds)
        return [sum(map(self._rating, each)) / self.samples for each in said]

    def _text(self, asked: Asked) -> str:
        only = len(asked.prompt) == 1
        turns = "\n\n".join(each["content"] if only else f"{each['role']}: {each['content']}" for each in asked.prompt)
        parts = {"{prompt}": turns, "{reply}": asked.reply, "{answer}": asked.answer or ""}
        return re.sub(r"\{(?:prompt|reply|answer)\}", lambda match: parts[match.group()], self.instruction)

    def _rating(self, text: str) -> float:
        found = RATING.findall(text)
        if not found:
            return self.missing
        return (min(self.most, max(self.least, float(found[-1]))) - self.least) / (self.most - self.least)
