"""What it promises, and what a failed task leaves."""

import pytest
from datatrove.data import Document
from datatrove.pipeline.base import PipelineStep

from modelwright.api import ModelwrightError
from modelwright.testing import assert_conforms
from modelwright_plugins.conformance.examples.executor.executor import InProcess


class Count(PipelineStep):
    """Fails in task 1, where a variable is 42."""

    type, name = "TEST", "count"

    def run(self, data=None, rank=0, world_size=1):
        secret = 41 + rank
        if rank == 1:
            raise ValueError("no good")
        yield Document(text=str(secret), id=str(rank))


def test_it_holds_what_an_executor_promises():
    assert_conforms("executor/example")


@pytest.mark.parametrize("values", [True, False])
def test_the_log_of_a_failed_task_says_where(tmp_path, values):
    with pytest.raises(ModelwrightError, match="task 1 of 3 failed: ValueError: no good"):
        InProcess(locals=values).run([Count()], tasks=3, logs=tmp_path, title="count", total=None)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["task_00000.completed", "task_00000.log", "task_00001.log"]
    log = (tmp_path / "task_00001.log").read_text()
    assert 'raise ValueError("no good")' in log
    assert ("secret = 42" in log) is values
