"""Pages in headless Chromium, with no network: `opened(page, width)` loads one, `violations(page)` asks axe-core about it.

It needs a Chromium on the machine (`apt install chromium`, or CHROMIUM=/path/to/one) and two packages of the dev extra:
playwright, of which only the driver is used, and axe-playwright-python, which brings axe.min.js.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@dataclass
class Opened:
    """A page in the browser, and what it did that it should not."""

    page: Page
    asked: list[str] = field(default_factory=list)  # addresses that it wanted, beside its own
    complaints: list[str] = field(default_factory=list)  # errors and warnings on the console

    def overflow(self) -> int:
        """Pixels by which the page is wider than the window."""
        return int(self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    for package, line in (("playwright", "playwright"), ("axe_playwright_python", "axe-playwright-python")):
        if find_spec(package) is None:
            pytest.skip(f"no browser tests: pip install {line}")
    if CHROMIUM is None:
        pytest.skip("no browser tests: there is no Chromium on this machine (apt install chromium, or set CHROMIUM=/path/to/one)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])  # root in a container has no sandbox
        yield browser
        browser.close()


@pytest.fixture
def opened(chromium: Browser) -> Iterator[Callable[..., Opened]]:
    """opened(file, width, dark=False, script=True): the page in a window so wide, all loaded."""
    contexts = []

    def open_page(file: Path, width: int, *, dark: bool = False, script: bool = True) -> Opened:
        context = chromium.new_context(
            viewport={"width": width, "height": 800}, color_scheme="dark" if dark else "light", java_script_enabled=script, offline=True
        )
        contexts.append(context)
        found = Opened(context.new_page())
        own = file.resolve().as_uri()
        found.page.on("request", lambda request: found.asked.append(request.url) if request.url != own else None)
        found.page.on("console", lambda said: found.complaints.append(said.text) if said.type in {"error", "warning"} else None)
        found.page.on("pageerror", lambda error: found.complaints.append(str(error)))
        found.page.goto(own, wait_until="load")
        return found

    yield open_page
    for context in contexts:
        context.close()


@pytest.fixture(scope="session")
def violations() -> Callable[[Page], list[str]]:
    """violations(page): every rule of axe-core that the page breaks, with the elements that break it."""

    def found(page: Page) -> list[str]:
        from axe_playwright_python.sync_playwright import Axe

        every: list[dict[str, Any]] = Axe().run(page).response["violations"]
        return [f"{rule['id']}: {rule['help']}: {[node['html'][:160] for node in rule['nodes'][:5]]}" for rule in every]

    return found
