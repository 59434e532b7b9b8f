"""Doctor: what this machine has, what is broken, and what each missing thing would give."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from modelwright.component import Command
from modelwright.errors import ModelwrightError
from modelwright.hooks import discover
from modelwright.manifest import plugins, versions
from modelwright_plugins.source_code import summary

OPTIONAL = {
    "transformer_engine": "FP8 and fused kernels on NVIDIA GPUs (kernel=transformer_engine): in its folder, pip install -e '.[gpu]'",
    "resiliparse": "fast extraction from HTML (source=warc source.extractor=resiliparse): pip install 'modelwright[web]'",
    "wandb": "tracking with Weights & Biases (tracker=[jsonl,wandb]): pip install wandb",
}


@dataclass(frozen=True, kw_only=True)
class Doctor(Command):
    """Print what this machine has, what is broken, and what each missing thing would give: modelwright doctor."""

    def run(self, arguments: list[str]) -> int:
        if arguments:
            raise ModelwrightError(f"doctor takes no words, and got {arguments[0]!r}")
        for line in checkup():
            print(line)
        return 0


def checkup() -> Iterator[str]:
    """The lines of `modelwright doctor`."""
    yield "versions"
    yield from (f"  {name:<20} {found}" for name, found in versions().items())
    yield "machine"
    yield f"  {'cores':<20} {len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()}"
    yield f"  {'memory':<20} {os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB"
    yield f"  {'disk free here':<20} {shutil.disk_usage('.').free / 2**30:.0f} GiB in {Path.cwd()}" + (
        "" if os.access(".", os.W_OK) else " (not writable)"
    )
    yield from _devices()
    yield "precisions"
    yield from _precisions()
    yield "plugins"
    broken = discover().registry.broken
    yield from (f"  {name:<20} {found}" + (f"  BROKEN: {broken[name]}" if name in broken else "") for name, found in plugins().items())
    yield from (f"  {name:<20} BROKEN: {why}" for name, why in broken.items() if name not in plugins())
    yield "components"
    bad = [f"  {e.kind}/{e.name:<20} {summary(e)}" for e in discover().registry.entries.values() if summary(e).startswith("(broken")]
    yield from bad or [f"  {len(discover().registry.entries)} registered, every one's source is in place"]
    yield "not installed"
    missing = [f"  {name:<20} would give: {gives}" for name, gives in OPTIONAL.items() if importlib.util.find_spec(name) is None]
    yield from missing or ["  nothing that Modelwright knows a use for"]


def _devices() -> Iterator[str]:
    yield "devices"
    try:
        import torch
    except ImportError as e:
        yield f"  torch does not import: {e}"
        return
    count = torch.cuda.device_count()
    if not count:
        yield "  CPU (gloo, torch kernels); a CUDA device would give NCCL, BF16 at speed and, with Transformer Engine, FP8"
    for index in range(count):
        found = torch.cuda.get_device_properties(index)
        yield f"  cuda:{index} {found.name}, {found.total_memory / 2**30:.0f} GiB, compute capability {found.major}.{found.minor}"


def _precisions() -> Iterator[str]:
    """Which number formats can be trained in here, with the kernel that suits each."""
    registry = discover().registry
    kernels = [registry.load("kernel", name)() for name in registry.names("kernel")]
    for name in registry.names("precision"):
        try:
            precision = registry.load("precision", name)()
            kernel = min(kernels, key=lambda kernel: (len(precision.problems(kernel)), len(kernel.problems())))
            why = precision.problems(kernel) + kernel.problems()
        except Exception as e:  # a plugin's, which may be broken; the rest is still told
            yield f"  {name:<20} can't be asked: {' '.join(f'{type(e).__name__}: {e}'.split())}"
            continue
        yield f"  {name:<20} {'; '.join(why) if why else 'can be trained in here'}"
