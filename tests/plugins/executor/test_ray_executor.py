"""Ray for real: a cluster of two nodes on this machine, whose workers and nodes are killed."""

import os
import re
import subprocess
import sys
import threading
import time
from importlib.util import find_spec

import psutil
import pytest
from executor_steps import TASK_BYTES, Fail, Make, Save, Slow, all_there, read_bar

from modelwright.errors import ModelwrightError
from modelwright_plugins.executor.ray import Ray

needs_ray = pytest.mark.skipif(find_spec("ray") is None, reason="ray is not installed")


def run(steps, folder, tasks=4, total=None, logs="logs", **settings):
    Ray(**settings).run(steps, tasks=tasks, logs=folder / logs, title="try", total=total)


def rays():
    """The processes of Ray that this one has started."""
    return [p.info["name"] for p in psutil.process_iter(["name", "ppid", "status"]) if p.info["ppid"] == os.getpid()
            and p.info["name"] in {"raylet", "gcs_server"} and p.info["status"] != psutil.STATUS_ZOMBIE]  # fmt: skip


@pytest.fixture(scope="module")
def two_nodes():
    """The address of a cluster of two nodes of a core each, and the second one."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "object_store_memory": 80_000_000, "include_dashboard": False})
    yield cluster, cluster.add_node(num_cpus=1, object_store_memory=80_000_000)
    cluster.shutdown()
    assert not rays()


@needs_ray
@pytest.mark.slow
def test_a_cluster_of_its_own_begins_and_ends_with_it(tmp_path, capfd):
    """Also: a task that fails once, and a process that is killed once, are done once; what is finished is not run again."""
    steps = [Make(), Fail(2, "raise", tmp_path, times=1), (kill := Fail(1, "kill", tmp_path / "kill", times=1)), Save(tmp_path)]
    (tmp_path / "kill").mkdir()
    run(steps, tmp_path, 6, 100, workers=2)
    assert all_there(tmp_path, 6) and steps[1].attempts() == {0: 1, 1: 2, 2: 2, 3: 1, 4: 1, 5: 1} and kill.attempts()[1] == 2
    assert read_bar(tmp_path / "logs") == 6 * TASK_BYTES
    log = (tmp_path / "logs/executor.log").read_text()
    assert "task 2 failed, attempt 1: ValueError: no good: 2-1" in log
    assert "task 1 failed, attempt 1: its process was killed" in log
    out, err = capfd.readouterr()
    assert out == "" and all(line.lstrip().startswith("try: ") for line in err.splitlines()), err
    assert not rays()


@needs_ray
@pytest.mark.slow
def test_more_memory_than_there_is_is_told(tmp_path):
    with pytest.raises(ModelwrightError, match=r"executor.memory_gb=100000: no node of the Ray cluster has as much"):
        run([Make()], tmp_path, memory_gb=100_000)
    assert not rays()


@needs_ray
@pytest.mark.slow
def test_a_node_that_is_killed_midway_loses_nothing(tmp_path, two_nodes, capfd):
    cluster, second = two_nodes
    began = Fail(99, "raise", tmp_path)
    raylet = second.all_processes["raylet"][0].process.pid
    met = []  # the task that its node is killed under

    def kill():
        while not met:
            time.sleep(0.05)
            for file in tmp_path.glob("attempt_*"):
                if (pid := file.read_text()) and psutil.pid_exists(int(pid)) and psutil.Process(int(pid)).ppid() == raylet:
                    met.append(int(file.name.split("_")[1]))
        for process in [psutil.Process(raylet), *psutil.Process(raylet).children(recursive=True)]:  # its machine is off
            process.kill()

    thread = threading.Thread(target=kill, daemon=True)
    thread.start()
    run([Make(), began, Slow(0.7), Save(tmp_path)], tmp_path, 6, 100, address=cluster.address)
    thread.join()
    assert all_there(tmp_path, 6), list(tmp_path.iterdir())
    assert began.attempts() == {rank: 1 + (rank == met[0]) for rank in range(6)}
    assert re.search(
        rf"task {met[0]} failed, attempt 1: its (node was lost|process was killed)", (tmp_path / "logs/executor.log").read_text()
    )
    out, err = capfd.readouterr()
    assert out == "" and all(line.lstrip().startswith("try: ") for line in err.splitlines()), err
    assert rays()  # a cluster that was there stays
    with pytest.raises(
        ModelwrightError, match=r"task 2 of 3 failed: ValueError: no good: 2-1 \(tried 2 times\); its log: .*task_00002\.log"
    ):
        run([Make(), Fail(2, "raise", tmp_path)], tmp_path, 3, address=cluster.address, logs="logs2")
    with pytest.raises(ModelwrightError, match=r"^the file is at fault$"):
        run([Make(), Fail(1, "error", tmp_path)], tmp_path, 3, address=cluster.address, logs="logs3")


def test_without_ray(tmp_path, monkeypatch):
    code = "import sys; sys.modules['ray'] = None; from modelwright_plugins.executor.ray import Ray; import pathlib;"
    code += "Ray().run([lambda *a: None], tasks=1, logs=pathlib.Path('logs'), title='t', total=None)"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.stderr.splitlines()[-1].endswith("executor=ray needs Ray: in Modelwright's folder: pip install -e '.[ray]'")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert Ray().problems() == ["executor=ray needs Ray: in Modelwright's folder: pip install -e '.[ray]'"]


def test_bad_values():
    for bad, said in (({"workers": 0}, "at least 1"), ({"cpus_per_task": 1.5}, "whole number"), ({"memory_gb": 0}, "memory_gb is 0")):
        with pytest.raises(ValueError, match=said):
            Ray(**bad)
