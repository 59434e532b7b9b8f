"""Which CUDA device this machine has, as far as number formats depend on it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Device:
    """The machine's least capable GPU: a training uses all."""

    name: str
    capability: tuple[int, int]  # NVIDIA's compute capability
    cuda: tuple[int, int]  # that torch was built for

    def __str__(self) -> str:
        return f"{self.name} (compute capability {self.capability[0]}.{self.capability[1]}, CUDA {self.cuda[0]}.{self.cuda[1]})"


def device() -> Device | None:
    """None without one. Torch is asked only where the machine has NVIDIA's driver: it takes seconds."""
    if not Path("/dev/nvidiactl").exists():
        return None
    import torch

    if not torch.cuda.is_available():
        return None
    index = min(range(torch.cuda.device_count()), key=torch.cuda.get_device_capability)
    major, minor = (torch.version.cuda or "0.0").split(".")[:2]
    return Device(torch.cuda.get_device_name(index), torch.cuda.get_device_capability(index), (int(major), int(minor)))
