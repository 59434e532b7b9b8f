from __future__ import annotations

import json
import socket
import struct
from pathlib import Path
from typing import Any

import pytest
import wandb

from modelwright_plugins.tracker.wandb import WandB


def records(file: Path) -> list[bytes]:
    """The records of a `.wandb` file: LevelDB's log format (32 KiB blocks; checksum, length, type) after a header of 7 bytes."""
    data, at, found, part = file.read_bytes(), 7, [], b""
    while at + 7 <= len(data):
        room = 32768 - at % 32768
        if room < 7:
            at += room
            continue
        _, length, kind = struct.unpack_from("<IHB", data, at)
        part += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # whole, or the last piece
            found.append(part)
            part = b""
    return found


def history(out: Path) -> list[dict[str, Any]]:
    """The steps in the `.wandb` files under `out`, through W&B's own protocol buffers."""
    from wandb.proto import wandb_internal_pb2

    rows = []
    for file in sorted(out.glob("wandb/offline-run-*/*.wandb"), key=lambda path: path.stat().st_mtime_ns):
        for data in records(file):
            record = wandb_internal_pb2.Record()
            record.ParseFromString(data)
            if record.WhichOneof("record_type") == "history":
                rows.append({(item.key or item.nested_key[0]): json.loads(item.value_json) for item in record.history.item})
    return rows


def test_offline_writes_every_step_under_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))  # nobody is logged in
    monkeypatch.setattr(socket, "getaddrinfo", lambda *a, **k: pytest.fail("a name was looked up on the network"))
    log = WandB(project="test", tags=["tiny"]).open(tmp_path, {"optimizer": {"lr": 1e-3}}, step=0)
    for step in (1, 2, 3):
        log.log({"step": step, "loss": 4.0 / step, "lr": 1e-3})
    log.close()
    identity = (tmp_path / "wandb/id").read_text()
    again = WandB(project="test").open(tmp_path, {}, step=3)
    again.log({"step": 4, "loss": 1.0, "lr": 1e-3})
    again.close()

    wandb.teardown()  # W&B goes on writing after `finish`
    rows = history(tmp_path)
    assert [(row["_step"], row["step"], row["loss"]) for row in rows] == [(1, 1, 4.0), (2, 2, 2.0), (3, 3, 4.0 / 3), (4, 4, 1.0)]
    assert {file.name for file in tmp_path.glob("wandb/offline-run-*/*.wandb")} == {f"run-{identity}.wandb"}
    assert capfd.readouterr() == ("", "")
