"""A tokenizer's folder and a chat template may come from a stranger: neither gets code run."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path
from typing import Any

import pytest

from modelwright.errors import ModelwrightError
from modelwright_plugins.tokenizer.bpe import ByteLevelBPE
from modelwright_plugins.tokenizer.chat_template import render
from modelwright_plugins.tokenizer.encoder import Encoder


class Evil:
    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.canary}",)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "tokenizer"
    made.mkdir()
    ByteLevelBPE(vocab_size=260).train(iter(["abcabcabc"]), made)
    return made


def test_auto_map_is_not_followed(folder: Path, tmp_path: Path, canary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """transformers imports the module that `auto_map` names, when it is told to trust it."""
    import transformers

    (folder / "evil.py").write_text(
        f"open({str(canary)!r}, 'w').close()\nfrom transformers import PreTrainedTokenizerFast\n"
        "class Mine(PreTrainedTokenizerFast):\n    pass\n"
    )
    named = {"auto_map": {"AutoTokenizer": ["evil.Mine", "evil.Mine"]}, "tokenizer_class": "Mine"}
    for name in ("tokenizer_config.json", "tokenizer.json"):
        (tmp_path / name).write_text(json.dumps(json.loads((folder / name).read_text()) | named))
    (tmp_path / "tokenizer_config.json").replace(folder / "tokenizer_config.json")
    monkeypatch.setattr(transformers.dynamic_module_utils, "HF_MODULES_CACHE", str(tmp_path / "modules"))
    transformers.AutoTokenizer.from_pretrained(str(folder), trust_remote_code=True)
    assert canary.exists(), "with nothing in its way, it works"
    canary.unlink()
    assert Encoder(folder).decode(Encoder(folder).encode("abc")) == "abc"
    (tmp_path / "tokenizer.json").replace(folder / "tokenizer.json")
    with pytest.raises(ModelwrightError, match=r"tokenizer.json: expected a Hugging Face tokenizer"):
        Encoder(folder)
    assert not canary.exists()


@pytest.mark.parametrize("name", ["tokenizer.json"])
def test_a_pickle_in_its_place_is_refused(folder: Path, canary: Path, name: str) -> None:
    (folder / name).write_bytes(data := pickle.dumps(Evil(canary), protocol=0))
    pickle.loads(data)
    assert canary.exists(), "with nothing in its way, it works"
    canary.unlink()
    with pytest.raises(ModelwrightError, match=r"tokenizer.json: expected a Hugging Face tokenizer") as caught:
        Encoder(folder)
    assert "\n" not in str(caught.value) and not canary.exists()
    (folder / name).write_bytes(pickle.dumps(Evil(canary)))  # not even UTF-8
    with pytest.raises(ModelwrightError, match=r"tokenizer.json: expected a Hugging Face tokenizer"):
        Encoder(folder)
    assert not canary.exists()


@pytest.mark.parametrize(
    "change",
    [
        {"model": {"type": "os:system"}},
        {"model": {"__reduce__": "x"}},
        {"pre_tokenizer": {"type": "Python"}},
        {"decoder": {"custom": "os.system"}},
    ],
)
def test_an_unknown_part_is_refused(folder: Path, change: dict[str, Any]) -> None:
    spec = json.loads((folder / "tokenizer.json").read_text())
    (folder / "tokenizer.json").write_text(json.dumps(spec | change))
    with pytest.raises(ModelwrightError, match=r"tokenizer.json: expected a Hugging Face tokenizer") as caught:
        Encoder(folder)
    assert "\n" not in str(caught.value)


REACHING = [
    "{{ cycler.__init__.__globals__.os.system('touch CANARY') }}",
    "{{ joiner.__init__.__globals__['os'].popen('touch CANARY').read() }}",
    "{{ lipsum.__globals__.os.system('touch CANARY') }}",
    "{{ lipsum.__globals__['__builtins__']['open']('CANARY', 'w') }}",
    "{{ namespace.__init__.__globals__.os.system('touch CANARY') }}",
    "{{ (lipsum|attr('__globals__')).os.system('touch CANARY') }}",
    "{{ lipsum['__glo' ~ 'bals__'].os.system('touch CANARY') }}",
    "{% for c in ''.__class__.__mro__[-1].__subclasses__() %}"
    "{% if c.__name__ == 'Popen' and c.__module__ == 'subprocess' %}{{ c('touch CANARY', shell=True).wait() }}"
    "{% endif %}{% endfor %}",
    "{{ self.__init__.__globals__.__builtins__.open('CANARY', 'w') }}",
    "{{ self._TemplateReference__context.cycler.__init__.__globals__.os.system('touch CANARY') }}",
    "{% set n = namespace(f=lipsum) %}{{ n.f.__globals__.os.system('touch CANARY') }}",
    "{% for f in [lipsum]|map(attribute='__globals__')|map(attribute='os')|map(attribute='system') %}{{ f('touch CANARY') }}{% endfor %}",
]


@pytest.mark.parametrize("template", REACHING)
def test_a_chat_template_reaches_nothing(template: str, canary: Path) -> None:
    import jinja2

    template = template.replace("CANARY", str(canary))
    jinja2.Environment().from_string(template).render(messages=[])
    assert canary.exists(), "with nothing in its way, it works"
    canary.unlink()
    try:
        found = render(template, [{"role": "user", "content": "x"}])
    except ModelwrightError as e:
        assert "\n" not in str(e)
    else:
        assert str(canary) not in found and "<" not in found, "at most nothing is shown"
    assert not canary.exists()


@pytest.mark.parametrize(
    "template",
    ["{{ '{0.__class__.__mro__}'.format(1) }}", "{{ '%s'|format(''.__class__) }}", "{{ ('{0.__class__}'|attr('format'))(1) }}",
     "{% set f = '{0.__init__.__globals__}'.format %}{{ f(cycler) }}", "{{ '{x.__class__}'.format_map({'x': 1}) }}",
     "{{ raise_exception.__globals__ }}", "{{ strftime_now.__code__ }}", "{{ dict.__subclasses__() }}", "{{ messages.__class__ }}"],
)  # fmt: skip
def test_a_chat_template_shows_nothing_of_python(template: str) -> None:
    try:
        found = render(template, [{"role": "user", "content": "x"}])
    except ModelwrightError as e:
        found = str(e)
    assert "<class" not in found and "builtins" not in found and "<code" not in found


@pytest.mark.parametrize("where", ["messages", "variable"])
def test_a_conversation_is_data(where: str, canary: Path) -> None:
    """What is said in a conversation is never a template."""
    said = f"{{{{ cycler.__init__.__globals__.os.system('touch {canary}') }}}}"
    template = "{{ messages[0].content }}{{ more }}"
    given = {"messages": (said, ""), "variable": ("", said)}[where]
    assert render(template, [{"role": "user", "content": given[0]}], more=given[1]) == said
    assert not canary.exists()
