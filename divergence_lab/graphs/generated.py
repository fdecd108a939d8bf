"""A pointed DAG given by functions of batched states, for spaces too large to list."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float32, Int, Int64
from torch import Tensor

from divergence_lab.graphs import ambient, constants, dag

if TYPE_CHECKING:
    from divergence_lab.graphs.molecules.generated import BlockView

# What one state may cost in the spaces named by a text: inputs of a policy, its outputs, its
# longest walk.
MAX_FEATURES = 100_000
MAX_ACTIONS = 1_000_000
MAX_STEPS = 100_000


@dataclass(frozen=True, eq=False)
class GeneratedDAG:
    """States are integer tensors [.., D]; every function keeps any leading shape, on any device.
    If D = 1, the number is in 0..2^44 - 1.

        >>> import torch
        >>> from divergence_lab import space_from_text
        >>> grid = space_from_text("generated:hypergrid:2x8")
        >>> grid.step(torch.tensor([[0, 0], [3, 7]]), torch.tensor([1, 0])).tolist()
        [[0, 1], [4, 7]]

    There are A = n_actions forward actions, the last of which stops, and Q = n_back backward
    actions.  An edge s -> s' has one forward action in s and one backward action in s'.

    `allowed(s)` -> [.., A] bool.  `step(s, a)` -> s'; a stop leaves s as it is.
    `back_allowed(s')` -> [.., Q] bool; no backward action is allowed in the source, and only there.
    `undo(s', b)` -> s.  `back_of(s, a)` -> the backward action b that undoes the forward action a
    taken in s. `forward_of(s', b)` -> the forward action a with step(undo(s', b), a) = s'.
    `features(s)` -> [.., K] float32.  `ones(s)` -> [.., J]: the places of the ones among the
    features, where all others are 0 and every state has J of them; None: they are of another kind.
    `log_reward(s)` -> [..] float64, where a stop is allowed. `log_partial(s)` -> [..] float64: log
    R of an unfinished state, for forward-looking flows; equal to `log_reward` where a stop is
    allowed.  None: the space has none. `log_paths(s)` -> [..] float64: log of the number of
    trajectories from the source to s, which gives the maximum-entropy backward policy.  None: not
    known in closed form. `blocks`: the states as graphs of blocks, for message-passing policies;
    None: they are none. `modes_of(s)` -> [.., J] integers: the modes that s counts for, -1 in
    places left over; `n_modes` in all. `n_words` W: a state is a row of slots, 0 = empty and 1 + w
    = the word w, and action i W + w puts the word w into slot i; 0 if states are something else.
    """

    name: str
    n_actions: int
    n_back: int
    max_steps: int
    n_features: int
    source: tuple[int, ...]
    allowed: Callable[[Tensor], Tensor]
    step: Callable[[Tensor, Tensor], Tensor]
    back_allowed: Callable[[Tensor], Tensor]
    undo: Callable[[Tensor, Tensor], Tensor]
    back_of: Callable[[Tensor, Tensor], Tensor]
    forward_of: Callable[[Tensor, Tensor], Tensor]
    features: Callable[[Tensor], Tensor]
    log_reward: Callable[[Tensor], Tensor]
    log_partial: Callable[[Tensor], Tensor] | None = None
    log_paths: Callable[[Tensor], Tensor] | None = None
    modes_of: Callable[[Tensor], Tensor] | None = None
    n_modes: int = 0
    log_z: float | None = None
    ones: Callable[[Tensor], Tensor] | None = None
    n_words: int = 0
    blocks: BlockView | None = None
    moves: Moves | None = None


@dataclass(frozen=True, eq=False)
class Moves:
    """How the states of a generated space move, as data, for a kernel that can call no function.

    `graph`: a state [1] is the number of one of its states.  Else a state is a row of coordinates
    in 0..n_values - 1, of zeros in the source, of one of two kinds:
    a grid: action i adds 1 to coordinate i, up to n_values - 1, the last action stops, anywhere;
    features are one-hot; log R(s) = log_rewards[min_i classes[s_i]].
    words: as `n_words` W = n_values - 1 says, and a stop is allowed where no slot is empty, alone;
    features are `word_features` [n_values, F] of one slot after another.
    """

    graph: dag.PointedDAG | None = None
    n_values: int = 0
    classes: np.ndarray | None = None
    log_rewards: np.ndarray | None = None
    word_features: np.ndarray | None = None


def sources(
    dag: GeneratedDAG, shape: tuple[int, ...], device: str | torch.device = "cpu"
) -> Int64[Tensor, "*shape D"]:
    """The source state, as often as the shape has places."""
    return (
        constants.constant(dag, "source", lambda: dag.source, device)
        .expand(*shape, len(dag.source))
        .clone()
    )


def on_device(make: Callable[[], np.ndarray]) -> Callable[[Tensor], Tensor]:
    """table(like): the array `make()` as a tensor on the device of `like`, moved there once,
    when needed.
    """

    @cache
    def table(device: torch.device) -> Tensor:
        with ambient.plain_torch():
            return torch.tensor(make(), device=device)

    return lambda like: table(like.device)


def one_hot(values: Int[Tensor, "*shape D"], size: int) -> Float32[Tensor, "*shape K"]:
    """Integers in 0..size-1 -> K = D size ones and zeros, as `PointedDAG.features` has them."""
    return (values[..., None] == torch.arange(size, device=values.device)).flatten(-2).float()


def unit(places: Tensor, size: int, like: Tensor) -> Tensor:
    """[..] places -> [.., size]: 1 at the place, 0 elsewhere; all 0 for a place beyond the last."""
    return (places[..., None] == torch.arange(size, device=like.device)).to(like.dtype)


LARGEST_TABLE = 50_000_000  # one-hot entries of all states that are looked up rather than computed

Space = dag.PointedDAG | GeneratedDAG


def as_generated(graph: dag.PointedDAG) -> GeneratedDAG:
    """An enumerated graph as a generated one: a state is [.., 1], its number.

    Backward action b is row b of `incoming`.
    For graphs whose states can be listed but are too many to evaluate a policy on at every step.
    """
    n_states = graph.n_states
    moves = on_device(lambda: _moves(graph))
    incoming = on_device(lambda: graph.incoming.T.astype(np.int64).clip(min=0))
    back_actions = on_device(lambda: _back_actions(graph))

    def edge(states: Tensor, back: Tensor) -> Tensor:
        return incoming(states)[states[..., 0], back]

    n_features, features, ones = _features(graph)
    partial = graph.log_partial
    if partial is None and graph.terminal_states.size == n_states:
        partial = graph.log_reward
    return GeneratedDAG(
        name=graph.name,
        n_actions=graph.n_actions,
        n_back=graph.incoming.shape[0],
        max_steps=graph.max_steps,
        n_features=n_features,
        source=(0,),
        allowed=_per_state(lambda: graph.child.T >= 0),
        step=lambda states, actions: moves(states)[states[..., 0], actions][..., None],
        back_allowed=_per_state(lambda: graph.incoming.T >= 0),
        undo=lambda states, back: (edge(states, back) % n_states)[..., None],
        back_of=lambda states, actions: back_actions(states)[states[..., 0], actions],
        forward_of=lambda states, back: edge(states, back) // n_states,
        features=features,
        ones=ones,
        log_reward=_per_state(lambda: graph.log_reward),
        log_partial=None if partial is None else _per_state(lambda: partial),
        log_paths=_per_state(lambda: graph.log_paths),
        modes_of=_per_state(lambda: _mode_numbers(graph)),
        n_modes=graph.modes.size,
        log_z=float(np.logaddexp.reduce(graph.log_reward[graph.terminal_states])),
        moves=Moves(graph),
    )


def _per_state(make: Callable[[], np.ndarray]) -> Callable[[Tensor], Tensor]:
    """Row s of the array `make()` for the state [s]."""
    table = on_device(make)
    return lambda states: table(states)[states[..., 0]]


def _features(graph: dag.PointedDAG) -> tuple[int, Callable, Callable]:
    """(K, features, ones): one-hot as in `graph.features`, but computed where asked for: the table
    of all states can be too large.
    """
    values = np.arange(graph.n_states)[:, None] if graph.coordinates is None else graph.coordinates
    sizes = values.max(axis=0).astype(np.int64) + 1
    place = on_device(lambda: values.astype(np.int64))
    axis = on_device(lambda: np.repeat(np.arange(sizes.size), sizes))
    value = on_device(lambda: np.concatenate([np.arange(size) for size in sizes]))
    first = on_device(lambda: np.cumsum(sizes) - sizes)

    n_features = int(sizes.sum())
    return (
        n_features,
        _per_state(lambda: graph.features)
        if graph.n_states * n_features <= LARGEST_TABLE
        else lambda states: (
            place(states)[states[..., 0]][..., axis(states)] == value(states)
        ).float(),
        lambda states: place(states)[states[..., 0]] + first(states),
    )


def _moves(graph: dag.PointedDAG) -> np.ndarray:
    """[S, A] where an action leads; a stop, and what is not allowed, leaves the state."""
    stays = (graph.child < 0) | (graph.child >= graph.n_states)
    return np.where(stays, np.arange(graph.n_states), graph.child).T.astype(np.int64)


def _mode_numbers(graph: dag.PointedDAG) -> np.ndarray:
    """[S, 1] the number of the mode that a state is, else -1."""
    number = np.full((graph.n_states, 1), -1)
    number[graph.modes, 0] = np.arange(graph.modes.size)
    return number


def _back_actions(graph: dag.PointedDAG) -> np.ndarray:
    """[S, A] the row of `incoming` that holds the edge of each action; 0 for a stop and where
    none is.
    """
    back = np.zeros((graph.n_states, graph.n_actions), dtype=np.int64)
    row, state = np.nonzero(graph.incoming >= 0)
    edge = graph.incoming[row, state]
    back[edge % graph.n_states, edge // graph.n_states] = row
    return back
