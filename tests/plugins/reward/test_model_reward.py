"""A reward model's checkpoint scores replies: what was trained, the same in every layout, with its adapter, per reply or per step."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import reward_models
from reward_models import PROMPTS, REPLIES

from modelwright.errors import ModelwrightError
from modelwright.hooks import discover
from modelwright_plugins.adapter.lora import LoRA
from modelwright_plugins.conformance.ranks import on_ranks
from modelwright_plugins.engine.card import ModelCard
from modelwright_plugins.engine.wanted_values import completed
from modelwright_plugins.reward import Asked
from modelwright_plugins.reward.model import ModelReward, line_ends

LAYOUTS = [{}, {"tensor": 2, "pipeline": 2}, {"tensor": 2, "context": 2, "sequence": True}]


@pytest.mark.slow
def test_it_says_what_was_trained_in_every_layout(tmp_path: Path) -> None:
    on_ranks(reward_models.trained, 1, tmp_path / "ranks", groups=5, out=str(tmp_path), adapter=LoRA(rank=2))
    folders = [tmp_path / f"out{number}" / "checkpoint" for number in range(3)]
    card = ModelCard.read(folders[0] / "model.json", discover().registry)
    assert card.head == "value" and card.ending == (0,) and not card.per_step
    assert ModelCard.read(folders[2] / "model.json", discover().registry).per_step
    rows = [completed([*prompt, *reply], (0,)) for prompt, reply in zip(PROMPTS, REPLIES, strict=True)]
    assert [row[-1] for row in rows] == [0, 0, 0] and len(rows[0]) == 6
    asked = {folder: LAYOUTS if number == 0 else LAYOUTS[:1] for number, folder in enumerate(folders[:2])}
    ranks = on_ranks(
        reward_models.asked, 4, tmp_path / "asked", groups=9, asked=asked, by_hand=[*folders, tmp_path / "merged" / "checkpoint"], rows=rows
    )
    held_out = ranks[0].pop()
    margins = [a - b for a, b in zip(held_out["alone"][0::2], held_out["alone"][1::2], strict=True)]
    accuracy = sum(margin > 0 for margin in margins) / 24
    assert held_out["scores"] == [("accuracy", accuracy, 24), ("margin", pytest.approx(sum(margins) / 24, rel=1e-5), 24)]
    assert held_out["why"] == "a reward model values replies: it writes none, and gives no likelihood of text"
    alone = ranks[0][-1]
    assert len({round(values[-1], 6) for each in alone[:2] for values in each}) == 6
    for rank in ranks:
        for scores, wanted in zip(rank[:-1], [alone[0], alone[0], alone[0], alone[1]], strict=True):
            assert scores is None or scores == pytest.approx([values[-1] for values in wanted], rel=1e-5, abs=1e-6)
    for values, merged in zip(alone[1], alone[3], strict=True):
        assert merged == pytest.approx(values, rel=1e-4, abs=1e-6)
    stepwise(tmp_path, folders[2], alone[2])


def stepwise(folder: Path, checkpoint: Path, values: list[list[float]]) -> None:
    """Each token is a word of its own."""
    from tokenizers import Tokenizer, decoders, models

    made = Tokenizer(models.WordLevel({**{f"w{n} ": n for n in range(211) if n != 104}, "\n": 104}, unk_token="w0 "))
    made.decoder = decoders.Fuse()
    made.save(str(folder / "tokenizer.json"))
    reply = "w102 w103 \nw105 w106 w107 "
    asked = [Asked([], reply, tokens=[*PROMPTS[1], *REPLIES[1]], begin=2)]
    wanted = [1 / (1 + math.exp(-values[1][place])) for place in (2 + 1, 2 + 5)]
    (steps,) = ModelReward(checkpoint=checkpoint, tokenizer=folder).scores(asked)
    assert isinstance(steps, list) and [end for end, _ in steps] == line_ends(reply) == [9, 25]
    assert [chance for _, chance in steps] == pytest.approx(wanted, rel=1e-5)
    (least,) = ModelReward(checkpoint=checkpoint, tokenizer=folder, steps="least").scores(asked)
    assert least == pytest.approx(min(wanted), rel=1e-5)
    (product,) = ModelReward(checkpoint=checkpoint, tokenizer=folder, steps="product").scores(asked)
    assert product == pytest.approx(math.prod(wanted), rel=1e-5)
    with pytest.raises(ModelwrightError, match="reads steps: to find where they end"):
        ModelReward(checkpoint=checkpoint).scores(asked)
    with pytest.raises(ValueError, match="it reads 32 tokens, and a prompt and its reply have 40"):
        ModelReward(checkpoint=checkpoint, tokenizer=folder).scores([Asked([], "", tokens=[1] * 40, begin=2)])
    with pytest.raises(ValueError, match="it knows 211 tokens, and a text has token 300"):
        ModelReward(checkpoint=checkpoint, tokenizer=folder).scores([Asked([], "", tokens=[300], begin=0)])
    with pytest.raises(ModelwrightError, match="is no reward model, but one of tokens"):
        ModelReward(checkpoint=folder / "base0").scores(asked)


def test_a_finished_reply_gets_what_its_template_puts_behind_it() -> None:
    ending = (4, 5, 0)
    assert completed([9, 9, 4], ending, 1) == [9, 9, 4, 5, 0]
    assert completed([9, 9], ending, 1) == [9, 9, 4, 5, 0]
    assert completed([9, 9, 4, 5, 0], ending, 1) == [9, 9, 4, 5, 0]
    assert completed([9, 4], ending, 2) == [9, 4, 4, 5, 0]  # the prompt's end is none of the reply
    assert completed([9, 9], (), 1) == [9, 9]


def test_steps_are_lines() -> None:
    assert line_ends("one \n\n two\nthree") == [3, 10, 16]
    assert line_ends("") == line_ends(" \n") == []


def test_bad_values() -> None:
    with pytest.raises(ValueError, match="steps is most; it is each, least, product or last"):
        ModelReward(checkpoint=Path("x"), steps="most")  # type: ignore[arg-type]
