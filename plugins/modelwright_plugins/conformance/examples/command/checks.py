"""What it promises, and a folder that is written here."""

import pytest

from modelwright.api import ModelwrightError
from modelwright.testing import assert_conforms
from modelwright_plugins.conformance.examples.command.command import Usage


def test_it_holds_what_a_command_promises():
    assert_conforms("command/example")


def test_sizes_of_a_folder_that_is_written_here(tmp_path, capsys):
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "deep" / "er" / "a").write_bytes(b"x" * 1000)
    (tmp_path / "deep" / "b").write_bytes(b"x" * 234)
    (tmp_path / "c").write_bytes(b"x" * 7)
    (tmp_path / "link").symlink_to(tmp_path / "deep" / "b")
    assert Usage().run([str(tmp_path)]) == 0
    assert [line.split() for line in capsys.readouterr().out.splitlines()] == [["1,234", "deep"], ["7", "c"], ["0", "link"]]
    with pytest.raises(ModelwrightError, match="is no folder"):
        Usage().run([str(tmp_path / "absent")])
