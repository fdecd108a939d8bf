"""Train an ensemble: every (loss, learning rate, seed) is a member, and the members are one
leading tensor axis.
"""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from divergence_lab.gflownet.devices import one_thread, repeated
from divergence_lab.gflownet.listed.exact import log_partition, target_distribution
from divergence_lab.gflownet.listed.expected import (
    expected_residuals,
    expected_tb,
    listed_residuals,
    often,
)
from divergence_lab.gflownet.listed.flow import Flow, flow
from divergence_lab.gflownet.objectives import Residuals
from divergence_lab.gflownet.optimiser import Ensemble, adam_step, ensemble, gradients, natural_step
from divergence_lab.gflownet.randomness import DROPOUT, chunk_length, random_bits, uniforms
from divergence_lab.gflownet.rollouts import empty_buffer, roll
from divergence_lab.gflownet.samplers import Sampler
from divergence_lab.graphs.ambient import plain_torch
from divergence_lab.graphs.dag import PointedDAG
from divergence_lab.graphs.generated import Space
from divergence_lab.results.result import (
    NeverMoved,
    Result,
    environment,
    never_moved,
    save,
    start_over,
    write_metrics,
)
from divergence_lab.training import checkpoints
from divergence_lab.training.evaluation import (
    evaluate,
    final_law,
    finite_and_moved,
    keep,
    metric_names,
    seen,
    window_l1,
)
from divergence_lab.training.schedules import Loss, Schedule, terms_of
from divergence_lab.training.settings import NATURAL, Run, is_natural, prepare
from divergence_lab.training.trainable import TrainingError

CHECKPOINT_SECONDS = 30.0
STEEPEST = 1e35
SMALL = 2**18  # parameters of all members together


@dataclass(frozen=True, eq=False)
class _Progress:
    """What changes: parameters, the modes seen [M, ..], the replay buffer, the curves [M, K] of
    each metric so far.

    `window` [M, W]: the last W terminal states drawn, a ring; W = 0 where none is kept.
    `steps` holds, once made, what `_advancing` gives: a loop that goes on does not record its step
    anew.
    """

    members: Ensemble
    visited: Tensor
    window: Tensor
    buffer: Tensor
    curves: Mapping[str, Tensor]
    steps: list[tuple[_Inputs, Callable[[float], None]]] = field(default_factory=list)


@dataclass(frozen=True, eq=False)
class _Inputs:
    """What a step is told, in tensors that stay in their place: `noise` [N, T, B], `rates` [M, 2],
    `step` [], `bits`.

    `drawn` holds what it answers with, the terminal states.
    """

    noise: Tensor
    rates: Tensor
    step: Tensor
    bits: Tensor | None
    drawn: list[Tensor] = field(default_factory=list)


@plain_torch()
def train(
    losses: Mapping[str, Loss],
    graph: Space,
    *,
    objective: str = "tb",
    sampler: str | Sampler = "on",
    backward: str = "uniform",
    exact: bool = False,
    seeds: int | Sequence[int] = 5,
    steps: int = 5_000,
    batch: int = 64,
    policy: str = "tabular",
    width: int | None = None,
    depth: int | None = None,
    evaluate: str = "auto",
    window: int = 0,
    learning_rate: float | Sequence[float] | None = None,
    learning_rate_log_z: float | None = None,
    decay: float | None = None,
    max_grad_norm: float | None = 10.0,
    weight_decay: float = 0.0,
    dropout: float = 0.0,
    initial_log_z: float | None = None,
    initial_log_flow: float | None = None,
    stop_logit: float | None = None,
    target_states: Tensor | None = None,
    device: str = "auto",
    deterministic: bool = False,
    dtype: torch.dtype = torch.float32,
    evaluations: int = 50,
    progress: bool | Callable[[int, int], None] | None = None,
    on_drawn: Callable[[int, Tensor], None] | None = None,
    on_laws: Callable[[int, Tensor], None] | None = None,
    out: str | Path | None = None,
    resume: bool = False,
) -> Result:
    """Minimise mean_B sum_O weight g(x) of each loss g for each seed by Adam, all members together.

    `losses` maps a name to an elementwise g(x) in torch, or to a schedule of such.  `objective`:
    tb, vargrad, db, subtb(0.9), fm, fl-..., modified-...; `sampler`: on, epsilon:0.05, tempered:2,
    backward, mixture:0.5, replay:0.5, or several joined by commas; `backward`: P_B uniform, learned
    or maxent.  `exact`: the expected gradient of an enumerated graph in place of a sampled one; a
    table then moves along the natural gradient, which takes tens of steps where sampling takes
    thousands.  `seeds` is a number or a list, `learning_rate` a number or a list: every loss is
    trained at each.  `policy`: tabular, mlp or, for blocks, mpnn; `width` and `depth` (None: 256
    and 2, or 32 and 3 of mpnn).  All learning rates fall as (1 - step/steps)^decay, decay 1, or 0
    if exact with a table.  log Z starts at the bound log X + max log R, so that residuals start
    below 0, where no loss explodes, and the logit of stopping at log((A-1)/(T-1)), so that the
    first trajectories are about as long as they can be; give 0.0 and 0.0 for the usual start.
    Policy "transformer", for generated bits, has the paper's sizes and `dropout`.  `weight_decay`:
    Adam's, of all but log Z.  `evaluate`: the policy at "all states", at the "visited" ones, or
    "auto", whichever are fewer.  `window` W > 0 keeps the last W terminal states drawn and measures
    `window_l1`, the sum |empirical law of these - target| (nan before the first).  `deterministic`:
    the same bits in every run on one device. `progress(step, steps)` is called at each of about
    `evaluations` exact evaluations; None shows a bar on standard error if that is a terminal.
    `on_drawn(step, states)` is called after each step with the terminal states that it drew, [L, N,
    B] or [L, N, B, D], and `on_laws(step, laws)` at each exact evaluation with [L, N, X]; a run
    that is resumed calls them from where it goes on.  With `out`, metrics stream to that folder, a
    checkpoint follows every 30 s, and `resume` continues from it to the same numbers.  What the
    caller has set in torch (no_grad, inference_mode, a default device or dtype) plays no role.  A
    member that never moved is warned of (NeverMoved).
    """
    arguments = dict(locals())
    run = prepare(arguments)
    folder = None if out is None else Path(out)
    at = np.unique(np.rint(steps * np.linspace(0, 1, evaluations + 1) ** 2).astype(np.int64))
    state = _start(run, len(at))
    first, seconds = _continue(run, state, folder) if resume else (0, 0.0)
    if folder is not None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            start_over(folder)
        except OSError as error:
            raise TrainingError(
                f"out {str(folder)!r} is no folder that can be written "
                f"({error.strerror}); choose another"
            ) from error
    with _threads(state.members.values), _determinism(deterministic):
        seconds = _loop(run, state, at, first, seconds, progress, folder, on_drawn, on_laws)
        result = _result(run, state, at, seconds)
    if folder is not None:
        save(result, folder)
    for line in never_moved(result):
        warnings.warn(line, NeverMoved, stacklevel=3)
    return result


def _threads(values: Tensor) -> AbstractContextManager[None]:
    """One thread for a small ensemble on a CPU."""
    return one_thread(values.device.type == "cpu" and values.numel() < SMALL)


@contextmanager
def _determinism(wanted: bool) -> Iterator[None]:
    before = torch.are_deterministic_algorithms_enabled()
    try:
        if wanted:
            torch.use_deterministic_algorithms(True)
        yield
    finally:
        torch.use_deterministic_algorithms(before)


def _loop(
    run: Run,
    state: _Progress,
    at: np.ndarray,
    first: int,
    seconds_before: float,
    progress: bool | Callable[[int, int], None] | None,
    folder: Path | None,
    on_drawn: Callable[[int, Tensor], None] | None = None,
    on_laws: Callable[[int, Tensor], None] | None = None,
) -> float:
    """Train from step `first` to the end, in place; seconds spent, those before this call
    included.
    """
    config = run.config
    steps, seeds, batch, n_steps = (
        config["steps"],
        config["seeds"],
        config["batch"],
        run.space.max_steps,
    )
    length = chunk_length(n_steps, batch)
    shown = progress is True or (progress is None and sys.stderr.isatty())
    started = last_written = time.monotonic()
    upcoming = int(np.searchsorted(at, first, side="right")) if first else 0
    noise = None
    inputs, advance = _advancing(run, state)
    with tqdm(total=steps, initial=first, disable=not shown, unit="step", file=sys.stderr) as bar:
        for step in range(first, steps + 1):
            due = upcoming < len(at) and step == at[upcoming]
            if due:
                law = evaluate(run, state.members, state.visited, state.curves, upcoming)
                if on_laws and law is not None:
                    on_laws(step, _by_row(run, law))
                if state.window.shape[1]:
                    state.curves["window_l1"][:, upcoming] = window_l1(
                        run, state.window, step * batch
                    )
                upcoming += 1
                bar.update(step - bar.n)
            now = time.monotonic()
            if folder and (now - last_written >= CHECKPOINT_SECONDS or step == steps):
                spent = seconds_before + now - started
                checkpoints.write(folder, config, _loss_values(run), step, spent, _tensors(state))
                write_metrics(folder, config, at[:upcoming], _shaped(run, state.curves))
                last_written = now
            if due and callable(progress):
                progress(step, steps)
            if step == steps:
                break
            torch.mul(run.rates, (1 - step / steps) ** config["decay"], out=inputs.rates)
            if not config["exact"]:
                if noise is None or step % length == 0:
                    shape = (length, n_steps, batch)
                    noise = uniforms(seeds, step // length, shape, run.device, run.dtype)
                inputs.noise.copy_(noise[:, step % length])
                inputs.step.fill_(step)
                if inputs.bits is not None:
                    inputs.bits.copy_(
                        random_bits(seeds, DROPOUT + step, inputs.bits.shape[1:], run.device)
                    )
            advance(step / steps)
            if on_drawn and not config["exact"]:
                on_drawn(
                    step, _by_row(run, inputs.drawn[0].clone())
                )  # a recorded step writes there again
    return seconds_before + time.monotonic() - started


def _by_row(run: Run, tensor: Tensor) -> Tensor:
    """[M, ..] -> [L, N, ..]"""
    return tensor.view(len(run.rows), -1, *tensor.shape[1:])


def _advancing(run: Run, state: _Progress) -> tuple[_Inputs, Callable[[float], None]]:
    """(what is to be filled in before each step, a step after this fraction of the run).  No step
    waits for the device.

    On a GPU the step is recorded once and replayed, unless a loss changes over the run: a number
    that changes cannot be recorded.
    """
    if state.steps:
        return state.steps[0]
    shape = (len(run.config["seeds"]), run.space.max_steps, run.config["batch"])
    inputs = _Inputs(
        torch.empty(shape, device=run.device, dtype=run.dtype),
        run.rates.clone(),
        torch.zeros((), dtype=torch.long, device=run.device),
        _bits(run),
    )
    update = _update_exactly if run.config["exact"] else _update
    if any(isinstance(loss, Schedule) for loss in run.losses.values()):
        advance = lambda fraction: update(run, state, inputs, fraction)  # noqa: E731
    else:
        again = repeated(lambda: update(run, state, inputs, 0.0), run.device)
        advance = lambda fraction: again()  # noqa: E731
    state.steps.append((inputs, advance))
    return state.steps[0]


def _bits(run: Run) -> Tensor | None:
    """Room for the random numbers of dropout, [N, T, B, K]; None without."""
    if not run.config.get("dropout"):
        return None
    shape = (
        len(run.config["seeds"]),
        run.space.max_steps,
        run.config["batch"],
        run.policy.n_random,
    )
    return torch.empty(shape, device=run.device, dtype=torch.int16)


def _update(run: Run, state: _Progress, inputs: _Inputs, fraction: float) -> None:
    """One step of every member: sample, residual, loss, gradient, Adam."""
    members = state.members
    # members with one seed see the same uniforms under every loss and learning rate
    noise = inputs.noise.repeat(len(run.rows), 1, 1)
    found, terminal = roll(
        run.rollout, members.parameters, noise, state.buffer, inputs.step, inputs.bits
    )
    # summed over members: no member's gradient holds anything of another's
    _adam(run, members, gradients(_total(run, found, fraction), members), inputs.rates)
    seen(run, state.visited, terminal)
    if state.window.shape[1]:
        keep(state.window, terminal, inputs.step)
    inputs.drawn[:] = [terminal]


def _adam(run: Run, members: Ensemble, gradient: Sequence[Tensor], rates: Tensor) -> None:
    max_norm = run.config["max_grad_norm"]
    max_norm = float("inf") if max_norm is None else max_norm
    adam_step(members, gradient, rates, max_norm, run.config.get("weight_decay", 0.0))


def _update_exactly(run: Run, state: _Progress, inputs: _Inputs, fraction: float) -> None:
    """One step of every member along its expected gradient: natural where the policy is a table,
    else by Adam.
    """
    members, rollout = state.members, run.rollout
    model = flow(rollout.policy, members.parameters, rollout.objective, rollout.backward)
    gradient = gradients(_expected_total(run, model, fraction), members)
    if not is_natural(True, run.config["policy"], rollout.objective):
        _adam(run, members, gradient, inputs.rates)
        return
    rows = often(rollout.policy, model, rollout.sampler).flatten(1)
    scale = torch.cat(
        [rows, torch.ones_like(rows[:, :1])], dim=1
    )  # log Z comes last, and is always at work
    natural_step(members, gradient, scale, inputs.rates, NATURAL[rollout.objective.kind][1])


def _expected_total(run: Run, model: Flow, fraction: float) -> Tensor:
    """The same sum in expectation: every object weighted by how often it would be drawn."""
    rollout, graph = run.rollout, run.space
    if run.listed is not None:
        found = listed_residuals(graph, rollout.objective, model, run.listed, rollout.sampler)
        return _total(run, found, fraction)
    if rollout.objective.kind != "tb":
        return _total(
            run, expected_residuals(graph, rollout.objective, model, rollout.sampler), fraction
        )
    of_loss = [
        expected_tb(graph, members, terms_of(loss, fraction), rollout.sampler)
        for loss, members in zip(run.losses.values(), model.split(len(run.losses)), strict=True)
    ]
    return torch.cat(of_loss).sum()


def _total(run: Run, found: Residuals, fraction: float) -> Tensor:
    """What has the gradient of the sum over members of mean_B sum_O weight g(x): each loss is
    called once for all its members.
    """
    of_loss = found.x.view(len(run.losses), len(found.x) // len(run.losses), *found.x.shape[1:])
    values = []
    for loss, x in zip(run.losses.values(), of_loss.unbind(0), strict=True):
        loss = loss.at(fraction) if isinstance(loss, Schedule) else loss
        # of a loss that says g' by itself, g' x with g' held constant will do, and costs half
        # cut far out, so that a sum of gradients stays finite in float32
        values.append(
            loss.gradient(x).clamp(-STEEPEST, STEEPEST) * x
            if getattr(loss, "gives_gradient", False)
            else loss(x)
        )
    return (found.weight * torch.cat(values)).sum() / found.x.shape[-1]


def _start(run: Run, n_evaluations: int) -> _Progress:
    seeds = list(run.config["seeds"]) * len(run.rows)
    size = run.config.get("window", 0)
    names = (*metric_names(run.space), *(["window_l1"] if size else []))
    curves = {
        name: torch.full((len(seeds), n_evaluations), torch.nan, dtype=torch.float64)
        for name in names
    }
    n_places = run.space.n_states if isinstance(run.space, PointedDAG) else run.space.n_modes
    # exact training visits every state
    visited = torch.full((len(seeds), n_places + 1), run.config["exact"], device=run.device)
    members = ensemble(run.policy.init(seeds, run.device, run.dtype))
    window = torch.full((len(seeds), size), n_places, dtype=torch.int32, device=run.device)
    return _Progress(
        members, visited, window, empty_buffer(run.rollout, len(seeds), run.device), curves
    )


def _tensors(state: _Progress) -> dict[str, Tensor]:
    curves = {f"curve.{name}": curve for name, curve in state.curves.items()}
    return {
        **state.members.state(),
        "visited": state.visited,
        "window": state.window,
        "buffer": state.buffer,
        **curves,
    }


@torch.no_grad()
def _continue(run: Run, state: _Progress, folder: Path | None) -> tuple[int, float]:
    """Load the checkpoint into `state`; the step to go on from and the seconds spent so far."""
    if folder is None:
        raise TrainingError("resume needs the folder of the run to continue; give out=DIR")
    found = checkpoints.read(folder, run.config, _loss_values(run))
    if found is None:
        return 0, 0.0
    step, seconds, saved = found
    tensors = _tensors(state)
    checkpoints.must_match(folder, saved, tensors)
    for name, tensor in tensors.items():
        tensor.copy_(saved[name])
    return step, seconds


def _loss_values(run: Run) -> dict[str, Tensor]:
    return checkpoints.loss_values(run.losses, run.dtype, run.device)


def _shaped(run: Run, curves: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
    shape = (len(run.rows), len(run.config["seeds"]), -1)
    return {name: curve.numpy().reshape(shape).copy() for name, curve in curves.items()}


def _result(run: Run, state: _Progress, at: np.ndarray, seconds: float) -> Result:
    curves = _shaped(run, state.curves)
    shape = (len(run.rows), len(run.config["seeds"]))
    finite, moved = finite_and_moved(run, state.members, curves)
    drawn = 0 if run.config["exact"] else run.config["steps"] * run.config["batch"] * run.n_members
    enumerated = isinstance(run.space, PointedDAG)
    states = run.space.terminal_states if enumerated else None
    coordinates = run.space.coordinates if enumerated else None
    return Result(
        losses=tuple(name for name, _ in run.rows),
        learning_rates=tuple(rate for _, rate in run.rows),
        seeds=tuple(run.config["seeds"]),
        steps=at,
        metrics=curves,
        terminal=final_law(run, state.members).reshape(*shape, -1) if enumerated else None,
        target=target_distribution(run.space) if enumerated else None,
        terminal_states=states,
        coordinates=None if coordinates is None else coordinates[states],
        log_z_true=log_partition(run.space) if enumerated else run.space.log_z,
        finite=finite,
        moved=moved,
        config=run.config,
        environment=environment(run.device),
        seconds=seconds,
        trajectories_per_second=drawn / seconds,
    )
