"""Examples are read as they were written, in numpy's own format; files that do not fit each other are told."""

import hashlib
import json

import numpy as np
import pytest

from modelwright.errors import ModelwrightError
from modelwright_plugins.artifacts.examples import ExamplesWriter, StoredExamples

PAIRS = [
    ({"id": "a", "group": "g"}, [([1, 2, 3], [0, 0, 1]), ([1, 2, 4, 5], [0, 0, 1, 1])], [1.0, 0.0]),
    ({"id": "b", "group": "h", "source": "s"}, [([7], [1]), ([8, 9], [0, 1])], None),
]


def write(folder, kind, part, examples, **more):
    writer = ExamplesWriter(folder, part, kind)
    for line, rows, scores in examples:
        writer.write(line, rows, scores, **more)
    return writer.close()


def written(folder, kind="preference", **more):
    about = {"kind": kind, "vocab_size": 10, "end_of_document": 0, "train": write(folder, kind, "train", PAIRS, **more)}
    about["held_out"] = write(folder, kind, "held_out", [])
    (folder / "examples.json").write_text(json.dumps(about))
    return about


def test_what_was_written_is_read(tmp_path):
    about = written(tmp_path)
    assert about["train"] == {"examples": 2, "rows": 4, "tokens": 10, "targets": 5, "longest": 4}
    stored = StoredExamples(tmp_path)
    assert (stored.kind, len(stored), stored.longest) == ("preference", 2, 4)
    assert [list(stored.rows_of(i)) for i in range(2)] == [[0, 1], [2, 3]] and stored.lengths.tolist() == [3, 4, 1, 2]
    rows = [row for _, example, _ in PAIRS for row in example]
    assert [tuple(part.tolist() for part in stored.row(i)) for i in range(4)] == rows
    np.testing.assert_array_equal(stored.scores, [1, 0, np.nan, np.nan])
    assert list(stored.lines()) == [line for line, _, _ in PAIRS]
    for name, kind in (("tokens", "int32"), ("mask", "uint8"), ("rows", "int64"), ("examples", "int64"), ("scores", "float32")):
        assert np.load(tmp_path / f"train_{name}.npy", allow_pickle=False).dtype == kind
    assert len(StoredExamples(tmp_path, "held_out")) == 0
    with pytest.raises(ValueError, match="only steps have values"):
        stored.values_of(0)


def test_steps_have_values(tmp_path):
    folder = tmp_path
    about = {"kind": "steps", "vocab_size": 10, "end_of_document": 0}
    one = [({"id": "a", "group": "g"}, [([1, 2, 3], [0, 1, 1])], None)]
    about["train"] = write(folder, "steps", "train", one, values=[[np.nan, 1, 0]])
    (folder / "examples.json").write_text(json.dumps(about))
    np.testing.assert_array_equal(StoredExamples(folder).values_of(0), [np.nan, 1, 0])


def test_files_that_do_not_fit_are_told(tmp_path):
    written(tmp_path)
    np.save(tmp_path / "train_mask.npy", np.zeros(9, np.uint8))
    with pytest.raises(ModelwrightError, match="the files of train do not fit each other"):
        StoredExamples(tmp_path)
    np.save(tmp_path / "train_mask.npy", np.zeros(10, np.int64))
    with pytest.raises(ModelwrightError, match=r"train_mask\.npy: expected one dimension of uint8, found int64 \(10,\)"):
        StoredExamples(tmp_path)
    (tmp_path / "examples.json").unlink()
    with pytest.raises(ModelwrightError, match=r"examples\.json: expected what `prepare` writes"):
        StoredExamples(tmp_path)


def test_examples_of_another_tokenizer_are_refused(tmp_path):
    about, own, other = written(tmp_path), tmp_path / "own", tmp_path / "other"
    for folder in (own, other):
        folder.mkdir()
        (folder / "tokenizer.json").write_text(folder.name)
    StoredExamples(tmp_path).check_tokenizer(other)  # written before the hash was kept
    (tmp_path / "examples.json").write_text(json.dumps({**about, "tokenizer": hashlib.sha256(b"own").hexdigest()}))
    stored = StoredExamples(tmp_path)
    stored.check_tokenizer(own)
    with pytest.raises(ModelwrightError, match=r"are of another tokenizer .* run `prepare` with the model's tokenizer"):
        stored.check_tokenizer(other)
    with pytest.raises(ModelwrightError, match="cannot read the tokenizer"):
        stored.check_tokenizer(tmp_path)
