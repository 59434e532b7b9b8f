"""At which tokens steps are scored, errors of rewards, and rounds that are damaged."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from modelwright.errors import ModelwrightError
from modelwright_plugins.engine import rollout_scores
from modelwright_plugins.engine.drawn_replies import Replies
from modelwright_plugins.engine.rollout_scores import Scores, at_tokens
from modelwright_plugins.reward import Asked, Reward, Score
from modelwright_plugins.tokenizer.bpe import ByteLevelBPE
from modelwright_plugins.tokenizer.encoder import Encoder


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    folder = tmp_path_factory.mktemp("bytes")
    ByteLevelBPE(vocab_size=259).train(iter(["x"]), folder)
    return Encoder(folder)


@pytest.mark.parametrize("text", ["Yes.\nNo.", "甲。\n乙。", "é 🙂\n🙂🙃"])
def test_a_step_ends_with_the_last_byte_of_its_last_character(text: str, encoder: Encoder) -> None:
    """A token a byte: how many bytes come before is counted without the tokenizer."""
    ends = [text.index("\n"), len(text)]
    said = f"  {text}\n\n"
    before = len(said.encode()) - len(said.lstrip().encode())
    expected = [(before + len(text[:end].encode()) - 1, float(end)) for end in ends]
    assert at_tokens([(end, float(end)) for end in ends], encoder.encode(said), text, encoder) == expected


@dataclass(frozen=True, kw_only=True)
class Refuses(Reward):
    """A reward whose server says no, or that can't be opened."""

    opens: bool = True

    def scores(self, asked: Sequence[Asked]) -> list[Score]:
        raise ModelwrightError("the server says no")

    @contextmanager
    def opened(self, how: Mapping[str, Any]) -> Iterator[Callable[[Sequence[Asked]], list[Score]]]:
        if not self.opens:
            raise ModelwrightError("it can't be opened")
        yield self.scores


def test_a_rewards_error_is_told_so_that_other_ranks_need_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rollout_scores, "leads", lambda: True)
    for opens, said in ((True, "the server says no"), (False, "it can't be opened")):
        assert Scores({"it": Refuses(opens=opens)}, {}).of([Asked([], "x")]) == ({}, [], said)


def test_a_damaged_round_is_drawn_again_and_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    numbers = np.arange(2)
    round_ = Replies(numbers[:1], np.arange(6), numbers + 3, numbers, numbers > 0, numbers.astype(np.float32))
    round_.save(file := tmp_path / "1.npz", 0.5)
    found = Replies.load(file)
    assert found is not None and found[1] == 0.5 and found[0].tokens.tolist() == [*range(6)]
    assert Replies.load(tmp_path / "2.npz") is None
    assert capsys.readouterr().out == ""
    whole = file.read_bytes()
    with file.open("wb") as out:
        np.savez(out, coefficient=np.float64(1))
    fewer = file.read_bytes()
    for damaged in (b"", whole[: len(whole) // 2], b"no zip", fewer):
        file.write_bytes(damaged)
        assert Replies.load(file) is None
        assert "1.npz can't be read" in capsys.readouterr().out
