from __future__ import annotations

import pytest
import yaml

from modelwright.errors import ModelwrightError
from modelwright_plugins.explain import composed

pytestmark = pytest.mark.usefixtures("toy")


def test_a_recipe_gives_defaults_presets_and_its_own_settings():
    config = composed(["recipe=toy"])
    assert config["recipe"] == "toy"
    assert config["shape"] == {"name": "circle", "radius": 1.0, "center": {"x": 0, "y": 0}}
    assert config["color"] == {"red": {"name": "red", "shade": 5}, "deep": {"name": "blue", "depth": 11}}
    assert list(config["color"]) == ["red", "deep"]  # the order is the order of the pipeline
    assert config["draw"] == {"lines": 2, "fail": ""}
    assert (config["seed"], config["from"], config["stages"]) == (1234, None, ["draw", "paint"])


def test_overrides_reach_everywhere():
    config = composed(
        ["recipe=toy", "shape=square", "shape.side=2", "color=[deep,blue]", "color.blue.depth=1", "seed=7", "stages=[draw]", "draw.lines=9"]
    )
    assert config["shape"] == {"name": "square", "side": 2.0, "corners": "sharp", "sizes": [1, 2], "where": None, "tags": []}
    assert [config["color"][c]["depth"] for c in config["color"]] == [11, 1]
    assert "paint" not in config and config["draw"]["lines"] == 9 and config["seed"] == 7
    assert composed(["recipe=toy", "color=[]"]).get("color", {}) == {}


def test_a_config_goes_through_yaml_and_back():
    config = composed(["recipe=toy", "shape=square", "shape.side=1e-3"])
    assert yaml.safe_load(yaml.safe_dump(config)) == config


def test_a_recipe_of_ones_own(tmp_path, monkeypatch):
    (tmp_path / "mine.yaml").write_text("defaults: [override /shape: square]\nstages: [draw]\nshape: {side: 3}\n")
    monkeypatch.chdir(tmp_path)
    for name in ("./mine.yaml", str(tmp_path / "mine.yaml")):
        assert composed([f"recipe={name}"])["shape"]["side"] == 3.0


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ("recipe=tyo", "no recipe named 'tyo'; did you mean 'toy'?"),
        ("recipe=toy shpae=square", "override shpae=square: there is no 'shpae'; did you mean 'shape'?"),
        ("recipe=toy shape=sqare", "no shape named 'sqare'; did you mean 'square'?"),
        ("recipe=toy color=[red,bleu]", "no color named 'bleu'; did you mean 'blue'?"),
        ("recipe=toy shape.radios=2", "override shape.radios=2: there is no 'shape.radios'; did you mean 'shape.radius'?"),
        ("recipe=toy +shape.radios=2", "override +shape.radios=2: shape.radios: there is no such parameter; did you mean 'radius'?"),
        ("recipe=toy +shpae.side=2", "override +shpae.side=2: shpae: there is no such setting, kind or stage; did you mean 'shape'?"),
        ("recipe=toy ++color.red.shad=2", "override ++color.red.shad=2: color.red.shad: there is no such parameter; did you mean 'shade'?"),
        ("recipe=toy shape.radius=big", "override shape.radius=big: shape.radius: 'big' won't do; expected float"),
        ("recipe=toy shape.radius=-1", "override shape.radius=-1: shape: radius must be positive, not -1.0"),
        ("recipe=toy shape.center.x=2 shape.radius=-1", "override shape.radius=-1: shape: radius must be positive, not -1.0"),
        ("recipe=toy draw.line=2", "override draw.line=2: there is no 'draw.line'; did you mean 'draw.lines'?"),
        ("recipe=toy draw.lines=two", "override draw.lines=two: draw.lines: 'two' won't do; expected int"),
        ("recipe=toy stages=[drwa]", "stages: no stage named 'drwa'; did you mean 'draw'?"),
        ("recipe=toy sed=3", "override sed=3: there is no 'sed'; did you mean 'seed'?"),
        ("recipe=toy seed=x", "override seed=x: seed: 'x' won't do; expected int"),
        ("recipe=toy shape=square shape.side=1 shape.corners=shrap", "shape.corners: 'shrap' won't do; did you mean 'sharp'?"),
        ("recipe=toy shape=square", "shape.side: it has no default; give it a value"),
        ("recipe=toy run.dri=x", "override run.dri=x: there is no 'run.dri'; did you mean 'run.dir'?"),
        ("recipe=toy draw.lines='${nothing.here}'", "nothing.here"),
        ("recipe=toy +shape._target_=os.system", "shape._target_: there is no such parameter"),
    ],
)
def test_a_mistyped_override_is_one_line_with_the_nearest_right_thing(overrides, said):
    with pytest.raises(ModelwrightError) as caught:
        composed(overrides.split(" "))
    assert said in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("shape: {radios: 2}", "mine.yaml: shape.radios: there is no such parameter; did you mean 'radius'?"),
        ("shpae: {radius: 2}", "mine.yaml: shpae: there is no such setting, kind or stage; did you mean 'shape'?"),
        ("draw: {lines: many}", "mine.yaml: draw.lines: 'many' won't do; expected int"),
        ("stages: draw", "mine.yaml: stages: 'draw' won't do; expected list[str]"),
        ("shape: square", "mine.yaml: shape: 'square' picks no component; write shape=NAME"),
        ("color: [red]", "mine.yaml: color: a list of colors is picked as color=[a,b], not as ['red']"),
        ("defaults: [{override /shape: sqare}]", "no shape named 'sqare'; did you mean 'square'?"),
        ("shape: {radius: [1", "mine.yaml"),
    ],
)
def test_a_mistyped_recipe_names_the_file(tmp_path, body, said):
    (tmp_path / "mine.yaml").write_text(body + "\n")
    with pytest.raises(ModelwrightError) as caught:
        composed([f"recipe={tmp_path}/mine.yaml"])
    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_a_mistyped_preset_names_the_file(toy, tmp_path, monkeypatch):
    (tmp_path / "color").mkdir()
    (tmp_path / "color" / "wrong.yaml").write_text("# @package color.wrong\ndefaults: [blue@_here_]\ndeepth: 3\n")
    monkeypatch.setattr(toy.registry, "conf", [*toy.registry.conf, ("mine", f"file://{tmp_path}")])
    with pytest.raises(ModelwrightError, match=r"color/wrong.yaml: color.wrong.deepth: .*did you mean 'depth'"):
        composed(["recipe=toy", "color=[wrong]"])
