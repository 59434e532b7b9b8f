"""`modelwright docs`: reference pages in Markdown, made from what is registered."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from modelwright.component import Command, Component
from modelwright.errors import ModelwrightError
from modelwright.hooks import discover
from modelwright.registry import Kind
from modelwright_plugins.command.list import about
from modelwright_plugins.command.markdown import code, docstring, fence, prose
from modelwright_plugins.command.public import MODULES, Item, Public, api, component, hooks, interface_classes, klass
from modelwright_plugins.source_code import summary


@dataclass(frozen=True, kw_only=True)
class Docs(Command):
    """Write reference pages in Markdown: modelwright docs FOLDER [--plugin NAME].

    A page for each kind (its interface, components and presets), for recipes, commands, hooks and the public API, an
    `index.md`, and `surface.txt`: every public name with its signature, a line each, to compare releases by.
    With --plugin only what that plugin brings; `--plugin builtin` is Modelwright itself.
    """

    def run(self, arguments: list[str]) -> int:
        words, plugin = [*arguments], None
        if "--plugin" in words:
            at = words.index("--plugin")
            plugin = next(iter(words[at + 1 : at + 2]), "")
            del words[at : at + 2]
        if len(words) != 1 or words[0].startswith("-"):
            raise ModelwrightError("docs where? modelwright docs FOLDER [--plugin NAME]")
        made = pages(Public(plugin))
        folder = Path(words[0])
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in made.items():
            (folder / name).write_text(text, encoding="utf-8")
        print(f"{len(made)} files in {folder}")
        return 0


def pages(public: Public) -> dict[str, str]:
    """Every page: file name -> text."""
    made = {f"{kind.name}.md": _kind(kind, public) for kind in public.kinds() if kind.name != "command"}
    made["index.md"] = _index(public)
    if public.recipes():
        made["recipes.md"] = _recipes(public)
    if public.components("command"):
        made["commands.md"] = _commands(public)
    if public.core:
        made |= {"hooks.md": _hooks(), "api.md": _api()}
    texts = {name: "\n".join(lines).rstrip() + "\n" for name, lines in made.items()}
    return texts | {"surface.txt": "".join(f"{item}\n" for item in public.items())}


def _index(public: Public) -> Iterator[str]:
    yield from (
        "# Reference",
        "",
        "Made by `modelwright docs` from what is registered; `modelwright show` prints the same in a terminal.",
        "",
    )
    for kind in public.kinds():
        if kind.name != "command":
            names = ", ".join(f"[{name}]({kind.name}.md#{name})" for name in public.components(kind.name))
            yield f"- [{kind.name}]({kind.name}.md): {prose(summary(kind))} {names}"
    if public.recipes():
        yield "- [Recipes](recipes.md): what to run."
    if public.components("command"):
        yield "- [Commands](commands.md): the words of the command line."
    if public.core:
        yield "- [Hooks](hooks.md): how a plugin comes in, and what it is told while a run goes on."


def _kind(kind: Kind, public: Public) -> Iterator[str]:
    yield from (f"# {kind.name}", "")
    if public.has(kind.plugin):
        yield from _interface(kind)
    found, presets = public.components(kind.name), public.presets(kind.name)
    if found:
        yield from ("## Components", "")
    for name in found:
        yield from _component(
            kind, name, [preset for preset, path in presets.items() if f"{name}@_here_" in path.read_text(encoding="utf-8")]
        )
    if presets:
        yield from ("## Presets", "")
    for name, path in presets.items():
        yield from (f"### {prose(name)} {{ #{name} }}", "", *fence(path.read_text(encoding="utf-8"), "yaml"))


def _interface(kind: Kind) -> Iterator[str]:
    first, *members = klass(kind.load(), "", known=(Component,))
    yield from docstring(first.doc)
    if kind.plugin == "core":
        if kind.name == "stage":
            yield from ("A recipe names its stages in order: `stages: [NAME, …]`. A stage's parameter is `NAME.PARAMETER`.", "")
        yield from (f"The interface is [`{kind.target.replace(':', '.')}`](api.md#{kind.target.rpartition(':')[2].lower()}).", "")
        return
    if kind.many:
        yield f"A recipe takes an ordered list: `{kind.name}=[…]`. A component's parameter is `{kind.name}.NAME.PARAMETER`."
    else:
        yield f"A recipe takes one: `{kind.name}=NAME`. Its parameter is `{kind.name}.PARAMETER`."
    yield from (f"The default is `{kind.default}`." if kind.default else "There is no default.", "")
    yield from ("## Interface", "", f"`{kind.target.replace(':', '.')}`", "", *_members(members, "###"))
    for cls in interface_classes(kind)[1:]:
        first, *members = klass(cls, cls.__name__, known=(Component,))
        yield from (f"### {cls.__name__}", "", *docstring(first.doc), *_members(members, "####"))


def _members(members: list[Item], level: str) -> Iterator[str]:
    """Fields as a list, methods with their signatures and docstrings."""
    fields = [item for item in members if not item.signature.startswith("(")]
    yield from _list(fields)
    for item in members:
        if item not in fields:
            name = item.name.rpartition(".")[2]
            yield from (f"{level} {prose(name)}", "", *fence(f"{name}{item.signature}", "python"), *docstring(item.doc))


def _list(fields: list[Item]) -> Iterator[str]:
    yield from (f"- {code(item.name.rpartition('.')[2] + item.signature)}: {prose(' '.join(item.doc.split()))}" for item in fields)
    yield from [""] if fields else []


def _component(kind: Kind, name: str, presets: list[str]) -> Iterator[str]:
    first, *parameters = component(kind.name, name)
    entry = discover().registry.get(kind.name, name)
    yield from (f"### {prose(name)} {{ #{name} }}", "", *docstring(first.doc))
    yield from (f"{said[0].upper()}{said[1:]}." for said in first.signature.removeprefix(": ").split("; ") if said)
    yield from (f"`{entry.target}`, of plugin {entry.plugin}.", "")
    yield from _list(parameters)
    if presets:
        yield from (f"Presets: {', '.join(f'[{preset}](#{preset})' for preset in presets)}.", "")


def _recipes(public: Public) -> Iterator[str]:
    yield from ("# Recipes", "", "What to run: `modelwright run recipe=NAME`.", "")
    for name, path in public.recipes().items():
        yield from (f"## {name}", "", prose(about(path)), "", *fence(path.read_text(encoding="utf-8"), "yaml"))


def _commands(public: Public) -> Iterator[str]:
    yield from ("# Commands", "")
    for name in public.components("command"):
        first, *_ = component("command", name)
        yield from (f"## modelwright {name}", "", *docstring(first.doc))


def _hooks() -> Iterator[str]:
    yield from ("# Hooks", "", "In the order in which they are called.", "")
    for item in hooks():
        yield from (f"## {prose(item.name)}", "", *fence(f"def {item}: ...", "python"), *docstring(item.doc))


def _api() -> Iterator[str]:
    yield from ("# The public API", "", "All that a plugin may import, beside the kinds' interfaces, which are on their pages.", "")
    for module in MODULES:
        yield from (f"## {module.__name__}", "", *docstring(inspect.getdoc(module) or ""))
        for first, *members in api(module):
            name = first.name.rpartition(".")[2]
            yield from (f"### {name}", "")
            if first.signature:
                yield from fence(f"{name}{first.signature}", "python")
            yield from (*docstring(first.doc), *_members(members, "####"))
