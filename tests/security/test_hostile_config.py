"""A recipe, a preset, a command line's names and a run's folder may come from a stranger: none of them gets code run."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from conftest import TOY

pytestmark = pytest.mark.slow

PLAIN_HYDRA = """
import subprocess, sys, hydra
sys.argv[1:] = ["-m"] if sys.argv[3] == "multirun" else []
folder, name = sys.orig_argv[-3:-1]
hydra.main(version_base="1.3", config_path=folder, config_name=name)(lambda cfg: subprocess.run([sys.executable, "-c", ""]))()
"""
TOUCH = "{_target_: io.open, file: CANARY, mode: w}"
OF_HYDRA = {  # what a recipe says of Hydra
    "callbacks": f"hydra: {{callbacks: {{x: {TOUCH}}}}}",
    "job_logging": "hydra: {job_logging: {version: 1, formatters: {x: {'()': io.open, file: CANARY, mode: w}}}}",
    "hydra_logging": "hydra: {hydra_logging: {version: 1, formatters: {x: {'()': io.open, file: CANARY, mode: w}}}}",
    "environment": "hydra: {job: {env_set: {PYTHONPATH: HERE/site}}}",  # of each process that is started, ranks among them
    "sweep parameter": "hydra: {mode: MULTIRUN, sweeper: {params: {+hydra.job.env_set.PYTHONPATH: HERE/site}}}",
    "group as a parameter": "hydra: {mode: MULTIRUN, sweeper: {params: {hydra/job_logging: colorlog}}}",
    "launcher": f"hydra: {{mode: MULTIRUN, launcher: {{_target_: io.open, file: CANARY, mode: w}}, x: {TOUCH}}}",
    "sweeper": "hydra: {sweeper: {_target_: os.system}}",
    "target as a parameter": f"hydra: {{mode: MULTIRUN, sweeper: {{params: {TOUCH}}}}}",
    "target in a parameter": f"hydra: {{mode: MULTIRUN, sweeper: {{params: {{seed: {TOUCH}}}}}}}",
    "target in a list": f"hydra: {{mode: MULTIRUN, sweeper: {{params: {{seed: [{TOUCH}]}}}}}}",
    "program": "hydra: {launcher: {python: /tmp/evil}}",  # submitit's
    "setup": "hydra: {launcher: {setup: [touch CANARY]}}",
    "search path": "hydra: {searchpath: ['file://HERE']}",
    "folder": "hydra: {run: {dir: /tmp/elsewhere}}",
    "package": "# @package hydra.callbacks.x\n_target_: io.open\nfile: CANARY\nmode: w",
    "package of another file": "defaults: ['/recipe/./part@hydra.callbacks.x']",
    "path of a preset": "defaults: ['/optimizer/../../../../../../../../../../HERE/part@hydra.callbacks.x']",
    "path of a callback": "defaults: [override /hydra/callbacks: ../../../../../../../../../../HERE/part]",
}
REACH_HYDRA = [
    "callbacks",
    "job_logging",
    "hydra_logging",
    "environment",
    "sweep parameter",
    "target as a parameter",
]  # those that plain Hydra does
PART = "_target_: io.open\nfile: CANARY\nmode: w\n"


# Hydra itself refuses to call os.system and its like; io.open it calls


def written(folder: Path, name: str, text: str) -> Path:
    file = folder / f"{name}.yaml"
    file.write_text(text.replace("CANARY", str(folder / "canary")).replace("HERE", str(folder)) + "\n")
    return file


@pytest.fixture
def site(tmp_path: Path) -> None:
    """A folder that makes the canary when Python starts with it on its path."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(f"open({str(tmp_path / 'canary')!r}, 'w').close()\n")


def refused(answer: tuple[int, str, str], canary: Path, said: str) -> None:
    code, _, errors = answer
    assert (code, errors.count("\n")) == (2, 1) and errors.startswith("modelwright: ") and said in errors, errors
    assert not canary.exists()


@pytest.mark.parametrize("attempt", OF_HYDRA)
@pytest.mark.usefixtures("site")
def test_a_recipe_has_no_say_in_what_hydra_imports(modelwright, tmp_path, canary, attempt):
    written(tmp_path, "part", PART)
    body = OF_HYDRA[attempt]
    if attempt in REACH_HYDRA:
        written(tmp_path, "plain", body)
        how = "multirun" if "MULTIRUN" in body else "run"
        words = [sys.executable, "-c", PLAIN_HYDRA, str(tmp_path), "plain", how]
        subprocess.run(words, cwd=tmp_path, capture_output=True, timeout=60, check=False)
        assert canary.exists(), "with nothing in its way, it works"
        canary.unlink()
    written(tmp_path, "evil", f"{body}\nstages: [draw, paint]" if "@package" not in body else body)
    for words in (["plan"], ["run"], ["run", "-m"]):
        code, _, errors = modelwright(*words, "recipe=./evil.yaml", *(["shape.radius=1,2"] if "-m" in words else []))
        assert code == 2 and errors.count("\n") == 1 and "Traceback" not in errors, errors
        assert "evil.yaml" in errors or "part" in errors or "/hydra/" in errors
        assert not canary.exists()


def test_a_recipe_may_say_how_it_is_swept(modelwright, tmp_path):
    body = "stages: [draw]\nhydra: {mode: MULTIRUN, sweeper: {params: {shape.radius: '1,2'}, max_batch_size: 1}}"
    written(tmp_path, "sweep", body)
    code, said, errors = modelwright("run", "recipe=./sweep.yaml", "run.dir=out")
    assert code == 0 and len(list((tmp_path / "out").glob("*/manifest.json"))) == 2, said + errors


def test_nor_has_a_preset_of_a_plugin(modelwright, tmp_path, canary):
    plugin = tmp_path / "site" / "odd_plugin"
    (plugin / "conf" / "color").mkdir(parents=True)
    (plugin / "conf" / "__init__.py").touch()
    (plugin / "__init__.py").write_text(
        "from modelwright.hooks import hookimpl\n@hookimpl\ndef modelwright_conf():\n    return 'pkg://odd_plugin.conf'\n"
    )
    (plugin.parent / "odd-1.dist-info").mkdir()
    (plugin.parent / "odd-1.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: odd\nVersion: 1\n")
    (plugin.parent / "odd-1.dist-info" / "entry_points.txt").write_text("[modelwright]\nodd = odd_plugin\n")
    written(plugin / "conf" / "color", "odd", f"# @package _global_\n{OF_HYDRA['callbacks']}".replace("CANARY", str(canary)))
    refused(modelwright("run", "recipe=toy", "color=[odd]", python=plugin.parent), canary, "color/odd.yaml: hydra.callbacks.x")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (f"shape: {TOUCH}", "shape._target_: there is no such parameter"),
        (f"shape: {{center: {TOUCH}}}", "shape.center"),
        (f"draw: {TOUCH}", "draw._target_: there is no such parameter"),
        (f"optimizer: {TOUCH}", "optimizer._target_: there is no such parameter"),
        ("_target_: io.open\nfile: CANARY\nmode: w", "there is no such setting, kind or stage"),
        (f"seed: {TOUCH}", "seed: {'_target_': 'io.open'"),
    ],
)
def test_a_target_in_a_recipe_is_an_unknown_parameter(modelwright, tmp_path, canary, body, said):
    import hydra

    node = yaml.safe_load(body.replace("CANARY", str(canary)))
    while "_target_" not in node:
        (node,) = node.values()
    hydra.utils.instantiate(node)
    assert canary.exists(), "with nothing in its way, it works"
    canary.unlink()
    written(tmp_path, "evil", f"{body}\nstages: [draw]")
    refused(modelwright("run", "recipe=./evil.yaml"), canary, said)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["+shape._target_=os.system", "+shape.command=touch canary"], "shape._target_: there is no such parameter"),
        (["+draw._target_=os.system"], "draw._target_: there is no such parameter"),
        (["+_target_=os.system"], "_target_: there is no such setting, kind or stage"),
        (["shape=os:system"], "no shape named 'os:system'"),
        (["shape=os.system"], "no shape named 'os.system'"),
        (["stages=[os.system]"], "no stage named 'os.system'"),
        (["stages=[toy_plugin.stages:Draw]"], "no stage named"),
        (["color=[builtins:eval]"], "no color named 'builtins:eval'"),
        (["shape=../shape"], "no shape named '../shape'"),
        (["optimizer=../part"], "no optimizer named '../part'"),
        (["optimizer=../../../../../../../../../../HERE/part"], "a preset is picked by its name, not by a path"),
        (["shape.radius=${nothing:os.system}"], "nothing"),
        (["shape.radius='${oc.decode:__import__}'"], "shape.radius: '__import__' won't do; expected float"),
    ],
)
def test_names_on_the_command_line_are_registered_names(modelwright, tmp_path, canary, words, said):
    written(tmp_path, "part", f"# @package hydra.callbacks.x\n{PART}")
    command = "plan" if "${nothing" in words[0] else "run"  # Hydra prints two lines round what it can't resolve
    refused(modelwright(command, "recipe=toy", *(w.replace("HERE", str(tmp_path).strip("/")) for w in words)), canary, said)


@pytest.mark.parametrize("recipe", ["../../etc/x", "/etc/passwd", "toy/../../x", "./canary"])
def test_a_recipe_is_a_yaml_file(modelwright, canary, recipe):
    refused(modelwright("run", f"recipe={recipe}"), canary, "no recipe")


def test_the_environment_can_be_read_and_nothing_more(modelwright, tmp_path, monkeypatch):
    """`${oc.env:NAME}` is allowed, as in any Hydra config: a value, which the run's config.yaml then holds."""
    monkeypatch.setenv("WIDTH", "3")
    written(tmp_path, "mine", "stages: [draw]\nshape: {radius: '${oc.env:WIDTH}'}")
    assert modelwright("run", "recipe=./mine.yaml", "run.dir=out")[0] == 0
    assert yaml.safe_load((tmp_path / "out" / "config.yaml").read_text())["shape"]["radius"] == 3.0


TAGS = ["!!python/object/apply:os.system ['touch CANARY']", "!!python/object/new:os.system ['touch CANARY']"]


@pytest.mark.parametrize("tag", TAGS)
@pytest.mark.parametrize("place", ["recipe", "preset", "config.yaml"])
def test_a_yaml_tag_makes_no_object(modelwright, tmp_path, canary, tag, place):
    text = f"stages: {tag}".replace("CANARY", str(canary))
    yaml.unsafe_load(text)
    assert canary.exists(), "with nothing in its way, it works"
    canary.unlink()
    if place == "recipe":
        written(tmp_path, "evil", text)
        refused(modelwright("run", "recipe=./evil.yaml"), canary, "evil.yaml: not YAML: could not determine a constructor")
    elif place == "preset":
        (tmp_path / "more" / "color").mkdir(parents=True)
        written(tmp_path / "more" / "color", "evil", text)
        answer = modelwright("run", "recipe=toy", f"hydra.searchpath=[file://{tmp_path}/more]", "color=[evil]")
        refused(answer, canary, "could not determine a constructor")
    else:
        (tmp_path / "theirs").mkdir()
        (tmp_path / "theirs" / "config.yaml").write_text(text)
        (tmp_path / "theirs" / "manifest.json").write_text('{"status": "failed", "overrides": [], "stages": {}}')
        refused(modelwright("resume", "theirs"), canary, "theirs/config.yaml is damaged")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run's folder."""
    folder = tmp_path_factory.mktemp("finished")
    code = "import sys; sys.path.insert(0, sys.argv[1]); from modelwright.cli import command; command(sys.argv[2:])"
    words = ["run", "recipe=toy", "stages=[draw]", "run.dir=out", "run.reuse=false"]
    subprocess.run([sys.executable, "-c", code, str(TOY), *words], cwd=folder, check=True, capture_output=True, timeout=60)
    return folder / "out"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"stages": ["os:system"]}, "no stage named 'os:system'"),
        ({"stages": [{"_target_": "os.system"}]}, "no stage named"),
        ({"stages": {"_target_": "os.system"}}, "config.yaml is damaged: stages"),
        ({"stages": ["draw", "paint"], "paint": None}, "paint: None won't do; expected settings"),
        ({"shape": {"_target_": "os.system", "command": "touch CANARY"}}, "shape: {'_target_'"),
        ({"shape": {"name": "os:system"}}, "no shape named 'os:system'"),
        ({"shape": {"name": "circle", "_target_": "os.system"}}, "shape._target_: there is no such parameter"),
        ({"shape": ["circle"]}, "shape: ['circle'] picks no component"),
        ({"color": "red"}, "color: 'red' picks no components"),
        ({"draw": {"lines": "os.system"}}, "draw.lines: 'os.system' won't do; expected int"),
        ({"run": None}, "config.yaml is damaged: run"),
        ({"seed": "x"}, "config.yaml is damaged: seed"),
    ],
)
def test_a_strangers_run_resumes_with_registered_parts_alone(modelwright, tmp_path, canary, finished, change, said):
    shutil.copytree(finished, tmp_path / "theirs")
    config = yaml.safe_load((tmp_path / "theirs" / "config.yaml").read_text())
    (tmp_path / "theirs" / "config.yaml").write_text(yaml.safe_dump({**config, **change}).replace("CANARY", str(canary)))
    refused(modelwright("resume", "theirs"), canary, said)


@pytest.mark.parametrize("manifest", ["[]", '"x"', "{}", '{"status": 1, "overrides": [], "stages": {}}', "not JSON",
                                      '{"status": "failed", "overrides": {}, "stages": {}}',
                                      '{"status": "finished", "overrides": [], "stages": {"draw": "os.system"}}',
                                      '{"status": "finished", "overrides": [], "stages": ["os.system"]}'])  # fmt: skip
def test_a_manifest_of_the_wrong_form_is_one_line(modelwright, tmp_path, canary, finished, manifest):
    shutil.copytree(finished, tmp_path / "theirs")
    (tmp_path / "theirs" / "manifest.json").write_text(manifest)
    refused(modelwright("resume", "theirs"), canary, "theirs/manifest.json")
    refused(modelwright("run", "recipe=toy", "stages=[paint]", "from=theirs"), canary, "theirs")


def test_the_frozen_config_is_data(finished):
    assert json.loads((finished / "manifest.json").read_text())["status"] == "finished"
    assert yaml.safe_load((finished / "config.yaml").read_text())["stages"] == ["draw"]
