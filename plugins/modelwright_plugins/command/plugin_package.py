"""The files of a new plugin: those of the kind's example, renamed, and what makes them a package."""

from __future__ import annotations

import re
import sys
from dataclasses import MISSING, fields
from importlib.metadata import entry_points
from pathlib import Path

from modelwright import __version__
from modelwright.component import Component
from modelwright.hooks import API, GROUP, discover
from modelwright.schema import defaults
from modelwright_plugins.command.plugin_template import CHECKS, EXAMPLE, RECIPE, Template

PYPROJECT = """\
[build-system]
requires = ["setuptools>=77"]
build-backend = "setuptools.build_meta"

[project]
name = "{name}"
version = "0.1.0"
description = "{kind} {package} for Modelwright"
readme = "README.md"
requires-python = ">=3.11"
dependencies = [{needs}]

[project.optional-dependencies]
test = ["pytest>=8"]

[project.entry-points.modelwright]
{package} = "{package}"

[tool.setuptools.packages.find]
include = ["{package}*"]
namespaces = false

[tool.setuptools.package-data]
{package} = ["conf/**/*.yaml"]

[tool.pytest.ini_options]
testpaths = ["tests"]
filterwarnings = ["ignore:::megatron", "ignore:::torch"] # of other people's code

[tool.ruff]
line-length = 140
"""

HOOK = '''\
"""A plugin of Modelwright: its hooks. Only names are registered here, so that listing imports nothing heavy."""

from modelwright.api import Registry, hookimpl

MODELWRIGHT_API = {api}  # the version of the plugin interface that this was written for


@hookimpl
def modelwright_register(registry: Registry) -> None:
    registry.add("{kind}", "{package}", "{package}.{module}:{new}")
'''

CONF = """

@hookimpl
def modelwright_conf() -> str:
    return "pkg://{package}.conf"
"""

README = """\
# {name}

The {kind} `{package}` for Modelwright. {summary}

## Install

    pip install -e .

## Use

    {use}
    modelwright show {kind}/{package}

{about}
## Test

    pip install -e '.[test]'
    pytest

`assert_conforms` holds it to what every {kind} promises; the other tests compare it with something independent.
"""

IGNORE = "__pycache__/\n*.egg-info/\nbuild/\ndist/\n.venv/\n.pytest_cache/\n.ruff_cache/\nruns/\n"


def package_files(template: Template, *, name: str, package: str) -> dict[str, str]:
    """File -> text of a plugin that has the template's component under another name."""
    kind, new = template.kind, template.class_name(package)
    old = template.component
    presets = {file: text for file, text in template.files.items() if file.endswith(".yaml") and file != RECIPE}
    if not presets and kind in discover().registry.picked:
        presets = {"as_it_is.yaml": _preset(kind, old)}
    here = {"name": name, "package": package, "kind": kind, "module": template.module, "new": new, "api": API}
    conf: dict[str, str] = {}

    def renamed(text: str) -> str:
        return re.sub(rf"\b{EXAMPLE}(?=\b|_)", package, text)

    for file, text in presets.items():
        conf[f"{package}/conf/{kind}/{package}_{file}"] = renamed(text)
    if RECIPE in template.files:
        conf[f"{package}/conf/recipe/{package}.yaml"] = renamed(template.files[RECIPE])
    found = {"pyproject.toml": PYPROJECT.format(needs=", ".join(f'"{need}"' for need in _needs(kind)), **here)}
    found["README.md"] = README.format(summary=_summary(old), use=_use(template, package), about=_about(conf), **here)
    found[".gitignore"] = IGNORE
    found[f"{package}/__init__.py"] = HOOK.format(**here) + (CONF.format(**here) if conf else "")
    if conf:
        found |= {f"{package}/conf/__init__.py": "", **conf}
    for file, text in template.files.items():
        if not file.endswith(".py"):
            continue
        text = re.sub(rf"\b{re.escape(template.example)}\b", package if template.is_package else f"{package}.{template.module}", text)
        text = re.sub(rf"\b{old.__name__}\b", new, text)
        text = renamed(text) if file == CHECKS else text.replace(f"modelwright {EXAMPLE}", f"modelwright {package}")
        found[f"tests/test_{package}.py" if file == CHECKS else f"{package}/{file}"] = regrouped(text, package)
    if f"tests/test_{package}.py" not in found:
        found[f"tests/test_{package}.py"] = _test(kind, package)
    return found


def regrouped(text: str, package: str) -> str:
    """The text with each block of imports in the usual order: the standard library, other packages, this package."""

    def place(line: str) -> tuple[int, bool, str]:
        module = line.split()[1]
        top = module.partition(".")[0]
        group = 0 if top == "__future__" else 3 if top == package else 1 if top in sys.stdlib_module_names else 2
        return group, not line.startswith("import"), module.lower()

    def ordered(block: re.Match[str]) -> str:
        indent = re.match(" *", block[0])[0]  # type: ignore[index]
        lines = sorted((line.strip() for line in block[0].splitlines() if line.strip()), key=place)
        found = ""
        for before, line in zip([lines[0], *lines], lines, strict=False):
            found += ("\n" if place(before)[0] != place(line)[0] else "") + f"{indent}{line}\n"
        return found

    one = r"(?:from [\w.]+ import [^(\n]+|import [\w.]+(?: as \w+)?)\n"
    return re.sub(rf"^( *){one}(?:\n*\1{one})*", ordered, text, flags=re.M)


def _needs(kind: str) -> list[str]:
    """What the plugin depends on: this version of Modelwright and those that promise the same, and the plugin that has the kind."""
    major, minor = (int(part) for part in __version__.split(".")[:2])
    below = f"{major + 1}" if major else f"0.{minor + 1}"  # before 1.0 each minor version may change the interface
    needs = [f"modelwright>={major}.{minor},<{below}"]
    owner = discover().registry.kind(kind).plugin
    for entry in entry_points(group=GROUP, name=owner):
        if entry.dist is not None and owner != "builtin":
            needs.append(f"{entry.dist.name}>={entry.dist.version}")
    return needs


def _preset(kind: str, component: type[Component]) -> str:
    """A preset with every parameter at its default, to be changed."""
    from omegaconf import OmegaConf

    given = {key: value for key, value in defaults(component).items() if value != "???"}
    header = f"# @package {kind}.{EXAMPLE}_as_it_is\n" if discover().registry.kind(kind).many else ""
    return f"{header}# The defaults, to be changed.\ndefaults: [{EXAMPLE}@_here_]\n{OmegaConf.to_yaml(given) if given else ''}"


def _use(template: Template, package: str) -> str:
    """The command that tries it."""
    kind, registry = template.kind, discover().registry
    if RECIPE in template.files:
        return f"modelwright run recipe={package}"
    if kind not in registry.picked:
        return f"modelwright {package} --help" if kind == "command" else f"modelwright list {kind}"
    picked = f"'{kind}=[{package}]'" if registry.kind(kind).many else f"{kind}={package}"
    required = [f.name for f in fields(template.component) if f.default is MISSING and f.default_factory is MISSING]
    given = "".join(f" {kind}.{name}={name.upper()}" for name in required)
    return f"modelwright plan recipe=pretrain/quickstart {picked}{given}"


def _about(conf: dict[str, str]) -> str:
    if not conf:
        return ""
    return f"Presets and recipes, under names of their own: {', '.join(f'`{Path(file).stem}`' for file in conf)}.\n"


def _summary(component: type[Component]) -> str:
    return (component.__doc__ or "").strip().splitlines()[0]


def _test(kind: str, package: str) -> str:
    """The test of an example that has none: what its kind promises."""
    return f'''\
"""What it promises."""

from modelwright.testing import assert_conforms


def test_it_holds_what_its_kind_promises():
    assert_conforms("{kind}/{package}")
'''
