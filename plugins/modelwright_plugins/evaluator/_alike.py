"""Several replies to one prompt, of a generator that draws the same each time."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from modelwright.component import Parts


def alike(parts: Parts, setting: str, count: int, *, more: str = "") -> list[str]:
    """Why `count` replies to each prompt, asked for by `setting`, would be one and the same. `more`: what is to be set with it, for one."""
    from modelwright_plugins.generator.beam import Beam
    from modelwright_plugins.generator.contrastive_search import ContrastiveSearch
    from modelwright_plugins.parts import called

    generator = parts["generator"]
    if getattr(generator, "temperature", None) == 0:
        cure = "generator.temperature above 0"
    elif getattr(generator, "top_k", None) == 1:
        cure = "generator.top_k above 1"
    elif isinstance(generator, Beam | ContrastiveSearch):
        cure = "generator=sampling"
    else:
        return []
    said = f"{setting}={count}, but generator {called('generator', generator)} as it is set draws the same each time"
    return [f"{said}; {setting}=1{more}, or {cure}"] if count > 1 else []
