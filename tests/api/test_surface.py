"""Everything public is documented, and what changed since the last version stands in the changelog."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.version import Version

from modelwright import __version__
from modelwright_plugins.command.public import Item, Public

ROOT = Path(__file__).parents[2]
RECORDS = {Version(path.stem): path for path in (ROOT / "docs" / "api").glob("*.txt")}
CHANGELOG = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
HOW = """{count} public names changed since {version}, and CHANGELOG.md does not name them under Unreleased.
If it was meant, say there what changed, with each name as it is written here (one that came or went stands for all its parts):
{lines}"""


def unreleased(changelog: str) -> str:
    """The section of what is not in a version yet."""
    found = re.search(r"^## \[Unreleased\]\n(.*?)(?=^## |\Z)", changelog, re.M | re.S)
    assert found, "CHANGELOG.md has no section ## [Unreleased]"
    return found[1]


def lines(text: str) -> dict[str, str]:
    """Name -> its line. A name ends where its signature begins."""
    return {re.split(r"[(:=]", line, maxsplit=1)[0].strip(): line for line in text.splitlines()}


def changes(before: str, after: str) -> dict[str, str]:
    """The name of each line that is in only one of two surfaces, or differs -> what happened to it, in one line."""
    old, new = lines(before), lines(after)
    found = {}
    for name in sorted({*old, *new}):
        owner = next((o for o in owners(name) if (o in old) != (o in new)), None)
        if owner or old.get(name) == new.get(name):
            continue  # what came or went whole is told once
        found[name] = (
            f"- {old[name]}\n+ {new[name]}" if name in old and name in new else f"- {old[name]}" if name in old else f"+ {new[name]}"
        )
    return found


def owners(name: str) -> list[str]:
    """What a name is part of: the component of a parameter, the class of a method."""
    parts = name.split(".")
    return [".".join(parts[:n]) for n in range(1, len(parts))]


def untold(before: str, after: str, changelog: str) -> list[str]:
    """The changes that a changelog does not name."""
    told = unreleased(changelog)
    return [what for name, what in changes(before, after).items() if not re.search(rf"(?<![\w/.]){re.escape(name)}(?![\w/]|\.\w)", told)]


@pytest.fixture(scope="module")
def items() -> list[Item]:
    return Public("builtin").items()


def test_everything_public_is_documented(items):
    missing = [f"{item}" for item in items if not item.doc]
    assert not missing, "public, and nothing says what it is (a docstring, or a comment beside the field):\n" + "\n".join(missing)


def test_names_are_unique(items):
    names = [item.name for item in items]
    assert len({*names}) == len(names) > 300
    assert list(lines("".join(f"{item}\n" for item in items))) == names


def test_what_changed_is_in_the_changelog(items):
    version = max(RECORDS)
    missing = untold(RECORDS[version].read_text(encoding="utf-8"), "".join(f"{item}\n" for item in items), CHANGELOG)
    assert not missing, HOW.format(count=len(missing), version=version, lines="\n".join(missing))


def test_each_version_has_its_record():
    """When VERSION is released: modelwright docs build/reference --plugin builtin && cp build/reference/surface.txt docs/api/VERSION.txt"""
    released = {Version(v) for v in re.findall(r"^## \[(\d[^\]]*)\]", CHANGELOG, re.M)}
    assert released == {version for version in RECORDS if not version.is_devrelease}, "a version in CHANGELOG.md needs docs/api/VERSION.txt"
    assert max(RECORDS) <= Version(__version__)
    assert len([version for version in RECORDS if version.is_devrelease]) == 1, "only the first record is of no version"


BEFORE = """\
kind optimizer: a:B, default adamw
on_step_end(step: int) -> None
modelwright.api.Job.take(kind: type[A]) -> A
optimizer/muon
optimizer/muon.lr: float = 0.02
recipe/pretrain/quickstart
"""


@pytest.mark.parametrize(
    ("after", "changed"),
    [
        (BEFORE, {}),
        (BEFORE + "optimizer/muon.beta: float = 0.9\n", {"optimizer/muon.beta": "+ optimizer/muon.beta: float = 0.9"}),
        (BEFORE.replace("0.02", "0.03"), {"optimizer/muon.lr": "- optimizer/muon.lr: float = 0.02\n+ optimizer/muon.lr: float = 0.03"}),
        (BEFORE.replace("recipe/pretrain/quickstart\n", ""), {"recipe/pretrain/quickstart": "- recipe/pretrain/quickstart"}),
        (BEFORE + "optimizer/lion\noptimizer/lion.lr: float = 1\n", {"optimizer/lion": "+ optimizer/lion"}),
        (BEFORE.replace("optimizer/muon\noptimizer/muon.lr: float = 0.02\n", ""), {"optimizer/muon": "- optimizer/muon"}),
        (
            BEFORE.replace("step: int", "step: int, x: int"),
            {"on_step_end": "- on_step_end(step: int) -> None\n+ on_step_end(step: int, x: int) -> None"},
        ),
        (BEFORE.replace(", default adamw", ""), {"kind optimizer": "- kind optimizer: a:B, default adamw\n+ kind optimizer: a:B"}),
    ],
)
def test_the_rule_finds_a_change_and_is_satisfied_by_its_name(after, changed):
    assert changes(BEFORE, after) == changed
    empty = "# Changes\n\n## [Unreleased]\n{}\n## [0.1.0] - 2027-01-01\n- `optimizer/muon.lr`, `on_step_end` and all the others were new.\n"
    assert untold(BEFORE, after, empty.format("")) == list(changed.values())
    assert not untold(BEFORE, after, empty.format("".join(f"- `{name}` is another.\n" for name in changed)))


@pytest.mark.parametrize("said", ["`optimizer/muon`", "optimizer/muon.lr2", "optimizer/muon.lr.x", "my/optimizer/muon.lr", "muon.lr", "lr"])
def test_another_name_does_not_stand_for_it(said):
    after = BEFORE.replace("0.02", "0.03")
    assert untold(BEFORE, after, f"## [Unreleased]\n- {said} is new.\n")


def test_a_made_up_component_fails_both_rules(tmp_path):
    """A parameter without a comment, registered by a plugin of its own, seen through the same door."""
    (tmp_path / "made_up.py").write_text(
        "from dataclasses import dataclass\n"
        "from modelwright.hooks import hookimpl\n"
        "from modelwright_plugins.schedule.warmup import Cosine\n"
        "@dataclass(frozen=True, kw_only=True)\n"
        "class Mine(Cosine):\n"
        "    told: int = 1  # a number\n"
        "    untold: int = 2\n"
        "@hookimpl\n"
        "def modelwright_register(registry):\n"
        "    registry.add('schedule', 'mine', 'made_up:Mine')\n"
    )
    (tmp_path / "made_up-1.dist-info").mkdir()
    (tmp_path / "made_up-1.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: made-up\nVersion: 1\n")
    (tmp_path / "made_up-1.dist-info" / "entry_points.txt").write_text("[modelwright]\nmade_up = made_up\n")
    code = (
        "from modelwright_plugins.command.public import Public\n"
        "for item in Public('made_up').items(): print(item, '|', 'documented' if item.doc else 'not')\n"
        "print(*[i for i in Public('builtin').items() if 'mine' in i.name])"
    )
    env = {"PYTHONPATH": str(tmp_path), "PATH": "/usr/bin:/bin"}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines() == [
        "schedule/mine | not",
        "schedule/mine.floor: float = 0.1 | documented",
        "schedule/mine.told: int = 1 | documented",
        "schedule/mine.untold: int = 2 | not",
        "schedule/mine.warmup: float = 0.03 | documented",
        "",
    ], done.stderr
