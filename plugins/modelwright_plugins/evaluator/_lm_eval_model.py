"""Our models as the lm-evaluation-harness asks them. Written for lm_eval 0.4.13."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lm_eval.api.model import TemplateLM
from lm_eval.models.utils import handle_stop_sequences, normalize_gen_kwargs, postprocess_generated_text
from lm_eval.utils import get_rolling_token_windows, make_disjoint_window

from modelwright.errors import ModelwrightError
from modelwright_plugins.evaluator._lm_eval_tasks import MOST
from modelwright_plugins.generator.sampling import Sampling
from modelwright_plugins.tokenizer.chat_template import render
from modelwright_plugins.tokenizer.turn_end import ReplyEnd, TurnEnd

if TYPE_CHECKING:
    from modelwright_plugins.evaluator.model import Model

DRAWN = {"temperature": "temperature", "top_p": "top_p", "top_k": "top_k", "min_p": "min_p", "repetition_penalty": "repetition_penalty"}
"""Of what a task says of generation, what our sampling calls so."""
GREEDY = ("repetition_penalty",)  # what counts where nothing is drawn, too
TOP_K = 50  # what transformers takes (5.x: GenerationConfig's defaults in `generate`) where a task that draws says nothing


@dataclass(frozen=True)
class Ending(ReplyEnd):
    """The end of what is said to a task, whose white space stays, as `hf` leaves it."""

    also: frozenset[int] = frozenset()  # tokens that end it, beside the end of the document

    @property
    def tokens(self) -> frozenset[int]:
        return super().tokens | self.also


class Harnessed(TemplateLM):
    """A model of ours. Every rank asks it the same and gets the same, so that to the harness each is the only one."""

    def __init__(self, model: Model, *, begin: bool) -> None:
        super().__init__()
        self.model, self.begin = model, begin
        self.max_length, self.turn = model.length, TurnEnd()

    @property
    def eot_token_id(self) -> int:
        return self.model.end

    def tok_encode(self, string: str, add_special_tokens: bool | None = None, **_: Any) -> list[int]:
        tokens = self.model.encoder.encode(string)
        return [self.model.end, *tokens] if self.begin and add_special_tokens is not False else tokens

    def loglikelihood(self, requests: Any, disable_tqdm: bool = True) -> list[tuple[float, bool]]:
        found: list[tuple[float, bool]] = super().loglikelihood(requests, disable_tqdm=True)
        return found

    def _loglikelihood_tokens(self, requests: Any, **_: Any) -> list[tuple[float, bool]]:
        """(log-probability, whether greedy search would say it) of each continuation; a context that is too long loses its beginning."""
        rows, sizes = [], []
        for _, context, continuation in requests:
            if not 0 < len(continuation) <= self.max_length:
                raise ModelwrightError(f"a continuation of {len(continuation)} tokens; a model of {self.max_length} scores 1 to so many")
            rows.append([*context, *continuation][-(self.max_length + 1) :])
            sizes.append(len(continuation))
        told = zip(self.model.scores(rows), sizes, strict=True)
        return [(-float(nats[-own:].sum()), bool(hits[-own:].all())) for (nats, hits), own in told]

    def loglikelihood_rolling(self, requests: Any, disable_tqdm: bool = True) -> list[float]:
        """Of whole texts, each token once, in windows as the harness' own models have them."""
        windows, counts = [], []
        for (text,) in (request.args for request in requests):
            tokens = self.model.encoder.encode(text)
            every = get_rolling_token_windows(tokens, prefix_token=self.prefix_token_id, max_seq_len=self.max_length, context_len=1)
            mine = [make_disjoint_window(pair) for pair in every]
            windows += [(None, context, predicted) for context, predicted in mine]
            counts.append(len(mine))
        told = iter(self._loglikelihood_tokens(windows))
        return [math.fsum(next(told)[0] for _ in range(count)) for count in counts]

    def generate_until(self, requests: Any, disable_tqdm: bool = True) -> list[str]:
        """What follows each context, up to the first of its stop texts or the end of a document; requests of one kind together."""
        found: list[str] = [""] * len(requests)
        kinds: dict[str, list[int]] = {}
        for place, request in enumerate(requests):
            kinds.setdefault(json.dumps(request.args[1], sort_keys=True, default=str), []).append(place)
        for places in kinds.values():
            said = self._generated([requests[place].args[0] for place in places], dict(requests[places[0]].args[1]))
            for place, text in zip(places, said, strict=True):
                found[place] = text
        return found

    def _generated(self, contexts: Sequence[str], told: dict[str, Any]) -> list[str]:
        told = dict(normalize_gen_kwargs(told, MOST))
        until = handle_stop_sequences(told.pop("until", None), eos=None)
        most, sampled = told.pop("max_gen_toks"), told.pop("do_sample")
        if most >= self.max_length:
            raise ModelwrightError(f"a task asks for {most} tokens, and the model sees {self.max_length}; max_gen_toks is smaller")
        if unknown := [name for name in told if name not in DRAWN]:
            raise ModelwrightError(f"a task's generation_kwargs.{unknown[0]}: known are until, max_gen_toks, do_sample, {', '.join(DRAWN)}")
        how = _drawing(told, sampled)
        until = [*until, *self.turn.texts]
        generator = Sampling(max_new_tokens=most, stop=[text for text in until if text], **how)
        ending = Ending(self.model.encoder, generator, None, self.turn.tokens)
        prompts = [self.tok_encode(context)[-(self.max_length - most) :] or [self.prefix_token_id] for context in contexts]
        said = self.model.said(prompts, generator, ending)
        return [postprocess_generated_text(each.text, until, None) for each in said]


def _drawing(told: dict[str, Any], sampled: bool) -> dict[str, Any]:
    """Fields of our sampling that draws as the harness' model `hf` does. ModelwrightError: that one can't either."""
    how = {"temperature": 0.0, "top_p": 1.0} | {DRAWN[name]: value for name, value in told.items() if sampled or name in GREEDY}
    if not sampled:
        return how
    if not how["temperature"]:
        raise ModelwrightError("a task's generation_kwargs: do_sample is true, and temperature 0 or not told; it is above 0")
    return how | {"top_k": how.get("top_k", TOP_K) or None}  # 0: no limit


class Spoken(Harnessed):
    """The same, asked through its chat template: what the harness renders with it has the tokenizer's special tokens, and a reply ends
    where a turn does."""

    tokenizer_name = "modelwright"  # of the harness' cache, which we don't use

    def __init__(self, model: Model) -> None:
        super().__init__(model, begin=False)
        self.chat, self.turn = model.chat, model.turn_end

    def apply_chat_template(self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True) -> str:
        """Without a system's message where the template takes none, as `hf` does. ModelwrightError: a task says what marks turns."""
        if forged := next((mark for mark in self.chat.special for each in chat_history if mark in each["content"]), None):
            raise ModelwrightError(f"a task's text has {forged}, which is a special token of the model's tokenizer")
        *before, last = chat_history
        begun = "" if add_generation_prompt else last["content"]  # of the reply, which the model goes on with
        messages = chat_history if add_generation_prompt else before
        try:
            return render(self.chat.template, messages, add_generation_prompt=True, **self.chat.variables) + begun
        except ModelwrightError:
            if not any(each["role"] == "system" for each in messages):
                raise
            return self.apply_chat_template([each for each in chat_history if each["role"] != "system"], add_generation_prompt)

    def tok_encode(self, string: str, add_special_tokens: bool | None = None, **_: Any) -> list[int]:
        return self.chat.encode_special(string)
