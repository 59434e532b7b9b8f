"""The presets for code, as they compose: they keep explained code as it is, and drop what they are there for."""

import argparse
import dataclasses
import textwrap
from pathlib import Path

import modelwright.conf
import pytest
from datatrove.data import Document
from omegaconf import OmegaConf

from modelwright.schema import conform
from modelwright_plugins.filter.c4 import C4Quality
from modelwright_plugins.filter.fineweb import FineWebQuality
from modelwright_plugins.filter.gopher import GopherQuality, GopherRepetition
from modelwright_plugins.filter.language import Language

PRESETS = {
    "language_code": Language,
    "gopher_quality_code": GopherQuality,
    "gopher_repetition_code": GopherRepetition,
    "c4_quality_code": C4Quality,
    "fineweb_quality_code": FineWebQuality,
}


@pytest.fixture(params=PRESETS)
def preset(request):
    (folder,) = modelwright.conf.__path__
    node = OmegaConf.load(f"{folder}/filter/{request.param}.yaml")
    (base,) = node.pop("defaults")
    assert base == request.param.removesuffix("_code") + "@_here_"
    return request.param, conform(OmegaConf.to_container(node), PRESETS[request.param], request.param).build()


def decide(built, text):
    document = Document(text=text, id="x", metadata={})
    decision = built.filter(document)
    assert decision is not True or document.text == text  # whatever stays, stays as it is
    return decision if decision is True else decision[1]


def test_ordinary_modules_stay(preset):
    _, built = preset
    for module in (textwrap, dataclasses, argparse):
        assert decide(built, Path(module.__file__).read_text(encoding="utf-8")) is True


TABLE = "TABLE = {\n" + "".join(f"    {i * 7919 % 65536}: 0x{i * 104729 % 65536:04x},\n" for i in range(400)) + "}\n"
REPEATED = "def build(self, value):\n    return self.check(value, self.limit)\n\n" * 60
BARE = "\n".join(f"def f{i}(a, b{i}, c):\n    d{i} = a + {i} * c\n    return d{i} - b{i}\n" for i in range(40))
GERMAN = "# Diese Funktion liest die Datei und gibt den Inhalt zurück, wenn sie vorhanden ist, sonst nichts.\nx = lies()\n" * 20


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("gopher_quality_code", TABLE, "gopher_below_alpha_threshold"),
        ("gopher_quality_code", "import os\n", "gopher_short_doc"),
        ("gopher_repetition_code", REPEATED, "dup_para_frac"),
        ("c4_quality_code", BARE, "too_few_sentences"),
        ("fineweb_quality_code", BARE, "line_punct_ratio"),
        ("language_code", GERMAN, "language_de"),
    ],
)
def test_what_each_is_there_for_goes(name, text, reason):
    (folder,) = modelwright.conf.__path__
    node = OmegaConf.load(f"{folder}/filter/{name}.yaml")
    node.pop("defaults")
    assert decide(conform(OmegaConf.to_container(node), PRESETS[name], name).build(), text) == reason
