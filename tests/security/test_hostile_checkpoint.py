"""Each file of a checkpoint that would run code when Megatron loads it: our loading refuses it, and runs nothing."""

from __future__ import annotations

import collections
import io
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from modelwright.errors import ModelwrightError

RUNS = {
    ".metadata": "step_00000002/.metadata is refused: it tried to import posix.system",
    ".metadata, old pickle": "/.metadata is refused: it tried to import posix.system",
    ".metadata, inside": "/.metadata is refused: it tried to import posix.system",
    "common.pt": "/common.pt is refused: it tried to import posix.system",
    "common.pt, pickle": "/common.pt is refused: it is not in the form of weights",
    "distcp, object": "/__0_0.distcp is refused: it tried to import posix.system",
}
OTHERS = {  # no code, or none that Megatron would run
    ".metadata, dotted name": "/.metadata is refused: it tried to import torch.serialization.load",
    ".metadata, outside": "/.metadata is refused: it names a file outside of the checkpoint, ../../elsewhere.distcp",
    ".metadata, no pickle": "/.metadata can't be read: ",
    ".metadata, other": "/.metadata is not the index of a checkpoint, but a dict",
    "common.pt, other": "/common.pt holds no settings of a checkpoint, but a list",
    "distcp, tensor": "/__0_0.distcp is refused: it tried to import posix.system",
}


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("checkpoints")
    words = [
        sys.executable,
        "-W",
        "ignore",
        str(Path(__file__).with_name("load_checkpoints.py")),
        str(folder / "canary"),
        str(folder / "c"),
    ]
    done = subprocess.run(words, capture_output=True, text=True, timeout=300, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
def test_a_whole_one_loads(told: Any) -> None:
    assert told["whole"]["same"]


@pytest.mark.slow
@pytest.mark.parametrize("attempt", [*RUNS, *OTHERS])
def test_it_is_refused_in_one_line_and_nothing_runs(told: Any, attempt: str) -> None:
    found = told[attempt]
    assert found["error"].startswith("ModelwrightError: ") and (RUNS | OTHERS)[attempt] in found["error"], found
    assert "\n" not in found["error"] and not found["ran"] and found["same"]
    assert found["would"] == (attempt in RUNS), "what Megatron's own loading runs"


class Evil:
    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.canary}",)


def test_scales_of_transformer_engine_are_rewritten(tmp_path: Path) -> None:
    """The layout of its get_extra_state: a pickle of tensors and plain values, as uint8."""
    import torch

    from modelwright_plugins.engine.safe_pickle import sanitized

    def tensor(value: Any) -> torch.Tensor:
        return torch.frombuffer(bytearray(pickle.dumps(value)), dtype=torch.uint8)

    honest = {"scale_fwd": torch.rand(3), "amax_history_fwd": torch.rand(4, 3).T, "extra_fp8_variables": {"num_gemms": 1, "name": ["x"]}}
    found = pickle.loads(sanitized(tensor(honest), "here").numpy().tobytes())
    assert torch.equal(found["scale_fwd"], honest["scale_fwd"]) and torch.equal(found["amax_history_fwd"], honest["amax_history_fwd"])
    assert found["extra_fp8_variables"] == honest["extra_fp8_variables"]

    canary = tmp_path / "canary"

    class Nested:
        """torch's own unpickling of a tensor's bytes loads freely."""

        def __reduce__(self) -> Any:
            torch.save(Evil(canary), data := io.BytesIO())
            return torch.storage._load_from_bytes, (data.getvalue(),)

    class Partial:
        def __reduce__(self) -> Any:
            return collections.OrderedDict, ([("x", Evil(canary))],)

    for evil in (Evil(canary), Nested(), Partial()):
        pickle.loads(tensor(evil).numpy().tobytes())
        assert canary.exists(), "with nothing in its way, it works"
        canary.unlink()
        with pytest.raises(ModelwrightError, match=r"layer 1 is refused: it tried to import posix.system"):
            sanitized(tensor(evil), "layer 1")
        assert not canary.exists()


def test_latest_and_files_of_the_wrong_form(tmp_path: Path) -> None:
    from modelwright_plugins.engine.checkpoint import damage, latest

    for said in ('{"step": {"_target_": "os.system"}}', '{"step": "../../x"}', '{"step": null}', "[]", '"x"', "x"):
        (tmp_path / "latest.json").write_text(said)
        assert latest(tmp_path) is None
    for said in ("[1]", "3", '"x"', "null"):
        (tmp_path / "files.json").write_text(said)
        assert "files.json" in (damage(tmp_path) or "")


def test_a_pickle_changes_no_class() -> None:
    """BUILD sets attributes of what it is given; given a class, those of every instance in this process."""
    from torch.distributed.checkpoint.metadata import Metadata

    from modelwright_plugins.engine.safe_pickle import INDEX, read

    state = pickle.dumps((None, {"planner_data": "mine"}), protocol=2)[2:-1]
    attempt = b"\x80\x02c" + f"{Metadata.__module__}\nMetadata\n".encode() + state + b"b."
    before = vars(Metadata).get("planner_data")
    try:
        pickle.loads(attempt)
        assert vars(Metadata)["planner_data"] == "mine", "with nothing in its way, it works"
    finally:
        Metadata.planner_data = before
    with pytest.raises(ModelwrightError, match=r"x is refused: it tried to change <class '.*Metadata'>"):
        read(attempt, "x", INDEX)
    assert vars(Metadata)["planner_data"] == before
