"""Replies of a model elsewhere as the tokens that they would have been here, on every rank."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from modelwright.errors import ModelwrightError
from modelwright_plugins.engine.rollout_scores import gathered, leads
from modelwright_plugins.generator import Generated, Remote, Reply
from modelwright_plugins.tokenizer.chat_tokens import Chat, ChatEncoder
from modelwright_plugins.tokenizer.turn_end import ReplyEnd, TurnEnd

Conversation = Mapping[str, Any]


def replied(
    generator: Remote, mine: Sequence[Conversation], *, chat: ChatEncoder, ending: ReplyEnd, seeds: Sequence[int]
) -> list[list[Generated]]:
    """Of each data rank, in their order, what its conversations are answered by. Every rank calls it with its data rank's; of each data
    rank one asks. ModelwrightError, on all ranks the same: one of them could not ask."""
    found, wrong = list[Generated](), ""
    if leads():
        try:
            said = generator.said(mine, seeds=seeds) if mine else []
            found = [tokens(chat, ending, one, reply, generator.max_new_tokens) for one, reply in zip(mine, said, strict=True)]
        except Exception as error:  # whatever it is: other ranks wait for this one
            wrong = str(error) if isinstance(error, ModelwrightError) else f"generator {type(generator).__name__}: {error!r}"
    told = gathered((found, wrong))
    if wrong := next((each for _, each in told if each), ""):
        raise ModelwrightError(wrong)
    return [each for each, _ in told]


def tokens(chat: ChatEncoder, ending: ReplyEnd, asked: Conversation, reply: Reply, most: int) -> Generated:
    """A reply, as it is tokenized in its conversation, with what ends a turn there; without, where it ran out of room, there or here
    (`most` tokens). A template in which it can't be found gives it the end of the document. Its likelihood is not known (NaN)."""
    turn = ending.turn or TurnEnd()
    text = turn.cut(reply.text)
    finished = reply.finished or len(text) < len(reply.text.strip())
    before = sum(message["role"] == "assistant" for message in asked["messages"])
    messages = [*asked["messages"], {"role": "assistant", "content": text}]
    (found,) = chat.encode([{**asked, "messages": messages}], whole=False)
    if isinstance(found, Chat) and len(found.turns) == before + 1 and (at := found.text.find(text, found.turns[-1][0])) >= 0:
        begin, stop = found.turns[-1]
        drawn: list[int] = found.tokens[found.within(begin, stop if finished else at + len(text))].tolist()
    else:
        drawn = chat.encoder.encode(text)
    drawn = ending.upto(drawn) if finished else drawn
    drawn = drawn or [chat.encoder.end_of_document]  # a row has one token at least that is learned
    finished, drawn = finished and len(drawn) <= most, drawn[:most]
    return Generated(drawn, finished, torch.full((len(drawn),), torch.nan))
