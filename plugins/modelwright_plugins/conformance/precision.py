"""What a precision promises."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelwright.testing import Conformance
from modelwright_plugins.conformance.promise import close, hold, promised
from modelwright_plugins.conformance.settings import unknown_settings
from modelwright_plugins.conformance.training import Case, losses


@dataclass(frozen=True, kw_only=True)
class Precisions(Conformance):
    """A precision: formats that are what it says they are, and training in them that stays near FP32's."""

    example = "modelwright_plugins.conformance.examples.precision"

    def check(self, component: Any, folder: Path) -> None:
        import torch

        with promised(component, "dtype is a torch floating-point type, and settings has it as params_dtype"):
            dtype, settings = component.dtype(), component.settings()
            hold(isinstance(dtype, torch.dtype) and dtype.is_floating_point, f"it is {dtype!r}")
            hold(settings.get("params_dtype") is dtype, f"params_dtype is {settings.get('params_dtype')!r}, not {dtype}")
        with promised(component, "settings are fields of Megatron's TransformerConfig or OptimizerConfig"):
            unknown = unknown_settings(component, folder, ["TransformerConfig", "OptimizerConfig"])
            hold(not unknown, f"there is no {', '.join(unknown)}")
        with promised(component, "bytes_per_parameter is the size of a weight, of a gradient, and of the FP32 main copy (0 or 4)"):
            weight, gradient, main = component.bytes_per_parameter()
            hold(weight == dtype.itemsize, f"a weight of {dtype} has {dtype.itemsize} bytes, not {weight}")
            sums = 4 if component.grad_reduce_fp32 else dtype.itemsize
            hold(gradient == sums, f"with grad_reduce_fp32={component.grad_reduce_fp32} a gradient has {sums} bytes, not {gradient}")
            hold(main == (0 if dtype is torch.float32 else 4), f"the main copy of {dtype} weights has {main} bytes")
        with promised(component, "problems(kernel) is a list of lines"):
            from modelwright_plugins.kernel.local import Torch

            found = component.problems(Torch())
            hold(isinstance(found, list) and all(isinstance(line, str) and "\n" not in line for line in found), f"it is {found!r}")
        if settings.get("fp8") or settings.get("fp4"):
            warnings.warn(f"{type(component).__name__} needs a GPU: that it trains was not checked", stacklevel=2)
            return
        with promised(component, "training in it goes as in FP32: losses of 8 steps within 0.5 %"):
            fp32, ours = losses([Case(parts={}, steps=8), Case(parts={"precision": component}, steps=8)], folder / "losses", ranks=1)
            hold(close(fp32, ours, 0.005), f"losses are {ours}, and in FP32 {fp32}")
        with promised(component, "training on two data ranks goes as on one: losses of 4 steps within 0.5 %"):
            from modelwright_plugins.parallel.megatron import Megatron

            layout = Megatron(data=2, distributed_optimizer=True)
            (two,) = losses([Case(parts={"precision": component, "parallel": layout})], folder / "data", ranks=2)
            hold(close(ours[:4], two, 0.005), f"losses are {two} with data=2 distributed_optimizer=true, and on one rank {ours[:4]}")
