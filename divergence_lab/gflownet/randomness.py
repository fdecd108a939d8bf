"""Random numbers that depend on (seed, chunk) alone: a run can go on at any step without a saved
state.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

INIT = 2**63 - 1  # the stream of initial parameters; chunks count from 0
EVALUATION = INIT - 1  # of the trajectories behind estimates
DROPOUT = 2**62  # of the masks of step n: DROPOUT + n
CHUNK_ENTRIES = 2**18  # uniforms per seed and chunk: 1 MiB in float32
_MASK = 2**64 - 1


def mix(seed: int, stream: int) -> int:
    """A 64-bit hash of (seed, stream), by two rounds of splitmix64 (Steele, Lea, Flood 2014).

    torch's CPU generator keeps the low 32 bits only, so the bits must be well mixed, not merely
    distinct.
    """
    return _splitmix64(_splitmix64(seed & _MASK) ^ (stream & _MASK))


def _splitmix64(value: int) -> int:
    value = (value + 0x9E3779B97F4A7C15) & _MASK
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK
    return value ^ (value >> 31)


def chunk_length(max_steps: int, batch: int) -> int:
    """Training steps whose uniforms are drawn at once; depends on T and B only, so no run's
    numbers do.
    """
    return max(1, min(256, CHUNK_ENTRIES // (max_steps * batch)))


def uniforms(
    seeds: Sequence[int],
    chunk: int,
    shape: tuple[int, ...],
    device: str | torch.device,
    dtype: torch.dtype,
) -> Tensor:
    """U[0, 1), [len(seeds), *shape], row n from (seeds[n], chunk) alone."""
    generator = torch.Generator(device=device)
    rows = torch.empty((len(seeds), *shape), device=device, dtype=dtype)
    for row, seed in zip(rows, seeds, strict=True):
        generator.manual_seed(mix(seed, chunk))
        row.uniform_(generator=generator)
    return rows


def random_bits(
    seeds: Sequence[int], stream: int, shape: tuple[int, ...], device: str | torch.device
) -> Tensor:
    """Uniform int16, [len(seeds), *shape], row n from (seeds[n], stream) alone; four of each
    64-bit number drawn.
    """
    count = torch.Size(shape).numel()
    generator = torch.Generator(device=device)
    rows = torch.empty((len(seeds), -(-count // 4)), device=device, dtype=torch.int64)
    for row, seed in zip(rows, seeds, strict=True):
        generator.manual_seed(mix(seed, stream))
        row.random_(-(2**63), None, generator=generator)
    return rows.view(torch.int16)[:, :count].view(len(seeds), *shape)
