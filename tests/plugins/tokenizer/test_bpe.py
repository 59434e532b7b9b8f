"""Byte-level BPE: what is learned, and that two ways of running it agree."""

import itertools
import json
import sysconfig
from collections import Counter
from pathlib import Path

import modelwright.conf
import pytest
import regex
from omegaconf import OmegaConf
from tokenizers import Tokenizer as HuggingFace

from modelwright.errors import ModelwrightError
from modelwright_plugins.tokenizer.bpe import END_OF_DOCUMENT, GPT2, ByteLevelBPE
from modelwright_plugins.tokenizer.encoder import Encoder

ODD = [
    "",
    " ",
    "\n\n  \t\n",
    END_OF_DOCUMENT,
    f"before {END_OF_DOCUMENT}{END_OF_DOCUMENT} after",
    "naïve café — “quotes” … ½ № Ω",
    "🙂👩‍👩‍👧‍👦🏳️‍🌈 e\u0301 \u202egnirts\u202c \ufeff\u200b",
    "日本語のテキスト 中文 한국어 العربية हिन्दी ไทย",
    "\x00\x01\x1f\x7f\x85\u2028\u2029",
    "a" * 3000,
    " " * 5000 + "x",
    "\n" * 3000,
    "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 \U0010fffd \ud7ff\ue000",
    "don't we'll I'M 12345678901234567890 ٣٤٥ x²",
]


@pytest.fixture(scope="module")
def texts():
    stdlib = Path(sysconfig.get_paths()["stdlib"])
    files = sorted([*stdlib.glob("*.py"), *stdlib.glob("encodings/*.py"), *stdlib.glob("json/*.py")])[:160]
    return [file.read_text(encoding="utf-8") for file in files]


@pytest.fixture(scope="module")
def folder(texts, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokenizer")
    ByteLevelBPE(vocab_size=2000).train(iter(texts), folder)
    return folder


def test_merges_are_those_of_the_algorithm(tmp_path):
    """Against BPE written the plain way: merge the most frequent pair, again and again."""
    text = "low low low low low lower lower newest newest newest newest newest newest widest widest widest"
    ByteLevelBPE(vocab_size=257 + 8, special_tokens=[]).train(iter([text]), tmp_path)
    merges = json.loads((tmp_path / "tokenizer.json").read_text())["model"]["merges"]
    words = Counter(tuple(word) for word in regex.findall(GPT2, text))
    for merge in merges:
        pairs = Counter()
        for word, count in words.items():
            for pair in itertools.pairwise(word):
                pairs[pair] += count
        left, right = (part.replace("Ġ", " ") for part in merge)
        assert pairs[left, right] == max(pairs.values())
        joined = Counter()
        for word, count in words.items():
            out, i = [], 0
            while i < len(word):
                step = 2 if word[i : i + 2] == (left, right) else 1
                out.append("".join(word[i : i + step]))
                i += step
            joined[tuple(out)] += count
        words = joined


def test_files_and_special_token(folder):
    encoder = Encoder(folder)
    assert encoder.vocab_size == 2000 and encoder.end_of_document == 0
    assert HuggingFace.from_file(str(folder / "tokenizer.json")).token_to_id(END_OF_DOCUMENT) == 0
    assert json.loads((folder / "tokenizer_config.json").read_text())["eos_token"] == END_OF_DOCUMENT


def test_training_again_gives_the_same_bits(texts, folder, tmp_path):
    ByteLevelBPE(vocab_size=2000).train(iter(texts), tmp_path)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes()


@pytest.mark.parametrize("preset", [None, "llama3"])
def test_tiktoken_gives_hugging_faces_numbers(texts, folder, tmp_path, preset):
    if preset is not None:
        (conf,) = modelwright.conf.__path__
        node = OmegaConf.to_container(OmegaConf.load(f"{conf}/tokenizer/{preset}.yaml"))
        assert node.pop("defaults") == ["byte_level_bpe@_here_"]
        folder = tmp_path
        ByteLevelBPE(**node | {"vocab_size": 3000}).train(iter(texts), folder)
    encoder = Encoder(folder)
    assert encoder.tiktoken is not None
    slow = HuggingFace.from_file(str(folder / "tokenizer.json"))
    slow.encode_special_tokens = True
    everything = ODD + texts
    found = encoder.encode_batch(everything)
    assert found == [encoder.encode(text) for text in everything]
    for text, tokens in zip(everything, found, strict=True):
        assert tokens == slow.encode(text, add_special_tokens=False).ids
        assert 0 not in tokens  # text is only text
        assert encoder.decode(tokens) == text  # nothing is lost
    assert slow.get_vocab_size() == encoder.vocab_size


def test_transformers_reads_it(texts, folder):
    transformers = pytest.importorskip("transformers")
    theirs = transformers.PreTrainedTokenizerFast.from_pretrained(folder)
    assert theirs.eos_token_id == 0 and theirs(texts[0])["input_ids"] == Encoder(folder).encode(texts[0])


def test_other_tokenizers_run_as_they_are(texts, folder, tmp_path):
    """A tokenizer that tiktoken cannot run the same way goes to Hugging Face: here one with a normalizer, and a word-level one."""
    spec = json.loads((folder / "tokenizer.json").read_text())
    spec["normalizer"] = {"type": "Lowercase"}
    (tmp_path / "tokenizer.json").write_text(json.dumps(spec))
    lower = Encoder(tmp_path)
    assert lower.tiktoken is None and lower.encode("ABC def") == Encoder(folder).encode("abc def")
    words = {"type": "WordLevel", "vocab": {"[UNK]": 0, "a": 1, "b": 2}, "unk_token": "[UNK]"}
    spec |= {"normalizer": None, "model": words, "pre_tokenizer": {"type": "Whitespace"}, "added_tokens": [], "decoder": None}
    (tmp_path / "tokenizer.json").write_text(json.dumps(spec))
    assert Encoder(tmp_path).encode_batch(["a b", "b c"]) == [[1, 2], [2, 0]]


def test_merges_out_of_rank_order_are_not_given_to_tiktoken(folder, tmp_path):
    spec = json.loads((folder / "tokenizer.json").read_text())
    spec["model"]["merges"] = spec["model"]["merges"][::-1]
    (tmp_path / "tokenizer.json").write_text(json.dumps(spec))
    assert Encoder(tmp_path).tiktoken is None


def test_what_another_library_wrote_is_not_given_to_tiktoken(folder, tmp_path):
    spec = json.loads((folder / "tokenizer.json").read_text())
    other = json.loads(json.dumps(spec))
    other["model"]["merges"] = [" ".join(pair) for pair in spec["model"]["merges"]]
    (tmp_path / "tokenizer.json").write_text(json.dumps(other))
    assert Encoder(tmp_path).tiktoken is None and Encoder(tmp_path).encode("for x in") == Encoder(folder).encode("for x in")
    spec["added_tokens"].append({**spec["added_tokens"][0], "id": len(spec["model"]["vocab"]), "content": "for x", "special": False})
    (tmp_path / "tokenizer.json").write_text(json.dumps(spec))
    assert Encoder(tmp_path).tiktoken is None and Encoder(tmp_path).encode("for x")[0] == len(spec["model"]["vocab"])


def test_errors(tmp_path):
    with pytest.raises(ModelwrightError, match="cannot read the tokenizer"):
        Encoder(tmp_path)
    (tmp_path / "tokenizer.json").write_text('{"model": 3}')
    with pytest.raises(ModelwrightError, match="expected a Hugging Face tokenizer"):
        Encoder(tmp_path)
    with pytest.raises(ValueError, match="at least 259"):
        ByteLevelBPE(vocab_size=258)


def test_half_a_surrogate_pair_is_a_replacement_character(folder):
    encoder = Encoder(folder)
    whole, half = encoder.encode_arrays(["a \ufffd b", "a \ud800 b"])
    assert whole.tolist() == half.tolist() == encoder.encode("a \ud800 b")
