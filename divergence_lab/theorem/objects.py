"""The training objects of an enumerated graph: each once, with its mass under p_F and under p_B.

    TB  trajectories             Z P_F(tau)               R(x) P_B(tau)
    DB  edges, stops included    F(s) P_F(s'|s)           F(s') P_B(s|s'), R(s) for a stop
    SubTB  parts of trajectories F(s_i) prod P_F          F(s_j) prod P_B, R(s) for a stop at end
    FM  states but the source    inflow                   outflow, R(s) flowing out at a stop
    VarGrad  pairs tau, tau'     e^(estimate of log Z by tau') P_F(tau)    R(x) P_B(tau)

The masses are summed here from the tables, apart from the residuals, which are those that training
uses (`objectives`): that residual = log p_B - log p_F is therefore a check, not a definition.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

from divergence_lab.gflownet.listed import exact, flow, sampling
from divergence_lab.gflownet.objectives import (
    Objective,
    needed,
    refuse_of_the_released_code,
    vargrad,
)
from divergence_lab.graphs.dag import PointedDAG
from divergence_lab.graphs.tables import tables

TRAJECTORY_LIMIT = 200_000
RESIDUAL_LIMIT = 10_000_000


@dataclass(frozen=True, eq=False)
class Listing:
    """What does not depend on parameters: J trajectories, N objects.

    `place` [O, J]: the number of the object that residual o of trajectory j belongs to, -1 where
    there is none. `first_place` [N]: the first place of each object in a flat [O, J] table.
    `length` [N]: its steps.
    """

    graph: PointedDAG
    objective: Objective
    walked: sampling.Trajectories
    place: Tensor
    first_place: Tensor
    length: Tensor

    @property
    def n_objects(self) -> int:
        return self.first_place.numel()


@dataclass(frozen=True, eq=False)
class Objects:
    """`log_pf`, `log_pb` and the trained `residual` of each object, [N]; `weight` [O, J] of each
    place in training.
    """

    log_pf: Tensor
    log_pb: Tensor
    residual: Tensor
    weight: Tensor


def list_objects(graph: PointedDAG, chosen: Objective) -> Listing:
    """Every object of the objective.

    Raises EnumerationError where there are too many, ObjectiveError where the graph does not allow
    the objective.
    """
    refuse_of_the_released_code(chosen, "the theorem's list of objects")
    flow.check_objective(graph, chosen)
    walked = exact.enumerate_trajectories(graph, TRAJECTORY_LIMIT)
    n_steps, count = walked.index.shape[1:]
    first, last = _ends(chosen, n_steps)
    if first.numel() * count > RESIDUAL_LIMIT or (
        chosen.kind == "vargrad" and count**2 > RESIDUAL_LIMIT
    ):
        raise exact.EnumerationError(
            f"{graph.name}: too many residuals of {chosen.name} to list ({count:,} "
            "trajectories); take a smaller graph"
        )
    if chosen.kind == "vargrad":
        place = torch.arange(2 * count**2)[None]
        length = (walked.states[0] < graph.n_states).sum(dim=0).repeat_interleave(count).repeat(2)
        return Listing(graph, chosen, walked, place, torch.arange(2 * count**2), length)
    keys = (
        _state_keys(graph, walked)
        if chosen.kind == "fm"
        else _part_keys(graph, walked, first, last)
    )
    exists = keys >= 0
    unique, numbers = torch.unique(keys[exists], return_inverse=True)
    place = torch.full_like(keys, -1)
    place[exists] = numbers
    flat = place.flatten()
    first_place = torch.full((unique.numel(),), flat.numel())
    where = torch.arange(flat.numel())[flat >= 0]
    first_place.scatter_reduce_(0, flat[flat >= 0], where, "amin")
    length = (
        torch.ones_like(first_place)
        if chosen.kind == "fm"
        else (last - first)[first_place // count]
    )
    return Listing(graph, chosen, walked, place, first_place, length)


def _ends(chosen: Objective, n_steps: int) -> tuple[Tensor, Tensor]:
    """First and last place of each residual's part of the trajectory, in the order of
    `objectives`.
    """
    if chosen.kind == "subtb":
        first, last = torch.triu_indices(n_steps + 1, n_steps + 1, offset=1)
        return first, last
    if chosen.kind in ("tb", "vargrad"):
        return torch.tensor([0]), torch.tensor([n_steps])
    return torch.arange(n_steps), torch.arange(1, n_steps + 1)


def _state_keys(graph: PointedDAG, walked: sampling.Trajectories) -> Tensor:
    """[T, J] the state before each step, -1 for the source and after the stop."""
    states = walked.states[0]
    return torch.where((states > 0) & (states < graph.n_states), states, -1)


def _part_keys(
    graph: PointedDAG, walked: sampling.Trajectories, first: Tensor, last: Tensor
) -> Tensor:
    """[O, J] one number for each different part; -1 where the part would end after the stop (TB:
    never).
    """
    index, states = walked.index[0], walked.states[0]
    n_steps, count = index.shape
    if len(first) == 1:
        return torch.arange(count)[None]
    keys = torch.full((len(first), count), -1)
    made = 0
    part = (
        states.clone()
    )  # [T, J] the part of `length` steps that begins at t; of length 0: the state
    for length in range(1, int((last - first).max()) + 1):
        begins = n_steps - length + 1
        code = part[:begins] * (index.max() + 1) + index[length - 1 :]
        _, part = torch.unique(code, return_inverse=True)
        exists = states[length - 1 :] < graph.n_states
        rows = torch.nonzero(last - first == length)[:, 0]
        keys[rows] = torch.where(exists, part + made, -1)[first[rows]]
        made += int(part.max()) + 1
    return keys


def evaluate(listing: Listing, model: flow.Flow) -> Objects:
    """The masses of all objects and the residuals that training would use, for a model with M =
    1.
    """
    if listing.objective.kind == "vargrad":
        return _pairs(listing, model)
    found = flow.residuals_along(listing.graph, listing.objective, model, listing.walked)
    log_pf, log_pb = _masses(listing, model)
    weight = found.weight.expand_as(found.x)[0]
    return Objects(log_pf, log_pb, found.x[0].flatten()[listing.first_place], weight)


def _masses(listing: Listing, model: flow.Flow) -> tuple[Tensor, Tensor]:
    """(log p_F, log p_B) [N] of each object."""
    graph, walked = listing.graph, listing.walked
    if listing.objective.kind == "fm":
        states = walked.states[0].flatten()[listing.first_place]
        return needed(model.log_inflow)[0][states], needed(model.log_flow)[0][states]
    n_steps, count = walked.index.shape[1:]
    first, last = (ends[listing.first_place // count] for ends in _ends(listing.objective, n_steps))
    walk = listing.first_place % count
    ahead, back = (
        pad(table.cumsum(dim=0), (0, 0, 1, 0)) for table in log_steps(graph, model, walked)
    )
    forward = ahead[last, walk] - ahead[first, walk]
    backward = back[last, walk] - back[first, walk]
    if model.log_flow is None:
        return model.log_z + forward, backward
    log_flow = pad(pad(model.log_flow[0], (0, 1))[walked.states[0]], (0, 0, 0, 1))
    return log_flow[first, walk] + forward, log_flow[last, walk] + backward


def log_steps(
    graph: PointedDAG, model: flow.Flow, walked: sampling.Trajectories
) -> tuple[Tensor, Tensor]:
    """log P_F and log P_B of each step of each trajectory, [T, J] both; log R for a stop in the
    second, 0 after it.
    """
    log_reward = tables(graph, "cpu", torch.float64).log_reward
    back = torch.cat([model.log_pb[0, :-1], log_reward[None]])
    log_pf, log_pb = (
        pad(table, (0, 1)).flatten()[walked.index[0].flatten()].view(walked.index.shape[1:])
        for table in (model.log_pf[0], back)
    )
    return log_pf, log_pb


def _pairs(listing: Listing, model: flow.Flow) -> Objects:
    """Each batch of two trajectories as a member of its own; object k J^2 + pair is trajectory k
    of the pair.
    """
    graph, index = listing.graph, listing.walked.index[0]
    count = index.shape[1]
    one, other = torch.arange(count).repeat_interleave(count), torch.arange(count).repeat(count)
    both = torch.stack([index[:, one], index[:, other]], dim=-1).movedim(1, 0)  # [J^2, T, 2]
    batch = sampling.Trajectories(
        both, torch.zeros(count**2, 2, dtype=torch.long), listing.walked.width
    )
    log_pf, log_pb = (table.expand(count**2, -1, -1) for table in (model.log_pf, model.log_pb))
    found = vargrad(flow.steps_along(graph, flow.Flow(log_pf, log_pb, model.log_z), batch))
    ahead, back = (table.sum(dim=0) for table in log_steps(graph, model, listing.walked))
    estimate = (back - ahead).detach()
    log_pf = torch.cat([estimate[other] + ahead[one], estimate[one] + ahead[other]])
    log_pb = torch.cat([back[one], back[other]])
    weight = log_pf.new_full((1, 2 * count**2), 0.5)  # the mean over a batch of two
    return Objects(log_pf, log_pb, found.x[:, 0].mT.flatten(), weight)
