"""`modelwright completion`: the Tab key, in bash, zsh and fish.

The shell's part only hands over the line up to the cursor (`modelwright completion suggest LINE`); what may stand there comes from the
registry, so that parts of plugins complete as ours do. At most the one component whose parameters are asked for is imported.
"""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterable
from dataclasses import dataclass

from modelwright.component import Command
from modelwright.errors import ModelwrightError, nearest
from modelwright.hooks import discover
from modelwright.run import CONFIG
from modelwright_plugins.command._override_words import folders, named, overrides, paths
from modelwright_plugins.pipeline.phases import RECORD as PIPELINE
from modelwright_plugins.source_code import file
from modelwright_plugins.sweep.record import RECORD

SCRIPTS = {
    "bash": r"""_modelwright() {
  local line=${COMP_LINE:0:COMP_POINT} found
  local word=${line##*[[:space:]]} head=
  [[ $word != [\"\']* && $COMP_WORDBREAKS == *=* ]] && head=${word%"${word##*[=:]}"}  # bash replaces only what follows the last = or :
  COMPREPLY=()
  while IFS= read -r found; do
    COMPREPLY+=("${found#"$head"}")
  done < <("${COMP_WORDS[0]}" completion suggest "$line" 2>/dev/null)
  [[ ${COMPREPLY[0]} == *[=./] || ${COMPREPLY[0]} == *\[* ]] && compopt -o nospace 2>/dev/null
}
complete -o default -F _modelwright modelwright
""",
    "zsh": r"""#compdef modelwright
_modelwright() {
  local -a found
  found=("${(@f)$("${words[1]}" completion suggest "${(j: :)words[1,CURRENT-1]} $PREFIX" 2>/dev/null)}")
  [[ -n $found[1] ]] && compadd -Q -S '' -- $found || _files
}
compdef _modelwright modelwright
""",
    "fish": r"""function __modelwright
  set -l words (commandline -opc)
  command $words[1] completion suggest (commandline -cp) 2>/dev/null
end
complete -c modelwright -f -a '(__modelwright)'
""",
}


@dataclass(frozen=True, kw_only=True)
class Completion(Command):
    """Print a script that completes words at the Tab key: source <(modelwright completion bash | zsh), or … fish | source.

    To keep it:  modelwright completion bash >> ~/.bashrc
                 modelwright completion zsh >> ~/.zshrc         (after compinit)
                 modelwright completion fish > ~/.config/fish/completions/modelwright.fish
    """

    def run(self, arguments: list[str]) -> int:
        if arguments[:1] == ["suggest"] and len(arguments) == 2:
            print(*suggest(arguments[1]), sep="\n")
            return 0
        if len(arguments) != 1 or arguments[0] not in SCRIPTS:
            raise ModelwrightError(f"completion for which shell?{nearest(' '.join(arguments), SCRIPTS)}")
        print(SCRIPTS[arguments[0]], end="")
        return 0


def suggest(line: str) -> list[str]:
    """What the last word of a command line may become: whole words, sorted; one that ends in = . or / goes on."""
    *before, word = _words(line)
    registry = discover().registry
    if len(before) < 2:
        found: Iterable[str] = [*registry.names("command"), "--help", "--version"]
    elif word.startswith("-"):
        found = [*_options(before[1]), "--help", "--debug"]
    else:
        found = _arguments(before[1], before[2:], word)
    return sorted({each for each in found if each.startswith(word)})


def _words(line: str) -> list[str]:
    """As the shell splits them; a quote that is still open ends at the cursor."""
    for end in ("", "'", '"'):
        try:
            words = shlex.split(line + end)
        except ValueError:
            continue
        return [*words, ""] if not words or (not end and line[-1:].isspace()) else words
    return [*line.split(), ""]


def _options(command: str) -> list[str]:
    """The options that a command's docstring speaks of; it is read, not imported."""
    entry = discover().registry.entries.get(("command", command))
    if entry is None or (source := file(entry)) is None:
        return []
    name = entry.target.partition(":")[2]
    docs = [ast.get_docstring(n) or "" for n in ast.parse(source.read_bytes()).body if isinstance(n, ast.ClassDef) and n.name == name]
    lines = [line for doc in docs for line in doc.splitlines() if not line.lstrip().startswith("torchrun")]
    return re.findall(r"(?<![\w-])--?[a-z][\w-]*", "\n".join(lines))


def _arguments(command: str, before: list[str], word: str) -> Iterable[str]:
    registry = discover().registry
    kinds = [*registry.kinds, "recipe"]
    if before[-1:] == ["--kind"]:
        return registry.picked
    if command in {"run", "plan"}:
        return overrides(before, word)
    if command == "list":
        return kinds
    if command == "show":
        kind = word.partition("/")[0]
        return [f"{kind}/{name}" for name in named(kind)] if "/" in word else [f"{kind}/" for kind in kinds]
    if command in {"resume", "compare", "chat"}:
        return folders(word, CONFIG, RECORD, PIPELINE)
    if command == "scaling":
        return _scaling(before, word)
    if command == "completion":
        return SCRIPTS
    return []


def _scaling(before: list[str], word: str) -> Iterable[str]:
    """`fit`, the value of an option that has a few, or what a law is fitted to."""
    if not before:
        return ["fit"]
    if before[-1] == "--law":
        from modelwright_plugins.scaling.laws import LAWS

        return LAWS
    if before[-1] in _options("scaling"):
        return []
    return [*folders(word, RECORD), *paths(word, ".csv")]
