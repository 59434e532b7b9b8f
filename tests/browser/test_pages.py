"""The report of a run and the comparison of runs, as a person meets them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "plugins" / "report"))
from example import curation, findings
from sweeps import big_sweep, config, write_run

from modelwright_plugins.report.compare import page as comparison_page
from modelwright_plugins.report.comparison import Objective, compared
from modelwright_plugins.report.curation import page as curation_page
from modelwright_plugins.report.page import page as report_page
from modelwright_plugins.report.runs import folders, read, swept

pytestmark = pytest.mark.slow

# where the best run's loss ends, in pixels of the window
END_OF_BEST_CURVE = """() => {
    const path = document.querySelector("figure.curves [data-run='0'] .hit");
    const end = path.getPointAtLength(path.getTotalLength()), on = path.getScreenCTM();
    return [end.x * on.a + on.e, end.y * on.d + on.f];
}"""


@pytest.fixture(scope="session")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    home = tmp_path_factory.mktemp("pages")
    big, two = big_sweep(home / "big"), home / "two"
    for seed, (name, loss, speed) in enumerate((("a", 3.0, 10.0), ("b", 2.0, 9.0), ("c", 3.5, 1.0))):
        write_run(two / name, config(seed=seed), results={"train": {"loss": loss, "speed": speed}})
    wide = home / "wide"
    for n in range(3):
        many = {f"a_long_setting_name_{i}": 10.0 ** (i % 5) * (n + 1) for i in range(24)}
        settings = config(architecture={"name": "decoder", **many}, source={"name": "text", "paths": ["/very/long/path/" * 9 + str(n)]})
        early = {"status": "failed", "error": "a_word_without_any_space_in_it" * 12} if n == 2 else {}
        write_run(wide / ("a_very_long_name_of_a_run_" * 3 + str(n)), settings, results={"train": {"loss": 3.0 + n}}, **early)
    objectives = [Objective(metric="train.loss"), Objective(metric="train.speed", maximize=True)]
    made = {
        "report": report_page(findings()),
        "curation": curation_page(curation(), [{"paths": ["/very/long/path/" * 9]} for _ in curation()], "curate/web"),
        "curated": report_page(findings(funnel=curation())),
        "comparison": comparison_page(compared(read(folders([big])), None, swept(big), big)),
        "wide": comparison_page(compared(read(folders([wide])), None, swept(wide), wide)),
        "front": comparison_page(compared(read(folders([two])), objectives, swept(two), two)),
    }
    for name, text in made.items():
        (home / f"{name}.html").write_text(text, encoding="utf-8")
    return {name: home / f"{name}.html" for name in made}


@pytest.mark.parametrize("name", ["report", "curation", "curated", "comparison", "front", "wide"])
@pytest.mark.parametrize(("width", "dark"), [(360, False), (1280, False), (1280, True)])
def test_a_page_is_accessible_quiet_alone_and_fits(pages, opened, violations, name, width, dark) -> None:
    found = opened(pages[name], width, dark=dark)
    assert violations(found.page) == []
    assert (found.asked, found.complaints, found.overflow()) == ([], [], 0)


@pytest.mark.parametrize("name", ["report", "curation", "curated", "comparison", "front", "wide"])
def test_it_prints_and_nothing_is_cut_off_at_the_right(pages, opened, name) -> None:
    found = opened(pages[name], 1280)
    assert found.page.pdf(format="A4").startswith(b"%PDF-")
    found.page.emulate_media(media="print")
    found.page.set_viewport_size({"width": 703, "height": 1000})  # A4 less the margins, at 96 pixels an inch
    cut = (
        "[...document.querySelectorAll('.scroll, main')].filter(e => e.scrollWidth > e.clientWidth + 1).map(e => e.ariaLabel ?? e.tagName)"
    )
    assert found.page.evaluate(cut) == []


def test_the_check_finds_what_is_wrong(tmp_path, opened, violations) -> None:
    """A page with a faint word, a picture without words, a missing picture, an error and a line that is too long."""
    (tmp_path / "bad.html").write_text(
        "<!doctype html><html lang=en><title>t</title><main><h1>x</h1><p style='color:#ddd'>faint</p><img src='http://localhost:9/x.png'>"
        "<pre style='width:2000px'>wide</pre></main><script>missing()</script>"
    )
    found = opened(tmp_path / "bad.html", 360)
    assert {line.split(":")[0] for line in violations(found.page)} == {"color-contrast", "image-alt"}
    assert found.asked == ["http://localhost:9/x.png"] and found.overflow() > 1000
    assert any("missing is not defined" in line for line in found.complaints)


def test_without_scripts_everything_is_there(pages, opened) -> None:
    found = opened(pages["comparison"], 1280, script=False)
    assert found.page.locator("svg").count() == 6 and found.page.locator("tr[data-run]").count() == 100
    assert found.page.locator("button").count() == 0


def test_pointing_at_a_run_lights_it_up_everywhere_and_a_click_keeps_it(pages, opened) -> None:
    page = opened(pages["comparison"], 1280).page
    row = page.locator("tr[data-run='7']")
    row.hover()
    lit = "[...document.querySelectorAll('svg .on')].map(mark => mark.dataset.run)"
    assert page.evaluate(lit) == ["7"] * 6 and page.locator("#said").inner_text() == row.get_attribute("data-said")
    page.locator("h1").hover()
    assert page.evaluate(lit) == [] and page.locator("#said").inner_text() == ""
    row.get_by_role("button").click()
    page.locator("h1").hover()
    assert page.evaluate(lit) == ["7"] * 6 and row.get_by_role("button").get_attribute("aria-pressed") == "true"
    faint = "getComputedStyle(document.querySelector(\"svg [data-run='8']\")).opacity"
    assert float(page.evaluate(faint)) < 0.5
    page.keyboard.press("Escape")
    assert page.evaluate(lit) == [] and float(page.evaluate(faint)) == 1


def test_a_curve_can_be_clicked_and_keys_reach_the_runs(pages, opened) -> None:
    page = opened(pages["comparison"], 1280).page
    page.locator("figure.curves").scroll_into_view_if_needed()
    x, y = page.evaluate(END_OF_BEST_CURVE)
    page.mouse.click(x, y)
    assert page.locator("tr.on").get_attribute("data-run") == "0"
    page.keyboard.press("Escape")
    page.locator("tr[data-run='3'] button").focus()
    page.keyboard.press("Enter")
    assert page.locator("tr[data-run='3'] button").get_attribute("aria-pressed") == "true"


def test_headers_sort_the_table(pages, opened) -> None:
    page = opened(pages["comparison"], 1280).page
    header = page.locator(".runs thead th", has_text="optimizer")
    place = page.evaluate(
        "[...document.querySelectorAll('.runs thead th')].findIndex(h => h.textContent.replace(/\\u200b/g, '') === 'optimizer.lr')"
    )
    values = f"[...document.querySelectorAll('.runs tbody tr')].map(row => row.cells[{place}].textContent)"
    before = page.evaluate(values)
    button = header.get_by_role("button", name="optimizer.lr")
    button.click()
    assert page.evaluate(values) == sorted(before, key=float) != before
    assert page.locator(".runs thead th[aria-sort]").get_attribute("aria-sort") == "ascending"
    button.click()
    assert page.evaluate(values) == sorted(before, key=float, reverse=True)
    page.locator(".runs thead th").nth(2).get_by_role("button").click()
    assert page.evaluate("[...document.querySelectorAll('.runs tbody tr')].map(row => row.cells[2].textContent)")[-16:] == ["–"] * 16
