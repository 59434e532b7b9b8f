"""The process that renders chat templates: `python -I _chat.py SECONDS BYTES`, a line when it is ready; a JSON line in, one out.

A template is a program from a stranger. Jinja's sandbox keeps it from what is not its business; this process, which has only the
conversation that it was sent, can be ended when it takes too long, and has no more memory than it was given. It imports Jinja alone.
"""

import json
import os
import resource
import sys
from contextlib import suppress
from datetime import datetime
from functools import cache
from typing import Any

from jinja2 import Template, TemplateError, nodes
from jinja2.exceptions import SecurityError, TemplateSyntaxError
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace


class Generation(Extension):
    """`{% generation %}…{% endgeneration %}` marks what the assistant says, and changes no text; its places are kept, as transformers
    (`utils/chat_template_utils.py`, AssistantTracker) keeps them."""

    tags = {"generation"}  # noqa: RUF012
    written = 0  # characters before the block that is rendered now
    blocks: list[tuple[int, str]] = []  # noqa: RUF012  # where each began, what it says

    def parse(self, parser: Parser) -> Any:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.CallBlock(self.call_method("_said"), [], [], body).set_lineno(line)

    def _said(self, caller: Any) -> str:
        text = str(caller())
        Generation.blocks.append((Generation.written, text))
        return text


class PlainNamespace(Namespace):
    """Jinja's, without names that Python keeps for itself."""

    def __init__(*given: Any, **named: Any) -> None:
        for name in dict(*given[1:], **named):
            _plain(name)
        Namespace.__init__(*given, **named)

    def __setitem__(self, name: str, value: Any) -> None:
        Namespace.__setitem__(self, _plain(name), value)


def _plain(name: str) -> str:
    if name.startswith("_"):
        raise SecurityError(f"a namespace has no {name!r}")
    return name


def tojson(value: Any, ensure_ascii: bool = False, indent: Any = None, separators: Any = None, sort_keys: bool = False) -> str:
    """JSON as it is: Jinja's own filter writes < as \\u003c, for web pages."""
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def raise_exception(message: str) -> None:
    """How a template refuses a conversation."""
    raise TemplateError(message)


def strftime_now(form: str) -> str:
    return datetime.now().strftime(form)


@cache
def compiled(template: str) -> Template:
    made = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols])
    made.filters["tojson"] = tojson
    made.globals |= {"raise_exception": raise_exception, "strftime_now": strftime_now, "namespace": PlainNamespace}
    return made.from_string(template)


def answer(line: str) -> str:
    """{"template", "all": [variables, …]} as [{"text", "spans": [[from, to], …]} or {"error"}, …]; spans are of generation blocks."""
    asked = json.loads(line)
    return json.dumps([one(asked["template"], variables) for variables in asked["all"]])


def one(template: str, variables: dict[str, Any]) -> dict[str, Any]:
    Generation.written, Generation.blocks = 0, []
    pieces = []
    try:
        for piece in compiled(template).generate(variables):
            pieces.append(piece)
            Generation.written += len(piece)
        text = "".join(pieces)
        if any(text[begin : begin + len(said)] != said for begin, said in Generation.blocks):
            return {"error": "a generation block within a macro or a set block has no place in the text"}
        return {"text": text, "spans": [[begin, begin + len(said)] for begin, said in Generation.blocks]}
    except TemplateSyntaxError as e:
        said = f"line {e.lineno}: {e.message}"
    except MemoryError:
        said = "it takes more memory than a template may"
    except SecurityError as e:
        said = f"it reaches for what is not its business: {e}"
    except Exception as e:
        said = str(e) if isinstance(e, TemplateError) else f"{type(e).__name__}: {e}"
    return {"error": said}


def main() -> None:
    seconds, memory = int(sys.argv[1]), int(sys.argv[2])
    for limit, most in ((resource.RLIMIT_AS, memory), (resource.RLIMIT_FSIZE, 0), (resource.RLIMIT_CORE, 0), (resource.RLIMIT_NPROC, 0)):
        with suppress(ValueError, OSError):  # macOS has not all of them
            resource.setrlimit(limit, (most, most))
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]  # where there is one (ulimit -t), nobody but root may raise it
    most = sys.maxsize if hard == resource.RLIM_INFINITY else hard
    print("ready", flush=True)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # nobody reads it from now on
    for line in sys.stdin:
        resource.setrlimit(resource.RLIMIT_CPU, (min(_used() + seconds + 1, most), hard))  # also when the parent is gone
        print(answer(line), flush=True)
        if _used() + seconds + 1 > most:
            return  # those before used it up: the next template gets a process of its own


def _used() -> int:
    """Processor time, in seconds."""
    return int(sum(resource.getrusage(resource.RUSAGE_SELF)[:2]))


if __name__ == "__main__":
    main()
