from __future__ import annotations

import base64
import hashlib
import math
import random
import re
import sys
import time
from pathlib import Path
from xml.etree import ElementTree

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from sweeps import ADAMW, MUON, big_sweep, config, losses, write_run
from test_page import Reader

from modelwright_plugins.report.compare import page
from modelwright_plugins.report.comparison import Comparison, Objective, compared, pareto
from modelwright_plugins.report.overlay import _short, apart, ceiling, thinned
from modelwright_plugins.report.runs import Ran, folders, read, swept
from modelwright_plugins.report.scale import scale

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = "\"><script>alert(1)</script><img src=x onerror=alert(2)>'{{ 7*7 }}$x_1$&amp;"


def comparison(folder: Path, objectives: list[Objective] | None = None) -> Comparison:
    return compared(read(folders([folder])), objectives, swept(folder), folder)


@pytest.fixture(scope="module")
def big(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    return comparison(big_sweep(tmp_path_factory.mktemp("sweep") / "big"))


@pytest.fixture(scope="module")
def text(big: Comparison) -> str:
    return page(big)


def svgs(text: str) -> dict[str, ElementTree.Element]:
    """Every figure, by the first words of what it says it shows."""
    found = [ElementTree.fromstring(svg) for svg in re.findall(r"<svg.*?</svg>", text, re.DOTALL)]
    return {(svg.get("aria-label") or "").split(" of ")[0]: svg for svg in found}


def groups(svg: ElementTree.Element) -> dict[int, ElementTree.Element]:
    return {int(group.get("data-run") or -1): group for group in svg.iter(f"{SVG}g") if group.get("data-run")}


def spot(group: ElementTree.Element) -> tuple[float, float]:
    use = next(group.iter(f"{SVG}use"))
    return float(use.get("x") or 0), float(use.get("y") or 0)


def test_a_hundred_runs_are_one_file_of_moderate_size_made_in_seconds(big: Comparison) -> None:
    began = time.monotonic()
    assert len(page(big).encode()) < 2_000_000
    assert time.monotonic() - began < 10


def test_every_run_is_in_every_figure_by_its_place_in_the_table(big: Comparison, text: str) -> None:
    rows = [attributes for tag, attributes in Reader(text).tags if tag == "tr" and "data-run" in attributes]
    assert [row["data-run"] for row in rows] == [str(place) for place in range(100)]
    bits = [run.metrics["evaluate.bits_per_byte"] for run in big.measured]
    assert len(bits) == 84 and bits == sorted(bits)
    figures = svgs(text)
    assert set(groups(figures["Training loss"])) == set(groups(figures["Parallel coordinates"])) == set(range(100))
    assert set(groups(figures["evaluate.bits_per_byte over optimizer.lr"])) == set(range(84))


def test_dots_stand_where_the_numbers_say(big: Comparison, text: str) -> None:
    """From the figure's own coordinates back to the settings: log10 of the learning rate is linear in x, the metric in y."""
    dots = {place: spot(group) for place, group in groups(svgs(text)["evaluate.bits_per_byte over optimizer.lr"]).items()}
    points = [
        (math.log10(big.runs[n].settings["optimizer.lr"]), big.runs[n].metrics["evaluate.bits_per_byte"], *dots[n]) for n in range(84)
    ]
    low, high = min(points), max(points)
    best, worst = points[0], points[83]
    for lr, bits, x, y in points:
        assert x == pytest.approx(low[2] + (high[2] - low[2]) * (lr - low[0]) / (high[0] - low[0]), abs=0.01)
        assert y == pytest.approx(best[3] + (worst[3] - best[3]) * (bits - best[1]) / (worst[1] - best[1]), abs=0.01)
    assert high[2] > low[2] and best[3] > worst[3]  # more is to the right, and up (an SVG counts down)


def test_the_best_is_greenest_and_thickest_and_drawn_last(text: str) -> None:
    curves = svgs(text)["Training loss"]
    style = {run: next(group.iter(f"{SVG}path")).get("style") or "" for run, group in groups(curves).items()}
    assert "var(--level-0)" in style[0] and "var(--level-7)" in style[83] and "var(--baseline)" in style[99]
    width = {run: float(re.search(r"stroke-width: ([\d.]+)", told)[1]) for run, told in style.items()}  # type: ignore[index]
    assert width[0] > 2 * max(width[run] for run in range(1, 100))
    assert list(groups(curves))[-1] == 0
    assert "dash" in style[99] and "dash" not in style[1]


def test_what_runs_say_stays_text_and_only_the_pages_own_script_may_run(tmp_path: Path) -> None:
    for name, lr in (("a", 1e-3), ("b", 2e-3), ("c", 4e-3)):
        mean = config(optimizer={"name": HOSTILE + name, "lr": lr, HOSTILE: 1, f"only-{name}": HOSTILE}, note=HOSTILE * (name != "c"))
        write_run(tmp_path / "s" / (name + "<b>"), mean, results={"evaluate": {"loss": lr, HOSTILE: 3.0}}, overrides=[HOSTILE + name])
    write_run(tmp_path / "s" / "d", None, status="failed", error=HOSTILE, overrides=[f"note={HOSTILE}"])
    text = page(comparison(tmp_path / "s"))
    seen = Reader(text)
    assert [tag for tag, _ in seen.tags].count("script") == 1
    assert not {tag for tag, _ in seen.tags} & {"img", "iframe", "object", "embed", "link", "form", "base"}
    assert not [name for _, attributes in seen.tags for name in attributes if name.startswith("on")]
    (script,) = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    policy = next(attributes["content"] for tag, attributes in seen.tags if tag == "meta" and "http-equiv" in attributes)
    assert f"script-src 'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'" in (policy or "")
    assert "default-src 'none'" in (policy or "")
    said = "".join(seen.text)
    assert said.count("<script>alert(1)</script>") > 10 and "{{ 7*7 }}" in said and "$x_1$" in said
    for tag, attributes in seen.tags:
        for name in ("src", "href", "xlink:href", "srcset", "action", "data"):
            assert (attributes.get(name) or "#").startswith("#"), (tag, attributes)


def test_ids_are_unique_and_every_reference_has_its_target(text: str) -> None:
    ids = [attributes["id"] for _, attributes in Reader(text).tags if "id" in attributes]
    assert len(ids) == len(set(ids)) > 50
    assert set(re.findall(r'(?:url\(|href=")#([^")]+)', text)) <= set(ids)


def test_settings_of_one_component_only_are_on_the_page_with_their_runs(tmp_path: Path) -> None:
    write_run(tmp_path / "s" / "0", config(optimizer=ADAMW), results={"train": {"loss": 3.0}})
    write_run(tmp_path / "s" / "1", config(optimizer=MUON), results={"train": {"loss": 2.0}})
    write_run(tmp_path / "s" / "2", config(optimizer=MUON | {"lr": 0.01}), results={"train": {"loss": 2.5}})
    found = comparison(tmp_path / "s")
    assert found.keys == ["optimizer.name", "optimizer.lr"]
    assert sorted(found.sometimes) == ["optimizer.betas", "optimizer.momentum", "optimizer.nesterov"]
    said = re.sub(r"\s+", " ", " ".join(Reader(page(found)).text)).replace("\N{ZERO WIDTH SPACE}", "")
    assert "3 settings that only some of the runs have" in said
    assert "optimizer.betas [0.9,0.95] 0" in said and "optimizer.momentum 0.95 1, 2" in said
    several = [config(optimizer=MUON | {"momentum": m}) for m in (0.9, 0.95)]
    for number, settings in enumerate([*several, config(optimizer=ADAMW)]):
        write_run(tmp_path / "t" / str(number), settings)
    assert comparison(tmp_path / "t").keys == ["optimizer.name", "optimizer.lr", "optimizer.momentum"]


def test_a_page_without_curves_settings_or_metrics(tmp_path: Path) -> None:
    write_run(tmp_path / "s" / "0", config(), status="stopped", error="KeyboardInterrupt")
    text = page(comparison(tmp_path / "s"))
    assert "<svg" not in text and "1 run, side by side" in text and "KeyboardInterrupt" in text
    write_run(tmp_path / "t" / "0", config(), results={"train": {"loss": math.nan}}, metrics=losses(4)[:1])
    write_run(tmp_path / "t" / "1", config(seed=2), results={"train": {"loss": math.inf}})
    text = page(comparison(tmp_path / "t"))
    assert "No run has train.loss." in text and text.count("<svg") == 1


def test_the_page_of_several_objectives_has_their_front(tmp_path: Path) -> None:
    points = {"a": (3.0, 10.0), "b": (2.5, 11.0), "c": (2.0, 9.0), "d": (2.2, 12.0)}
    for seed, (name, (loss, speed)) in enumerate(points.items()):
        write_run(tmp_path / "s" / name, config(seed=seed), results={"train": {"loss": loss, "speed": speed}})
    text = page(comparison(tmp_path / "s", [Objective(metric="train.loss"), Objective(metric="train.speed", maximize=True)]))
    assert "2 of 4 runs are on the Pareto front" in text and "Pareto front</b>" in text
    front = svgs(text)["train.loss over train.speed"]
    ringed = {run for run, group in groups(front).items() if re.search(r"stroke: var\(--ink\)", ElementTree.tostring(group).decode())}
    assert ringed == {0, 1}


def ran(name: str, **metrics: float) -> Ran:
    return Ran(name=name, folder=Path(name), status="finished", error=None, overrides=(), settings={}, whole=True, metrics=metrics,
               seconds=0, curve=())  # fmt: skip


def test_the_front_is_what_the_definition_says_of_random_points() -> None:
    random.seed(3)
    runs = [ran(str(n), x=random.randint(0, 40), y=random.randint(0, 40), z=random.randint(0, 40)) for n in range(150)]
    objectives = [Objective(metric="x"), Objective(metric="y", maximize=True), Objective(metric="z")]

    def beats(a: Ran, b: Ran) -> bool:
        mine, theirs = [(r.metrics["x"], -r.metrics["y"], r.metrics["z"]) for r in (a, b)]
        return mine != theirs and mine[0] <= theirs[0] and mine[1] <= theirs[1] and mine[2] <= theirs[2]

    expected = {run.name for run in runs if not any(beats(other, run) for other in runs)}
    assert pareto(runs, objectives) == expected and 2 < len(expected) < 100
    assert pareto(runs, objectives[:1]) == {run.name for run in runs if run.metrics["x"] == min(r.metrics["x"] for r in runs)}


def test_axes() -> None:
    lr = scale([1e-4, 1e-3, 1e-2])
    assert (lr.name, [lr.place(v) for v in (1e-4, 1e-3, 1e-2)]) == ("logarithmic", pytest.approx([0, 0.5, 1]))
    assert [label for _, label in lr.ticks] == ["0.0001", "0.001", "0.01"]
    loss = scale([2.0, 3.0, 4.0], turned=True)
    assert (loss.name, loss.place(2.0), loss.place(3.5)) == ("linear", 1.0, 0.25)
    assert scale([0, 1000]).name == "linear"  # there is no logarithm of zero
    names = scale(["muon", "adamw", None, True])
    assert names.name == "categories" and [label for _, label in names.ticks] == ["adamw", "muon", "null", "true"]
    assert scale([5, 5]).place(5) == 0.5 and scale([5, 5]).shared and not scale([5, 6]).shared
    many = scale([x / 7 for x in range(1, 60)])
    assert (
        many.name == "logarithmic"
        and 4 <= len(many.ticks) <= 9
        and all(b - a >= 0.07 for (a, _), (b, _) in zip(many.ticks, many.ticks[1:], strict=False))
    )


def test_curves_are_means_of_stretches_and_a_loss_that_blew_up_is_cut() -> None:
    rows = [(float(s), float(s) ** 2) for s in range(1, 101)]
    assert thinned(rows, 10)[0] == (5.5, 38.5) and len(thinned(rows, 10)) == 10 and thinned(rows, 200) == rows
    assert ceiling([[9.0, 4.0], [9.1, 4.5, 1e6]]) == pytest.approx(9.1 + 0.15 * 5.1)
    assert ceiling([[9.0, 4.0]]) == pytest.approx(9.1) and ceiling([[9.0, 9.1]]) > 9.1 and ceiling([[3.0]]) > 3.0
    assert _short("a_long_name_of_1", 9) == "a_lo…of_1" and _short("a_long_name_of_1", 4) == "a_…1" and _short("four", 4) == "four"
    assert apart({"a": 1.0, "b": 1.02, "c": 3.0}, 0.1) == {"a": 1.0, "b": 1.1, "c": 3.0}
