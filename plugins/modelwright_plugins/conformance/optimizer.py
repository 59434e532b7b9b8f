"""What an optimizer promises."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelwright.testing import Conformance
from modelwright_plugins.conformance.promise import close, hold, promised
from modelwright_plugins.conformance.training import Case, losses

if TYPE_CHECKING:
    import torch

SHAPES: dict[str, list[tuple[int, ...]]] = {"matrix": [(48, 64), (64, 32)], "embedding": [(50, 64)], "vector": [(64,), (3,)]}
KEYS = {"is_expert_parallel": False, "lr_mult": 1.0, "wd_mult": 1.0, "is_decoupled_lr": False}  # the engine's own

LAYOUTS: dict[str, dict[str, Any]] = {
    "1 rank": {},
    "tensor=2": {"tensor": 2},
    "data=2": {"data": 2},
    "data=2 distributed_optimizer=true": {"data": 2, "distributed_optimizer": True},
}


@dataclass(frozen=True, kw_only=True)
class Optimizers(Conformance):
    """An optimizer: updates that lower a loss, exact resuming, honest claims, and on ranks the same as on one."""

    example = "modelwright_plugins.conformance.examples.optimizer"

    def check(self, component: Any, folder: Path) -> None:
        self._groups(component)
        self._steps(component)
        self._resuming(component)
        self._claims(component)
        self._ranks(component, folder)

    def _groups(self, component: Any) -> None:
        with promised(component, "build sets lr and weight_decay of each group, and keeps the groups' order and other keys"):
            groups = [{"params": [], "role": "matrix", **KEYS}, *_groups(_parameters())[1:]]
            found = component.build(groups).param_groups
            hold([g["role"] for g in found] == list(SHAPES), f"the roles are {[g.get('role') for g in found]}, not {list(SHAPES)}")
            for group in found:
                changed = [key for key, value in KEYS.items() if group.get(key) != value]
                hold(not changed, f"{group['role']}: the keys {changed} are not what they were")
                for key in ("lr", "weight_decay"):
                    hold(isinstance(group.get(key), int | float), f"{group['role']}: {key} is {group.get(key)!r}")
                hold(group["lr"] > 0, f"{group['role']}: lr is {group['lr']}")

    def _steps(self, component: Any) -> None:
        import torch

        with promised(component, "two steps change every parameter, to finite numbers, also when a group is empty"):
            before, after = _parameters(), _parameters()
            _run(component, after, 2, empty="embedding")
            for role in ("matrix", "vector"):
                for old, new in zip(before[role], after[role], strict=True):
                    hold(not torch.equal(old, new), f"a {role} of shape {tuple(new.shape)} is as it was")
                    hold(torch.isfinite(new).all(), f"a {role} of shape {tuple(new.shape)} has a number that is not finite")
        with promised(component, "50 steps with its own learning rates lower the loss of a quadratic"):
            parameters = _parameters()
            start = _quadratic(parameters)
            optimizer = component.build(_groups(parameters))
            for _ in range(50):
                optimizer.zero_grad()
                _quadratic(parameters).backward()
                optimizer.step()
            hold((end := _quadratic(parameters)) < start, f"it went from {start:.6g} to {end:.6g}")
        with promised(component, "the same gradients give the same bits"):
            one, two = _parameters(), _parameters()
            _run(component, one, 3)
            _run(component, two, 3)
            hold(_equal(one, two), "two runs of three steps ended with other weights")

    def _resuming(self, component: Any) -> None:
        import torch

        with promised(component, "its state dict holds all that it needs to go on, bit for bit, and nothing but plain data and tensors"):
            whole, parted = _parameters(), _parameters()
            _run(component, whole, 6)
            first = _run(component, parted, 3)
            file = io.BytesIO()
            torch.save(first.state_dict(), file)
            file.seek(0)
            second = component.build(_groups(parted))
            second.load_state_dict(torch.load(file, weights_only=True))
            _run(component, parted, 3, first=3, optimizer=second)
            hold(_equal(whole, parted), "after 3 steps, saving, loading and 3 steps, the weights are not those after 6 steps")

    def _claims(self, component: Any) -> None:
        import torch

        with promised(component, "state_bytes(role) is what it keeps for each element, and matrix_bytes(role, shape) for a whole matrix"):
            parameters = _parameters()
            optimizer = _run(component, parameters, 2)
            for role, of_role in parameters.items():
                found = sum(_size(optimizer.state[p].values()) for p in of_role) / sum(p.numel() for p in of_role)
                hold(abs(found - component.state_bytes(role)) < 1, f"{role}: it keeps {found:g} bytes, not {component.state_bytes(role)}")
                for p in of_role:
                    found, said = _size(optimizer.state[p].get("matrix", {}).values()), component.matrix_bytes(role, tuple(p.shape))
                    hold(found == said, f"a {role} of shape {tuple(p.shape)}: it keeps {found} bytes of the whole, not {said}")
        if not component.elementwise:
            return
        with promised(component, "it is elementwise: halves of a parameter that are updated apart become what the whole becomes"):
            whole = _parameters()
            halves = {role: [h.detach().clone().requires_grad_() for p in ps for h in p.flatten().split(24)] for role, ps in whole.items()}
            for step in range(3):
                gradients = _gradients(whole, step)
                for role in whole:
                    parts = [part for g in gradients[role] for part in g.flatten().split(24)]
                    for parameter, gradient in zip(halves[role], parts, strict=True):
                        parameter.grad = gradient.clone()
                if step == 0:
                    apart = component.build(_groups(halves))
                apart.step()
            _run(component, whole, 3)
            for role, of_role in whole.items():
                left, right = torch.cat([p.flatten() for p in of_role]), torch.cat([p.flatten() for p in halves[role]])
                worst = (left - right).abs().max().item()
                hold(torch.allclose(left, right, rtol=1e-5, atol=1e-7), f"{role}: after 3 steps they differ by up to {worst:.3g}")

    def _ranks(self, component: Any, folder: Path) -> None:
        from modelwright_plugins.parallel.megatron import Megatron

        names = list(LAYOUTS)
        cases = [Case(parts={"optimizer": component, "parallel": Megatron(**layout)}) for layout in LAYOUTS.values()]
        with promised(
            component, "on two ranks it learns what it learns on one: parameters that tensor ranks split, and shared-out state, too"
        ):
            one, *others = losses(cases, folder / "ranks", ranks=2)
            for name, other in zip(names[1:], others, strict=True):
                hold(close(one, other, 1e-5), f"{name}: losses of 4 steps are {_told(other)}, and on one rank {_told(one)}")
        with promised(
            component, "saved in a checkpoint and loaded it goes on exactly (kept: `step`, tensors of the parameter's shape, and `matrix`)"
        ):
            cases = [Case(parts=case.parts, resume_at=resume_at) for case in (cases[0], cases[3]) for resume_at in (None, 2)]
            found = losses(cases, folder / "resumed", ranks=2)
            for name, straight, resumed in zip((names[0], names[3]), found[::2], found[1::2], strict=True):
                hold(straight == resumed, f"{name}: losses are {_told(straight)}, and saved after 2 steps {_told(resumed)}")


def _size(values: Any) -> int:
    """Bytes of the tensors among them; a scalar may be a count."""
    import torch

    return sum(t.numel() * t.element_size() for t in values if isinstance(t, torch.Tensor) and t.dim())


def _parameters() -> dict[str, list[torch.Tensor]]:
    import torch

    random = torch.Generator().manual_seed(1)
    return {role: [torch.randn(s, generator=random).requires_grad_() for s in shapes] for role, shapes in SHAPES.items()}


def _groups(parameters: dict[str, list[torch.Tensor]]) -> list[dict[str, Any]]:
    return [{"params": list(of_role), "role": role, **KEYS} for role, of_role in parameters.items()]


def _gradients(parameters: dict[str, list[torch.Tensor]], step: int) -> dict[str, list[torch.Tensor]]:
    import torch

    random = torch.Generator().manual_seed(100 + step)
    return {role: [torch.randn(p.shape, generator=random) for p in of_role] for role, of_role in parameters.items()}


def _run(
    component: Any, parameters: dict[str, list[torch.Tensor]], steps: int, *, first: int = 0, optimizer: Any = None, empty: str = ""
) -> Any:
    """Steps with random gradients; the optimizer."""
    optimizer = optimizer or component.build(_groups({role: [] if role == empty else ps for role, ps in parameters.items()}))
    for step in range(first, first + steps):
        for role, gradients in _gradients(parameters, step).items():
            for parameter, gradient in zip(parameters[role], gradients, strict=True):
                parameter.grad = gradient
        optimizer.step()
    return optimizer


def _quadratic(parameters: dict[str, list[torch.Tensor]]) -> torch.Tensor:
    """Half the squared distance of all parameters from 3: further than what weight decay pulls to."""
    import torch

    return torch.stack([((p - 3) ** 2).sum() / 2 for of_role in parameters.values() for p in of_role]).sum()


def _equal(one: dict[str, list[torch.Tensor]], two: dict[str, list[torch.Tensor]]) -> bool:
    import torch

    return all(torch.equal(a, b) for role in one for a, b in zip(one[role], two[role], strict=True))


def _told(losses: list[float]) -> str:
    return ", ".join(f"{loss:.7g}" for loss in losses)
