"""`modelwright` as the pages' tests call it: the command of a page, on a little of the data and with few steps."""

import re
import sys

from modelwright.cli import main

words = sys.argv[1:]
given = {word.partition("=")[0]: word.partition("=")[2] for word in words}
recipe = given.get("recipe", "")
if words[:1] == ["run"]:
    if "source" not in given and not recipe.endswith(".yaml"):
        words += ["source.max_bytes=3_000_000", "curate.min_bytes=0"]
    if recipe.startswith("scaling/"):
        given = {"architecture": "ladder_xs,ladder_s", "train.steps": "1,2,3"} | given
    steps = re.sub(r"\d+", lambda match: str(1 + given["train.steps"][: match.start()].count(",")), given.get("train.steps", "2"))
    words = [word for word in words if not word.startswith("train.steps=")] + [f"train.steps={steps}", "evaluate.prompts=[]"]
    words += [f"architecture={given['architecture']}"] if recipe.startswith("scaling/") else []
    words = [re.sub(r"^(hydra\.sweeper\.n_trials)=\d+", r"\1=2", word) for word in words]
sys.argv = ["modelwright", *words]
main()
