"""Bit sequences (Malkin et al.

2022; as in Hu et al. 2025): N bits, filled in by words of K, in any order.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from divergence_lab.graphs import dag, generated
from divergence_lab.inputs import is_whole

WORDS = ("00000000", "11111111", "11110000", "00001111", "00111100")
EXPONENT = 2.0
MAX_BITS = 4096
MAX_LISTED_BITS = 16  # up to here log Z is a sum over all strings


def bits(n_bits: int, word: int, *, seed: int = 0, name: str | None = None) -> dag.PointedDAG:
    """R(x) = exp(-2 min_m d(x, m)), d the Hamming distance to the modes m of `bit_modes(n_bits,
    seed)`.

    N = n_bits, K = word, L = N/K slots.  The source has L empty slots; action i 2^K + w fills the
    empty slot i with the word w, whose first bit is its highest; a trajectory stops where no slot
    is empty. S = (2^K + 1)^L, A = L 2^K + 1; coordinates [S, N] are the bits, 2 where empty.
    `log_partial` counts the distance over the filled slots alone. Raises GraphError for sizes that
    do not fit.
    """
    n_slots, n_words = _sizes(n_bits, word)
    n_states, n_actions = (n_words + 1) ** n_slots, n_slots * n_words + 1
    if n_states > dag.MAX_STATES or n_states * n_actions > dag.MAX_TABLE:
        shown = f"{n_states:,}" if n_states < 10**15 else "over 10^15"
        raise dag.GraphError(
            f"bits {n_bits}x{word} has {shown} states with {n_actions:,} actions, too "
            "many to list; "
            f"take fewer bits or other words, or generated:bits:{n_bits}x{word}"
        )
    dag.refuse_many_states(f"bits {n_bits}x{word}", n_states, n_actions, n_bits)
    # a state's number has one digit for each slot: 0 = empty, 1 + w = the word w
    stride = (n_words + 1) ** np.arange(n_slots - 1, -1, -1)
    digits = (np.arange(n_states)[:, None] // stride % (n_words + 1)).astype(np.int32)
    level = (digits > 0).sum(axis=1, dtype=np.int32)
    order = np.argsort(level, kind="stable")
    rank = np.empty(n_states, dtype=np.int32)
    rank[order] = np.arange(n_states, dtype=np.int32)
    digits, level = digits[order], level[order]

    child = np.full((n_actions, n_states), -1, dtype=np.int32)
    for slot in range(n_slots):
        (empty,) = np.nonzero(digits[:, slot] == 0)
        filling = (slice(slot * n_words, (slot + 1) * n_words), empty)
        child[filling] = rank[order[empty] + np.arange(1, n_words + 1)[:, None] * stride[slot]]
    full = level == n_slots
    child[-1, full] = n_states
    filled = _filled(word)[digits].reshape(n_states, n_bits)
    log_partial = -EXPONENT * _distances(filled, bit_modes(n_bits, seed)).min(axis=1)
    return dag.PointedDAG(
        name=name or f"bits:{n_bits}x{word}",
        child=child,
        log_reward=np.where(full, log_partial, -np.inf),
        level=level,
        coordinates=_VALUE_OF[filled],
        log_partial=log_partial,
    )


def generated_bits(
    n_bits: int, word: int, *, seed: int = 0, name: str | None = None
) -> generated.GeneratedDAG:
    """The space of `bits` without its list of states: a state is [.., L], 0 = empty and 1 + w = the
    word w.

    `modes_of`: every mode at most N/4 bits away (30 of 120).  log Z: exact up to 16 bits, None
    above.
    """
    n_slots, n_words = _sizes(n_bits, word)
    title = name or f"generated:bits:{n_bits}x{word}"
    if n_slots * n_words >= generated.MAX_ACTIONS:
        raise dag.GraphError(
            f"{title}: {n_slots * n_words + 1:,} actions do not fit "
            f"(limit {generated.MAX_ACTIONS:,}); take shorter words or fewer bits"
        )
    word_features = np.eye(3, dtype=np.float32)[_VALUE_OF[_filled(word)]].reshape(n_words + 1, -1)
    hot = generated.on_device(lambda: word_features)
    return generated.GeneratedDAG(
        name=title,
        n_actions=n_slots * n_words + 1,
        n_back=n_slots,
        max_steps=n_slots + 1,
        n_features=3 * n_bits,
        source=(0,) * n_slots,
        features=lambda states: hot(states)[states].flatten(-2),
        log_paths=lambda states: torch.lgamma((states > 0).sum(dim=-1).double() + 1),
        n_words=n_words,
        moves=generated.Moves(n_values=n_words + 1, word_features=word_features),
        **_moves(n_slots, n_words),
        **_rewards(n_bits, word, bit_modes(n_bits, seed)),
    )


def _rewards(n_bits: int, word: int, modes: np.ndarray) -> dict[str, Any]:
    """Rewards and modes of a GeneratedDAG whose states are slots of words of bits."""
    signs = generated.on_device(lambda: _filled(word).astype(np.float32))
    mode_signs = generated.on_device(lambda: 2 * modes.T.astype(np.float32) - 1)

    def distances(states: Tensor) -> Tensor:
        # sums of as many 1 and -1: exact in float32
        filled = word * (states > 0).sum(dim=-1, keepdim=True)
        return (filled - signs(states)[states].flatten(-2) @ mode_signs(states)) / 2

    def log_partial(states: Tensor) -> Tensor:
        return -EXPONENT * distances(states).amin(dim=-1).double()

    def modes_of(states: Tensor) -> Tensor:
        distance = distances(states)
        near = (distance <= n_bits // 4) & (states > 0).all(dim=-1, keepdim=True)
        return torch.where(near, torch.arange(distance.shape[-1], device=states.device), -1)

    return dict(
        log_reward=lambda states: log_partial(states).masked_fill(
            (states == 0).any(dim=-1), -torch.inf
        ),
        log_partial=log_partial,
        modes_of=modes_of,
        n_modes=len(modes),
        log_z=_log_z(modes) if n_bits <= MAX_LISTED_BITS else None,
    )


def _moves(n_slots: int, n_words: int) -> dict[str, Any]:
    """Forward and backward actions of a GeneratedDAG whose states are slots of words."""

    def allowed(states: Tensor) -> Tensor:
        empty = states == 0
        return torch.cat(
            [empty.repeat_interleave(n_words, dim=-1), ~empty.any(dim=-1, keepdim=True)], dim=-1
        )

    def step(states: Tensor, actions: Tensor) -> Tensor:
        chosen = (actions // n_words)[..., None] == torch.arange(n_slots, device=states.device)
        return torch.where(chosen, (actions % n_words)[..., None] + 1, states)

    return dict(
        allowed=allowed,
        step=step,
        back_allowed=lambda states: states > 0,
        undo=lambda states, back: states.masked_fill(
            back[..., None] == torch.arange(n_slots, device=states.device), 0
        ),
        back_of=lambda states, actions: (actions // n_words).clamp(max=n_slots - 1),
        forward_of=lambda states, back: (
            back * n_words + (states.gather(-1, back[..., None])[..., 0] - 1).clamp(min=0)
        ),
    )


def bit_modes(n_bits: int, seed: int = 0) -> np.ndarray:
    """The modes, [M, N] of 0 and 1: M = N/2 different ones (60 of 120 bits), or as many as there
    are.

    Each joins ceil(N/8) words drawn independently from the five of `WORDS`, cut to N bits, by
    numpy's default_rng(seed).
    """
    words = np.array([[int(bit) for bit in word] for word in WORDS], dtype=np.int8)
    wanted = max(1, n_bits // 2)
    # enough to find that many different ones; of long strings hardly two are alike
    count = 32 + (8 if n_bits <= 64 else 1) * wanted
    drawn = np.random.default_rng(seed).integers(len(WORDS), size=(count, -(-n_bits // 8)))
    strings = words[drawn].reshape(len(drawn), -1)[:, :n_bits]
    _, first = np.unique(strings, axis=0, return_index=True)
    return strings[np.sort(first)[:wanted]]


def near_modes(n_bits: int, word: int, *, seed: int = 0, every: int = 1) -> np.ndarray:
    """A test set of full strings as states [X, L]: every mode, and one string with each of 1 .. N -
    1 bits flipped.

    7,200 strings for 120 bits, the construction of the released code of Hu et al. (2025), not its
    random numbers. `every` k: of each mode only 0, k, 2k ... flips.
    """
    n_slots, _ = _sizes(n_bits, word)
    modes = bit_modes(n_bits, seed)
    # bits in random order: the first c of them are flipped in the string with c flips
    place = (
        np.random.default_rng([seed, 1])
        .random((len(modes), n_bits, n_bits))
        .argsort(axis=-1)
        .argsort(axis=-1)
    )
    flipped = place < np.arange(n_bits)[:, None]
    strings = (modes[:, None] ^ flipped)[:, ::every].reshape(-1, n_slots, word)
    return 1 + strings @ (1 << np.arange(word - 1, -1, -1))


_VALUE_OF = np.array([2, 1, 0], dtype=np.int8)  # of a sign: [0] -> empty, [1] -> 1, [-1] -> 0


def _sizes(n_bits: int, word: int) -> tuple[int, int]:
    if not is_whole(n_bits, 1, math.inf) or not is_whole(word, 1, math.inf) or n_bits % word:
        raise dag.GraphError(
            f"bits {n_bits}x{word}: words of K bits must fill N bits; take K that divides N"
        )
    if word > 16 or n_bits > MAX_BITS:
        raise dag.GraphError(
            f"bits {n_bits}x{word}: take at most {MAX_BITS:,} bits, in words of at most 16"
        )
    return n_bits // word, 2**word


def _filled(word: int) -> np.ndarray:
    """[2^K + 1, K] int8: row 0, an empty slot, is 0; row 1 + w has 1 and -1 for the bits of the
    word w.
    """
    numbers = np.arange(2**word)[:, None] >> np.arange(word - 1, -1, -1)
    return np.concatenate([np.zeros((1, word)), 2 * (numbers & 1) - 1]).astype(np.int8)


def _distances(filled: np.ndarray, modes: np.ndarray) -> np.ndarray:
    """[S, N] of -1, 0, 1 and [M, N] of 0, 1 -> [S, M] float64: bits that differ, empty ones left
    out.
    """
    signs = filled.astype(np.float32)
    known = np.abs(signs).sum(axis=1, keepdims=True)
    return ((known - signs @ (2 * modes.T.astype(np.float32) - 1)) / 2).astype(np.float64)


def _log_z(modes: np.ndarray) -> float:
    n_bits = modes.shape[1]
    strings = 2 * ((np.arange(2**n_bits)[:, None] >> np.arange(n_bits)) & 1) - 1
    return float(np.logaddexp.reduce(-EXPONENT * _distances(strings, modes).min(axis=1)))
