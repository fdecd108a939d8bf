"""Sets: K of N elements, chosen one by one in any order.

K! trajectories lead to each of C(N, K) sets.
"""

from __future__ import annotations

import math
from math import comb

import numpy as np
import torch
from torch import Tensor

from divergence_lab.graphs import dag, generated
from divergence_lab.inputs import is_whole

MAX_SUM = 10_000_000  # terms of the sum for log Z: about a second


def sets(n_elements: int, size: int, *, seed: int = 0, name: str | None = None) -> dag.PointedDAG:
    """log R(S) = sum_{i in S} h_i + sum_{i, i+1 in S} J_i.

    h [N] and J [N-1] are standard normal, drawn in this order by numpy's default_rng(seed).
    N = n_elements, K = size; action i takes element i, and a trajectory stops with K of them.
    States: sum_{k <= K} C(N, k); coordinates [S, N] are 1 where taken.  `log_partial` is the same
    sum for unfinished sets.  Raises GraphError for sizes that do not fit.
    """
    _check(n_elements, size)
    # 62 elements are the bits of one number; more, and even to count the sets could take long
    counts = [comb(n_elements, taken) for taken in range(size + 1)] if n_elements <= 62 else []
    n_states = sum(counts)
    if not counts or n_states > dag.MAX_STATES or n_states * (n_elements + 1) > dag.MAX_TABLE:
        raise dag.GraphError(
            f"sets {n_elements}x{size} has too many states to list; "
            f"take fewer elements, or generated:sets:{n_elements}x{size}"
        )
    dag.refuse_many_states(f"sets {n_elements}x{size}", n_states, n_elements + 1, n_elements)
    bit = 1 << np.arange(n_elements, dtype=np.int64)
    child = np.full((n_elements + 1, n_states), -1, dtype=np.int32)
    taken, first, levels = np.zeros(1, dtype=np.int64), 0, []
    for level in range(size + 1):
        levels.append(taken)
        if level == size:
            child[-1, first:] = n_states
            break
        free = (taken & bit[:, None]) == 0
        reached = (taken | bit[:, None])[free]
        larger, place = np.unique(reached, return_inverse=True)
        child[:-1, first : first + taken.size][free] = first + taken.size + place.ravel()
        taken, first = larger, first + taken.size
    chosen = ((np.concatenate(levels)[:, None] & bit) > 0).astype(np.int8)
    single, pair = _energies(n_elements, seed)
    log_partial = chosen @ single + (chosen[:, 1:] * chosen[:, :-1]) @ pair
    level = np.repeat(np.arange(size + 1, dtype=np.int32), counts)
    return dag.PointedDAG(
        name=name or f"sets:{n_elements}x{size}",
        child=child,
        log_reward=np.where(level == size, log_partial, -np.inf),
        level=level,
        coordinates=chosen,
        log_partial=log_partial,
    )


def generated_sets(
    n_elements: int, size: int, *, seed: int = 0, name: str | None = None
) -> generated.GeneratedDAG:
    """The space of `sets` without its list of states: a state is [.., N], 1 where the element is
    taken.

    Only neighbours interact, so log Z is a sum over the elements in turn, and exact (None above N K
    = 10^7).
    """
    _check(n_elements, size)
    title = name or f"generated:sets:{n_elements}x{size}"
    if 2 * n_elements > generated.MAX_FEATURES:
        raise dag.GraphError(
            f"{title}: {2 * n_elements:,} features do not fit (limit {generated.MAX_FEATURES:,}); "
            "take fewer elements"
        )
    energies = _energies(n_elements, seed)
    single, pair = (
        generated.on_device(lambda: energies[0]),
        generated.on_device(lambda: energies[1]),
    )

    def log_partial(states: Tensor) -> Tensor:
        taken = states.double()
        return taken @ single(states) + (taken[..., 1:] * taken[..., :-1]) @ pair(states)

    def allowed(states: Tensor) -> Tensor:
        full = states.sum(dim=-1, keepdim=True) == size
        return torch.cat([(states == 0) & ~full, full], dim=-1)

    return generated.GeneratedDAG(
        name=title,
        n_actions=n_elements + 1,
        n_back=n_elements,
        max_steps=size + 1,
        n_features=2 * n_elements,
        source=(0,) * n_elements,
        allowed=allowed,
        step=lambda states, actions: states | generated.unit(actions, n_elements, states),
        back_allowed=lambda states: states > 0,
        undo=lambda states, back: states * (1 - generated.unit(back, n_elements, states)),
        back_of=lambda states, actions: actions.clamp(max=n_elements - 1),
        forward_of=lambda states, back: back,
        features=lambda states: generated.one_hot(states, 2),
        log_reward=lambda states: log_partial(states).masked_fill(
            states.sum(dim=-1) != size, -torch.inf
        ),
        log_partial=log_partial,
        log_paths=lambda states: torch.lgamma(states.sum(dim=-1).double() + 1),
        log_z=_log_z(*energies, size) if n_elements * size <= MAX_SUM else None,
    )


def _check(n_elements: int, size: int) -> None:
    if not is_whole(n_elements, 1, math.inf) or not is_whole(size, 1, n_elements):
        raise dag.GraphError(
            f"sets {n_elements}x{size}: choose at least 1 and at most all of the elements"
        )


def _energies(n_elements: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """h [N] and J [N-1]."""
    draw = np.random.default_rng(seed).standard_normal
    return draw(n_elements), draw(n_elements - 1)


def _log_z(single: np.ndarray, pair: np.ndarray, size: int) -> float:
    """log sum R over all sets of `size`: element by element, by how many are taken, and if the
    last is.
    """
    out, taken = np.full(size + 1, -np.inf), np.full(size + 1, -np.inf)
    out[0] = 0.0
    for own, bond in zip(single, [0.0, *pair], strict=True):
        before = np.logaddexp(out, taken + bond)
        out = np.logaddexp(out, taken)
        taken = np.concatenate([[-np.inf], before[:-1] + own])
    return float(np.logaddexp(out[size], taken[size]))
