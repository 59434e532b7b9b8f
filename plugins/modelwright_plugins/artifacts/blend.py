"""`blend.json` among token shards: which text training draws from, in what proportions, phase by phase."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from modelwright.errors import ModelwrightError
from modelwright_plugins.mixture import Phase

FILE = "blend.json"
IN_ALL = "in all"  # beside the phases' names
MOST = 4.0  # epochs, after which repeated text is worth clearly less than new text (Muennighoff et al. 2023, arXiv:2305.16264)


@dataclass(frozen=True)
class BlendedDomain:
    """The training text of one domain."""

    shard: str  # its indexed dataset in the folder, without `.bin` and `.idx`
    documents: int
    tokens: int
    bytes: int  # of UTF-8 text


@dataclass(frozen=True)
class Blend:
    """What training is to draw."""

    tokens: int  # planned: positions of all sequences of a training
    window: int | None  # sequences within which the order of a domain is random; None: all of them
    domains: Mapping[str, BlendedDomain]
    phases: list[Phase]

    @classmethod
    def read(cls, folder: Path) -> Blend | None:
        """Of a folder of token shards; None where they are not blended. ModelwrightError: the file is none."""
        file = folder / FILE
        if not file.is_file():
            return None
        try:
            found = json.loads(file.read_text(encoding="utf-8"))
            named = ("shard", "documents", "tokens", "bytes")
            domains = {name: BlendedDomain(**{key: about[key] for key in named}) for name, about in found["domains"].items()}
            phases = [Phase(phase["name"], float(phase["share"]), dict(phase["weights"])) for phase in found["phases"]]
            window = found["window"]
            if not phases or any(
                "/" in domain.shard or not {*phase.weights} <= {*domains} for domain in domains.values() for phase in phases
            ):
                raise ValueError("phases or shards")
            return cls(int(found["tokens"]), None if window is None else int(window), domains, phases)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as e:
            raise ModelwrightError(f"{file}: expected what stage mix writes ({type(e).__name__}: {e})") from e

    def write(self, folder: Path) -> None:
        """With what it comes to, for people: tokens drawn of each domain, and epochs."""
        drawn, phases = self.drawn(), []
        for phase, each in zip(self.phases, drawn, strict=True):
            epochs = {name: each[name] / domain.tokens for name, domain in self.domains.items()}
            phases.append({**asdict(phase), "tokens": round(phase.share * self.tokens), "drawn": each, "epochs": epochs})
        domains = {}
        for name, row in zip(self.domains, self.totals(), strict=True):
            domains[name] = {**asdict(self.domains[name]), "drawn": row["drawn"], "epochs": row["epochs"]}
        told = {"tokens": self.tokens, "window": self.window, "domains": domains, "phases": phases}
        (folder / FILE).write_text(json.dumps(told, indent=1, ensure_ascii=False), encoding="utf-8")

    def drawn(self) -> list[dict[str, int]]:
        """For each phase, the tokens that are drawn of each domain."""
        return [{name: round(self.tokens * phase.share * phase.weights.get(name, 0.0)) for name in self.domains} for phase in self.phases]

    def begins(self, length: int) -> list[int]:
        """The first sequence, of `length` positions, of each phase."""
        shares = [sum(phase.share for phase in self.phases[:n]) for n in range(len(self.phases))]
        return [round(share * self.tokens / length) for share in shares]

    def rows(self) -> list[dict[str, Any]]:
        """A table's rows, phase by phase and then for all: "phase", "domain", "documents", "tokens", "weight", "drawn", "epochs"."""
        found: list[dict[str, Any]] = []
        for phase, each in zip(self.phases, self.drawn(), strict=True):
            found += [self._row(phase.name, name, phase.weights.get(name, 0.0), each[name]) for name in self.domains]
        return found + self.totals() if len(self.phases) > 1 else found

    def totals(self) -> list[dict[str, Any]]:
        """The rows for all phases together."""
        found, drawn = [], self.drawn()
        for name in self.domains:
            weight = sum(phase.share * phase.weights.get(name, 0.0) for phase in self.phases)
            found.append(self._row(IN_ALL, name, weight, sum(each[name] for each in drawn)))
        return found

    def _row(self, phase: str, name: str, weight: float, drawn: int) -> dict[str, Any]:
        domain = self.domains[name]
        about = {"documents": domain.documents, "tokens": domain.tokens}
        return {"phase": phase, "domain": name, **about, "weight": weight, "drawn": drawn, "epochs": drawn / domain.tokens}
