"""What DoReMi leaves in the run: `doremi.json` and `doremi.svg`."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from modelwright_plugins.report.svg import figure, standalone

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from modelwright_plugins.mixture._robust import Steps
    from modelwright_plugins.mixture.doremi import DoReMi

Numbers = NDArray[np.float64]
ROWS = 1000  # steps of a round that are written at most, evenly spread
LAST = 10  # losses are means over the last tenth of the steps
# Okabe and Ito's, which colour-blind people tell apart; from the sixth line on they come again, broken
COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00"]
LINES = ["-", "--", ":", "-."]


@dataclass(frozen=True)
class Found:
    """What a round began with, and found."""

    reference: Numbers  # weights of the reference's training, [k]
    weights: Numbers  # mean of the steps', [k]
    steps: Steps


def write(folder: Path, settings: DoReMi, names: list[str], rounds: list[Found]) -> None:
    """`doremi.json`, and `doremi.svg` of the last round. The folder need not exist."""
    folder.mkdir(parents=True, exist_ok=True)
    told = {
        "settings": asdict(settings),
        "domains": names,
        "weights": _named(names, rounds[-1].weights),
        "rounds": [_round(names, each) for each in rounds],
    }
    (folder / "doremi.json").write_text(json.dumps(told, indent=1, ensure_ascii=False), encoding="utf-8")
    (folder / "doremi.svg").write_text(drawn(names, rounds[-1]), encoding="utf-8")


def _round(names: list[str], found: Found) -> dict[str, Any]:
    steps = found.steps
    count = len(steps.weights)
    every = -(-count // ROWS)
    last = max(1, count // LAST)
    return {
        "reference_weights": _named(names, found.reference),
        "weights": _named(names, found.weights),
        "reference_loss": _named(names, np.mean(steps.reference[-last:], 0)),  # nats a token, over the last tenth of the proxy's steps
        "proxy_loss": _named(names, np.mean(steps.proxy[-last:], 0)),
        "excess": _named(names, np.mean(steps.excess, 0)),
        "steps": {
            "step": list(range(1, count + 1, every)),
            "weights": _rows(steps.weights[::every]),  # a row a step, a column a domain
            "excess": _rows(steps.excess[::every]),
            "reference_loss": _rows(steps.reference[::every]),
            "proxy_loss": _rows(steps.proxy[::every]),
        },
    }


def _named(names: list[str], values: Numbers) -> dict[str, float]:
    return {name: float(value) for name, value in zip(names, values, strict=True)}


def _rows(values: list[Numbers]) -> list[list[float]]:
    return [[float(f"{value:.6g}") for value in row] for row in values]


def drawn(names: list[str], found: Found) -> str:
    """The domains' weights over the steps, each with its mean at the right, as a page of its own."""
    weights = np.array(found.steps.weights)
    steps = np.arange(1, len(weights) + 1)

    def draw(axes: Axes) -> None:
        for number, (name, mean) in enumerate(zip(names, found.weights, strict=True)):
            colour, line = COLOURS[number % len(COLOURS)], LINES[number // len(COLOURS) % len(LINES)]
            label = f"{name} {mean:.3f} (reference {found.reference[number]:.3f})"
            axes.plot(steps, weights[:, number], color=colour, linestyle=line, label=label)
        axes.set_ylim(0, None)
        axes.set_xlim(0, steps[-1])
        axes.set_xlabel("step of the proxy model")
        axes.set_ylabel("weight")
        axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False, fontsize=9, title="mean over the steps")

    told = "; ".join(f"{name} {mean:.3f}" for name, mean in zip(names, found.weights, strict=True))
    height = max(3.4, 0.8 + 0.22 * len(names))
    return standalone(figure("doremi", height, f"Weights of domains over the steps of DoReMi's proxy model, on average {told}.", draw, 8.6))
