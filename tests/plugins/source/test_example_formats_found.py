"""A file's format is found whatever its first records are: what is no example is quarantined, and the run goes on."""

import json

import pytest

from modelwright.errors import ModelwrightError
from modelwright_plugins.source import BadRecord
from modelwright_plugins.source.examples import LOOKED, MOST, Examples

GOOD = {"prompt": "Hi", "completion": "Ho"}
LIKED = GOOD | {"label": False}
HEAD = list(range(1, LOOKED + 2))


def read(folder, records):
    (folder / "x.jsonl").write_text("".join((one if isinstance(one, str) else json.dumps(one)) + "\n" for one in records))
    source = Examples(paths=[str(folder / "x.jsonl")])
    return list(source.read(source.files()[0]))


@pytest.mark.parametrize(
    ("records", "why", "lines"),
    [
        (["{"] * (LOOKED + 1) + [GOOD], "not JSON", HEAD),
        ([[1]] * (LOOKED + 1) + [GOOD], "expected a JSON object, found list", HEAD),
        ([{"foo": 1}] * (LOOKED + 1) + [GOOD], "no key 'prompt'", HEAD),
        ([GOOD | {"completion": None}, GOOD], "no key 'completion'", [1]),
        ([GOOD, {"foo": 1}, GOOD], "no key 'prompt'", [2]),
        ([GOOD, LIKED, GOOD], "it looks like unpaired, and the file like prompt_completion", [2]),
        ([GOOD] * (LOOKED + 1) + [LIKED], "it looks like unpaired", [LOOKED + 2]),
        ([LIKED, GOOD, LIKED], "it looks like prompt_completion, and the file like unpaired", [2]),
    ],
)
def test_odd_records_are_quarantined_with_their_lines_and_do_not_stop(tmp_path, records, why, lines):
    found = read(tmp_path, records)
    bad = [one for one in found if isinstance(one, BadRecord)]
    assert bad and all(one.reason.startswith(why) for one in bad)
    assert [one.line for one in bad] == lines


def test_a_file_without_a_format(tmp_path):
    assert len(read(tmp_path, ["{"] * 30)) == 30
    with pytest.raises(ModelwrightError, match="cannot tell the format by the keys foo"):
        read(tmp_path, [{"foo": 1}] * (MOST + 9) + [GOOD])
    with pytest.raises(ModelwrightError, match="look like prompt_completion and unpaired"):
        read(tmp_path, [GOOD, LIKED])
