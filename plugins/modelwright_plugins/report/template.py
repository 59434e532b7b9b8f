"""The pages of this folder, and how numbers and names are put into words on them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Template

GAP = "\N{NO-BREAK SPACE}"


def template(name: str, room: str = "report") -> Template:
    """A page of this folder or of another room, which may include files of either. Values are escaped."""
    from importlib.resources import files

    from jinja2 import Environment, FunctionLoader, StrictUndefined

    folders = [files(f"modelwright_plugins.{room}"), files("modelwright_plugins.report")]

    def text(file: str) -> str:
        return next(found for folder in folders if (found := folder.joinpath(file)).is_file()).read_text(encoding="utf-8")

    environment = Environment(loader=FunctionLoader(text), autoescape=True, undefined=StrictUndefined)
    environment.filters |= {
        "megabytes": megabytes,
        "short": short,
        "visible": visible,
        "breakable": breakable,
        "decimals": decimals,
        "share": share,
    }
    return environment.get_template(name)


def megabytes(size: float) -> str:
    return f"{size / 1e6:.1f}{GAP}MB" if size >= 1e5 else f"{size / 1e3:.1f}{GAP}kB"


def short(number: float) -> str:
    """1234567 -> 1.23 M."""
    for unit, name in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if number >= unit:
            return f"{number / unit:.3g}{GAP}{name}"
    return f"{number:.3g}"


def duration(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f}{GAP}s"
    return f"{seconds / 60:.0f}{GAP}min" if seconds < 6000 else f"{seconds / 3600:.1f}{GAP}h"


def decimals(number: float | None) -> str:
    return "–" if number is None else f"{number:.3f}"


def visible(text: Any) -> str:
    """Control characters, which a page can't show, as their pictures."""
    return str(text).translate({code: 0x2400 + code for code in range(32) if chr(code) not in "\t\n"} | {0x7F: 0x2421})


def breakable(name: str) -> str:
    """A long name that may be broken after an underscore or a dot."""
    return re.sub(r"([_.])", "\\1\N{ZERO WIDTH SPACE}", visible(name))


def share(part: float) -> str:
    """A share in percent; what is not nothing doesn't look like nothing."""
    return f"<{GAP}0.1{GAP}%" if 0 < part < 0.001 else f"{100 * part:.1f}".removesuffix(".0") + f"{GAP}%"
