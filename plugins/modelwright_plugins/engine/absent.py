"""What Megatron-Core 0.16.1 needs where Transformer Engine is not installed, on any device. Only `engine.start` imports this.

Some of its modules name parts of Transformer Engine without asking whether it is there.
"""

from __future__ import annotations

import contextlib
from importlib.util import find_spec
from typing import Any


def stand_in() -> None:
    """Give those names a meaning. Safe to call twice."""
    if find_spec("transformer_engine") is not None:
        return
    import megatron.core.tensor_parallel.random as random
    import megatron.core.transformer.moe.moe_utils as moe_utils
    import megatron.core.utils as utils
    from packaging.version import Version

    utils._te_version = Version("0")  # it is compared with versions: any comparison must answer 'older'
    moe_utils.te_general_gemm = None  # the router's product: torch's then
    # selective recomputation asks whether FP8 is on
    random.FP8GlobalStateManager = NoFP8
    random.activation_recompute_forward = random.fp8_autocast = _no_context


class NoFP8:
    """`FP8GlobalStateManager` of a run without FP8."""

    is_fp8_enabled = staticmethod(lambda: False)
    get_fp8_recipe = staticmethod(lambda: None)


def _no_context(**_: Any) -> contextlib.AbstractContextManager[None]:
    return contextlib.nullcontext()
