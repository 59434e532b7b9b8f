"""What it promises, and that its tokens are the bytes."""

import pytest
from tokenizers import Tokenizer

from modelwright.testing import assert_conforms
from modelwright_plugins.conformance.examples.tokenizer.tokenizer import Bytes


def test_it_holds_what_a_tokenizer_promises():
    assert_conforms("tokenizer/example")


@pytest.mark.parametrize("text", ["plain", "naïve — Größe\n\t", "人", "👩‍🚀", "\x00\x7f\u0085"])
def test_a_token_is_a_byte(tmp_path, text):
    Bytes().train(iter([]), tmp_path)
    tokenizer = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    assert tokenizer.encode(text).ids == [1 + byte for byte in text.encode()]
