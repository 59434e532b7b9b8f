"""`modelwright` as the pages' tests call it: the command of a page, on a little of the data and with few steps."""

from __future__ import annotations

import re
import sys

from modelwright.cli import main


def small(words: list[str]) -> list[str]:
    """The words of a command, cut down: `train.steps=100,200` is `train.steps=2,4`."""
    if words[:2] == ["scaling", "fit"]:
        return [*words, "--bootstrap", "20"]  # of two, the last counts
    if words[:1] != ["run"]:
        return words
    given = {word.partition("=")[0]: word.partition("=")[2] for word in words}
    recipe, added = given.get("recipe", ""), ["evaluate.prompts=[]"]
    if "source" not in given and not recipe.endswith(".yaml") and not recipe.startswith("curate/"):
        added += ["source.max_bytes=1_500_000", "curate.min_bytes=0"]
    if recipe.startswith("scaling/"):
        given = {"architecture": "ladder_xs,ladder_s,ladder_m", "train.steps": "1,1,1"} | given
        added += [f"architecture={given['architecture']}"]
    steps = ",".join(str(2 << number) for number, _ in enumerate(given.get("train.steps", "").split(",")))
    replaced = tuple(f"{word.partition('=')[0]}=" for word in ["train.steps=", *added])
    kept = [word for word in words if not word.startswith(replaced)]
    return [*(re.sub(r"^(hydra\.sweeper\.n_trials)=\d+", r"\1=2", word) for word in kept), f"train.steps={steps}", *added]


if __name__ == "__main__":  # workers of a pool import this file
    sys.argv[1:] = small(sys.argv[1:])
    main()
