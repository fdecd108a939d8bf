"""Families of known capacity, each with a target that it can't be: for small_models.py.

    bump     places on a line, one bell                  two bells, their distance varied
    product  cells of a square, a law of independent     two cells on the diagonal
             rows and columns
    rank     cells of a square, log q of rank 1          three cells on the diagonal
    tied     four outcomes, three of them one logit      one mode alone, one tied to a desert
    walk     a 4 x 4 grid, one row of logits for all     four corners; modes are the first and
             states; objects are trajectories            the last

`height`: the log of how much denser a mode is than what lies between the modes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from itertools import product as product_of

import torch
from torch import Tensor

import divergence_lab as dl
from divergence_lab.gflownet.listed import exact, flow, sampling
from divergence_lab.graphs.tables import tables

PLACES = torch.linspace(-5.0, 5.0, 41, dtype=torch.float64)
BELL, NARROWEST = 0.6, 0.5  # width of a bump, and the least of the model's
SIDE = 5


@dataclass(frozen=True, eq=False)
class Problem:
    """A target law over N objects and a family of laws with D = `size` parameters.

    `modes` [K, N]: 1 where an object belongs to a mode.  `log_model`: parameters [M, D] -> log q
    [M, N].  `centre` [D]: a nearly uniform model.  `slow`: only the losses that are trained.
    """

    name: str
    capacity: str
    log_target: Tensor
    modes: Tensor
    log_model: Callable[[Tensor], Tensor]
    centre: Tensor
    height: float
    slow: bool = False

    @property
    def size(self) -> int:
        return len(self.centre)

    def starts(self, count: int) -> Tensor:
        """[count, D] around the centre, always the same."""
        draws = torch.Generator().manual_seed(11)
        some = torch.randn(count, self.size, generator=draws, dtype=torch.float64)
        return self.centre + 2 * some

    def of_some_modes(self) -> list[Problem]:
        """The same family with each target that lacks some of the modes (e^-20 of them is left)."""
        parts = []
        for kept in product_of((0.0, 1.0), repeat=len(self.modes)):
            lost = (1 - torch.tensor(kept, dtype=torch.float64)) @ self.modes
            if sum(kept) > 0:
                log_target = torch.log_softmax(self.log_target - 20 * lost, dim=0)
                parts.append(replace(self, log_target=log_target))
        return parts


def bump(distance: float, share: float = 0.6) -> Problem:
    """Two bells at -distance/2 and distance/2 with the masses share and 1 - share; one bell."""
    ends = [
        torch.log(torch.tensor(part, dtype=torch.float64)) - ((PLACES - at) / BELL) ** 2 / 2
        for part, at in ((share, -distance / 2), (1 - share, distance / 2))
    ]
    log_target = torch.log_softmax(torch.logaddexp(*ends), dim=0)
    middle = log_target[PLACES.abs().argmin()]
    right = PLACES > 0
    near = torch.stack([(PLACES + sign * distance / 2).abs() <= 2 * BELL for sign in (1, -1)])
    sides = torch.stack([~right, right]) & near

    def log_model(parameters: Tensor) -> Tensor:
        width = NARROWEST + torch.nn.functional.softplus(parameters[:, 1:])
        return torch.log_softmax(-(((PLACES - parameters[:, :1]) / width) ** 2) / 2, dim=1)

    return Problem(
        f"bump, distance {distance:g}",
        "one bell",
        log_target,
        sides.double(),
        log_model,
        torch.tensor([0.0, 1.5], dtype=torch.float64),
        float(log_target.max() - middle),
    )


def _cells(shares: tuple[float, ...], height: float) -> tuple[Tensor, Tensor]:
    """log p [25] with modes evenly along the diagonal, and the modes [K, 25]."""
    places = {2: (0, 4), 3: (0, 2, 4)}[len(shares)]
    log_target = torch.full((SIDE, SIDE), -height, dtype=torch.float64)
    modes = torch.zeros(len(shares), SIDE, SIDE, dtype=torch.float64)
    for k, (place, share) in enumerate(zip(places, shares, strict=True)):
        log_target[place, place] = torch.log(torch.tensor(share, dtype=torch.float64))
        modes[k, place, place] = 1
    return torch.log_softmax(log_target.flatten(), dim=0), modes.flatten(1)


def product(height: float) -> Problem:
    """Rows and columns drawn apart: two modes on the diagonal have two ghosts."""
    log_target, modes = _cells((0.6, 0.4), height)

    def log_model(parameters: Tensor) -> Tensor:
        rows, columns = (torch.log_softmax(part, dim=1) for part in parameters.chunk(2, dim=1))
        return (rows[:, :, None] + columns[:, None]).flatten(1)

    centre = torch.zeros(2 * SIDE, dtype=torch.float64)
    name = f"product, height {height:g}"
    return Problem(name, "rows x columns", log_target, modes, log_model, centre, height)


def rank_one(height: float) -> Problem:
    """log q of a cell is u_i v_j, up to a constant: three modes on the diagonal need rank 2."""
    log_target, modes = _cells((0.4, 0.35, 0.25), height)

    def log_model(parameters: Tensor) -> Tensor:
        left, right = parameters.chunk(2, dim=1)
        return torch.log_softmax((left[:, :, None] * right[:, None]).flatten(1), dim=1)

    centre = torch.zeros(2 * SIDE, dtype=torch.float64)
    name = f"rank 1, height {height:g}"
    return Problem(
        name, "log-table of rank 1", log_target, modes, log_model, centre, height, slow=True
    )


def tied(height: float) -> Problem:
    """q = (a, b, b, b): the second mode shares its logit with two cells of the desert."""
    masses = torch.tensor([0.0, -0.4, -height, -height], dtype=torch.float64)
    modes, one = torch.eye(2, 4, dtype=torch.float64), torch.eye(4, dtype=torch.float64)[0]

    def log_model(parameters: Tensor) -> Tensor:
        return torch.log_softmax(parameters * one, dim=1)

    target, centre = torch.log_softmax(masses, dim=0), torch.zeros(1, dtype=torch.float64)
    return Problem(
        f"tied, height {height:g}", "tied logits", target, modes, log_model, centre, height
    )


def walk(r0: float) -> Problem:
    """Trajectories of a 4 x 4 grid, all states with the same three logits; uniform P_B."""
    graph = dl.hypergrid(2, 4, r0=r0)
    on_graph = tables(graph, "cpu", torch.float64)
    walked = exact.enumerate_trajectories(graph)
    log_pb = flow.fixed_log_pb(graph, "uniform", "cpu", torch.float64)
    back = sampling.gather_steps(sampling.with_sink(log_pb), walked)[0]
    log_target = torch.log_softmax(back + on_graph.log_reward[walked.terminal[0]], dim=0)
    high = on_graph.log_reward > on_graph.log_reward.min() + 1
    corners = torch.nonzero(high)[[0, -1], 0]
    modes = (walked.terminal[0] == corners[:, None]).double()

    def log_model(parameters: Tensor) -> Tensor:
        log_pf = torch.log_softmax(parameters[:, :, None] + on_graph.mask, dim=1)
        taken = torch.where(on_graph.mask == 0, log_pf, 0.0)
        return sampling.gather_steps(sampling.with_sink(taken), walked)

    height = float(on_graph.log_reward.max() - on_graph.log_reward.min())
    centre = torch.zeros(graph.n_actions, dtype=torch.float64)
    name = f"walk, height {height:.1f}"
    return Problem(name, "one row for all states", log_target, modes, log_model, centre, height)


@cache
def problems() -> tuple[Problem, ...]:
    """All of them, the quickest first."""
    return (
        *(tied(height) for height in (3.0, 8.0)),
        *(bump(distance) for distance in (2.0, 3.0, 4.0, 5.0)),
        *(product(height) for height in (3.0, 6.0, 12.0)),
        *(rank_one(height) for height in (8.0,)),
        walk(0.1),
    )
