"""One training step of all members: what changes, what a step is told, and the step itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from divergence_lab.gflownet import devices, objectives, optimiser, rollouts
from divergence_lab.gflownet.listed.expected import (
    expected_residuals,
    expected_tb,
    listed_residuals,
    row_visits,
)
from divergence_lab.gflownet.listed.flow import Flow, flow
from divergence_lab.gflownet.policies.policy import Parameters
from divergence_lab.gflownet.visited.walks import Walks
from divergence_lab.graphs.dag import PointedDAG
from divergence_lab.training import evaluation, schedules, settings
from divergence_lab.training.schedules import LossFunction

STEEPEST = 1e35


@dataclass(frozen=True, eq=False)
class Progress:
    """What changes: parameters, the modes seen [M, ..], the replay buffer, the curves [M, K] of
    each metric so far.

    `window` [M, W]: the last W terminal states drawn, a ring; W = 0 where none is kept.
    `steps` holds, once made, what `make_step` gives: a loop that goes on does not record its step
    anew.
    """

    members: optimiser.Ensemble
    visited: Tensor
    window: Tensor
    buffer: Tensor
    curves: Mapping[str, Tensor]
    steps: list[tuple[Inputs, Callable[[float], None]]] = field(default_factory=list)


@dataclass(frozen=True, eq=False)
class Inputs:
    """What a step is told, in tensors that stay in their place: `noise` [N, T, B], `rates` [M, 2],
    `step` [], `bits`.

    `drawn` holds what it answers with, the terminal states.
    """

    noise: Tensor
    rates: Tensor
    step: Tensor
    bits: Tensor | None
    drawn: list[Tensor] = field(default_factory=list)


def start_progress(run: settings.Run, n_evaluations: int) -> Progress:
    """All members at their start, with room for so many evaluations."""
    seeds = list(run.config["seeds"]) * len(run.rows)
    size = run.config.get("window", 0)
    names = (*evaluation.metric_names(run.space), *(["window_l1"] if size else []))
    curves = {
        name: torch.full((len(seeds), n_evaluations), torch.nan, dtype=torch.float64)
        for name in names
    }
    n_places = run.space.n_states if isinstance(run.space, PointedDAG) else run.space.n_modes
    # exact training visits every state
    visited = torch.full((len(seeds), n_places + 1), run.config["exact"], device=run.device)
    members = optimiser.ensemble(run.policy.init(seeds, run.device, run.dtype))
    window = torch.full((len(seeds), size), n_places, dtype=torch.int32, device=run.device)
    return Progress(
        members, visited, window, rollouts.empty_buffer(run.rollout, len(seeds), run.device), curves
    )


def tensors_of(state: Progress) -> dict[str, Tensor]:
    """What a checkpoint holds."""
    curves = {f"curve.{name}": curve for name, curve in state.curves.items()}
    return {
        **state.members.state(),
        "visited": state.visited,
        "window": state.window,
        "buffer": state.buffer,
        **curves,
    }


def make_step(run: settings.Run, state: Progress) -> tuple[Inputs, Callable[[float], None]]:
    """(what is to be filled in before each step, a step after this fraction of the run).  No step
    waits for the device.

    On a GPU the step is recorded once and replayed, unless a loss changes over the run: a number
    that changes cannot be recorded.
    """
    if state.steps:
        return state.steps[0]
    shape = (len(run.config["seeds"]), run.space.max_steps, run.config["batch"])
    inputs = Inputs(
        torch.empty(shape, device=run.device, dtype=run.dtype),
        run.rates.clone(),
        torch.zeros((), dtype=torch.long, device=run.device),
        _bits(run),
    )
    update = _update_exactly if run.config["exact"] else _update
    if any(isinstance(loss, schedules.Schedule) for loss in run.losses.values()):
        advance = lambda fraction: update(run, state, inputs, fraction)  # noqa: E731
    else:
        again = devices.repeated(lambda: update(run, state, inputs, 0.0), run.device)
        advance = lambda fraction: again()  # noqa: E731
    state.steps.append((inputs, advance))
    return state.steps[0]


def _bits(run: settings.Run) -> Tensor | None:
    """Room for the random numbers of dropout, [N, T, B, K]; None without."""
    if not run.config.get("dropout"):
        return None
    return torch.empty(
        len(run.config["seeds"]),
        run.space.max_steps,
        run.config["batch"],
        run.policy.n_random,
        device=run.device,
        dtype=torch.int16,
    )


def _update(run: settings.Run, state: Progress, inputs: Inputs, fraction: float) -> None:
    """One step of every member: sample, residual, loss, gradient, Adam."""
    members = state.members
    # members with one seed see the same uniforms under every loss and learning rate
    noise = inputs.noise.repeat(len(run.rows), 1, 1)
    drawn = (run.rollout, members.parameters, noise, state.buffer, inputs.step)
    if rollouts.in_two_halves(run.rollout):
        walked = rollouts.draw_walks(*drawn)
        gradient, terminal = _gradient_along(run, members, walked, fraction), walked.terminal
    else:
        residuals, terminal = rollouts.draw_residuals(*drawn, inputs.bits)
        gradient = _gradient(_losses(run, fraction), members.parameters, residuals)
    _adam(run, members, gradient, inputs.rates)
    evaluation.mark_visited(run, state.visited, terminal)
    if state.window.shape[1]:
        evaluation.push_window(state.window, terminal, inputs.step)
    inputs.drawn[:] = [terminal]


def _adam(
    run: settings.Run, members: optimiser.Ensemble, gradient: Sequence[Tensor], rates: Tensor
) -> None:
    limit = run.config["max_grad_norm"]
    optimiser.adam_step(
        members,
        gradient,
        rates,
        float("inf") if limit is None else limit,
        run.config.get("weight_decay", 0.0),
    )


def _update_exactly(run: settings.Run, state: Progress, inputs: Inputs, fraction: float) -> None:
    """One step of every member along its expected gradient: natural where the policy is a table,
    else by Adam.
    """
    members, rollout = state.members, run.rollout
    model = flow(rollout.policy, members.parameters, rollout.objective, rollout.backward)
    gradient = _expected_gradient(run, members, model, fraction)
    if not settings.is_natural(True, run.config["policy"], rollout.objective):
        _adam(run, members, gradient, inputs.rates)
        return
    rows = row_visits(rollout.policy, model, rollout.sampler).flatten(1)
    scale = torch.cat(
        [rows, torch.ones_like(rows[:, :1])], dim=1
    )  # log Z comes last, and is always at work
    optimiser.natural_step(
        members, gradient, scale, inputs.rates, settings.NATURAL[rollout.objective.kind][1]
    )


def _expected_gradient(
    run: settings.Run, members: optimiser.Ensemble, model: Flow, fraction: float
) -> tuple[Tensor, ...]:
    """The same gradient in expectation: every object weighted by how often it would be drawn."""
    rollout, graph = run.rollout, run.graph
    if run.listed is not None:
        residuals = listed_residuals(graph, rollout.objective, model, run.listed, rollout.sampler)
        return _gradient(_losses(run, fraction), members.parameters, residuals)
    if rollout.objective.kind != "tb":
        residuals = expected_residuals(graph, rollout.objective, model, rollout.sampler)
        return _gradient(_losses(run, fraction), members.parameters, residuals)
    of_loss = []
    for loss, part in zip(run.losses.values(), model.split(len(run.losses)), strict=True):
        terms = schedules.terms_of(loss, fraction)
        assert terms is not None  # else all trajectories are listed
        of_loss.append(expected_tb(graph, part, terms, rollout.sampler))
    return optimiser.gradients(torch.cat(of_loss).sum(), members.parameters)


def _gradient_along(
    run: settings.Run, members: optimiser.Ensemble, walked: Walks, fraction: float
) -> tuple[Tensor, ...]:
    """`_gradient`, of blocks of members where they are large; of one loss each.

    A loss of somebody else is called once for all its members.
    """
    losses, n_members = _losses(run, fraction), len(walked.exists)
    size = rollouts.block_size(run.rollout, members.parameters, walked)
    if size >= n_members or any(schedules.wide_gradient_of(loss) is None for loss in losses):
        residuals = rollouts.residuals_of(run.rollout, members.parameters, walked)
        return _gradient(losses, members.parameters, residuals)
    part = replace(run.rollout, policy=replace(run.rollout.policy, n_together=n_members))
    found = []
    for loss, of_loss in zip(losses, torch.arange(n_members).chunk(len(losses)), strict=True):
        for block in of_loss.split(size):
            chosen = slice(int(block[0]), int(block[-1]) + 1)
            leaves = {
                key: tensor.detach()[chosen].requires_grad_()
                for key, tensor in members.parameters.items()
            }
            residuals = rollouts.residuals_of(part, leaves, walked.of(chosen))
            found.append(_gradient([loss], leaves, residuals))
    return tuple(torch.cat(parts) for parts in zip(*found, strict=True))


def _losses(run: settings.Run, fraction: float) -> list[LossFunction]:
    """As they are after this fraction of the run."""
    return [
        loss.at(fraction) if isinstance(loss, schedules.Schedule) else loss
        for loss in run.losses.values()
    ]


def _gradient(
    losses: Sequence[LossFunction], parameters: Parameters, residuals: objectives.Residuals
) -> tuple[Tensor, ...]:
    """Of the sum over members of mean_B sum_O weight g(x); no member's gradient holds anything of
    another's. Each loss is called once for all its members that are given.
    """
    x, share = residuals.x, residuals.weight * (1 / residuals.x.shape[-1])
    slopes = [schedules.wide_gradient_of(loss) for loss in losses]
    known = [slope for slope in slopes if slope is not None]
    if len(known) == len(losses):
        # nobody asks for the sum itself
        return optimiser.gradients(x, parameters, _slope(known, x) * share)
    values = [
        loss(part) if slope is None else _slope([slope], part) * part
        for loss, slope, part in zip(losses, slopes, _apart(x, len(losses)), strict=True)
    ]
    return optimiser.gradients((share * torch.cat(values)).sum(), parameters)


def _slope(slopes: Sequence[Callable[[Tensor, bool], Tensor]], x: Tensor) -> Tensor:
    """g'(x), held constant, of each loss at its share of the members. Cut far out, so that a sum
    of gradients stays finite in float32.
    """
    # one cast for all, there and back
    wide, single = x.detach().double(), x.dtype != torch.float64
    found = [slope(part, single) for slope, part in zip(slopes, _apart(wide, len(slopes)))]
    return torch.cat(found).clamp(-STEEPEST, STEEPEST).to(x.dtype)


def _apart(x: Tensor, parts: int) -> tuple[Tensor, ...]:
    """The residuals of each loss's members."""
    return x.view(parts, len(x) // parts, *x.shape[1:]).unbind(0)
