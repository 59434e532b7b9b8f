"""What one rank finds out, and all have: programs that are run, a server that is asked."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from modelwright.errors import ModelwrightError

T = TypeVar("T")


def on_one_rank(find: Callable[[], T]) -> T:
    """What `find` gives on the first rank, on every rank. ModelwrightError, on all of them the same: it could not."""
    import torch.distributed as dist

    if not dist.is_available() or not dist.is_initialized() or dist.get_world_size() == 1:
        return find()
    told: list[tuple[list[T], str]] = [([], "")]
    if dist.get_rank() == 0:
        try:
            told = [([find()], "")]
        except Exception as e:  # whatever it is: other ranks wait for this one
            told = [([], str(e) if isinstance(e, ModelwrightError) else repr(e))]
    dist.broadcast_object_list(told, 0)
    ((found, why),) = told
    if why:
        raise ModelwrightError(why)
    return found[0]
