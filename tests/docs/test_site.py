"""The site builds with no network, every link on it leads somewhere, and everything that is registered is on it."""

from __future__ import annotations

import runpy
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from modelwright.hooks import discover

ROOT = Path(__file__).parents[2]
SITE = ROOT / "build" / "site"


class Page(HTMLParser):
    """What a page links to, what it loads, and where one can link to on it."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.ids: set[str] = set()
        self.feed(file.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.ids |= {found[name] for name in ("id", "name") if found.get(name)}
        self.links += [found["href"]] if found.get("href") else []
        if tag in {"script", "img", "iframe"} or (tag == "link" and found.get("rel") != "canonical"):
            self.loads += [value for name in ("src", "href") if (value := found.get(name))]


@pytest.fixture(scope="module")
def site() -> dict[Path, Page]:
    isolated = ["unshare", "--map-root-user", "--net"]
    if subprocess.run([*isolated, "true"], capture_output=True).returncode:
        isolated = []  # a kernel without user namespaces: the build is then only said to need no network
    shutil.rmtree(SITE, ignore_errors=True)
    done = subprocess.run([*isolated, sys.executable, ROOT / "docs" / "build.py"], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return {file: Page(file) for file in SITE.rglob("*.html")}


def test_every_link_leads_somewhere(site):
    bad, followed = [], 0
    for file, page in site.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            base = SITE if file.name == "404.html" or parts.path.startswith("/") else file.parent
            target = (base / unquote(parts.path).lstrip("/")).resolve() if parts.path else file
            target = target / "index.html" if target.is_dir() else target
            followed += 1
            if not target.exists() or (parts.fragment and target in site and unquote(parts.fragment) not in site[target].ids):
                bad.append(f"{file.relative_to(SITE)}: {link}")
    assert not bad, "\n".join(bad)
    assert followed > 500


def test_nothing_is_loaded_from_the_network(site):
    assert not [load for page in site.values() for load in page.loads if urlsplit(load).netloc]


def test_every_page_is_in_the_navigation(site):
    start = {(SITE / unquote(urlsplit(link).path)).resolve() for link in site[SITE / "index.html"].links if not urlsplit(link).netloc}
    missing = {file for file in site if file.name != "404.html"} - start
    assert not missing, f"mkdocs.yml has to name them: {sorted(str(file.relative_to(SITE)) for file in missing)}"


def test_everything_registered_has_its_place(site):
    registry = discover().registry
    ours = [e for e in registry.entries.values() if e.plugin == "builtin"]
    missing = [e for e in ours if e.kind != "command" and e.name not in site[SITE / "reference" / f"{e.kind}.html"].ids]
    commands = (SITE / "reference" / "commands.html").read_text()
    missing += [e for e in ours if e.kind == "command" and f"modelwright-{e.name}" not in commands]
    assert not missing


def test_a_broken_link_fails_the_build(site, tmp_path):
    shutil.copytree(ROOT / "build" / "docs", tmp_path / "build" / "docs")
    shutil.copy(ROOT / "mkdocs.yml", tmp_path)
    build = [sys.executable, "-m", "zensical", "build", "--strict"]
    assert subprocess.run(build, cwd=tmp_path, capture_output=True).returncode == 0
    with (tmp_path / "build" / "docs" / "architecture.md").open("a") as page:
        page.write("\n[gone](reference/optimizer.md#no_such_optimizer)\n")
    assert subprocess.run(build, cwd=tmp_path, capture_output=True).returncode != 0


def test_a_link_to_no_file_of_the_repository_fails_the_build():
    relinked = runpy.run_path(str(ROOT / "docs" / "build.py"))["relinked"]
    page = Path("docs/architecture.md")
    assert relinked("[a](writing-a-component.md#x) [b](../README.md) [c](../Makefile) [d](decisions/)", page) == (
        "[a](writing-a-component.md#x) [b](index.md) c (`Makefile`) [d](decisions/index.md)"
    )
    with pytest.raises(SystemExit, match=r"docs/architecture.md: the link to gone.md leads nowhere"):
        relinked("[a](gone.md)", page)
