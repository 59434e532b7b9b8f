"""Build the site: python docs/build.py (or: make docs). It needs no network, and a broken link fails it.

build/docs gets the pages of docs/, README.md as the first page, CHANGELOG.md, and the reference pages that `modelwright docs` writes; the
list of public names goes into plugins.md. Zensical makes build/site of it. A file that is no page, such as ../benchmarks/x.py, is
named on the site and not linked.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = {Path("README.md"): "index.md", Path("CHANGELOG.md"): "changelog.md"}
for page in sorted((ROOT / "docs").rglob("*.md")):
    PAGES[page.relative_to(ROOT)] = str(page.relative_to(ROOT / "docs")).replace("README.md", "index.md")
LIST = "<!-- The build puts the list here. -->\n"


def put_together(folder: Path) -> None:
    """Write every page into `folder`."""
    shutil.rmtree(folder, ignore_errors=True)
    environment = {**os.environ, "MODELWRIGHT_PLUGINS": ""}
    subprocess.run([sys.executable, "-m", "modelwright", "docs", folder / "reference", "--plugin", "builtin"], env=environment, check=True)
    for page, name in PAGES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(relinked((ROOT / page).read_text(encoding="utf-8"), page), encoding="utf-8")
    api, plugins = folder / "reference" / "api.md", folder / "plugins.md"
    assert LIST in plugins.read_text(encoding="utf-8"), f"docs/plugins.md has lost its line {LIST}"
    plugins.write_text(
        plugins.read_text(encoding="utf-8").replace(LIST, api.read_text(encoding="utf-8").partition("\n")[2]), encoding="utf-8"
    )
    api.unlink()
    for page in (folder / "reference").glob("*.md"):
        page.write_text(page.read_text(encoding="utf-8").replace("](api.md", "](../plugins.md"), encoding="utf-8")


def relinked(text: str, page: Path) -> str:
    """The page with links to where things are on the site; a link to what is not in the repository is an error."""

    def link(match: re.Match[str]) -> str:
        words, target, anchor = match.groups()
        if "://" in target or not target or target.startswith("reference/"):
            return match[0]
        there = Path(os.path.normpath(page.parent / target))
        if not (ROOT / there).exists():
            raise SystemExit(f"{page}: the link to {target} leads nowhere")
        there = there / "README.md" if (ROOT / there).is_dir() else there
        if there not in PAGES:
            return words if words.startswith("`") else f"{words} (`{there}`)"
        return f"[{words}]({os.path.relpath(PAGES[there], Path(PAGES[page]).parent)}{anchor or ''})"

    return re.sub(r"(?<!!)\[([^\]\n]+)\]\(([^)#\s]*)(#[^)\s]*)?\)", link, text)


def main() -> int:
    put_together(ROOT / "build" / "docs")
    return subprocess.run([sys.executable, "-m", "zensical", "build", "--strict", "--clean"], cwd=ROOT).returncode


if __name__ == "__main__":
    sys.exit(main())
