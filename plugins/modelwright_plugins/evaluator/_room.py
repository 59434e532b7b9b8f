"""Whether what a model may say leaves it room for what it was asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from modelwright.component import Parts


def crowded(parts: Parts, length: int) -> list[str]:
    """Why a model that sees `length` tokens would not see what it was asked, when it has said as much as it may."""
    from modelwright_plugins.generator import Remote

    most = parts["generator"].max_new_tokens
    if most < length or isinstance(parts["generator"], Remote):
        return []
    return [f"generator.max_new_tokens={most} leave no room for what is asked, as the model sees {length} tokens; at most {length - 1}"]
