"""The Tab key: what bash shows, of a third-party plugin's parts as of ours."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TOY = Path(__file__).parents[2] / "core" / "toy"
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(TOY), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
PRESS = r"""
source <(modelwright completion bash)
COMP_LINE=$1; COMP_POINT=${#1}
read -ra COMP_WORDS <<<"${1//[=:]/ & }"; COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); COMPREPLY=()
[[ $1 == *\  ]] && COMP_WORDS+=("") && COMP_CWORD=$((COMP_CWORD + 1))
$(complete -p modelwright | sed 's/.*-F \([^ ]*\).*/\1/')
printf '%s\n' "${COMPREPLY[@]}"
"""


def press_tab(line: str, folder: Path) -> list[str]:
    """What bash would put in place of the last word, or after its last = or :."""
    words = ["bash", "--norc", "-c", PRESS, "bash", line]
    done = subprocess.run(words, capture_output=True, text=True, cwd=folder, env=ENVIRONMENT, timeout=60)
    assert not done.stderr, done.stderr
    return done.stdout.split()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "runs" / "toy" / "one").mkdir(parents=True)
    (tmp_path / "runs" / "toy" / "one" / "config.yaml").write_text("stages: []\n")
    for swept in (tmp_path / "runs" / "swept", tmp_path / "elsewhere" / "swept"):
        (swept / "0").mkdir(parents=True)
        (swept / "0" / "config.yaml").write_text("stages: []\n")
        (swept / "sweep.json").write_text("{}\n")
    (tmp_path / "losses.csv").write_text("n,d,loss\n")
    (tmp_path / "sub").mkdir()
    (tmp_path / "mine.yaml").write_text("defaults: [override /shape: square]\n")
    (tmp_path / "other.txt").write_text("")
    return tmp_path


@pytest.mark.skipif(not shutil.which("bash"), reason="there is no bash")
@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("modelwright pla", ["plan"]),
        ("modelwright run --hy", ["--hydra-help"]),
        ("modelwright list sha", ["shape"]),
        ("modelwright show shape/c", ["shape/circle"]),
        ("modelwright show recipe/to", ["recipe/toy"]),
        ("modelwright run recipe=to", ["toy"]),
        ("modelwright run recipe=./", ["./elsewhere/", "./mine.yaml", "./runs/", "./sub/"]),
        ("modelwright run shape=", ["circle", "square"]),
        ("modelwright run color=", ["[blue", "[deep", "[red"]),
        ("modelwright run color=[red,", ["[red,blue", "[red,deep"]),
        ("modelwright run color=[red,d", ["[red,deep"]),
        ("modelwright run 'color=[red,d", ["color=[red,deep"]),
        ("modelwright run sha", ["shape.", "shape="]),
        ("modelwright run shape=square shape.co", ["shape.corners="]),
        ("modelwright run shape=square shape.corners=", ["round", "sharp"]),
        ("modelwright run recipe=./mine.yaml shape.si", ["shape.side=", "shape.sizes="]),
        ("modelwright run recipe=toy shape.", ["shape.center.", "shape.radius="]),  # the kind's default
        ("modelwright run shape=circle shape.center.", ["shape.center.x=", "shape.center.y="]),
        ("modelwright run recipe=toy color.", ["color.deep.", "color.red."]),
        ("modelwright run recipe=toy color.deep.", ["color.deep.depth="]),  # a preset's component
        ("modelwright run stages=[draw,pa", ["[draw,paint"]),
        ("modelwright run draw.", ["draw.fail=", "draw.lines="]),
        ("modelwright run -m shape=circle,s", ["circle,square"]),
        ("modelwright run run.reuse=", ["false", "true"]),
        ("modelwright run parallel.sequence=t", ["true"]),
        ("modelwright run +shape.rad", ["+shape.radius="]),
        ("modelwright resume runs/t", ["runs/toy/", "runs/toy/one"]),
        ("modelwright compare runs/toy/", ["runs/toy/one"]),
        ("modelwright resume runs/s", ["runs/swept", "runs/swept/", "runs/swept/0"]),
        ("modelwright compare elsewhere/", ["elsewhere/swept", "elsewhere/swept/"]),
        ("modelwright compare elsewhere/swept/", ["elsewhere/swept/0"]),
        ("modelwright run from=runs/s", ["runs/swept/", "runs/swept/0"]),  # a run, not a sweep
        ("modelwright scaling ", ["fit"]),
        ("modelwright scaling fit ", ["elsewhere/", "losses.csv", "runs/", "runs/swept", "sub/"]),
        ("modelwright scaling fit losses.csv elsewhere/", ["elsewhere/swept", "elsewhere/swept/"]),
        ("modelwright scaling fit --b", ["--bootstrap", "--budget"]),
        ("modelwright scaling fit losses.csv --law ", ["chinchilla", "kaplan"]),
        ("modelwright scaling fit losses.csv --budget ", []),
        ("modelwright completion ", ["bash", "fish", "zsh"]),
        ("modelwright run shape=nope shape.", []),
        ("modelwright nope ", []),
    ],
)
def test_bash_shows(folder: Path, line: str, shown: list[str]) -> None:
    assert press_tab(line, folder) == shown


def test_it_is_quick_and_imports_nothing_heavy(folder: Path) -> None:
    code = "import sys; from modelwright.cli import command; command(['completion', 'suggest', sys.argv[1]]);"
    code += "import time; print(time.process_time(), file=sys.stderr);"
    code += "sys.exit([m for m in ('torch', 'megatron', 'datatrove', 'hydra') if m in sys.modules] or 0)"
    took = []
    for line in ["modelwright run recipe=toy optimizer=muon optimizer.", "modelwright run ", "modelwright run filter=["]:
        done = subprocess.run([sys.executable, "-c", code, line], capture_output=True, text=True, cwd=folder, env=ENVIRONMENT, timeout=60)
        assert done.returncode == 0 and done.stdout, done.stderr
        took.append(float(done.stderr.split()[-1]))
    assert min(took) < 0.4, took  # of processor time, whatever else the machine does; it was 0.14 s


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_the_other_shells_read_their_script(shell: str) -> None:
    if not shutil.which(shell):
        pytest.skip(f"there is no {shell}")
    script = subprocess.run(["modelwright", "completion", shell], capture_output=True, text=True, env=ENVIRONMENT, timeout=60, check=True)
    read = subprocess.run([shell, "-n"], input=script.stdout, capture_output=True, text=True, timeout=60)
    assert read.returncode == 0, read.stderr


def test_an_unknown_shell_is_one_line() -> None:
    done = subprocess.run(["modelwright", "completion", "bsh"], capture_output=True, text=True, env=ENVIRONMENT, timeout=60)
    assert (done.returncode, done.stderr) == (2, "modelwright: completion for which shell?; did you mean 'bash'?\n")
