"""How tests run a function on several ranks: as conformance does."""

from modelwright_plugins.conformance.ranks import joined, on_ranks

__all__ = ["joined", "on_ranks"]
