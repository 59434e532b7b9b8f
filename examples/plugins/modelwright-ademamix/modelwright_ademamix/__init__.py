"""AdEMAMix, as a plugin of Modelwright."""

from __future__ import annotations

from modelwright.api import Registry, hookimpl

MODELWRIGHT_API = 1


@hookimpl
def modelwright_register(registry: Registry) -> None:
    registry.add("optimizer", "ademamix", "modelwright_ademamix.ademamix:AdEMAMix")


@hookimpl
def modelwright_conf() -> str:
    return "pkg://modelwright_ademamix.conf"
