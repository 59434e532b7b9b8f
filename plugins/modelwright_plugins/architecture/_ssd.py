"""State-space duality: the selective state-space model of Mamba-2, computed in chunks, in plain torch."""

from __future__ import annotations

import torch
import torch.nn.functional as F

CHUNK = 64  # positions; within a chunk the work is quadratic, between chunks it is the state's size, so it is about that


def scan(
    x: torch.Tensor, dt: torch.Tensor, a: torch.Tensor, b: torch.Tensor, c: torch.Tensor, start: torch.Tensor | None = None
) -> torch.Tensor:
    """y_t = h_t c_t with h_t = exp(dt_t a) h_{t-1} + dt_t x_t b_tᵀ for each head, as Dao and Gu 2024 (arXiv:2405.21060, listing 1).

    `x` [batch, length, heads, head_dim]; `dt` [batch, length, heads], 0 or more; `a` [heads], below 0; `b`, `c` [batch, length, groups,
    state], where groups divides heads and a group's heads stand together. `start` [batch, length] int64 is the first position of each
    position's document, before which h is 0; None: one document. Gives [batch, length, heads, head_dim] in FP32, in which all is computed
    but the logarithms of decays, which are summed up in FP64: they are subtracted from each other.
    """
    length, (groups, state) = x.shape[1], b.shape[2:]
    batch, head_dim, each = len(x), x.shape[3], x.shape[2] // groups
    chunks = -(-length // CHUNK)
    padding = chunks * CHUNK - length

    def cut(of: torch.Tensor) -> torch.Tensor:
        """[batch, length, …] -> [batch, chunks, CHUNK, …]; dt is 0 in the padding, which leaves the state as it is."""
        return F.pad(of, (0, 0) * (of.dim() - 2) + (0, padding)).unflatten(1, (chunks, CHUNK))

    logs = cut(dt.double() * a.double()).cumsum(2).movedim(2, 3)  # [batch, chunks, heads, CHUNK], of the decay up to each position
    values = (
        cut(x.float() * dt.float()[..., None]).unflatten(3, (groups, each)).permute(0, 1, 3, 4, 2, 5)
    )  # [.., groups, each, CHUNK, head]
    b, c = (cut(of.float()).transpose(2, 3) for of in (b, c))  # [batch, chunks, groups, CHUNK, state]

    place = torch.arange(chunks * CHUNK, device=x.device).view(chunks, CHUNK)
    seen = place[:, :, None] >= place[:, None, :]  # [chunks, CHUNK, CHUNK]
    first = None if start is None else cut(start)  # [batch, chunks, CHUNK]
    if first is not None:
        seen = seen & (place[:, None, :] >= first[..., None])

    # within each chunk: scores as of attention, with decays
    decay = (logs[..., :, None] - logs[..., None, :]).float()
    decay = decay.masked_fill(~seen.unsqueeze(-3), -torch.inf).exp()  # masked before: what is not seen may overflow
    scores = (c @ b.transpose(3, 4)).unsqueeze(3) * decay.unflatten(2, (groups, each))
    y = scores @ values  # [batch, chunks, groups, each, CHUNK, head_dim]
    if chunks > 1:
        # what each chunk adds to the state, how much of the one before it leaves, and what its positions read of that one
        added, left, read = (logs[..., -1:] - logs).float().exp(), logs[..., -1].float().exp(), logs.float().exp()
        if first is not None:
            begins, last = place[:, :1], first[..., -1:]  # of the chunk, and of the document at its end
            added = added * (place >= last).unsqueeze(2)
            left = left * (last < begins)
            read = read * (first < begins).unsqueeze(2)
        entering = (values * added.unflatten(2, (groups, each))[..., None]).transpose(4, 5).flatten(3, 4) @ b
        kept = left.unflatten(2, (groups, each))[..., None].expand(-1, -1, -1, -1, head_dim).flatten(3)[..., None]
        h = [x.new_zeros((batch, groups, each * head_dim, state), dtype=torch.float32)]
        for new, rest in zip(entering.unbind(1)[:-1], kept.unbind(1)[:-1], strict=True):
            h.append(torch.addcmul(new, h[-1], rest))
        before = (c @ torch.stack(h, 1).transpose(3, 4)).unflatten(4, (each, head_dim)).transpose(3, 4)
        y = y + before * read.unflatten(2, (groups, each))[..., None]
    return y.permute(0, 1, 4, 2, 3, 5).reshape(batch, chunks * CHUNK, groups * each, head_dim)[:, :length]


def causal_convolution(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, start: torch.Tensor | None = None) -> torch.Tensor:
    """Each channel with a filter of its own over the positions up to its own: x [batch, length, channels], weight [channels, taps], the
    last one for the position itself, bias [channels]. `start` as for `scan`: a filter reads nothing from before it."""
    length, taps = x.shape[1], weight.shape[1]
    place = torch.arange(length, device=x.device)
    total = torch.addcmul(bias, x, weight[:, -1])
    for lag in range(1, min(taps, length)):
        earlier = F.pad(x[:, :-lag], (0, 0, lag, 0))
        if start is not None:
            earlier = earlier * (place - lag >= start)[..., None]
        total = total + earlier * weight[:, -1 - lag]
    return total
