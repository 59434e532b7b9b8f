"""Masked diffusion language models, as a plugin of Modelwright: an architecture, its objective, a new kind, and a stage that uses it."""

from __future__ import annotations

from modelwright.api import Registry, hookimpl

MODELWRIGHT_API = 1


@hookimpl
def modelwright_register(registry: Registry) -> None:
    here = "modelwright_masked_diffusion"
    registry.add_kind("denoiser", f"{here}.denoiser:Denoiser", default="low_confidence")
    registry.add("denoiser", "low_confidence", f"{here}.unmasking:LowConfidence")
    registry.add("denoiser", "random_order", f"{here}.unmasking:RandomOrder")
    registry.add("architecture", "bidirectional_decoder", f"{here}.architecture:BidirectionalDecoder")
    registry.add("objective", "masked_diffusion", f"{here}.objective:MaskedDiffusion")
    registry.add("stage", "denoise", f"{here}.stage:Denoise")
    registry.add("conformance", "denoiser", f"{here}.conformance:Denoisers")


@hookimpl
def modelwright_conf() -> str:
    return "pkg://modelwright_masked_diffusion.conf"
