"""Codes of 2 to 8 bits in bytes, with no bit between them."""

from __future__ import annotations

import math

import torch

from modelwright_plugins.quantizer._settings import check_inputs


def packed(codes: torch.Tensor, bits: int) -> torch.Tensor:
    """Codes below 2^bits, [rows, columns] -> uint8 [rows, columns · bits / 8]. A row's first code has the lowest bits of its first byte.

    ModelwrightError: the columns don't fill whole bytes, at 4 bits 2 codes at a time, at 3 bits 8."""
    rows, columns = codes.shape
    check_inputs(columns, bits=bits)
    codes, each = codes.to(torch.uint8), 8 // math.gcd(8, bits)
    if bits == 8:
        return codes
    if bits in (2, 4):
        places = codes.view(rows, -1, each)
        found = places[..., 0].clone()
        for place in range(1, each):
            found |= places[..., place] << (bits * place)
        return found
    single = (codes[..., None] >> torch.arange(bits, dtype=torch.uint8, device=codes.device)) & 1
    octets = single.reshape(rows, -1, 8) << torch.arange(8, dtype=torch.uint8, device=codes.device)
    return octets.sum(-1).to(torch.uint8)


def unpacked(octets: torch.Tensor, bits: int) -> torch.Tensor:
    """What `packed` has packed: uint8 [rows, columns]."""
    if bits == 8:
        return octets
    rows, device = len(octets), octets.device
    if bits in (2, 4):
        shifts = torch.arange(0, 8, bits, dtype=torch.uint8, device=device)
        return ((octets[..., None] >> shifts) & (2**bits - 1)).view(rows, -1)
    single = ((octets[..., None] >> torch.arange(8, dtype=torch.uint8, device=device)) & 1).view(rows, -1, bits)
    return (single << torch.arange(bits, dtype=torch.uint8, device=device)).sum(-1).to(torch.uint8)
