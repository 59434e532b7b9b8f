"""`modelwright new-plugin`: the beginning of a plugin, with a component that works and a test that passes."""

from __future__ import annotations

import builtins
import importlib.util
import keyword
import re
import shlex
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from modelwright.component import Command
from modelwright.errors import ModelwrightError, nearest
from modelwright.hooks import discover
from modelwright.manifest import plugins
from modelwright_plugins.catalogue import presets
from modelwright_plugins.command.plugin_package import package_files
from modelwright_plugins.command.plugin_template import Template

OPTIONS = ("--kind", "--into")
NAME = re.compile(r"[A-Za-z]([A-Za-z0-9._-]*[A-Za-z0-9])?")  # of a distribution; the first is a letter, as in a module's name
OWN = ("tests", "conf")  # folders that every plugin has


@dataclass(frozen=True, kw_only=True)
class NewPlugin(Command):
    """Write an installable plugin: modelwright new-plugin NAME --kind KIND [--into FOLDER].

      modelwright new-plugin my-optimizer --kind optimizer        writes ./my-optimizer
      modelwright new-plugin my-filter --kind filter --into ~/src

    It has one small component of the kind that works, to be changed into yours, its test, a preset and a README.
    """

    def run(self, arguments: list[str]) -> int:
        name, kind, into = _asked(arguments)
        template = Template(kind)
        package = re.sub(r"[._-]+", "_", name).lower()
        _check(name, package, template)
        folder = into / name
        if folder.exists() or folder.is_symlink():
            raise ModelwrightError(f"{folder} is there already; nothing was written. Give another NAME, or another folder: --into FOLDER")
        files = package_files(template, name=name, package=package)
        for file, text in files.items():
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            (folder / file).write_text(text, encoding="utf-8")
        print(f"Wrote {len(files)} files in {folder}: the {kind} {package!r}, its test and a README. Next:\n")
        where = shlex.quote(str(folder))
        with_tests = shlex.quote(f"{folder}[test]")
        for line in (f"pip install -e {with_tests}", f"python -m pytest {where}", f"modelwright show {kind}/{package}"):
            print(f"  {line}")
        return 0


def _asked(arguments: list[str]) -> tuple[str, str, Path]:
    """(name, kind, folder to write into) of the words after the command."""
    words, names, options = list(arguments), list[str](), dict[str, str]()
    while words:
        word = words.pop(0)
        option, has, value = word.partition("=")
        if not option.startswith("-"):
            names.append(word)
        elif option not in OPTIONS:
            raise ModelwrightError(f"new-plugin has no option {option!r}{nearest(option, OPTIONS)}")
        elif not has and (not words or words[0].startswith("-")):
            raise ModelwrightError(f"{option} needs a value: {option} {option[2:].upper()}")
        else:
            options[option] = value if has else words.pop(0)
    usage = "modelwright new-plugin my-optimizer --kind optimizer"
    if len(names) != 1:
        raise ModelwrightError(f"new-plugin takes one name, as in: {usage}" + (f"; it got {', '.join(names)}" if names else ""))
    if "--kind" not in options:
        raise ModelwrightError(f"of which kind? --kind KIND, as in: {usage}; there are: {', '.join(Template.kinds())}")
    return names[0], options["--kind"], Path(options.get("--into", ".")).expanduser()


def _check(name: str, package: str, template: Template) -> None:
    """A ModelwrightError when this name can't be a distribution, a module, a plugin, a component and a class at once."""

    def refuse(why: str) -> ModelwrightError:
        return ModelwrightError(f"new-plugin: {name!r} won't do: {why}")

    if not NAME.fullmatch(name):
        raise refuse("a name begins with a letter, and has letters, digits and single -, _ or . in it, as in my-optimizer")
    if keyword.iskeyword(package) or keyword.issoftkeyword(package):
        raise refuse(f"{package!r} is a word of Python")
    if package in OWN:
        raise refuse(f"every plugin has a folder {package!r} of its own")
    for installed in (name, package):
        try:
            raise refuse(f"{distribution(installed).name} is installed already; choose a name that is nobody's")
        except PackageNotFoundError:
            continue
    spec = importlib.util.find_spec(package)
    if spec is not None and spec.origin is not None:
        raise refuse(f"there is a module {package!r} already ({spec.origin})")
    registry = discover().registry
    if package in plugins() or package in registry.broken:
        raise refuse(f"there is a plugin {package!r} already")
    if package in registry.names(template.kind) or package in presets(template.kind):
        raise refuse(f"there is {template.kind}/{package} already: modelwright show {template.kind}/{package}")
    new = Template.class_name(package)
    if new in template.words() or hasattr(builtins, new):
        raise refuse(f"its class would be called {new}, and that is the name of something that it uses; try my-{name}")
