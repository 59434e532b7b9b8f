"""Whose a model is that was taken in: what its folder says of tokens, of generation and of its licence, kept beside its tokenizer."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import yaml

from modelwright_plugins.architecture.hugging_face._told import TOKENS
from modelwright_plugins.tokenizer.find_template import read_json

FILE = "imported.json"
LICENCES = ("LICENSE*", "LICENCE*", "NOTICE*", "USE_POLICY*")
OPEN = "# license: not chosen yet; it is yours to say (https://huggingface.co/docs/hub/repositories-licenses)"
CACHED = re.compile(r"models--([^/]+?)--([^/]+)/snapshots/[^/]+$")  # a folder of huggingface_hub's cache


@dataclass(frozen=True)
class Origin:
    """A model of Hugging Face's."""

    name: str  # org/name where its folder is of huggingface_hub's cache, or else what its folder is called
    tokens: Mapping[str, Any]  # numbers of tokens, as config.json has them
    generation: Mapping[str, Any] = field(default_factory=dict)  # generation_config.json
    licence: Mapping[str, str] = field(default_factory=dict)  # license, license_name and license_link of its model card

    @classmethod
    def of(cls, folder: Path, config: Mapping[str, Any]) -> Origin:
        """ModelwrightError: generation_config.json cannot be read."""
        place = folder.absolute()
        cached = CACHED.search(place.as_posix())
        name = "/".join(cached.groups()) if cached else place.name
        tokens = {key: value for key, value in config.items() if key in TOKENS}
        return cls(name, tokens, read_json(folder / "generation_config.json"), _licence(folder / "README.md"))

    @classmethod
    def read(cls, tokenizer: Path) -> Origin | None:
        """That of a tokenizer that was taken in; None: it was trained here. ModelwrightError: its file cannot be read."""
        found = read_json(tokenizer / FILE)
        return cls(**found) if found else None

    def write(self, tokenizer: Path, folder: Path) -> None:
        """With the folder's licences."""
        (tokenizer / FILE).write_text(json.dumps(asdict(self), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        copy_licences(folder, tokenizer)

    def card(self, files: Sequence[str]) -> tuple[list[str], list[str]]:
        """Of a model card: metadata, and what is said of the licence; `files`: texts of licences that go along."""
        named = "/" in self.name
        base = f"base_model: {self.name}" if named else f"# base_model: {self.name}, whose name on the Hub is yours to say"
        told = [f"{key}: {value}" for key, value in self.licence.items()] or [OPEN]
        name = self.licence.get("license_name") or self.licence.get("license") or "not told"
        return [base, *told], [f"That of {self.name}: {name}" + (f" ({', '.join(files)})." if files else ".")]

    def ends(self, ours: Iterable[int]) -> int | list[int] | None:
        """Tokens that end a reply: theirs, and ours behind them."""
        before = self.generation.get("eos_token_id", self.tokens.get("eos_token_id"))
        before = before if isinstance(before, list) else [] if before is None else [before]
        found = [*before, *sorted(set(ours) - set(before))]
        return found[0] if len(found) == 1 else found or None


def copy_licences(source: Path, out: Path) -> list[str]:
    """Their names."""
    found = sorted({file.name for pattern in LICENCES for file in source.glob(pattern) if file.is_file()})
    for name in found:
        shutil.copyfile(source / name, out / name)
    return found


def comes_from(runs: Iterable[tuple[Path, Mapping[str, Any], Mapping[str, Any]]]) -> bool:
    """Whether the weights of the last of these runs (folder, manifest, config; newest first) began as those that import_model took in."""
    for _, manifest, config in runs:
        stages = manifest.get("stages", {})
        train = config.get("train") or {}
        if "train" in stages and not (train.get("init_from") or train.get("continued")):
            return False  # from random numbers: what was taken in was the tokenizer, at most
        if "import_model" in stages:
            return True
    return False


def _licence(card: Path) -> dict[str, str]:
    """Of a model card's first lines; nothing where it does not say."""
    try:
        text = card.read_text(encoding="utf-8")
        told = yaml.safe_load(text.split("---", 2)[1]) if text.startswith("---") else {}
    except (OSError, UnicodeError, IndexError, yaml.YAMLError):
        return {}
    names = ("license", "license_name", "license_link")
    return {name: told[name] for name in names if isinstance(told, dict) and isinstance(told.get(name), str)}
