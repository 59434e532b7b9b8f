import pytest

from modelwright.errors import ModelwrightError
from modelwright_plugins.source import BadRecord
from modelwright_plugins.source.text import Text


def test_one_document_a_file_and_groups(tmp_path):
    (tmp_path / "a").mkdir()
    for name in ("a/1.txt", "a/2.md", "b.txt"):
        (tmp_path / name).write_text(f"text of {name}\r\n")
    source = Text(paths=[str(tmp_path)], group="folder")
    documents = [d for f in source.files() for d in source.read(f)]
    assert [d.text for d in documents] == ["text of a/1.txt\n", "text of a/2.md\n", "text of b.txt\n"]
    assert [d.metadata["group"] for d in documents] == [str(tmp_path / "a")] * 2 + [str(tmp_path)]
    assert len({f.group for f in Text(paths=[str(tmp_path)]).files()}) == 3


def test_globs_keep_their_order_and_name_a_file_once(tmp_path):
    for name in "cab":
        (tmp_path / f"{name}.txt").write_text(name)
    found = Text(paths=[str(tmp_path / "c.txt"), str(tmp_path / "*.txt")]).files()
    assert [f.path.name for f in found] == ["c.txt", "a.txt", "b.txt"]


@pytest.mark.parametrize("size", [1, 30, 100, 10_000])
def test_a_file_cut_into_pieces(tmp_path, size):
    paragraphs = [f"Paragraph {i} é." + " More." * (i % 5) for i in range(40)]
    (tmp_path / "book.txt").write_text("\n\n".join(paragraphs) + "\n")
    source = Text(paths=[str(tmp_path)], piece_bytes=size, group="document")
    documents = list(source.read(source.files()[0]))
    assert "\n\n".join(d.text for d in documents) == "\n\n".join(paragraphs) + "\n"  # nothing is lost, no paragraph is cut
    assert all(size <= len(d.text.encode()) + 2 < size + 60 for d in documents[:-1])
    assert [d.metadata["group"] for d in documents] == [d.id for d in documents] and len({d.id for d in documents}) == len(documents)
    whole = Text(paths=[str(tmp_path)], piece_bytes=size)
    assert {d.metadata["group"] for d in whole.read(whole.files()[0])} == {str(tmp_path / "book.txt")}


def test_bad_text(tmp_path):
    (tmp_path / "empty.txt").write_text(" \n")
    source = Text(paths=[str(tmp_path)])
    assert list(source.read(source.files()[0])) == [BadRecord("no text")]
    with pytest.raises(ModelwrightError, match="no file given"):
        Text(paths=[]).files()
    with pytest.raises(ValueError, match="piece_bytes=0"):
        Text(paths=["x"], piece_bytes=0)


def test_a_changed_file_changes_the_fingerprint(tmp_path):
    for name in "ab":
        (tmp_path / f"{name}.txt").write_text(name)
    source = Text(paths=[str(tmp_path)])
    before = source.fingerprint()
    assert source.fingerprint() == before
    (tmp_path / "b.txt").write_text("other")
    changed = source.fingerprint()
    (tmp_path / "c.txt").write_text("c")
    assert len({before, changed, source.fingerprint()}) == 3
