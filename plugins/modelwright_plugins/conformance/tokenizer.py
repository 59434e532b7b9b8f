"""What a tokenizer promises."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelwright.testing import Conformance
from modelwright_plugins.conformance.process import elsewhere
from modelwright_plugins.conformance.promise import hold, promised
from modelwright_plugins.conformance.texts import HARD, different

FILES = ("tokenizer.json", "tokenizer_config.json")


@dataclass(frozen=True, kw_only=True)
class Tokenizers(Conformance):
    """A tokenizer: trained the same each time, it gives every text back, and token 0 ends documents."""

    example = "modelwright_plugins.conformance.examples.tokenizer"

    def check(self, component: Any, folder: Path) -> None:
        from modelwright_plugins.tokenizer.encoder import END_OF_DOCUMENT, Encoder

        texts = [*HARD.values(), *different(30)]
        with promised(component, "train writes tokenizer.json and tokenizer_config.json, and the encoder reads them"):
            first = _trained(component, texts, folder / "one")
            encoder = Encoder(folder / "one")
        with promised(component, "the same texts give the same files, in another process too"):
            for name, again in (("the second time", _trained(component, texts, folder / "two")),):
                hold(again == first, f"{name} {_differ(first, again)} are others")
            there = elsewhere(_trained, component, texts, folder / "three", folder=folder / "process")
            hold(there == first, f"there {_differ(first, there)} are others")
        with promised(component, "text comes back as it was: of any script, code, control characters, and what looks like a special token"):
            for name, text in HARD.items():
                hold(
                    encoder.decode(encoder.encode(text)) == text,
                    f"{name}: {text[:40]!r} became {encoder.decode(encoder.encode(text))[:40]!r}",
                )
            unseen = "Ein Satz, den es im Training nicht gab: ¿Qué? Ἀλήθεια 🜁"
            hold(encoder.decode(encoder.encode(unseen)) == unseen, f"{unseen!r}, on which it was not trained, did not")
        with promised(component, "token 0 ends a document: the config names it, and no text makes it"):
            eos = json.loads((folder / "one" / FILES[1]).read_text()).get("eos_token")
            eos = eos["content"] if isinstance(eos, dict) else eos
            number = encoder.hugging_face.token_to_id(str(eos))
            hold(number == END_OF_DOCUMENT, f"eos_token is {eos!r}, token {number}")
            for text in (*HARD.values(), str(eos)):
                hold(END_OF_DOCUMENT not in encoder.encode(text), f"{text[:40]!r} makes it")
        with promised(component, "vocab_size is held, and no token is beyond it"):
            hold(
                encoder.vocab_size <= component.vocab_size, f"there are {encoder.vocab_size} tokens, and vocab_size={component.vocab_size}"
            )
            highest = max(max(encoder.encode(text), default=0) for text in texts)
            hold(highest < encoder.vocab_size, f"there are {encoder.vocab_size} tokens, and a text makes token {highest}")
        with promised(component, "many texts at once are encoded as one by one"):
            hold(encoder.encode_batch(texts) == [encoder.encode(text) for text in texts], "they are not")


def _trained(component: Any, texts: list[str], folder: Path) -> dict[str, bytes]:
    folder.mkdir()
    component.train(iter(texts), folder)
    return {name: (folder / name).read_bytes() for name in FILES}


def _differ(one: dict[str, bytes], other: dict[str, bytes]) -> str:
    return " and ".join(name for name in FILES if one[name] != other[name])
