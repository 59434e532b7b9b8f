"""Filters for mathematical text, as a plugin of Modelwright."""

from __future__ import annotations

from modelwright.api import Registry, hookimpl

MODELWRIGHT_API = 1


@hookimpl
def modelwright_register(registry: Registry) -> None:
    registry.add("filter", "math_text", "modelwright_math_text.filters:MathText")
    registry.add("filter", "whole_latex", "modelwright_math_text.filters:WholeLatex")


@hookimpl
def modelwright_conf() -> str:
    return "pkg://modelwright_math_text.conf"
