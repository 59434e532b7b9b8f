"""A round of replies, as it is kept in a stage's folder: what was drawn, and all that learning from it needs."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import torch
from numpy.typing import NDArray

from modelwright_plugins.aligner.on_policy import Round

Array = NDArray[Any]


@dataclass
class Replies:
    """Rows of prompt and reply, the replies to one prompt after one another. Ragged arrays are flat, row after row."""

    prompts: Array  # int64 [prompts] stored examples
    tokens: Array  # int64 [all tokens]
    lengths: Array  # int64 [rows] tokens of each
    begins: Array  # int64 [rows] where the reply begins in its row
    finished: Array  # bool [rows]
    rewards: Array  # float32 [rows] weighted sum, of scores of whole replies
    named: dict[str, Array] = field(default_factory=dict)  # by reward, float32 [rows]: what it gave, with its steps
    steps: Array | None = None  # float32 [all tokens] weighted sum of scores of parts, where they end
    old: Array | None = None  # float32 [all tokens] log-probability of each under the weights that drew it; 0: none of a reply's
    first: Array | None = None  # the same under the first weights
    values: Array | None = None  # what the value head says where each is predicted

    @classmethod
    def joined(cls, parts: list[Replies]) -> Replies:
        """Of all data ranks."""

        def both(name: str) -> Any:
            found = [getattr(part, name) for part in parts]
            if isinstance(found[0], dict):
                return {key: np.concatenate([each[key] for each in found]) for key in found[0]}
            return None if found[0] is None else np.concatenate(found)

        return cls(**{each.name: both(each.name) for each in fields(cls)})

    def row(self, row: int) -> slice:
        """Where a row's tokens are."""
        end = int(self.lengths[: row + 1].sum())
        return slice(end - int(self.lengths[row]), end)

    def padded(self, ragged: Array | None) -> torch.Tensor | None:
        """[rows, longest - 1] at the place where each token is predicted."""
        if ragged is None:
            return None
        found = np.zeros((len(self.lengths), int(self.lengths.max()) - 1), np.float32)
        for row, values in enumerate(np.split(ragged, np.cumsum(self.lengths)[:-1])):
            found[row, : len(values) - 1] = values[1:]
        return torch.from_numpy(found)

    def round(self, samples: int, most: int, coefficient: float) -> Round:
        """As an aligner takes it."""
        mask = np.concatenate([np.arange(n) >= begin for n, begin in zip(self.lengths, self.begins, strict=True)]).astype(np.float32)
        target = self.padded(mask)
        assert target is not None
        steps = self.padded(self.steps)
        more = {"old": self.padded(self.old), "first": self.padded(self.first), "values": self.padded(self.values)}
        rewards, finished = torch.from_numpy(self.rewards), torch.from_numpy(self.finished)
        steps = torch.zeros_like(target) if steps is None else steps
        return Round(samples, target, rewards, steps, finished, most, coefficient=coefficient, **more)

    def save(self, file: Path, coefficient: float) -> None:
        """Whole, or not at all."""
        arrays = {each.name: value for each in fields(self) if (value := getattr(self, each.name)) is not None and each.name != "named"}
        arrays |= {f"reward/{name}": value for name, value in self.named.items()}
        with (unfinished := file.with_name(f"{file.name}.part")).open("wb") as out:
            np.savez(out, coefficient=np.float64(coefficient), **arrays)
            out.flush()
            os.fsync(out.fileno())
        unfinished.replace(file)

    @classmethod
    def load(cls, file: Path) -> tuple[Replies, float] | None:
        """With the round's `coefficient`. None: there is no such file, or it is damaged, which is told."""
        try:
            with np.load(file, allow_pickle=False) as found:
                named = {name.removeprefix("reward/"): found[name] for name in found.files if name.startswith("reward/")}
                there = {each.name: found[each.name] for each in fields(cls) if each.name in found.files}
                return cls(**there, named=named), float(found["coefficient"])
        except FileNotFoundError:
            return None
        except (OSError, EOFError, BadZipFile, ValueError, KeyError, TypeError) as error:  # TypeError: an array is missing
            print(f"  {file} can't be read ({error.__class__.__name__}: {error}); its replies are drawn again", flush=True)
            return None


def readable(drawn: Replies, texts: list[tuple[str, str]], samples: int) -> str:
    """A line of JSON each reply, for people to read: `texts` are what was asked and what was replied."""
    lines = []
    for row, (prompt, reply) in enumerate(texts):
        scores = {name: round(float(value[row]), 6) for name, value in drawn.named.items()}
        told = {"example": int(drawn.prompts[row // samples]), "prompt": prompt, "reply": reply}
        reward = float(drawn.rewards[row]) + (0.0 if drawn.steps is None else float(drawn.steps[drawn.row(row)].sum()))
        told |= {"finished": bool(drawn.finished[row]), "reward": round(reward, 6), "rewards": scores}
        lines.append(json.dumps(told, ensure_ascii=False))
    return "\n".join(lines) + "\n"
