"""How many ranks there can be here."""

from __future__ import annotations

from pathlib import Path

from modelwright import launch


def available() -> tuple[int | None, bool]:
    """(ranks that were started for us, True), or else (GPUs of this machine, False); None without either."""
    if joined := launch.world():
        return joined[1], True
    if not Path("/dev/nvidiactl").exists():  # asking torch takes seconds
        return None, False
    import torch

    return torch.cuda.device_count() or None, False
