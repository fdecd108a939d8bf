"""Policies with a leading ensemble axis: parameters -> one table of rows, one column a state.

The rows are A forward logits, then Q backward logits if P_B is learned, then log F if flows are
learned. One product of the last layer gives them all, and every normalisation runs along contiguous
states.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Generic, TypeVar, cast

import torch
from torch import Tensor
from torch.nn.functional import embedding_bag, grouped_mm, pad

from divergence_lab.gflownet.randomness import INIT, mix
from divergence_lab.graphs import constants, dag, generated
from divergence_lab.graphs.tables import tables

Parameters = Mapping[str, Tensor]
# (states [N, D], member [N]) -> [N, R]
RowEvaluation = Callable[[Tensor, Tensor], Tensor]

# states in a row up to which each takes its member's last layer along, sooner than products are
# grouped
THIN = 64


@dataclass(frozen=True)
class Heads:
    """Which rows a policy has: A = n_actions always, Q = n_back if P_B is learned (else 0), log
    F if `flow`.
    """

    n_actions: int
    n_back: int = 0
    flow: bool = False

    @property
    def n_rows(self) -> int:
        return self.n_actions + self.n_back + self.flow


def heads(space: generated.Space, *, learned_back: bool = False, flow: bool = False) -> Heads:
    """The heads that this space needs."""
    back = space.incoming.shape[0] if isinstance(space, dag.PointedDAG) else space.n_back
    return Heads(space.n_actions, back if learned_back else 0, flow)


AnySpace = TypeVar("AnySpace", bound=generated.Space, covariant=True)


@dataclass(frozen=True, eq=False)
class Policy(Generic[AnySpace]):
    """`shapes`: of one member's parameters; every tensor in the parameters has a leading axis M.

    `draw(generator)` -> one member's initial parameters in float64, `log_z` among them.
    `rows(parameters, states)` -> [M, R, N] at states [M, N] (enumerated) or [M, N, D] (generated);
    at all S states of an enumerated graph, [M, R, S], where states is None. `n_random`: random
    numbers a state for its dropout, as a third argument of `rows`.  `single_pass`: the states of
    generated trajectories are evaluated once, as they are drawn, with their gradients.
    `in_a_row(parameters)` -> (states [N, D], member [N] -> [N, R]), in float32 on a CPU: states of
    a generated space, those of member 0 first, then those of member 1 and so on; None if the policy
    has no such way.  `n_hidden`: ReLU layers, if that is all there is between features and rows,
    with parameters `weight_i` and `bias_i`; else 0.  `n_together`: of how many members those that
    are asked about are a part; 0 if they are all.
    """

    name: str
    space: AnySpace
    heads: Heads
    shapes: Mapping[str, tuple[int, ...]]
    draw: Callable[[torch.Generator], dict[str, Tensor]]
    rows: Callable[..., Tensor]
    n_random: int = 0
    single_pass: bool = False
    in_a_row: Callable[[Parameters], RowEvaluation] | None = None
    n_hidden: int = 0
    n_together: int = 0

    def init(
        self,
        seeds: Sequence[int],
        device: str | torch.device = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> dict[str, Tensor]:
        """Initial parameters, member m from seeds[m] alone (drawn on the CPU: the same on every
        device).
        """
        members = [self.draw(torch.Generator().manual_seed(mix(seed, INIT))) for seed in seeds]
        return {
            key: torch.stack([member[key] for member in members]).to(device, dtype)
            for key in self.shapes
        }

    def log_pf(self, parameters: Parameters, states: Tensor | None = None) -> Tensor:
        """log P_F = log softmax over allowed actions of an enumerated graph, [M, A, S]; -inf if not
        allowed.

        With `states` [M, N]: only there, [M, A, N].
        """
        logits = self.rows(parameters, states)[:, : self.heads.n_actions]
        mask = tables(cast(dag.PointedDAG, self.space), logits.device, logits.dtype).mask
        if states is not None:
            mask = mask[:, states].movedim(0, 1)
        return torch.log_softmax(logits + mask, dim=-2)


def tabular(
    graph: dag.PointedDAG,
    *,
    heads: Heads | None = None,
    scale: float = 0.0,
    stop_logit: float = 0.0,
    initial_log_z: float = 0.0,
    initial_log_flow: float = 0.0,
) -> Policy[dag.PointedDAG]:
    """One number per (row, state); they start as normal with standard deviation `scale`.

    `stop_logit` is added to the logits of stopping: below 0, the first trajectories are long.
    `initial_log_flow` is added to log F.
    """
    rows_of = heads or Heads(graph.n_actions)
    shapes = {"rows": (rows_of.n_rows, graph.n_states), "log_z": ()}

    def draw(generator: torch.Generator) -> dict[str, Tensor]:
        start = scale * torch.randn(shapes["rows"], generator=generator, dtype=torch.float64)
        start[rows_of.n_actions - 1] += stop_logit
        if rows_of.flow:
            start[-1] += initial_log_flow
        return {"rows": start, "log_z": torch.tensor(initial_log_z, dtype=torch.float64)}

    def rows(parameters: Parameters, states: Tensor | None) -> Tensor:
        if states is None:
            return parameters["rows"]
        return parameters["rows"].gather(-1, states[:, None, :].expand(-1, rows_of.n_rows, -1))

    return Policy("tabular", graph, rows_of, shapes, draw, rows)


def mlp(
    space: generated.Space,
    *,
    heads: Heads | None = None,
    width: int = 256,
    depth: int = 2,
    stop_logit: float = 0.0,
    initial_log_z: float = 0.0,
    initial_log_flow: float = 0.0,
) -> Policy:
    """`depth` ReLU layers of `width` units on the state's features; weights start as in
    torch.nn.Linear.

    U(-1/sqrt(inputs), 1/sqrt(inputs)) for weights and biases.  All heads share the layers below the
    last.
    """
    rows_of = heads or Heads(space.n_actions)
    listed = isinstance(space, dag.PointedDAG)
    n_inputs = space.features.shape[1] if listed else space.n_features
    sizes = [n_inputs, *[width] * depth, rows_of.n_rows]
    shapes = _layers(sizes)

    def draw(generator: torch.Generator) -> dict[str, Tensor]:
        member = _drawn(shapes, sizes, generator)
        member[f"bias_{depth}"][rows_of.n_actions - 1] += stop_logit
        if rows_of.flow:
            member[f"bias_{depth}"][-1] += initial_log_flow
        member["log_z"] = torch.tensor(initial_log_z, dtype=torch.float64)
        return member

    def rows(parameters: Parameters, states: Tensor | None) -> Tensor:
        hidden = _inputs_at(space, parameters["weight_0"], states)
        for layer in range(depth):
            hidden = torch.baddbmm(
                parameters[f"bias_{layer}"], hidden, parameters[f"weight_{layer}"]
            ).relu()
        # with the states' axis first, so that the gradient of `hidden` lies in memory as `hidden`
        # does
        last = torch.baddbmm(
            parameters[f"bias_{depth}"].mT, hidden, parameters[f"weight_{depth}"].mT
        )
        return last.mT.contiguous()

    in_a_row = (
        None if isinstance(space, dag.PointedDAG) else _in_a_row(space, depth, rows_of.n_rows)
    )
    return Policy("mlp", space, rows_of, shapes, draw, rows, in_a_row=in_a_row, n_hidden=depth)


def _layers(sizes: Sequence[int]) -> dict[str, tuple[int, ...]]:
    """Of one member; log Z is the last.  The last layer is stored output-first: its product then
    has the [R, N] order of every table.
    """
    shapes: dict[str, tuple[int, ...]] = {}
    for layer, (inputs, outputs) in enumerate(pairwise(sizes)):
        last = layer == len(sizes) - 2
        shapes[f"weight_{layer}"] = (outputs, inputs) if last else (inputs, outputs)
        shapes[f"bias_{layer}"] = (outputs, 1) if last else (1, outputs)
    return {**shapes, "log_z": ()}


def _drawn(
    shapes: Mapping[str, tuple[int, ...]], sizes: Sequence[int], generator: torch.Generator
) -> dict[str, Tensor]:
    """As torch.nn.Linear starts them; all but log Z."""
    member = {}
    for key, shape in list(shapes.items())[:-1]:
        uniform = torch.rand(shape, generator=generator, dtype=torch.float64)
        bound = 1 / math.sqrt(sizes[int(key.rpartition("_")[2])])
        member[key] = bound * (2 * uniform - 1)
    return member


def _in_a_row(
    space: generated.GeneratedDAG, depth: int, n_rows: int
) -> Callable[[Parameters], RowEvaluation]:
    """The rows of `mlp` at states of one member after another."""
    n_inputs = space.n_features

    def in_a_row(parameters: Parameters) -> RowEvaluation:
        weights = [parameters[f"weight_{layer}"] for layer in range(depth + 1)]
        biases = [parameters[f"bias_{layer}"].flatten(1) for layer in range(depth + 1)]
        # one output or more too many: then the gradient comes from a slice, and lies in memory as
        # the kernel wants it
        last = pad(weights[depth], (0, 0, 0, 4 - n_rows % 4)).mT
        # the weights of all members' first inputs, then all members' first biases
        table = torch.cat([weights[0].flatten(0, 1), biases[0]])
        members = torch.arange(len(biases[0]))

        def first(states: Tensor, member: Tensor, ends: Tensor) -> Tensor:
            if space.ones is None:
                product = _of_each(space.features(states).to(table.dtype), weights[0], ends)
                return product.add_(biases[0].index_select(0, member))
            # a product with ones and zeros is a sum of rows
            of_member = member[:, None]
            ones = space.ones(states) + n_inputs * of_member
            bias = n_inputs * len(members) + of_member
            return embedding_bag(torch.cat([ones, bias], dim=1), table, mode="sum")

        def evaluated(states: Tensor, member: Tensor) -> Tensor:
            ends = torch.searchsorted(member, members, right=True, out_int32=True)
            hidden = first(states, member, ends).relu_()
            for layer in range(1, depth):
                hidden = _of_each(hidden, weights[layer], ends)
                hidden = hidden.add_(biases[layer].index_select(0, member)).relu_()
            bias = biases[depth].index_select(0, member)
            if len(states) <= THIN:
                return (weights[depth].index_select(0, member) * hidden[:, None]).sum(dim=-1) + bias
            return _of_each(hidden, last, ends)[:, :n_rows] + bias

        return evaluated

    return in_a_row


def _of_each(inputs: Tensor, weights: Tensor, ends: Tensor) -> Tensor:
    """inputs [N, K], member after member, times each member's weights [M, K, J]: [N, J].

    The kernel wants rows of whole 16 bytes, so K and J are filled up with zeros to multiples of 4.
    """
    short, narrow = -inputs.shape[1] % 4, -weights.shape[2] % 4
    if short:
        inputs = pad(inputs, (0, short))
    if short or narrow:
        weights = pad(weights, (0, narrow, 0, short))
    product = grouped_mm(inputs, weights, offs=ends)
    return product[:, :-narrow] if narrow else product


def _inputs_at(space: generated.Space, like: Tensor, states: Tensor | None) -> Tensor:
    """What the first layer reads, [M, N, K]: an enumerated graph's features from its table."""
    if isinstance(space, dag.PointedDAG):
        table = constants.constant(
            space, "features", lambda: space.features, like.device, like.dtype
        )
        return table.expand(like.shape[0], -1, -1) if states is None else table[states]
    if states is None:
        raise ValueError(f"{space.name} is too large to evaluate at all states; name the states")
    return space.features(states).to(like.dtype)
