"""Which models give a text a likelihood: those that predict each token from the ones before it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from modelwright_plugins.architecture import Architecture

FAMILIES = ("decoder", "prefix_decoder")
"""Of architectures (`Architecture.family`). Others would give numbers too, of tokens that they see or of inputs that they don't know."""


def without_likelihood(architecture: Architecture, head: str = "tokens") -> str | None:
    """Why a model with this head can't be asked for the next token, in one line; None: it can."""
    if head == "value":
        return "a reward model values replies: it writes none, and gives no likelihood of text"
    if architecture.family in FAMILIES:
        return None
    from modelwright.hooks import discover

    registry = discover().registry
    named = [name for name in registry.names("architecture") if registry.load("architecture", name).family in FAMILIES]
    return (
        f"architecture {type(architecture).__name__}, of the family {architecture.family}, gives no likelihood of text: it doesn't predict "
        f"each token from those before it, as {' and '.join(named)} do"
    )
