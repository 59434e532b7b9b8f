"""Replies of a server as tokens: what a conversation that has them is tokenized to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from modelwright.errors import ModelwrightError
from modelwright_plugins.engine import remote_replies
from modelwright_plugins.generator import Remote, Reply
from modelwright_plugins.tokenizer.bpe import ByteLevelBPE
from modelwright_plugins.tokenizer.chat_tokens import ChatEncoder
from modelwright_plugins.tokenizer.find_template import find_template
from modelwright_plugins.tokenizer.turn_end import ReplyEnd, TurnEnd

ASKED = {"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Soup?"}]}
MARKED = "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}{{ 'assistant: ' if add_generation_prompt }}"
OTHER = "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}{{ 'a:' if add_generation_prompt }}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    ByteLevelBPE(vocab_size=300).train(iter(["yes there is soup\n"] * 20), made := tmp_path_factory.mktemp("tokenizer"))
    return made


def tokens(folder: Path, template: str, text: str, finished: bool = True, most: int = 100) -> tuple[ChatEncoder, Any]:
    chat = ChatEncoder(folder, template)
    return chat, remote_replies.tokens(chat, ReplyEnd(chat.encoder, None, TurnEnd.of(chat)), ASKED, Reply(text, finished), most)


@pytest.mark.parametrize("text", ["yes, there is soup", "a <|im_end|> in letters", "Größe 👍", ""])
def test_it_is_what_a_conversation_is_tokenized_to(folder: Path, text: str) -> None:
    """With ChatML: the prompt that the model is asked with, the reply's tokens and <|im_end|> are the whole conversation's."""
    chat, found = tokens(folder, chatml := find_template("chatml", folder), text)
    prompt, whole = chat.encode(
        [{**ASKED, "add_generation_prompt": True}, {"messages": [*ASKED["messages"], {"role": "assistant", "content": text}]}]
    )
    row = [*prompt.tokens.tolist(), *found.tokens]
    assert row == whole.tokens.tolist()[: len(row)] and chatml
    assert found.finished and found.tokens[-1] == chat.special["<|im_end|>"] and found.tokens.count(found.tokens[-1]) == 1
    assert found.logps.isnan().all() and len(found.logps) == len(found.tokens)


def test_one_without_room_has_no_end(folder: Path) -> None:
    chatml = find_template("chatml", folder)
    chat, found = tokens(folder, chatml, "yes, there is", finished=False)
    assert not found.finished and chat.encoder.decode(found.tokens) == "yes, there is"
    _, whole = tokens(folder, chatml, "yes, there is")
    assert whole.tokens[:-1] == found.tokens
    _, cut = tokens(folder, chatml, "yes, there is", most=2)  # more tokens here than the server counts
    assert cut.tokens == found.tokens[:2] and not cut.finished
    _, none = tokens(folder, chatml, "", finished=False)
    assert none.tokens == [chat.encoder.end_of_document] and not none.finished


def test_templates_without_special_tokens_and_those_that_hide_the_turn(folder: Path) -> None:
    for template, ends in ((MARKED, "\n"), (OTHER, "")):
        chat, found = tokens(folder, template, "yes")
        *said, last = found.tokens
        assert last == chat.encoder.end_of_document and chat.encoder.decode(said) == "yes" + ends and found.finished
        chat, found = tokens(folder, template, "yes", finished=False)
        assert chat.encoder.decode(found.tokens) == "yes" and not found.finished
    chat, found = tokens(folder, MARKED, "yes\nuser: and bread?", finished=False)  # it goes on for the user
    assert found.finished and chat.encoder.decode(found.tokens[:-1]) == "yes\n"


class Refusing(Remote):
    def said(self, conversations: Any, *, seeds: Any) -> list[Reply]:
        raise self.error


@pytest.mark.parametrize(
    ("error", "told"), [(ModelwrightError("http://x: no"), "^http://x: no$"), (RuntimeError("thread"), "^generator Refusing: .*thread")]
)
def test_whatever_goes_wrong_where_it_asks_is_told_everywhere(folder: Path, monkeypatch: Any, error: Exception, told: str) -> None:
    chat = ChatEncoder(folder, MARKED)
    monkeypatch.setattr(generator := Refusing(), "error", error, raising=False)
    shared: list[Any] = []
    monkeypatch.setattr(remote_replies, "gathered", lambda mine: shared or shared.append(mine) or [mine])
    for leading in (True, False):
        monkeypatch.setattr(remote_replies, "leads", lambda leading=leading: leading)
        with pytest.raises(ModelwrightError, match=told):
            remote_replies.replied(generator, [ASKED], chat=chat, ending=ReplyEnd(chat.encoder), seeds=[1])
