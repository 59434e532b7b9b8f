"""A trained tokenizer at work."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelwright.errors import ModelwrightError
from modelwright_plugins.tokenizer.find_template import read_json

if TYPE_CHECKING:
    import numpy as np
    import tiktoken
    import tokenizers
    from numpy.typing import NDArray

END_OF_DOCUMENT = 0  # the token's number in every tokenizer that is trained here; others say theirs


class Encoder:
    """Text to token numbers and back, from the folder of a `Tokenizer` artifact.

    A byte-level BPE is run by tiktoken, several times faster than Hugging Face tokenizers and with the same numbers; anything else
    by Hugging Face tokenizers. Text is only text: what looks like a special token in it never becomes one.
    """

    def __init__(self, folder: Path) -> None:
        from tokenizers import Tokenizer

        self.folder, file = folder, folder / "tokenizer.json"
        try:
            raw = file.read_text(encoding="utf-8")
            self.hugging_face: tokenizers.Tokenizer = Tokenizer.from_str(raw)
        except OSError as error:
            raise ModelwrightError(f"{file}: cannot read the tokenizer ({error.strerror})") from error
        except Exception as error:  # tokenizers raises bare exceptions
            raise ModelwrightError(f"{file}: expected a Hugging Face tokenizer ({error})") from error
        self.hugging_face.encode_special_tokens = True
        self.vocab_size: int = self.hugging_face.get_vocab_size()
        self.end_of_document = self._end()
        self.tiktoken = _same_bpe(json.loads(raw))

    def _end(self) -> int:
        """The number of `eos_token` in tokenizer_config.json, where there is one."""
        named = read_json(self.folder / "tokenizer_config.json").get("eos_token")
        named = named.get("content") if isinstance(named, dict) else named
        number = self.hugging_face.token_to_id(named) if isinstance(named, str) else None
        return END_OF_DOCUMENT if number is None else number

    def encode(self, text: str) -> list[int]:
        """Token numbers of `text`, without the end of the document."""
        if self.tiktoken is not None:
            return self.tiktoken.encode_ordinary(text)
        return self.hugging_face.encode(text, add_special_tokens=False).ids

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """`encode` of each text, on all cores that this process may use."""
        return [found.tolist() for found in self.encode_arrays(texts)]

    def encode_arrays(self, texts: Sequence[str]) -> list[NDArray[np.uint32]]:
        """`encode_batch` without a Python object for every token: one array, (tokens,), for each text."""
        import numpy as np

        if self.tiktoken is None:
            found = self.hugging_face.encode_batch(list(texts), add_special_tokens=False)
            return [np.array(one.ids, dtype=np.uint32) for one in found]
        with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as threads:
            return list(threads.map(self._array, texts))

    def _array(self, text: str) -> NDArray[np.uint32]:
        import numpy as np

        assert self.tiktoken is not None
        try:
            return self.tiktoken.encode_to_numpy(text, disallowed_special=())
        except UnicodeEncodeError:  # half a surrogate pair, for which only tiktoken's methods that give lists put U+FFFD
            return np.array(self.tiktoken.encode_ordinary(text), dtype=np.uint32)

    def decode(self, tokens: Sequence[int]) -> str:
        """Text of `tokens`; special tokens are left out, and bytes that are not UTF-8 become U+FFFD."""
        return self.hugging_face.decode(list(tokens), skip_special_tokens=True)


def _same_bpe(spec: dict[str, Any]) -> tiktoken.Encoding | None:
    """tiktoken's form of a byte-level BPE as `ByteLevelBPE` writes it; None for any other tokenizer.

    tiktoken merges by rank, so it gives the same numbers only if numbers follow the order of merges: checked here."""
    model, steps = spec["model"], (spec.get("pre_tokenizer") or {}).get("pretokenizers", [])
    plain = {"normalizer": None, "truncation": None, "padding": None}
    if (
        model["type"] != "BPE"
        or any(spec.get(key) != value for key, value in plain.items())
        or [step["type"] for step in steps] != ["Split", "ByteLevel"]
        or "Regex" not in steps[0]["pattern"]
        or (steps[0]["behavior"], steps[0]["invert"]) != ("Isolated", False)
        or (steps[1]["add_prefix_space"], steps[1]["use_regex"]) != (False, False)
        or model.get("ignore_merges")
        or any(isinstance(pair, str) for pair in model["merges"])  # "a b": not written by this library
        or not all(token["special"] for token in spec["added_tokens"])  # others are found in text
    ):
        return None
    import tiktoken

    special = {token["content"]: token["id"] for token in spec["added_tokens"]}
    to_byte = {char: byte for byte, char in enumerate(_byte_characters())}
    ranks = {bytes(to_byte[c] for c in token): number for token, number in model["vocab"].items() if token not in special}
    merged = [ranks[bytes(to_byte[c] for c in "".join(pair))] for pair in model["merges"]]
    if merged != sorted(merged) or len(ranks) != 256 + len(merged):
        return None
    return tiktoken.Encoding("modelwright", pat_str=steps[0]["pattern"]["Regex"], mergeable_ranks=ranks, special_tokens=special)


def _byte_characters() -> list[str]:
    """The printable character that stands for each byte in a byte-level vocabulary (GPT-2's `bytes_to_unicode`)."""
    printable = {*range(33, 127), *range(161, 173), *range(174, 256)}
    others = iter(range(256, 512))
    return [chr(byte) if byte in printable else chr(next(others)) for byte in range(256)]
