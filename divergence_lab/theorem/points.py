"""Where the theorem is checked: a model at a random point, and which parameters move p_F, p_B, or
both.

forward   p_B does not depend on the group: the plain theorem can hold
backward  p_F does not depend on it: the divergence is another one
both      only the sum of the two parts is the gradient
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import pad

from divergence_lab.gflownet.listed import exact, flow
from divergence_lab.gflownet.policies.policy import Heads, heads, mlp, tabular
from divergence_lab.graphs.tables import tables
from divergence_lab.theorem.objects import Listing, Objects, evaluate

WIDTH, DEPTH, SPREAD = 12, 2, 2.0
TRUNK = "shared trunk"


@dataclass(frozen=True)
class Group:
    """Parameters that are moved together: `leaves` are keys of the point, `role` as in the
    module's first lines.
    """

    label: str
    leaves: tuple[str, ...]
    role: str


@dataclass(frozen=True, eq=False)
class Point:
    """`leaves`: the parameters, float64, with gradients.

    `objects`: what they give.  `model`: M = 1.
    """

    leaves: dict[str, Tensor]
    model: flow.Flow
    objects: Objects
    groups: tuple[Group, ...]


def points(listing: Listing, seed: int = 0, spread: float = 1.0) -> Iterator[Point]:
    """Every way in which theory tells the parameters of this objective apart, at points drawn from
    `seed`.

    Logits ~ N(0, spread), log F(s) and log Z ~ N(log Z*, spread), P_B learned; an MLP with one
    trunk for all; and, where theory names them, flows that the policy induces, an outflow held
    constant, F and P_F apart.
    """
    leaves, model = _table(listing, seed, spread)
    yield Point(leaves, model, evaluate(listing, model), _groups(listing))
    trunk, model = _trunk(listing, seed, spread)
    yield Point(trunk, model, evaluate(listing, model), (Group(TRUNK, tuple(trunk), "both"),))
    if listing.objective.flow == "free":
        yield from _induced(listing, seed, spread)
    if listing.objective.kind == "fm":
        yield from _other_matching(listing, seed, spread)


def _groups(listing: Listing) -> tuple[Group, ...]:
    policy, back = (
        Group("P_F logits", ("logits",), "forward"),
        Group("P_B logits", ("back",), "backward"),
    )
    match listing.objective.flow, listing.objective.kind:
        case "edges", _:
            return (Group("edge flows", ("logits",), "both"),)
        case "modified", _:
            return (
                Group("P_F logits", ("logits",), "both"),
                back,
                Group("all together", ("logits", "back"), "both"),
            )
        case _, "vargrad":
            return policy, back, Group("all together", ("logits", "back"), "both")
        case "none", _:
            return (
                Group("P_F logits, log Z", ("logits", "log_z"), "forward"),
                policy,
                Group("log Z", ("log_z",), "forward"),
                back,
                Group("all together", ("logits", "log_z", "back"), "both"),
            )
        case _:
            return (
                Group("P_F logits, log F(s0)", ("logits", "log_z"), "forward"),
                policy,
                Group("log F(s0)", ("log_z",), "forward"),
                Group("interior log F", ("log_flow",), "both"),
                back,
                Group("all together", ("logits", "log_z", "log_flow", "back"), "both"),
            )


def _heads(listing: Listing) -> Heads:
    return heads(
        listing.graph, learned_back=True, flow=listing.objective.flow in ("free", "forward-looking")
    )


def _table(listing: Listing, seed: int, spread: float) -> tuple[dict[str, Tensor], flow.Flow]:
    """The tabular point, its leaves apart; `flow_from_rows` is the model that training uses."""
    graph, needs = listing.graph, _heads(listing)
    start = tabular(graph, heads=needs, scale=spread).init([seed], dtype=torch.float64)["rows"]
    around = exact.log_partition(graph)
    cut = needs.n_actions + needs.n_back
    leaves = {
        "logits": start[:, : needs.n_actions].clone().requires_grad_(),
        "back": start[:, needs.n_actions : cut].clone().requires_grad_(),
        "log_z": (around + spread * _normal(seed + 1, 1)).requires_grad_(),
    }
    rows = [leaves["logits"], leaves["back"]]
    if needs.flow:
        centre = 0.0 if listing.objective.flow == "forward-looking" else around
        leaves["log_flow"] = (centre + start[:, cut:]).requires_grad_()
        rows.append(leaves["log_flow"])
    return leaves, flow.flow_from_rows(
        tabular(graph, heads=needs), torch.cat(rows, dim=1), leaves, listing.objective, "learned"
    )


def _normal(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _trunk(listing: Listing, seed: int, spread: float) -> tuple[dict[str, Tensor], flow.Flow]:
    needs, around = _heads(listing), exact.log_partition(listing.graph)
    policy = mlp(listing.graph, heads=needs, width=WIDTH, depth=DEPTH, initial_log_z=around + 0.5)
    start = policy.init([seed], dtype=torch.float64)
    # a fresh network is nearly constant: spread it, so that the point is a general one
    trunk = {
        key: (SPREAD * spread * value).requires_grad_()
        for key, value in start.items()
        if key != "log_z"
    }
    return trunk, flow.flow_from_rows(
        policy, policy.rows(trunk, None), {"log_z": start["log_z"]}, listing.objective, "learned"
    )


def _induced(listing: Listing, seed: int, spread: float) -> Iterator[Point]:
    """F(s) = Z d_F(s), d_F the probability that P_F reaches s: with gradient, and with the flow
    held constant.
    """
    leaves, model = _table(listing, seed, spread)
    log_flow = leaves["log_z"][:, None] + exact.state_probability(listing.graph, model.log_pf).log()
    for held, label, role in (
        (False, "P_F logits, F = Z d_F", "both"),
        (True, "P_F logits, F = Z d_F held", "forward"),
    ):
        induced = replace(model, log_flow=log_flow.detach() if held else log_flow)
        yield Point(leaves, induced, evaluate(listing, induced), (Group(label, ("logits",), role),))


def _other_matching(listing: Listing, seed: int, spread: float) -> Iterator[Point]:
    """Flow matching with the outflow held constant, and with F and P_F apart: p_F = sum F P_F,
    p_B = F.
    """
    leaves, model = _table(listing, seed, spread)
    found = evaluate(listing, model)
    semi = replace(
        found, log_pb=found.log_pb.detach(), residual=found.log_pb.detach() - found.log_pf
    )
    yield Point(leaves, model, semi, (Group("edge flows, outflow held", ("logits",), "forward"),))
    on_graph = tables(listing.graph, "cpu", torch.float64)
    free = (
        exact.log_partition(listing.graph) + spread * _normal(seed + 2, 1, listing.graph.n_states)
    ).requires_grad_()
    log_pf = torch.log_softmax(leaves["logits"] + on_graph.mask, dim=1)
    into = (free[:, None] + log_pf).flatten(1)[:, on_graph.incoming]
    into = into + torch.where(on_graph.incoming_exists > 0, 0.0, -torch.inf)
    inflow = pad(torch.logsumexp(into[:, :, 1:], dim=1), (1, 0), value=-torch.inf)
    apart = flow.Flow(log_pf, model.log_pb, free[:, 0], free, inflow)
    moved = {"logits": leaves["logits"], "log_flow": free}
    groups = (
        Group("P_F logits, F and P_F apart", ("logits",), "forward"),
        Group("log F, F and P_F apart", ("log_flow",), "both"),
    )
    yield Point(moved, apart, evaluate(listing, apart), groups)
