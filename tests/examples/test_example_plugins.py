"""The example plugins, installed by pip as anybody's: they are listed, shown and planned with, and their own tests pass."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

from modelwright.hooks import discover

EXAMPLES = Path(__file__).parents[2] / "examples" / "plugins"
PARTS = {
    "modelwright-ademamix": ["optimizer/ademamix", "optimizer/ademamix_paper"],
    "modelwright-masked-diffusion": [
        "architecture/bidirectional_decoder", "architecture/illada_8b", "architecture/llada_8b", "architecture/tiny_diffusion",
        "conformance/denoiser", "denoiser/llada_instruct", "denoiser/low_confidence", "denoiser/mdlm", "denoiser/random_order",
        "objective/masked_diffusion", "recipe/diffusion/tiny", "stage/denoise",
    ],
    "modelwright-math-text": ["filter/math_text", "filter/math_text_recall", "filter/math_text_strict", "filter/whole_latex"],
}  # fmt: skip
NEEDED = {  # what an architecture, a stage on ranks, and a test, can't do without today, though no page calls it public
    ("modelwright_plugins.architecture._layers", "block"),
    ("modelwright_plugins.architecture._layers", "layer"),
    ("modelwright_plugins.engine.inference", "open_model"),
    ("modelwright_plugins.parallel.available", "available"),
    ("modelwright_plugins.progress", "progress"),
    ("modelwright.hooks", "discover"),
}


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """(where pip has installed them, where their sources are)."""
    if subprocess.run([sys.executable, "-m", "pip", "--version"], capture_output=True).returncode:
        pytest.skip("there is no pip in this environment")
    site, sources = tmp_path_factory.mktemp("site"), tmp_path_factory.mktemp("sources") / "plugins"
    shutil.copytree(EXAMPLES, sources, ignore=shutil.ignore_patterns(".*", "__pycache__", "build", "*.egg-info"))
    pip_installs([sources / name for name in PARTS], site)
    return site, sources


def pip_installs(sources: list[Path], site: Path) -> None:
    """For real, from sources of our own, as pip builds beside them; with no package from any index."""
    words = ["install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check", "--target", str(site)]
    done = subprocess.run([sys.executable, "-m", "pip", *words, *map(str, sources)], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr


def python(installed: tuple[Path, Path], *words: str, timeout: float = 120) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": str(installed[0]), "OMP_NUM_THREADS": "1"}
    return subprocess.run([sys.executable, "-m", *words], env=env, cwd=installed[1], capture_output=True, text=True, timeout=timeout)


def modelwright(installed: tuple[Path, Path], *words: str) -> str:
    done = python(installed, "modelwright", *words)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


def test_every_example_is_named_here() -> None:
    assert sorted(PARTS) == sorted(path.name for path in EXAMPLES.iterdir() if (path / "pyproject.toml").is_file())
    for name in PARTS:
        assert (EXAMPLES / name / "README.md").is_file() and list((EXAMPLES / name / "tests").glob("test_*.py"))


def test_each_brings_its_own_package_only(installed: tuple[Path, Path]) -> None:
    found = {path.name for path in installed[0].iterdir() if not path.name.endswith(".dist-info")}
    assert found == {name.replace("-", "_") for name in PARTS}


def test_their_parts_are_listed_and_none_is_broken(installed: tuple[Path, Path]) -> None:
    said = modelwright(installed, "list") + modelwright(installed, "list", "conformance")
    assert "broken plugin" not in said
    for part in (part for parts in PARTS.values() for part in parts):
        kind, _, name = part.partition("/")
        words = [line.split()[0] for line in said.splitlines() if line.strip()]
        assert kind in words and name in words, f"{part} is not listed"
    assert "BROKEN" not in modelwright(installed, "doctor")


@pytest.mark.parametrize("part", [part for parts in PARTS.values() for part in parts if not part.startswith("conformance/")])
def test_each_part_has_a_page(part: str, installed: tuple[Path, Path]) -> None:
    said = modelwright(installed, "show", part)
    assert str(installed[0]) in said.splitlines()[0]  # from where pip has put it
    assert len(said.splitlines()) > 3


@pytest.mark.slow
def test_all_go_into_one_recipe(installed: tuple[Path, Path]) -> None:
    chosen = ["optimizer=ademamix_paper", "filter=[math_text_strict,whole_latex,gopher_quality]", "denoiser=mdlm", "architecture.layers=6"]
    said = modelwright(installed, "plan", "recipe=diffusion/tiny", *chosen)
    lines = {tuple(line.split()) for line in said.splitlines()}
    assert {("optimizer", "ademamix"), ("denoiser", "random_order"), ("architecture", "bidirectional_decoder")} <= lines
    assert ("filter", "math_text_strict,", "whole_latex,", "gopher_quality") in lines
    wrong = python(installed, "modelwright", "plan", "recipe=diffusion/tiny", "filter=[math_text]", "filter.math_text.min_shre_without=1")
    assert wrong.returncode == 2 and "min_share_without" in wrong.stderr and len(wrong.stderr.strip().splitlines()) == 1


@pytest.mark.slow
def test_a_plugin_for_their_new_kind_is_written_and_passes(installed: tuple[Path, Path], tmp_path: Path) -> None:
    """`new-plugin` takes the example that the third-party conformance names."""
    modelwright(installed, "new-plugin", "my-denoiser", "--kind", "denoiser", "--into", str(tmp_path))
    pip_installs([tmp_path / "my-denoiser"], tmp_path / "site")
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(installed[0]), str(tmp_path / "site")])}
    call = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path / "my-denoiser")]
    done = subprocess.run(call, env=env, cwd=tmp_path, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stdout[-3000:]


@pytest.mark.slow
@pytest.mark.parametrize("name", PARTS)
def test_their_own_tests_pass(name: str, installed: tuple[Path, Path]) -> None:
    done = python(installed, "pytest", "-q", "-p", "no:cacheprovider", str(installed[1] / name), timeout=1500)
    assert done.returncode == 0, done.stdout[-5000:]
    assert " passed" in done.stdout and " failed" not in done.stdout


@pytest.mark.parametrize("name", PARTS)
def test_they_import_public_names_only(name: str) -> None:
    wrong = [
        f"{file.relative_to(EXAMPLES)}: {module}.{what}"
        for file in sorted((EXAMPLES / name).rglob("*.py"))
        for module, what in imports(file)
        if not public(module, what) and ((module, what) not in NEEDED)
    ]
    assert not wrong, wrong


def test_nothing_is_needed_that_nobody_needs() -> None:
    assert {each for file in EXAMPLES.rglob("*.py") for each in imports(file)} >= NEEDED


def imports(file: Path) -> Iterator[tuple[str, str]]:
    """(module, name) of whatever a file takes from Modelwright, anywhere in it."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative imports hide what is imported"
            found = [(node.module or "", alias.name) for alias in node.names]
        elif isinstance(node, ast.Import):
            found = [(alias.name, "") for alias in node.names]
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("import_module", "__import__")):
            found = [("modelwright", f"whatever {ast.unparse(node)} imports")]
        else:
            continue
        yield from ((module, what) for module, what in found if module.partition(".")[0] in ("modelwright", "modelwright_plugins"))


def public(module: str, what: str) -> bool:
    """Whether docs/plugins.md promises this name."""
    if module == "modelwright.api":
        return what in import_module(module).__all__
    if module == "modelwright.testing":
        return what in {"Conformance", "assert_conforms"}
    package, _, kind = module.partition(".")
    if package != "modelwright_plugins" or (kind != "artifacts" and kind not in discover().registry.kinds):
        return False
    found = getattr(import_module(module), what, None)  # defined there, not only imported
    return not what.startswith("_") and getattr(found, "__module__", None) == module


@pytest.mark.parametrize(
    ("line", "allowed"),
    [
        ("from modelwright.api import Registry", True),
        ("from modelwright.api import json", False),
        ("from modelwright.registry import Registry", False),
        ("from modelwright_plugins.optimizer import Optimizer", True),
        ("from modelwright_plugins.optimizer import Component", False),
        ("from modelwright_plugins.optimizer.adam import AdamW", False),
        ("from modelwright_plugins.artifacts import Checkpoint", True),
        ("import modelwright_plugins.engine.loop", False),
        ("def f():\n    from modelwright_plugins.engine.cpu import adapt", False),
        ("import importlib\nimportlib.import_module('modelwright_plugins.engine.cpu')", False),
        ("import torch", True),
    ],
)
def test_the_check_tells_public_from_private(line: str, allowed: bool, tmp_path: Path) -> None:
    (tmp_path / "file.py").write_text(line)
    assert all(public(*each) for each in imports(tmp_path / "file.py")) is allowed
