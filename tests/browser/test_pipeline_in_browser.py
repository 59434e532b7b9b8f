"""The page of a pipeline, as a person meets it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "plugins" / "pipeline"))
from pipeline_example import RECORD, written

from modelwright_plugins.pipeline.page import write_page

pytestmark = pytest.mark.slow


@pytest.fixture(scope="session")
def page_of_a_pipeline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = written(tmp_path_factory.mktemp("pipeline") / "out")
    write_page(folder, RECORD)
    return folder / "report.html"


@pytest.mark.parametrize(("width", "dark"), [(360, False), (1280, False), (1280, True)])
def test_a_pipelines_page_is_accessible_quiet_alone_and_fits(page_of_a_pipeline, opened, violations, width, dark) -> None:
    found = opened(page_of_a_pipeline, width, dark=dark)
    assert violations(found.page) == []
    assert (found.asked, found.complaints, found.overflow()) == ([], [], 0)


def test_no_word_of_a_pipelines_page_is_broken_into_letters(page_of_a_pipeline, opened) -> None:
    page = opened(page_of_a_pipeline, 360).page
    assert page.evaluate("Math.min(...[...document.querySelectorAll('tbody th[scope=row]')].map(e => e.clientWidth))") > 30
