"""Documents shared out to domains and put in order, and the blend told to people and to Megatron-LM."""

from __future__ import annotations

import json
import math
import os
import re
import shutil
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelwright.errors import ModelwrightError, nearest
from modelwright_plugins.artifacts import Documents
from modelwright_plugins.artifacts.blend import MOST, Blend, BlendedDomain
from modelwright_plugins.artifacts.documents import read, split
from modelwright_plugins.artifacts.shard_writer import ShardWriter
from modelwright_plugins.curriculum import Curriculum
from modelwright_plugins.engine.texts import stored_lengths, stored_tokens
from modelwright_plugins.mixture import Phase
from modelwright_plugins.progress import progress

DOMAINS = 500  # at most: each is a file that every rank has open
ALL = "all"  # the domain where there is one
KEPT = ("train.bin", "train.idx", "held_out.bin", "held_out.idx", "held_out.jsonl")


@dataclass(frozen=True)
class Corpus:
    """What is known of the training documents, which are the sequences of the shard `train`, in its order."""

    names: list[str]  # of domains
    domain: NDArray[np.int64]  # [documents], index of `names`
    score: NDArray[np.float64]  # [documents], the curriculum's
    bytes: list[int]  # of each domain

    @classmethod
    def of(cls, documents: Documents, shards: Path, key: str | None, curriculum: Curriculum) -> Corpus:
        """ModelwrightError: a document has no domain or score, or the shards are not of these documents."""
        lengths = stored_lengths(shards / "train")
        aside = split(documents)
        held_out, held = frozenset(aside["held_out"]), iter(_held(shards))
        other = ModelwrightError(f"{shards} was not made from {documents.path}; run stages=[tokenize,mix,…] on these documents")
        domains: dict[str, int] = {}
        domain, score, sizes = array("q"), array("d"), list[int]()  # 16 bytes a document
        with progress("domains", sum(aside["bytes"].values()), "B") as bar:
            for document in read(documents):
                size = len(document["text"].encode())
                bar.update(size)
                if document["metadata"]["group"] in held_out:
                    if next(held, None) != document["id"]:
                        raise other
                    continue
                if len(domain) == len(lengths):
                    raise other
                score.append(curriculum.score(document, int(lengths[len(domain)])))
                if math.isnan(score[-1]):
                    raise ModelwrightError(f"document {document['id']!r}: the curriculum gives it no number")
                number = domains.setdefault(_domain(document, key), len(domains))
                if number == len(sizes):
                    sizes.append(0)
                    if number == DOMAINS:
                        raise ModelwrightError(f"mix.domain={key}: there are more than {DOMAINS} domains; take a key with fewer values")
                sizes[number] += size
                domain.append(number)
        told = _told(shards)
        if next(held, None) is not None or len(domain) != len(lengths) or sum(sizes) != told["train"]["bytes"]:
            raise other
        return cls([*domains], np.array(domain, np.int64), np.array(score, np.float64), sizes)

    def write(self, shards: Path, folder: Path) -> dict[str, BlendedDomain]:
        """One indexed dataset a domain, with its documents in the order of their scores; and shards.json."""
        tokens, lengths = stored_tokens(shards / "train"), stored_lengths(shards / "train")
        begins = np.cumsum(lengths) - lengths
        told, found, files = _told(shards), {}, file_names(self.names)
        with progress("mix", len(tokens), "tok") as bar:
            for number, name in enumerate(self.names):
                own = np.flatnonzero(self.domain == number)
                own = own[np.argsort(self.score[own], kind="stable")]
                shard = f"train_{files[number]}"
                with ShardWriter(folder / shard, told["vocab_size"]) as out:
                    for begin, length in zip(begins[own].tolist(), lengths[own].tolist(), strict=True):
                        out.write(tokens[begin : begin + length])
                        bar.update(length)
                found[name] = BlendedDomain(shard, len(own), int(lengths[own].sum()), self.bytes[number])
        about = {name: {"shard": d.shard, "documents": d.documents, "tokens": d.tokens, "bytes": d.bytes} for name, d in found.items()}
        (folder / "shards.json").write_text(json.dumps({**told, "domains": about}, indent=1, ensure_ascii=False), encoding="utf-8")
        return found


def _domain(document: Mapping[str, Any], key: str | None) -> str:
    if key is None:
        return ALL
    about = document["metadata"]
    value = about.get(key)
    if isinstance(value, str | int) and not isinstance(value, bool) and value != "":
        return str(value)
    found = f"is {value!r:.40}, and no name" if key in about else "is not in its metadata"
    names = [name for name, other in about.items() if isinstance(other, str | int) and not isinstance(other, bool) and name != key]
    raise ModelwrightError(
        f"document {document['id']!r}: mix.domain={key} {found}{nearest(key, names)}; mix.domain=null takes all text as one domain",
        "mix.domain",
    )


def _told(shards: Path) -> dict[str, Any]:
    file = shards / "shards.json"
    try:
        told: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        told["vocab_size"], told["train"]["bytes"]
        return told
    except (OSError, ValueError, KeyError, TypeError) as e:
        raise ModelwrightError(f"{file}: expected what stage tokenize writes ({type(e).__name__}: {e})") from e


def _held(shards: Path) -> list[str]:
    file = shards / "held_out.jsonl"
    try:
        return [json.loads(line)["id"] for line in file.read_text(encoding="utf-8").split("\n") if line]
    except (OSError, ValueError, KeyError, TypeError) as e:
        raise ModelwrightError(f"{file}: expected what stage tokenize writes ({type(e).__name__}: {e})") from e


def file_names(names: Sequence[str]) -> list[str]:
    """For each name one that any file system takes, all distinct."""
    found: list[str] = []
    for name in names:
        base = re.sub(r"[^A-Za-z0-9_.-]+", "_", name).strip("._-")[:60] or "domain"
        number, own, taken = 1, base, {other.casefold() for other in found}
        while own.casefold() in taken:
            own = f"{base}_{(number := number + 1)}"
        found.append(own)
    return found


def link(shards: Path, folder: Path) -> None:
    """What stays as it is: the same files under new names, or copies where the file system can't do that."""
    for name in KEPT:
        try:
            os.link(shards / name, folder / name)
        except OSError:
            shutil.copyfile(shards / name, folder / name)


def checked(phases: list[Phase], domains: list[str]) -> list[Phase]:
    """As they are. ModelwrightError: a mixture gave weights that are none."""
    for phase in phases:
        weights = [*phase.weights.values()]
        if {*phase.weights} != {*domains}:
            raise ModelwrightError(
                f"mixture: phase {phase.name!r} has weights for {', '.join(phase.weights)}; domains are {', '.join(domains)}"
            )
        if not all(weight >= 0 for weight in weights) or not math.isclose(math.fsum(weights), 1, rel_tol=1e-6):
            raise ModelwrightError(
                f"mixture: weights of phase {phase.name!r} are {dict(phase.weights)}; none is negative, and they sum to 1"
            )
    shares = [phase.share for phase in phases]
    if not all(share > 0 for share in shares) or not math.isclose(math.fsum(shares), 1, rel_tol=1e-6):
        raise ModelwrightError(f"mixture: shares of the phases are {shares}; all are above 0, and they sum to 1")
    return phases


def write_for_megatron(blend: Blend, shards: Path, folder: Path) -> None:
    """`blend_PHASE.txt` in the folder: "weight prefix weight prefix …", which Megatron-LM cuts at blanks."""
    where = shards.resolve()
    if re.search(r"\s", str(where)):
        print(f"  no blend_*.txt for Megatron-LM, which takes no paths with blanks: {where}")
        return
    for phase, name in zip(blend.phases, file_names([phase.name for phase in blend.phases]), strict=True):
        words = [f"{weight:.12g} {where / blend.domains[domain].shard}" for domain, weight in phase.weights.items() if weight > 0]
        (folder / f"blend_{name}.txt").write_text("\n".join(words) + "\n", encoding="utf-8")


def table(blend: Blend) -> list[str]:
    """Domains, phase by phase and in all, for people."""
    rows = blend.rows()
    first = max(len("domain"), *(len(row["domain"]) for row in rows))
    found, marked = [], False
    for phase in dict.fromkeys(row["phase"] for row in rows):
        title = "" if len(blend.phases) == 1 else phase
        found += ["", f"  {title}"] if title else []
        found.append(f"  {'domain':{first}}  documents        tokens  weight         drawn  epochs")
        for row in (row for row in rows if row["phase"] == phase):
            mark = " !" if row["epochs"] > MOST else ""
            marked |= bool(mark)
            found.append(
                f"  {row['domain']:{first}}  {row['documents']:9,}  {row['tokens']:12,}  {row['weight']:6.4f}  {row['drawn']:12,}"
                f"  {row['epochs']:6.2f}{mark}"
            )
    if marked:
        found.append(f"  ! above {MOST:g} epochs, repeated text is worth clearly less than new text (Muennighoff et al. 2023)")
    return found
