"""Walks of an MLP policy on a GPU: one kernel for all trajectories and all their steps."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from divergence_lab.gflownet import samplers
from divergence_lab.gflownet.kernels import availability
from divergence_lab.gflownet.policies.policy import Parameters, Policy
from divergence_lab.graphs import constants, dag, generated

WIDEST = 512  # units of a layer
MOST_ACTIONS = 256
MOST_COORDINATES = 256
BATCH, COLUMNS = 16, 32  # trajectories of a program; columns of a layer at once
HELD, DEEP = 256, 128  # units of a layer in registers; of one in memory, read at once
LEAST = 16  # a product in Triton has no shorter side


def applies(policy: Policy[generated.GeneratedDAG], uniforms: Tensor) -> bool:
    """Whether the kernel draws this policy's walks, by uniforms [M, T, B]."""
    moves = policy.space.moves
    return (
        availability.usable(uniforms.device)
        and moves is not None
        and policy.n_hidden > 0
        and uniforms.dtype == torch.float32
        and uniforms.numel() > 0
        and policy.shapes["bias_0"][-1] <= WIDEST
        and policy.space.n_actions <= MOST_ACTIONS
        and len(policy.space.source) <= MOST_COORDINATES
    )


@torch.no_grad()
def walk(
    policy: Policy[generated.GeneratedDAG],
    parameters: Parameters,
    chosen: samplers.Sampler,
    uniforms: Tensor,
    edge_flows: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """states [M, T+1, B, D], actions [M, T, B] and exists [M, T, B], as `visited.walks.walk` gives
    them where it cannot look.
    """
    from divergence_lab.gflownet.kernels import walk_kernels

    kernel: Any = walk_kernels.walk
    space, device = policy.space, uniforms.device
    n_members, n_steps, batch = uniforms.shape
    parameters = _side_by_side(policy, parameters)
    states = torch.empty(
        n_members, n_steps + 1, batch, len(space.source), dtype=torch.int64, device=device
    )
    actions = torch.empty(n_members, n_steps, batch, dtype=torch.int64, device=device)
    exists = torch.empty(n_members, n_steps, batch, dtype=torch.bool, device=device)
    shape, tables = _shape(policy), _tables(space, device)
    programs = -(-batch // BATCH)
    kept = 2 * n_members * programs * BATCH * shape["WIDE"] if shape["KEPT"] else 1
    first = _first_layer(space, parameters["weight_0"])
    rest = parameters["bias_0"]
    with torch.cuda.device_of(uniforms):
        kernel[(n_members, programs)](
            first,
            first.stride(0),
            rest,
            rest.stride(0),
            *tables,
            uniforms.contiguous(),
            states,
            actions,
            exists.view(torch.int8),
            torch.empty(kept, dtype=torch.float32, device=device),
            n_steps,
            batch,
            float(chosen.temperature),
            float(chosen.epsilon),
            **shape,
            FLOWS=edge_flows,
            BATCH=BATCH,
            COLUMNS=COLUMNS,
            num_warps=4,
            num_stages=3,
        )
    return states, actions, exists


def _shape(policy: Policy[generated.GeneratedDAG]) -> dict[str, int]:
    """What the kernel is compiled for."""
    from divergence_lab.gflownet.kernels import walk_kernels

    space, moves = policy.space, policy.space.moves
    assert moves is not None
    width, actions = policy.shapes["bias_0"][-1], _power(space.n_actions, LEAST)
    common = {
        "N_ACTIONS": space.n_actions,
        "N_ROWS": policy.heads.n_rows,
        "DEPTH": policy.n_hidden,
        "WIDTH": width,
        "ACTIONS": actions,
        "WIDE": _power(width, COLUMNS),
        "DEEP": min(DEEP, _power(width, COLUMNS)),
        "KEPT": int(policy.n_hidden > 2 or (policy.n_hidden > 1 and width > HELD)),
    }
    if moves.graph is not None:
        read = 1 if moves.graph.coordinates is None else moves.graph.coordinates.shape[1]
        return {**common, "KIND": walk_kernels.NUMBER, "COORDINATES": read, "VALUES": 1, "SLOTS": 1}
    of_state = {"COORDINATES": len(space.source), "VALUES": moves.n_values}
    if moves.word_features is None:
        return {**common, **of_state, "KIND": walk_kernels.GRID, "SLOTS": actions}
    slots = _power(len(space.source), LEAST)
    return {**common, **of_state, "KIND": walk_kernels.WORDS, "SLOTS": slots}


def _tables(space: generated.GeneratedDAG, device: torch.device) -> tuple[Tensor, ...]:
    """child, ones, log_reward and classes, each of one number where the kernel does not read it."""
    moves = space.moves
    assert moves is not None
    none = constants.constant(space, "nothing", lambda: [0], device, torch.int32)
    if moves.graph is not None:
        graph = moves.graph
        return (
            constants.constant(
                space, "children", lambda: graph.child.T.copy(), device, torch.int32
            ),
            constants.constant(space, "ones", lambda: _ones(space, graph), device, torch.int32),
            constants.constant(
                space, "log rewards", lambda: graph.log_reward, device, torch.float32
            ),
            none,
        )
    of_classes = [
        constants.constant(space, name, lambda made=made: made, device, dtype)
        for name, made, dtype in (
            ("log rewards", moves.log_rewards, torch.float32),
            ("classes", moves.classes, torch.int32),
        )
        if made is not None
    ]
    return (none, none, *(of_classes or (none, none)))


def _ones(space: generated.GeneratedDAG, graph: dag.PointedDAG) -> Tensor:
    assert space.ones is not None
    return space.ones(torch.arange(graph.n_states)[:, None])


def _first_layer(space: generated.GeneratedDAG, weight: Tensor) -> Tensor:
    """[M, rows, W]: row j V + v is what value v of coordinate j adds to the first layer."""
    assert space.moves is not None
    made = space.moves.word_features
    if made is None:
        return weight
    features = constants.constant(space, "word features", lambda: made, weight.device, weight.dtype)
    # [1, V, F] times [M L, F, W]
    of_slots = weight.reshape(-1, features.shape[1], weight.shape[2])
    rows = features.expand(len(of_slots), -1, -1) @ of_slots
    return rows.view(len(weight), -1, weight.shape[2])


def _side_by_side(policy: Policy, parameters: Parameters) -> Parameters:
    """The same, each member's in one piece of memory, in the order of `shapes`, which is how an
    optimiser's ensemble keeps them.
    """
    start, offset, first = parameters["weight_0"].data_ptr(), 0, parameters["weight_0"]
    for key, shape in policy.shapes.items():
        part = parameters[key]
        if (
            part.data_ptr() != start + offset * part.element_size()
            or not part[0].is_contiguous()
            or (len(part) > 1 and part.stride(0) != first.stride(0))
        ):
            return _packed(policy, parameters)
        offset += torch.Size(shape).numel()
    return parameters


def _packed(policy: Policy, parameters: Parameters) -> Parameters:
    sizes = [torch.Size(shape).numel() for shape in policy.shapes.values()]
    values = torch.cat(
        [
            parameters[key].flatten(1) if parameters[key].dim() > 1 else parameters[key][:, None]
            for key in policy.shapes
        ],
        dim=1,
    )
    parts = values.split(sizes, dim=1)
    return {
        key: part.view(-1, *shape)
        for (key, shape), part in zip(policy.shapes.items(), parts, strict=True)
    }


def _power(size: int, least: int) -> int:
    """The smallest power of two that is not below either."""
    return max(least, 1 << (size - 1).bit_length())
