"""What it promises, and the table as Python's own reader sees it."""

import csv

import pytest

from modelwright.testing import assert_conforms
from modelwright_plugins.conformance.examples.tracker.tracker import Table


def test_it_holds_what_a_tracker_promises():
    assert_conforms("tracker/example")


@pytest.mark.parametrize(("every", "steps"), [(1, ["1", "2", "3", "4"]), (2, ["2", "4"])])
def test_rows_of_a_run_that_was_killed_and_resumed(tmp_path, every, steps):
    tracker = Table(every=every)
    killed = tracker.open(tmp_path, {}, step=0)
    for step in (1, 2, 3):
        killed.log({"step": step, "loss": 1.5 / step})
    resumed = tracker.open(tmp_path, {}, step=2)
    for step in (3, 4):
        resumed.log({"step": step, "loss": 1.5 / step})
    resumed.close()
    with (tmp_path / "metrics.csv").open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert [row["step"] for row in rows] == steps
    assert [float(row["loss"]) for row in rows] == [1.5 / int(step) for step in steps]
