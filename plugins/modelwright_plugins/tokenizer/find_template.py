"""Which chat template a name says, and what a tokenizer's own is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from modelwright.errors import ModelwrightError, nearest

TEMPLATES = Path(__file__).with_name("templates")


def built_in() -> list[str]:
    """The names of the templates that come with Modelwright."""
    return sorted(file.stem for file in TEMPLATES.glob("*.jinja"))


def find_template(name: str | None, tokenizer: Path) -> str:
    """The Jinja of a built-in template's name or of a file; None: the tokenizer's own, or else chatml. ModelwrightError: there is none."""
    if name is None:
        return own_template(tokenizer) or find_template("chatml", tokenizer)
    file = TEMPLATES / f"{name}.jinja" if name in built_in() else Path(name).expanduser()
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeError) as error:
        why = f"there is no such template{nearest(name, built_in())}" if isinstance(error, FileNotFoundError) else str(error)
        raise ModelwrightError(f"template {name}: {why}; it is a name or a .jinja file") from error


def own_template(tokenizer: Path) -> str | None:
    """The Jinja that a tokenizer's folder has; None: it has none."""
    if (file := tokenizer / "chat_template.jinja").is_file():
        return file.read_text(encoding="utf-8")
    found = read_json(tokenizer / "tokenizer_config.json").get("chat_template")
    if isinstance(found, list):  # several with names
        found = next((one["template"] for one in found if one.get("name") == "default"), None)
    return found if isinstance(found, str) else None


def read_json(file: Path) -> dict[str, Any]:
    """A file of a tokenizer's settings; empty where there is none."""
    try:
        return dict(json.loads(file.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError) as error:
        raise ModelwrightError(f"{file}: expected Hugging Face's settings of a tokenizer ({error})") from error
