"""What a checkpoint that was trained further brings along from before: its pretraining, and the chat template it was aligned with.

Beside its `model.json` stand `pretrained.json` (which text of the shards the weights saw before) and `chat_template.jinja`."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from modelwright.errors import ModelwrightError
from modelwright_plugins.engine import adapted, checkpoint
from modelwright_plugins.engine.card import ModelCard
from modelwright_plugins.engine.safe_load import SafeCommonLoad
from modelwright_plugins.evaluator.shards import Seen

FILE, TEMPLATE = "pretrained.json", "chat_template.jinja"


@dataclass(frozen=True)
class Pretrained:
    """What the weights saw before they were trained further."""

    seen: Seen
    tokens: int  # targets trained on, epochs counted

    @classmethod
    def read(cls, folder: Path) -> Pretrained | None:
        """None: the checkpoint is pretraining's own (or an alignment's that did not keep it)."""
        try:
            told = json.loads((folder / FILE).read_text(encoding="utf-8"))
            ranges = tuple((int(first), int(count)) for first, count in told["skipped"])
            drawn = None if told["drawn"] is None else int(told["drawn"])
            spans = tuple(int(length) for length in told["spans"])
            return cls(Seen(int(told["seed"]), spans, drawn, ranges, int(told["length"])), int(told["tokens"]))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as e:
            raise ModelwrightError(f"{folder / FILE} does not say what a model saw in pretraining ({type(e).__name__})") from e

    def write(self, folder: Path) -> None:
        told = {**asdict(self.seen), "tokens": self.tokens}
        (folder / FILE).write_text(json.dumps(told, indent=1), encoding="utf-8")


def seen_of(card: ModelCard, progress: Mapping[str, Any]) -> Seen:
    """What a pretraining's model saw, by its card and what its checkpoint tells of it."""
    skipped = tuple((each["first"], each["sequences"]) for each in progress.get("skipped", ()))
    return Seen(card.seed, card.spans or (card.sequence_length + 1,), progress.get("drawn"), skipped, card.sequence_length)


def carry_on(base: Path, card: ModelCard, folder: Path, *, template: str | None = None) -> None:
    """Put into the checkpoint folder `folder` what `base`, whose card this is, brings along; `template`: the chat template it is trained
    with now, None: that of `base`, where it has one."""
    known = Pretrained.read(base)
    further = (base / adapted.FILE).is_file()  # trained further, and nothing is told of before
    if known is None and not further and (step := _named(base)) is not None:
        progress = SafeCommonLoad().load_common(checkpoint.step_folder(base, step)).get("progress", {})
        if "drawn" in progress:  # older checkpoints don't say it
            known = Pretrained(seen_of(card, progress), int(progress["trained"]) * card.sequence_length)
    if known is not None:
        known.write(folder)
    carry_template(base, folder, template)


def carry_template(base: Path, folder: Path, template: str | None = None) -> None:
    """Put this chat template into the checkpoint folder `folder`, or else that of `base`, where it has one."""
    if template is not None:
        (folder / TEMPLATE).write_text(template, encoding="utf-8")
    elif (base / TEMPLATE).is_file():
        shutil.copyfile(base / TEMPLATE, folder / TEMPLATE)


def _named(base: Path) -> int | None:
    """The step that a checkpoint folder names as its last whole one. `checkpoint.latest` is for all ranks together, and one alone asks."""
    try:
        return int(json.loads((base / "latest.json").read_text(encoding="utf-8"))["step"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def template_of(folder: Path) -> str | None:
    """The chat template (Jinja) that a checkpoint was aligned with."""
    return (folder / TEMPLATE).read_text(encoding="utf-8") if (folder / TEMPLATE).is_file() else None
