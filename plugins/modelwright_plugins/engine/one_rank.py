"""What one rank finds out, and all have: programs that are run, a server that is asked, a file that is on its machine."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import torch.distributed as dist

from modelwright.errors import ModelwrightError

T = TypeVar("T")
PATIENCE = timedelta(days=7)
_patient: WeakKeyDictionary[Any, Any] = WeakKeyDictionary()


def patient() -> Any:
    """A process group of all ranks in which they wait for one another as long as it takes: in the default group they give up after ten
    minutes (NCCL) or thirty (gloo), and servers, judges and programs take longer. All ranks together; it is made once."""
    world = dist.group.WORLD
    if world not in _patient:
        _patient[world] = dist.new_group(backend="gloo", timeout=PATIENCE)
    return _patient[world]


def on_one_rank(find: Callable[[], T]) -> T:
    """What `find` gives on the first rank, on every rank. ModelwrightError, on all of them the same: it could not."""
    if not dist.is_available() or not dist.is_initialized() or dist.get_world_size() == 1:
        return find()
    group = patient()
    told: list[tuple[list[T], str]] = [([], "")]
    if dist.get_rank() == 0:
        try:
            told = [([find()], "")]
        except Exception as e:  # whatever it is: other ranks wait for this one
            told = [([], str(e) if isinstance(e, ModelwrightError) else repr(e))]
    dist.broadcast_object_list(told, 0, group=group)
    ((found, why),) = told
    if why:
        raise ModelwrightError(why)
    return found[0]
