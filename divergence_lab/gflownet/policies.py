"""Forward policies with a leading ensemble axis: parameters -> log P_F of every action in every state."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from divergence_lab.gflownet.randomness import INIT, mix
from divergence_lab.gflownet.tables import tables
from divergence_lab.graphs.dag import PointedDAG

Parameters = Mapping[str, Tensor]


@dataclass(frozen=True, eq=False)
class Policy:
    """`shapes`: of one member's parameters; every tensor in the parameters has a leading axis M.

    `draw(generator)` -> one member's initial parameters in float64, `logits(parameters, states)` ->
    [M, A, S], or [M, A, N] at the states [M, N] alone.
    """

    name: str
    graph: PointedDAG
    shapes: Mapping[str, tuple[int, ...]]
    draw: Callable[[torch.Generator], dict[str, Tensor]]
    logits: Callable[[Parameters, Tensor | None], Tensor]

    def init(
        self, seeds: Sequence[int], device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32
    ) -> dict[str, Tensor]:
        """Initial parameters, member m from seeds[m] alone (drawn on the CPU: the same on every device)."""
        members = [self.draw(torch.Generator().manual_seed(mix(seed, INIT))) for seed in seeds]
        return {
            key: torch.stack([member[key] for member in members]).to(device, dtype) for key in self.shapes
        }

    def log_pf(self, parameters: Parameters, states: Tensor | None = None) -> Tensor:
        """log P_F = log softmax over allowed actions, [M, A, S]; -inf where an action is not allowed.

        With `states` [M, N]: only there, [M, A, N].
        """
        logits = self.logits(parameters, states)
        mask = tables(self.graph, logits.device, logits.dtype).mask
        if states is not None:
            mask = mask[:, states].movedim(0, 1)
        return torch.log_softmax(logits + mask, dim=-2)


def tabular(
    graph: PointedDAG, *, scale: float = 0.0, stop_logit: float = 0.0, initial_log_z: float = 0.0
) -> Policy:
    """One logit per (action, state); they start as normal with standard deviation `scale`.

    `stop_logit` is added to the logits of stopping: below 0, the first trajectories are long.
    """
    shapes = {"logits": graph.child.shape, "log_z": ()}

    def draw(generator: torch.Generator) -> dict[str, Tensor]:
        start = scale * torch.randn(shapes["logits"], generator=generator, dtype=torch.float64)
        start[-1] += stop_logit
        return {"logits": start, "log_z": torch.tensor(initial_log_z, dtype=torch.float64)}

    def logits(parameters: Parameters, states: Tensor | None) -> Tensor:
        if states is None:
            return parameters["logits"]
        index = states[:, None, :].expand(-1, graph.n_actions, -1)
        return parameters["logits"].gather(-1, index)

    return Policy("tabular", graph, shapes, draw, logits)


def mlp(
    graph: PointedDAG,
    *,
    width: int = 256,
    depth: int = 2,
    stop_logit: float = 0.0,
    initial_log_z: float = 0.0,
) -> Policy:
    """`depth` ReLU layers of `width` units on the one-hot coordinates; weights start as in torch.nn.Linear.

    U(-1/sqrt(inputs), 1/sqrt(inputs)) for weights and biases.
    """
    sizes = [graph.features.shape[1], *[width] * depth, graph.n_actions]
    shapes: dict[str, tuple[int, ...]] = {}
    for layer, (inputs, outputs) in enumerate(pairwise(sizes)):
        # the last layer is stored output-first: its product then has the [A, S] order of every table
        last = layer == depth
        shapes[f"weight_{layer}"] = (outputs, inputs) if last else (inputs, outputs)
        shapes[f"bias_{layer}"] = (outputs, 1) if last else (1, outputs)
    shapes["log_z"] = ()
    on_device: dict[tuple[str, torch.dtype], Tensor] = {}

    def draw(generator: torch.Generator) -> dict[str, Tensor]:
        member = {}
        for key, shape in list(shapes.items())[:-1]:
            bound = 1 / math.sqrt(sizes[int(key.rpartition("_")[2])])
            member[key] = bound * (2 * torch.rand(shape, generator=generator, dtype=torch.float64) - 1)
        member[f"bias_{depth}"][-1] += stop_logit
        member["log_z"] = torch.tensor(initial_log_z, dtype=torch.float64)
        return member

    def logits(parameters: Parameters, states: Tensor | None) -> Tensor:
        like = parameters["weight_0"]
        key = (str(like.device), like.dtype)
        if key not in on_device:
            on_device[key] = torch.tensor(graph.features, device=like.device, dtype=like.dtype)
        hidden = on_device[key] if states is None else on_device[key][states]
        if states is None:
            hidden = hidden.expand(like.shape[0], -1, -1)
        for layer in range(depth):
            bias, weight = parameters[f"bias_{layer}"], parameters[f"weight_{layer}"]
            hidden = torch.baddbmm(bias, hidden, weight).relu()
        return torch.baddbmm(parameters[f"bias_{depth}"], parameters[f"weight_{depth}"], hidden.mT)

    return Policy("mlp", graph, shapes, draw, logits)
