"""`modelwright --help`: the commands, a line each."""

from __future__ import annotations

from dataclasses import dataclass

from modelwright.component import Command
from modelwright.errors import ModelwrightError
from modelwright.hooks import discover
from modelwright_plugins.source_code import summary


@dataclass(frozen=True, kw_only=True)
class Help(Command):
    """Print the commands, a line each: modelwright --help."""

    def run(self, arguments: list[str]) -> int:
        if arguments:
            raise ModelwrightError(f"help takes no words, and got {arguments[0]!r}; of one command: modelwright {arguments[0]} --help")
        registry = discover().registry
        known = registry.names("command")
        width = max(map(len, known))
        print("usage: modelwright COMMAND …     (--help after a command: how it is used; --debug: tracebacks)\n")
        for name in known:
            print(f"  {name:<{width}}  {summary(registry.get('command', name))}")
        return 0
