"""`modelwright chat`: talk to a run's model."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelwright.assemble import assemble, made
from modelwright.component import Command
from modelwright.errors import ModelwrightError, nearest
from modelwright.hooks import discover
from modelwright.run import read_config
from modelwright_plugins.pipeline.phases import RECORD as PIPELINE

if TYPE_CHECKING:
    from modelwright_plugins.generator import Generator

OPTIONS: dict[str, Callable[[str], int | float]] = {"--temperature": float, "--max-new-tokens": int, "--seed": int}


@dataclass(frozen=True, kw_only=True)
class Chat(Command):
    """Talk to the newest model of a run, or of a pipeline: modelwright chat RUN.

      modelwright chat runs/dialogue/order-assistant/2026-11-21_10-00-00
      modelwright chat RUN --temperature 0             the likeliest token each time; or the run's own generator decides
      modelwright chat RUN --max-new-tokens 200        tokens of a reply at most
      modelwright chat RUN --seed 7                    other replies
      echo "Two large pizzas, please" | modelwright chat RUN

    Of a pipeline's folder it is the last phase whose model writes text; RUN/PHASE is any of them.
    What you type is a turn, in the run's own chat template, and the reply is printed as it comes. /reset begins anew; /system TEXT is said
    before all turns (/system alone: nothing is); a line that begins with // is a turn that begins with /. Ctrl-C ends a reply, Ctrl-D the
    talk. A model that was trained on no conversations goes on with what you type, as with the beginning of a text.
    """

    def run(self, arguments: list[str]) -> int:
        folder, options = _asked(arguments)
        checkpoint, tokenizer, parts = _of_pipeline(folder) if (folder / PIPELINE).exists() else _found(folder)
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # it ends the talk; Ctrl-C, which it is elsewhere, a reply
        for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"):
            os.environ.pop(name, None)  # one rank, also in a shell of a cluster's job
        if sys.stdin.isatty():
            print(f"loading {checkpoint} …", file=sys.stderr, flush=True)
        from modelwright_plugins.command._talk import talk

        seed = int(options.pop("seed", 0))
        return talk(checkpoint, tokenizer, _generator(parts.get("generator"), options), parts, seed=seed)


def _asked(arguments: list[str]) -> tuple[Path, dict[str, Any]]:
    words, folders, options = list(arguments), list[Path](), dict[str, Any]()
    while words:
        word = words.pop(0)
        if not word.startswith("-"):
            folders.append(Path(word))
            continue
        option, has, value = word.partition("=")
        if option not in OPTIONS:
            raise ModelwrightError(f"chat has no option {option!r}{nearest(option, OPTIONS)}")
        if not has and not words:
            raise ModelwrightError(f"{option} needs a value: {option} NUMBER")
        value = value if has else words.pop(0)
        try:
            options[option[2:].replace("-", "_")] = OPTIONS[option](value)
        except ValueError:
            raise ModelwrightError(f"{option} is {value!r}; it is a number") from None
    if (seed := options.get("seed", 0)) < 0:
        raise ModelwrightError(f"--seed is {seed}; it is 0 or more")
    if len(folders) != 1:
        raise ModelwrightError("chat with which run? modelwright chat RUN")
    return folders[0], options


def _found(folder: Path) -> tuple[Path, Path, dict[str, Any]]:
    """The newest checkpoint of a run, its tokenizer, and what the run's stages were given of each kind."""
    config = read_config(folder)
    places: dict[str, Path] = {}
    for out, artifacts in made(folder.absolute()):
        for name in artifacts:
            places.setdefault(name, out / name)
    for name in ("checkpoint", "tokenizer"):
        if name not in places:
            raise ModelwrightError(f"{folder}: no finished stage of it has made a {name}, so there is no model to talk to")
    parts: dict[str, Any] = {}
    for bound in assemble(config, discover().registry):
        parts |= bound.parts
    return places["checkpoint"], places["tokenizer"], parts


def _of_pipeline(folder: Path) -> tuple[Path, Path, dict[str, Any]]:
    """The same of the last phase whose newest model writes text: one that trained a reward model, or has made nothing yet, does not."""
    from modelwright_plugins.engine.card import ModelCard
    from modelwright_plugins.evaluator.likelihood import without_likelihood
    from modelwright_plugins.pipeline.running import read

    why = list[str]()
    for phase in reversed(read(folder)["phases"]):
        try:
            found = _found(folder / phase["name"])
            card = ModelCard.read(found[0] / "model.json", discover().registry)
        except ModelwrightError as error:
            why.append(f"{phase['name']}: {error}")
            continue
        if not (lacks := without_likelihood(card.architecture, card.head)):
            return found
        why.append(f"{phase['name']}: {lacks}")
    raise ModelwrightError("\n".join([f"{folder}: no phase of this pipeline has made a model that writes text", *why]))


def _generator(own: Generator | None, options: dict[str, Any]) -> Generator:
    """The run's, with these settings; the default where it has none, or one that asks a model elsewhere."""
    from modelwright_plugins.generator import Remote
    from modelwright_plugins.generator.sampling import Sampling

    found: Any = Sampling(max_new_tokens=256) if own is None or isinstance(own, Remote) else own
    for name in options:
        if name not in {field.name for field in fields(found)}:
            raise ModelwrightError(f"--{name.replace('_', '-')}: the run's generator {type(found).__name__} has no {name}")
    try:
        changed: Generator = replace(found, **options)
    except ValueError as error:
        raise ModelwrightError(str(error)) from error
    return changed
