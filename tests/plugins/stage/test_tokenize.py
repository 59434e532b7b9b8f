"""From documents to shards that Megatron reads back equal, with nothing held out in what a tokenizer learns from."""

import gzip
import json

import pytest

from modelwright.component import Job
from modelwright.errors import ModelwrightError
from modelwright_plugins.artifacts import Documents, Tokenizer, TokenShards
from modelwright_plugins.stage.tokenize import Tokenize
from modelwright_plugins.stage.train_tokenizer import TrainTokenizer
from modelwright_plugins.tokenizer.bpe import ByteLevelBPE
from modelwright_plugins.tokenizer.encoder import Encoder

TEXTS = [(f"g{i % 7}", f"Document {i}: the quick brown fox № {i * i} <|endoftext|> jumps.\n" * (i % 5 + 1)) for i in range(60)]
SECRET = [("aside", "Xyzzyplugh xyzzyplugh xyzzyplugh café.\n" * 50), ("aside", "xyzzyplugh once more")]


def write(folder, texts, held_out):
    folder.mkdir()
    sizes = {"train": 0, "held_out": 0}
    half = len(texts) // 2
    for name, part in (("00000", texts[:half]), ("00001", texts[half:])):
        with gzip.open(folder / f"{name}.jsonl.gz", "wt") as out:
            for i, (group, text) in enumerate(part):
                out.write(json.dumps({"text": text, "id": f"{name}/{i}", "metadata": {"group": group}}) + "\n")
                sizes["held_out" if group in held_out else "train"] += len(text.encode())
    (folder / "split.json").write_text(json.dumps({"held_out": held_out, "bytes": sizes}))
    return Documents(folder)


def run(stage, out, inputs, **parts):
    out.mkdir(exist_ok=True)
    job = Job(run=out, out=out, seed=0, parts=parts, inputs={type(i): i for i in inputs}, hooks=None)
    stage.run(job)
    return job.make(stage.makes[0])


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    texts = TEXTS[:20] + SECRET + TEXTS[20:]
    documents = write(folder / "documents", texts, ["aside", "g3"])
    tokenizer = run(TrainTokenizer(), folder / "tokenizer_stage", [documents], tokenizer=ByteLevelBPE(vocab_size=400))
    return texts, documents, tokenizer, run(Tokenize(), folder / "tokenize_stage", [documents, tokenizer])


def test_megatron_reads_back_what_was_written(made):
    from megatron.core.datasets.indexed_dataset import IndexedDataset

    texts, _, tokenizer, shards = made
    encoder = Encoder(tokenizer.path)
    told = json.loads((shards.path / "shards.json").read_text())
    assert (told["vocab_size"], told["end_of_document"]) == (encoder.vocab_size, 0)
    for part in ("train", "held_out"):
        mine = [(group, text) for group, text in texts if (group in ("aside", "g3")) == (part == "held_out")]
        data = IndexedDataset(str(shards.path / part))
        assert len(data) == len(mine) and data.document_indices.tolist() == list(range(len(mine) + 1))
        for i, (_, text) in enumerate(mine):
            tokens = data[i].tolist()
            assert tokens[-1] == 0 and 0 not in tokens[:-1] and encoder.decode(tokens[:-1]) == text
        assert told[part] == {
            "documents": len(mine),
            "tokens": int(data.sequence_lengths.sum()),
            "bytes": sum(len(text.encode()) for _, text in mine),
            "groups": sorted({group for group, _ in mine}),
        }
    listed = [json.loads(line) for line in (shards.path / "held_out.jsonl").read_text().splitlines()]
    held_out = [(group, len(text.encode())) for group, text in texts if group in ("aside", "g3")]
    assert [(one["group"], one["bytes"]) for one in listed] == held_out and len({one["id"] for one in listed}) == len(held_out)


def test_files_are_those_of_megatrons_own_builder(made, tmp_path):
    import numpy as np
    import torch
    from megatron.core.datasets.indexed_dataset import IndexedDatasetBuilder

    texts, _, tokenizer, shards = made
    encoder = Encoder(tokenizer.path)
    builder = IndexedDatasetBuilder(str(tmp_path / "x.bin"), dtype=np.uint16)
    for group, text in texts:
        if group not in ("aside", "g3"):
            builder.add_document(torch.tensor([*encoder.encode(text), 0]), [len(encoder.encode(text)) + 1])
    builder.finalize(str(tmp_path / "x.idx"))
    for ending in ("bin", "idx"):
        assert (tmp_path / f"x.{ending}").read_bytes() == (shards.path / f"train.{ending}").read_bytes()


def test_the_tokenizer_never_saw_what_is_held_out(made, tmp_path):
    texts, _, tokenizer, _ = made
    vocabulary = json.loads((tokenizer.path / "tokenizer.json").read_text())["model"]["vocab"]
    assert not any("zy" in token or "ugh" in token for token in vocabulary)
    everything = write(tmp_path / "documents", texts, [])  # the same with nothing held out: now it learns the word
    other = run(TrainTokenizer(), tmp_path / "stage", [everything], tokenizer=ByteLevelBPE(vocab_size=400))
    assert any("zy" in token for token in json.loads((other.path / "tokenizer.json").read_text())["model"]["vocab"])


def test_batches_change_nothing(made, tmp_path, monkeypatch):
    _, documents, tokenizer, shards = made
    monkeypatch.setattr("modelwright_plugins.stage.tokenize.BATCH", 100)
    again = run(Tokenize(), tmp_path / "stage", [documents, tokenizer])
    for file in sorted(shards.path.iterdir()):
        assert (again.path / file.name).read_bytes() == file.read_bytes()


def test_a_damaged_document_is_named(made, tmp_path):
    _, _, tokenizer, _ = made
    documents = write(tmp_path / "documents", TEXTS, [])
    with gzip.open(documents.path / "00001.jsonl.gz", "at") as out:
        out.write('{"text": "no group", "id": "x", "metadata": {}}\n')
    with pytest.raises(ModelwrightError, match=r"00001\.jsonl\.gz:31: expected .*KeyError: 'group'"):
        run(Tokenize(), tmp_path / "stage", [documents, tokenizer])


def test_nothing_to_read(made, tmp_path):
    _, _, tokenizer, _ = made
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelwrightError, match=r"split\.json: expected"):
        run(Tokenize(), tmp_path / "one", [Documents(tmp_path / "empty"), tokenizer])
    (tmp_path / "empty/split.json").write_text('{"held_out": [], "bytes": {"train": 0, "held_out": 0}}')
    with pytest.raises(ModelwrightError, match="found none"):
        run(Tokenize(), tmp_path / "two", [Documents(tmp_path / "empty"), tokenizer])
    everything = write(tmp_path / "all", TEXTS, sorted({group for group, _ in TEXTS}))
    with pytest.raises(ModelwrightError, match="every group is held out"):
        run(Tokenize(), tmp_path / "three", [everything, tokenizer])


def test_wide_tokens(tmp_path, made):
    """Above 65,500 tokens Megatron's files have four bytes a token."""
    from megatron.core.datasets.indexed_dataset import IndexedDataset

    _, documents, tokenizer, _ = made
    spec = json.loads((tokenizer.path / "tokenizer.json").read_text())
    spec["model"] = {"type": "WordLevel", "vocab": {f"w{i}": i for i in range(70_000)} | {"fox": 70_000}, "unk_token": "w1"}
    spec |= {"pre_tokenizer": {"type": "Whitespace"}, "added_tokens": [], "decoder": None}
    (tmp_path / "tokenizer").mkdir()
    (tmp_path / "tokenizer/tokenizer.json").write_text(json.dumps(spec))
    shards: TokenShards = run(Tokenize(), tmp_path / "stage", [documents, Tokenizer(tmp_path / "tokenizer")])
    data = IndexedDataset(str(shards.path / "train"))  # kept: what it gives are views of its memory map
    assert data[0].dtype.itemsize == 4 and 70_000 in data[0].tolist()
