"""From token shards to token shards that are mixed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from modelwright.component import Artifact, Job, Parts, Stage
from modelwright_plugins.artifacts import Documents, Tokenizer, TokenShards


@dataclass(frozen=True, kw_only=True)
class Mix(Stage):
    """Writes training text by domain, how much of each training is to read and when, and in which order.

    `blend.json` says it, and training draws as it says. What is held out stays as it is. For Megatron-LM itself there is `blend_PHASE.txt`
    for each phase beside the shards, as its `--data-args-path` reads it (Megatron-LM shuffles; it knows no curriculum).
    """

    uses: ClassVar[tuple[str, ...]] = ("mixture", "curriculum")
    takes: ClassVar[tuple[type[Artifact], ...]] = (Documents, TokenShards, Tokenizer)
    makes: ClassVar[tuple[type[Artifact], ...]] = (TokenShards,)

    domain: str | None = "source"  # key in documents' metadata whose values are the domains, as source=mixture leaves it; null: all is one
    tokens: int | None = None  # that training will read: steps x global_batch x sequence_length; null: as many as there are

    def __post_init__(self) -> None:
        if self.tokens is not None and self.tokens < 1:
            raise ValueError(f"tokens is {self.tokens}; it is 1 or more, or null")
        if self.domain == "":
            raise ValueError("domain is empty; it is a key of documents' metadata, or null")

    def ranks(self, parts: Parts) -> int | None:
        return 1 if parts["mixture"].trains else None

    def problems(self, parts: Parts) -> list[str]:
        found: list[str] = parts["mixture"].problems()
        return found

    def run(self, job: Job) -> Mapping[str, float]:
        from modelwright_plugins.artifacts.blend import Blend, BlendedDomain
        from modelwright_plugins.mixture import Domain, Material
        from modelwright_plugins.stage import _mix

        shards = job.take(TokenShards).path
        folder = job.make(TokenShards).path
        corpus = _mix.Corpus.of(job.take(Documents), shards, self.domain, job.parts["curriculum"])
        folder.mkdir()
        _mix.link(shards, folder)
        written = corpus.write(shards, folder)
        work = job.out / "mixture"
        work.mkdir()
        domains = {name: Domain(folder / d.shard, d.documents, d.tokens, d.bytes) for name, d in written.items()}
        tokens = self.tokens or sum(domain.tokens for domain in written.values())
        material = Material(domains, tokens, folder, job.take(Tokenizer).path, job.seed, work)
        phases = _mix.checked(job.parts["mixture"].plan(material), [*domains])
        blend = Blend(tokens, job.parts["curriculum"].within(), dict[str, BlendedDomain](written), phases)
        blend.write(folder)
        _mix.write_for_megatron(blend, folder, job.out)  # outside the artifact, as it holds the folder's name
        if not any(work.iterdir()):
            work.rmdir()
        print("\n".join(_mix.table(blend)), flush=True)
        return {"domains": len(domains), "most_epochs": max(row["epochs"] for row in blend.totals())}
