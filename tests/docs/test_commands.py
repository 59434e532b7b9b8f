"""Every command of the README and of docs/ runs, on a little of the data that a person would use.

A command is a line of a `sh` fence or of an indented block that is no YAML; `# not run here: WHY` after it excuses it, and is counted.

The commands of a page run in order in one folder, which has the files that the page tells its reader to write. All pages have their
runs in one place, so that what one of them trained the next one takes over. `…` in a path is the newest that matches.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest
import yaml

from modelwright.hooks import discover

ROOT = Path(__file__).parents[2]
PAGES = {str(page.relative_to(ROOT)): page for page in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))}
RUNS = {"modelwright", "torchrun", "python", "pip", "pytest"}  # programs that these tests start; others need an excuse
SCRIPTS = {  # programs of a page that are other ones here
    "modelwright": f'{sys.executable} {Path(__file__).with_name("small.py")} "$@"',
    "pip": f'{sys.executable} -m pip install --no-index --no-deps --no-build-isolation --target "$HERE" "./${{@: -1}}"',
}
EXCUSED = {  # commands that are not run here, and what runs them; pages without any are left out
    "README.md": {
        "git clone REPOSITORY modelwright && cd modelwright": "the reader's repository",
        "make quickstart": "tests/recipes/test_quickstart.py",
        "make test": "it runs this test",
        "source <(modelwright completion bash)": "tests/plugins/command/test_completion.py",
    },
}
# page -> how many of its commands say `# not run here: WHY`
EXCUSES = {
    "docs/adapters.md": 4,
    "docs/curation.md": 5,
    "docs/sweeps.md": 1,
    "docs/gpu.md": 3,
    "docs/dialogue.md": 2,
    "docs/exporting.md": 4,
    "docs/training.md": 1,
    "docs/generating.md": 2,
    "docs/aligning.md": 1,
    "docs/pipelines.md": 2,
    "docs/whole-life.md": 2,
    "docs/quantizing.md": 1,
}


def commands(text: str) -> list[tuple[str, str]]:
    """(command, the comment after it), in order."""
    fences = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.M | re.S)
    plain = re.sub(r"^```\w*\n.*?^```$", "", text, flags=re.M | re.S)
    blocks = [re.sub(r"^    ", "", b, flags=re.M) for b in re.findall(r"(?:(?<=\n\n)|\A)((?:    .*\n)+)", plain + "\n")]
    lines = []
    for block in [b for b in blocks if not _is_yaml(b)] + [body for language, body in fences if language == "sh"]:
        for line in block.replace("\\\n", " ").splitlines():
            command, _, comment = re.sub(r"(^|\s)#\s", "\0", line, count=1).partition("\0")
            lines += [(command.strip(), comment.strip())] if command.strip() else []
    return lines


def _is_yaml(block: str) -> bool:
    try:
        return isinstance(yaml.safe_load(block), dict)
    except yaml.YAMLError:
        return False


def runs_here(page: str, command: str, comment: str) -> bool:
    return not comment.startswith("not run here:") and command not in EXCUSED.get(page, {})


ALL = [(name, *found) for name, page in PAGES.items() for found in commands(page.read_text(encoding="utf-8"))]
TO_RUN = [(page, command) for page, command, comment in ALL if runs_here(page, command, comment)]


@pytest.fixture(scope="session")
def cache(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def home_of(tmp_path_factory, write_files_of):
    """The folder of a page, made when its first command runs."""
    homes: dict[str, Path] = {}
    runs = tmp_path_factory.mktemp("runs")

    def home(page: str) -> Path:
        if page not in homes:
            homes[page] = tmp_path_factory.mktemp("home")
            (homes[page] / "runs").symlink_to(runs)
            write_files_of(PAGES[page], homes[page])
            for program, script in SCRIPTS.items():
                file = homes[page] / "bin" / program
                file.parent.mkdir(exist_ok=True)
                file.write_text(f"#!/bin/bash\nexec {script}\n")
                file.chmod(0o755)
        return homes[page]

    return home


def run(command: str, home: Path, cache: Path) -> str:
    for path in re.findall(r"\S*…\S*", command):
        newest = max(home.glob(path.replace("…", "*")), key=lambda p: p.stat().st_mtime, default=None)
        command = command.replace(path, str(newest.relative_to(home))) if newest else command
    path = os.pathsep.join([str(home / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]])
    env = {**os.environ, "MODELWRIGHT_CACHE": str(cache), "PATH": path, "PYTHONPATH": str(home), "HERE": str(home)}
    done = subprocess.run(["bash", "-euo", "pipefail", "-c", command], cwd=home, env=env, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    return done.stdout


def test_commands_are_found():
    fences = "```sh\nx=1 modelwright \\\n  show a # not run here: no GPU\n```\n```toml\n    no = 1\n```\n"
    text = f"a\n\n    modelwright list  # all\n\n    train: {{steps: 3}}\n    b: 2\n\n{fences}"
    assert commands(text) == [("modelwright list", "all"), ("x=1 modelwright    show a", "not run here: no GPU")]
    assert [runs_here("a.md", *found) for found in commands(text)] == [True, False]
    assert len([page for page, _ in TO_RUN if page == "README.md"]) >= 10


def test_excuses_are_counted():
    said = {name: sum(page == name and comment.startswith("not run here:") for page, _, comment in ALL) for name in PAGES}
    assert {page: n for page, n in said.items() if n} == EXCUSES, "count them in EXCUSES, when there is no way to run them"
    assert not {(page, c) for page, found in EXCUSED.items() for c in found} - {(page, c) for page, c, _ in ALL}, (
        "an excuse without its command"
    )
    foreign = [(page, c) for page, c in TO_RUN if next(w for w in c.split() if "=" not in w) not in RUNS]
    assert not foreign, f"programs that this test doesn't start: {foreign}"


def test_every_command_named_in_a_sentence_exists():
    known = discover().registry.names("command")
    named = {
        (name, word) for name, page in PAGES.items() for word in re.findall(r"`modelwright ([a-z][\w-]*)", page.read_text(encoding="utf-8"))
    }
    assert len(named) >= 5
    assert not {(page, word) for page, word in named if word not in known}


@pytest.mark.slow
@pytest.mark.parametrize(("page", "command"), TO_RUN, ids=[f"{page}-{number}" for number, (page, _) in enumerate(TO_RUN)])
def test_a_command(home_of, cache, page, command):
    run(command, home_of(page), cache)


@pytest.mark.slow
def test_a_recipe_of_ones_own(tmp_path, cache, home_of):
    readme = PAGES["README.md"].read_text(encoding="utf-8")
    recipe = re.search(r"run it with `recipe=./mine.yaml`:\n\n((?:    .*\n)+)", readme)[1]
    home = home_of("README.md")
    (home / "mine.yaml").write_text(re.sub(r"^    ", "", recipe, flags=re.M))
    (home / "books").mkdir()
    words, random = [word.lower() for word in readme.split() if word.isalpha()], Random(5)
    for i in range(40):
        sentences = (" ".join(random.choices(words, k=12)).capitalize() + "." for _ in range(300))
        (home / "books" / f"{i}.txt").write_text("\n".join(sentences))
    assert "The run is in out" in run("modelwright run recipe=./mine.yaml run.dir=out deduper=[]", home, cache)
