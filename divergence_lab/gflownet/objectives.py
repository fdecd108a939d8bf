"""Residuals x = log p_B - log p_F = log(target/model) and weights of each training objective; no
loss.

All objectives but flow matching are differences of one potential along a trajectory,

    V_k = log F(s_k) + sum_{t<k} (log P_B(s_t|s_{t+1}) - log P_F(s_{t+1}|s_t)),

with log R(s) in place of log P_B for the step that stops and log F = 0 after it.  The residual of
the part from s_i to s_j is V_j - V_i: DB takes j = i + 1, TB the whole trajectory, SubTB every
pair. What is minimised is mean_B sum_O weight g(x).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from divergence_lab.gflownet import devices
from divergence_lab.graphs import ambient
from divergence_lab.inputs import InputError, did_you_mean, kind_of, shown

FLOWS = {"": "free", "fl-": "forward-looking", "modified-": "modified"}
FORMS = (
    "tb, vargrad, db, subtb, subtb(0.9), fm, fl-db, fl-subtb(0.9), modified-db, "
    "modified-subtb(0.9), "
    "db and subtb as tied-..., tied-fl-..., fm as exit-fm, or any db or fm as mean-..."
)
KINDS = ("tb", "vargrad", "db", "subtb", "fm")
# as papers write them out
IN_WORDS = {
    "trajectory balance": "tb",
    "log partition variance": "vargrad",
    "detailed balance": "db",
    "subtrajectory balance": "subtb",
    "flow matching": "fm",
}
NAMES = (
    *KINDS,
    *(f"{way}{kind}" for way in (*FLOWS, "tied-") if way for kind in ("db", "subtb")),
    *("mean-db", "mean-tied-db", "mean-fm", "exit-fm", "mean-exit-fm"),
)


class ObjectiveError(InputError):
    """A text that names no objective, or one that the space does not allow; the message says
    what to do.
    """


@dataclass(frozen=True)
class Objective:
    """`kind`: tb, vargrad, db, subtb or fm.  `flow`: where log F comes from.

    free: learned.  forward-looking: log F = log R(partial state) + learned (Pan et al. 2023).
    modified: all states are terminal, F(s) = R(s)/P_F(stop|s) (Deleu et al. 2022).  edges: F(s ->
    s') are learned, the flow of a stop is R(s), and P_F is their quotient (Bengio et al. 2021).
    none: no flow is needed.  log F of the source is log Z, except where modified or edges fix it.
    `decay`: SubTB's lambda.  `tied`: log F of the source is learned as that of any other state, not
    as a number of its own, and where only the stop is left F(s) = R(s), so that this stop is no
    step (the released code of Hu et al. 2025).  exits: as edges, but the flow of a stop is learned
    too.  `mean`: the mean over all transitions or states of a batch, in place of the mean over
    trajectories of the sum along each; both as in that code.
    """

    name: str
    kind: str
    flow: str
    decay: float = 1.0
    tied: bool = False
    mean: bool = False


def objective(text: str) -> Objective:
    """Text -> Objective: one of FORMS."""
    if not isinstance(text, str):
        raise ObjectiveError(f"the objective is {kind_of(text)}; use one of {FORMS}")
    name = text.strip().lower()
    name = IN_WORDS.get(re.sub(r"[\s-]+", " ", name), name)
    match = re.fullmatch(
        rf"(mean-)?(tied-)?(fl-|modified-|exit-)?({'|'.join(KINDS)})(?:\(([0-9.]{{1,12}})\))?", name
    )
    mean, tied, prefix, kind, number = match.groups() if match else (None, None, None, "", None)
    exits = prefix == "exit-" and kind == "fm" and not tied
    wrong = (
        not kind
        or (tied and prefix == "modified-")
        or (mean and kind not in ("db", "fm"))
        or (number and kind != "subtb")
        or ((tied or prefix) and kind not in ("db", "subtb") and not exits)
        or (prefix == "exit-" and not exits)
    )
    if wrong:
        near = did_you_mean(name, [*NAMES, *IN_WORDS]) or f"; use one of {FORMS}"
        raise ObjectiveError(f"objective {shown(text)} is not known{near}")
    try:
        decay = float(number or (0.9 if kind == "subtb" else 1.0))
    except ValueError:
        decay = 0.0
    if not 0 < decay <= 10:
        raise ObjectiveError(f"objective {shown(text)}: lambda is a number above 0 and at most 10")
    of_kind = {"tb": "none", "vargrad": "none", "fm": "exits" if exits else "edges"}
    flow = of_kind.get(kind) or FLOWS[prefix or ""]
    return Objective(name, kind, flow, decay, bool(tied), bool(mean))


def refuse_of_the_released_code(chosen: Objective, what: str) -> None:
    """ObjectiveError for mean-... and exit-fm, which sampled training alone knows."""
    if chosen.mean or chosen.flow == "exits":
        raise ObjectiveError(f"{what} knows no {chosen.name}; use {chosen.kind}")


@dataclass(frozen=True, eq=False)
class Steps:
    """What the model says along B trajectories of each member; T steps, the stop included.

    `increment`: log P_B - log P_F of a step between states, log R - log P_F of the stop, 0 after
    it. `log_flow`: log F of the state before each step, 0 after the stop; None where none is
    needed. `exists`: the step is made, stop included.
    """

    increment: Float[Tensor, "M T B"]
    exists: Bool[Tensor, "M T B"]
    log_z: Float[Tensor, " M"]
    log_flow: Float[Tensor, "M T+1 B"] | None = None


@dataclass(frozen=True, eq=False)
class Residuals:
    """`x` and its weight, which is never learned, of the objects o of each trajectory."""

    x: Float[Tensor, "M O B"]
    weight: Float[Tensor, "#M #O #B"]


def needed(tensor: Tensor | None) -> Tensor:
    """A part of the model that this objective has: `Objective.flow` says which."""
    assert tensor is not None
    return tensor


def tb(steps: Steps) -> Residuals:
    """x = log R + sum log P_B - log Z - sum log P_F, one a trajectory (Malkin et al. 2022)."""
    x = steps.increment.sum(dim=1, keepdim=True) - steps.log_z[:, None, None]
    return Residuals(x, x.new_ones(()))


def vargrad(steps: Steps) -> Residuals:
    """TB with log Z replaced by the mean over the batch's other trajectories, held constant.

    K/(K-1) times the deviation from the mean over all K (log-partition variance: Richter et al.
    2020, Zhang et al. 2023).  With a trajectory left out of its own estimate, the expected gradient
    does not depend on K.
    """
    estimate = steps.increment.sum(dim=1, keepdim=True)
    batch = estimate.shape[-1]
    if batch < 2:
        raise ObjectiveError("vargrad needs a batch of at least 2 trajectories")
    held = estimate.detach()
    others = (held.sum(dim=-1, keepdim=True) - held) / (batch - 1)
    return Residuals(estimate - others, estimate.new_ones(()))


def db(steps: Steps) -> Residuals:
    """x = log F(s') + log P_B(s|s') - log F(s) - log P_F(s'|s), one a transition; R(s) for the
    stop (Bengio 2023).
    """
    x = _Rise.apply(steps.increment, needed(steps.log_flow))
    return Residuals(x, steps.exists.to(x.dtype))


class _Rise(torch.autograd.Function):
    """increment_k + log_flow_{k+1} - log_flow_k, whose gradient torch would put together from
    slices.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(increment: Tensor, log_flow: Tensor) -> Tensor:
        return increment + log_flow[:, 1:] - log_flow[:, :-1]

    @staticmethod
    def setup_context(ctx, inputs, output) -> None:
        pass

    @staticmethod
    def backward(ctx, upstream: Tensor):  # pyright: ignore[reportIncompatibleMethodOverride] (torch's own way)
        none = devices.number(0.0, upstream.device, upstream.dtype).expand_as(upstream[:, :1])
        both = torch.cat([none, upstream, none], dim=1)
        return upstream, both[:, :-1] - both[:, 1:]


def subtb(steps: Steps, decay: float) -> Residuals:
    """x = V_j - V_i for all i < j of a trajectory, weight lambda^(j-i) / sum of those (Madan et al.

    2023).
    """
    increment = steps.increment
    start = devices.number(0.0, increment.device, increment.dtype).expand_as(increment[:, :1])
    potential = needed(steps.log_flow) + torch.cat([start, increment.cumsum(dim=1)], dim=1)
    pairs = _pairs if devices.may_look(increment.device) else _kept_pairs
    first, last, power, places, sign = pairs(increment.shape[1], increment.device, increment.dtype)
    # over the largest, so that none overflows and their sum is at least 1: that of one step, or
    # with lambda > 1 that of the whole trajectory
    longest = steps.exists.sum(dim=1, keepdim=True) if decay > 1 else 1
    # after the stop all potentials agree, so pairs that end later than the stop are told by their
    # last step
    told = steps.exists.index_select(1, last - 1)
    weight = devices.kept(decay ** (power - longest), told)
    # 0 of a tied trajectory that can but stop: it has no part
    total = weight.sum(dim=1, keepdim=True).clamp(min=1)
    return Residuals(_Differences.apply(potential, first, last, places, sign), weight / total)


def _pairs(n_steps: int, device: torch.device, dtype: torch.dtype) -> tuple[Tensor, ...]:
    """All i < j up to n_steps and j - i [O, 1]; where a table [n + 1, n + 1] finds the pair of k
    and l, flat, O on its diagonal, and its sign there [n + 1, n + 1, 1]: 1 where k = j.
    """
    with ambient.plain_torch():
        first, last = torch.triu_indices(n_steps + 1, n_steps + 1, offset=1, device=device)
        places = torch.full((n_steps + 1, n_steps + 1), len(first), device=device)
        places[first, last] = places[last, first] = torch.arange(len(first), device=device)
        sign = torch.ones(n_steps + 1, n_steps + 1, 1, dtype=dtype, device=device)
        sign[first, last] = -1
        return first, last, (last - first).to(dtype)[:, None], places.flatten(), sign


_kept_pairs = cache(_pairs)  # for ever: a recorded step reads them where they lie


class _Differences(torch.autograd.Function):
    """V_last - V_first. Its gradient is looked up pair by pair: torch would sort by place, and
    adding at places goes in another order each time on a GPU.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(
        potential: Tensor, first: Tensor, last: Tensor, places: Tensor, sign: Tensor
    ) -> Tensor:
        return potential.index_select(1, last) - potential.index_select(1, first)

    @staticmethod
    def setup_context(ctx, inputs, output) -> None:
        ctx.save_for_backward(*inputs[3:])

    @staticmethod
    def backward(ctx, upstream: Tensor):  # pyright: ignore[reportIncompatibleMethodOverride] (torch's own way)
        places, sign = ctx.saved_tensors
        found = devices.with_number(upstream, 0.0, dim=1).index_select(1, places)
        found = found.unflatten(1, sign.shape[:2]) * sign
        return found.sum(dim=2), None, None, None, None


def fm(
    log_ratio: Float[Tensor, "M O B"], visited: Bool[Tensor, "M O B"], mean: bool = False
) -> Residuals:
    """x = log outflow - log inflow of each visited state but the source; R(s), or what is learned
    in its place, flows out at a stop.
    """
    x = devices.kept(log_ratio, visited)
    found = Residuals(x, visited.to(x.dtype))
    return mean_of_the_batch(found) if mean else found


def with_exits(
    found: Residuals, log_reward: Float[Tensor, "M B"], log_exit: Float[Tensor, "M B"]
) -> Residuals:
    """One residual more a trajectory: x = log R(s) - log F(s -> stop) where it ends."""
    x = torch.cat([found.x, (log_reward - log_exit)[:, None]], dim=1)
    return Residuals(x, torch.cat([found.weight, torch.ones_like(x[:, -1:])], dim=1))


def mean_of_the_batch(found: Residuals) -> Residuals:
    """Weights with which mean_B sum_O weight g(x) is each member's mean over all objects of its
    batch.
    """
    count = found.weight.sum(dim=(1, 2), keepdim=True)
    return Residuals(found.x, found.weight * (found.weight.shape[2] / count.clamp(min=1)))


def residuals(chosen: Objective, steps: Steps) -> Residuals:
    """The residuals of every objective that is told along trajectories, that is all but fm."""
    if chosen.kind == "subtb":
        return subtb(steps, chosen.decay)
    found = {"tb": tb, "vargrad": vargrad, "db": db}[chosen.kind](steps)
    return mean_of_the_batch(found) if chosen.mean else found
