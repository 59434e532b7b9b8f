"""From documents that hold examples to rows of tokens that aligners learn from."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from modelwright.component import Artifact, Job, Parts, Stage
from modelwright_plugins.artifacts import Documents, Examples, Tokenizer


@dataclass(frozen=True, kw_only=True)
class Prepare(Stage):
    """Renders examples by a chat template and tokenizes them, with a mask of what the assistant says.

    A row is a prompt and a reply, rendered and tokenized as a whole; targets are tokens of the assistant's turns (`{% generation %}` in the
    template, as transformers' `return_assistant_tokens_mask` takes them), and the end-of-document token, which comes after the last
    turn so that a model learns to stop. What a prompt says is no target (but with `loss_on=all`, of conversations), nor a turn of weight
    0. No reply is ever cut: an example with a row that is too long is left out as a whole, and counted, as is one whose text a filter
    edited (its turns still hold what was taken out), and one with tools, tool calls or reasoning that the template does not write: the
    model would learn an empty reply.
    """

    takes: ClassVar[tuple[type[Artifact], ...]] = (Documents, Tokenizer)
    makes: ClassVar[tuple[type[Artifact], ...]] = (Examples,)

    template: str | None = None  # alpaca, chatml, gemma, llama3, mistral, plain, zephyr, or a .jinja file; null: the tokenizer's, or chatml
    loss_on: Literal["every", "last", "all"] = "every"  # which of the assistant's turns are targets; all: everybody's, whole conversations
    max_length: int | None = None  # tokens of a row, with the end of the document; null: any
    too_long: Literal["drop", "cut_prompt", "error"] = "drop"  # of an example with a longer row; cut_prompt: its prompt's first turns
    texts: Literal["leave_out", "learn"] = "leave_out"  # documents without turns; learn: beside conversations, every token a target
    cap: int | None = None  # at most so many training examples of one source (Raffel et al. 2020, section 3.5.2: K); null: all

    def __post_init__(self) -> None:
        from modelwright.errors import nearest
        from modelwright_plugins.tokenizer.find_template import built_in

        if self.template is not None and not self.template.endswith(".jinja") and self.template not in built_in():
            raise ValueError(f"template is {self.template}; it is a .jinja file or a built-in name{nearest(self.template, built_in())}")
        if self.texts == "learn" and self.max_length is None:
            raise ValueError("texts is learn; max_length says how long the rows are that a text is cut into, align.sequence_length + 1")
        if self.max_length is not None and self.max_length < 2:
            raise ValueError(f"max_length is {self.max_length}; it is 2 or more, or null")
        if self.cap is not None and self.cap < 1:
            raise ValueError(f"cap is {self.cap}; it is 1 or more, or null")

    def fingerprint(self) -> str:
        file = Path(self.template or "").expanduser()
        return hashlib.sha256(file.read_bytes()).hexdigest() if file.suffix == ".jinja" and file.is_file() else ""

    def problems(self, parts: Parts) -> list[str]:
        if self.template is not None and self.template.endswith(".jinja") and not Path(self.template).expanduser().is_file():
            return [f"prepare.template={self.template}: there is no such file"]
        return []

    def forecast(self, parts: Parts) -> dict[str, Any]:
        return {"template": self.template or "the tokenizer's own, or chatml"}

    def run(self, job: Job) -> Mapping[str, float]:
        from modelwright_plugins.stage import _prepare, _prepared
        from modelwright_plugins.tokenizer.chat_tokens import ChatEncoder
        from modelwright_plugins.tokenizer.find_template import find_template

        tokenizer = job.take(Tokenizer).path
        encoder = ChatEncoder(tokenizer, find_template(self.template, tokenizer))
        if encoder.as_text:
            print(f"  the tokenizer has no token for {', '.join(encoder.as_text)}: encoded as text", flush=True)
        folder = job.make(Examples).path
        folder.mkdir()
        about = _prepare.write(self, job.take(Documents), encoder, folder)
        print("\n".join([*_prepared.table(about), *_prepared.aloud(about, job.take(Documents))]), flush=True)
        return {"examples": about["train"]["examples"], "targets": about["train"]["targets"], "dropped": sum(about["dropped"].values())}
