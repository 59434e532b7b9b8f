"""The scaling ladder: its rungs differ in size alone, it sweeps without -m, and what it leaves can be fitted."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys

import pytest

from modelwright.compose import composed, install
from modelwright_plugins.catalogue import presets
from modelwright_plugins.scaling.sweep import read_runs

RUNGS = [name for name in presets("architecture") if name.startswith("ladder_")]


def test_the_rungs_differ_in_size_alone():
    found = [composed(["recipe=scaling/ladder", f"architecture={name}"])["architecture"] for name in RUNGS]
    assert len(found) == 5 and len({rung["layers"] for rung in found}) == 5
    for rung in found:
        assert rung["width"] == 24 * rung["layers"] and rung["heads"] == rung["layers"]
        assert 8 * rung["width"] % 96 == 0  # so that 8/3 of the width needs no rounding to a multiple of 32
        assert {k: v for k, v in rung.items() if k not in {"layers", "width", "heads"}} == {
            k: v for k, v in found[0].items() if k not in {"layers", "width", "heads"}
        }


def test_each_rung_says_how_many_parameters_it_has():
    for name in RUNGS:
        rung = composed(["recipe=scaling/ladder", f"architecture={name}"])["architecture"]
        layers, w = rung["layers"], rung["width"]
        norms = (
            layers * (2 * w + 2 * w // rung["heads"]) + w
        )  # before attention and feed-forward; of queries and keys of a head; at the end
        blocks = layers * 12 * w * w + norms
        text = presets("architecture")[name].read_text()
        assert f"{blocks + 8192 * w:,} parameters" in text and f"{blocks:,} without embeddings" in text


def test_the_recipe_sweeps_by_itself_over_at_least_three_sizes_and_three_lengths():
    from hydra import compose, initialize_config_module

    install()
    with initialize_config_module("modelwright.conf", version_base="1.3"):
        hydra = compose("config", ["recipe=scaling/ladder"], return_hydra_config=True).hydra
    swept = {key: str(values).split(",") for key, values in hydra.sweeper.params.items()}
    assert hydra.mode.name == "MULTIRUN" and set(swept) == {"architecture", "train.steps"}
    assert all(len(values) >= 3 for values in swept.values())
    for name, steps in itertools.product(*swept.values()):
        job = composed(["recipe=scaling/ladder", f"architecture={name}", f"train.steps={steps}"])
        assert job["schedule"]["name"] == "cosine" and job["stages"][-1] == "evaluate"


@pytest.mark.slow
def test_two_rungs_run_share_their_data_and_are_read(tmp_path):
    words = ["run", "recipe=scaling/ladder", "architecture=ladder_xs", "train.steps=2,3", "run.dir=sweep"]
    words += ["source.max_bytes=3_000_000", "curate.min_bytes=0"]
    env = {**os.environ, "MODELWRIGHT_CACHE": str(tmp_path / "cache")}
    done = subprocess.run([sys.executable, "-m", "modelwright", *words], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-2000:]
    second = json.loads((tmp_path / "sweep" / "1" / "manifest.json").read_text())["stages"]
    assert all("reused_from" in second[stage] for stage in ("curate", "train_tokenizer", "tokenize"))
    o = read_runs([tmp_path / "sweep"], embeddings=True)
    assert o.tokens.tolist() == [2 * 2048, 3 * 2048] and o.parameters.tolist() == [448_848, 448_848] and not o.quarantined
    assert 8.0 < o.loss[1] < o.loss[0] < 9.2  # log 8192 is 9.01
