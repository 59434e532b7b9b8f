"""What takes one rank longer than process groups wait is waited for."""

from __future__ import annotations

import time
from datetime import timedelta
from pathlib import Path

import torch.distributed as dist
from torch import multiprocessing

from modelwright_plugins.engine.one_rank import on_one_rank

SECONDS = 1


def asked(rank: int, folder: Path) -> None:
    """Twice, in one process after another group: the patient group is made again."""

    def slow() -> str:
        time.sleep(2.5 * SECONDS)
        return f"of rank {rank}"

    for number in range(2):
        store = dist.FileStore(str(folder / f"store {number}"), 2)
        dist.init_process_group("gloo", store=store, rank=rank, world_size=2, timeout=timedelta(seconds=SECONDS))
        (folder / f"{number} {rank}").write_text(on_one_rank(slow if not number else lambda: f"again {rank}"))
        dist.destroy_process_group()


def test_other_ranks_wait(tmp_path: Path) -> None:
    multiprocessing.start_processes(asked, (tmp_path,), nprocs=2, start_method="fork")
    told = {file.name: file.read_text() for file in tmp_path.iterdir() if "store" not in file.name}
    assert told == {"0 0": "of rank 0", "0 1": "of rank 0", "1 0": "again 0", "1 1": "again 0"}
