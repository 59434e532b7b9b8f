"""Language identification on labelled sentences: messages of programs, translated by people, out of packages' catalogues."""

from __future__ import annotations

import gettext
import io
import random
import re
import subprocess
import sys
import zipfile
from pathlib import Path

from _table import Row, seconds
from _texts import size
from datatrove.data import Document

from modelwright_plugins.filter.language import Language

PACKAGES = ("django", "pretix", "wagtail")  # their wheels have the same messages in many languages
LANGUAGES = ("ar", "de", "en", "es", "fr", "it", "ja", "ko", "nl", "pl", "pt", "ru", "tr", "uk", "vi", "zh")
NAMED = {"pt_BR": "pt", "pt_PT": "pt", "zh_Hans": "zh"}  # a catalogue's folder, where it isn't the language
FIELD = re.compile(r"%\([^)]*\)[a-z]|%[a-z]|\{[^}]*\}|<[^>]*>|&\w+;|\s+")  # what a program fills in, tags, blanks
SHORTEST = 60  # bytes of a sentence
SENTENCES, CHARACTERS = 400, 2000  # of each language that are asked; of a document


def rows(wheels: Path, megabytes: float) -> list[Row]:
    """CLD2. The bar is on single sentences: the mean of the languages' accuracies. Speed is of documents of 2,000 characters."""
    work, bar = f"language id, {len(LANGUAGES)} languages", ">= 10 MB/s, accuracy >= .94"
    said = _sentences(wheels)
    if missing := [language for language in LANGUAGES if len(said.get(language, ())) < 100]:
        return [Row(work, "", "", "", f"{bar} (no sentences in {', '.join(missing)}: pip download {' '.join(PACKAGES)})", False)]
    pick = random.Random(0)
    found = Language().build()

    def accuracy(texts: dict[str, list[str]]) -> dict[str, float]:
        shares = {}
        for language, some in texts.items():
            asked = [Document(text=text, id="", metadata={}) for text in some]
            for document in asked:
                found.filter(document)
            shares[language] = sum(document.metadata["language"].partition("-")[0] == language for document in asked) / len(asked)
        return shares

    alone = accuracy({language: pick.sample(sentences, min(SENTENCES, len(sentences))) for language, sentences in said.items()})
    whole: dict[str, list[str]] = {language: [] for language in LANGUAGES}
    made = 0
    while made < megabytes * 1e6:
        for language in LANGUAGES:
            parts: list[str] = []
            while sum(map(len, parts)) < CHARACTERS:
                parts.append(pick.choice(said[language]))
            whole[language].append("\n".join(parts))
            made += len(whole[language][-1].encode())
    spent, together = seconds(lambda: accuracy(whole))
    speed = sum(size(texts) for texts in whole.values()) / spent
    mean = sum(alone.values()) / len(alone)
    print(f"  sentences of {SHORTEST} bytes and more, {min(map(len, said.values())):,} to {max(map(len, said.values())):,} a language:")
    print("    " + ", ".join(f"{language} {share:.3f}" for language, share in sorted(alone.items(), key=lambda item: item[1])))
    print(f"    documents of {CHARACTERS:,} characters: {sum(together.values()) / len(together):.4f}")
    return [Row(work, f"{speed:.1f} MB/s", "", "", f"{bar} (is {mean:.3f})", speed >= 10 and mean >= 0.94)]


def _sentences(wheels: Path) -> dict[str, list[str]]:
    wheels.mkdir(parents=True, exist_ok=True)
    for package in PACKAGES:
        if not list(wheels.glob(f"{package}-*.whl")):
            command = [
                sys.executable,
                "-m",
                "pip",
                "download",
                "--quiet",
                "--no-deps",
                "--only-binary",
                ":all:",
                "--dest",
                str(wheels),
                package,
            ]
            subprocess.run(command, check=False, stderr=subprocess.DEVNULL)
    said: dict[str, set[str]] = {language: set() for language in LANGUAGES}
    for package in PACKAGES:
        for wheel in sorted(wheels.glob(f"{package}-*.whl"))[-1:]:
            with zipfile.ZipFile(wheel) as files:
                for name in files.namelist():
                    place = re.search(r"/locale/(\w+)/LC_MESSAGES/\w+\.mo$", name)
                    language = NAMED.get(place[1], place[1]) if place else ""
                    if language in LANGUAGES:
                        _add(files.read(name), said[language], said["en"])
    return {language: sorted(text for text in found if len(text.encode()) >= SHORTEST) for language, found in said.items() if found}


def _add(catalogue: bytes, translated: set[str], english: set[str]) -> None:
    """A message that was left in English is no translation."""
    for key, message in gettext.GNUTranslations(io.BytesIO(catalogue))._catalog.items():  # type: ignore[attr-defined]
        key = key[0] if isinstance(key, tuple) else key
        if key and message != key:
            english.add(FIELD.sub(" ", key.rpartition("\x04")[2]).strip())
            translated.add(FIELD.sub(" ", message).strip())
