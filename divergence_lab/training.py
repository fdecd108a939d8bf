"""Train an ensemble: every (loss, seed) is a member, and the members are one leading tensor axis."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from divergence_lab import checkpoints
from divergence_lab.gflownet.exact import log_partition, target_distribution, terminal_distribution
from divergence_lab.gflownet.optimiser import Ensemble, adam_step, ensemble, unpack
from divergence_lab.gflownet.randomness import chunk_length, uniforms
from divergence_lab.gflownet.sampling import sample
from divergence_lab.graphs.dag import PointedDAG
from divergence_lab.results import METRICS, Result, environment, law_metrics, save
from divergence_lab.settings import Loss, Run, TrainingError, prepare

CHECKPOINT_SECONDS = 30.0
SMALL = 2**18  # parameters of all members together


@dataclass(frozen=True, eq=False)
class _Progress:
    """What changes: parameters, the modes seen [M, S+1], and the curves [M, K] of each metric so far."""

    members: Ensemble
    visited: Tensor
    curves: Mapping[str, Tensor]


def train(
    losses: Mapping[str, Loss],
    graph: PointedDAG,
    *,
    objective: str = "tb",
    seeds: int | Sequence[int] = 5,
    steps: int = 5_000,
    batch: int = 64,
    policy: str = "tabular",
    learning_rate: float | None = None,
    learning_rate_log_z: float | None = None,
    decay: float = 1.0,
    max_grad_norm: float | None = 10.0,
    initial_log_z: float | None = None,
    stop_logit: float | None = None,
    device: str = "auto",
    dtype: torch.dtype = torch.float32,
    evaluations: int = 50,
    progress: bool | Callable[[int, int], None] | None = None,
    out: str | Path | None = None,
    resume: bool = False,
) -> Result:
    """Minimise mean_B g(x) of each loss g for each seed by Adam, on-policy, all members together.

    `losses` maps a name to an elementwise g(x) in torch.  `seeds` is a number or a list.  Both learning rates
    fall as (1 - step/steps)^decay.  log Z starts at the bound log X + max log R, so that residuals start
    below 0, where no loss explodes, and the logit of stopping at log((A-1)/(T-1)), so that the first
    trajectories are about as long as they can be; give 0.0 and 0.0 for the usual start.
    `progress(step, steps)` is called at each of about `evaluations` exact evaluations; None shows a bar on
    standard error if that is a terminal.  With `out`, results and a checkpoint go to that folder, and
    `resume` continues from the checkpoint to the same numbers.
    """
    arguments = dict(locals())
    run = prepare(arguments)
    folder = None if out is None else Path(out)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    at = np.unique(np.rint(steps * np.linspace(0, 1, evaluations + 1) ** 2).astype(np.int64))
    state = _start(run, len(at))
    first, seconds = _continue(run, state, folder) if resume else (0, 0.0)
    with _threads(state.members.values):
        seconds = _loop(run, state, at, first, seconds, progress, folder)
        result = _result(run, state, at, seconds)
    if folder is not None:
        save(result, folder)
    return result


@contextmanager
def _threads(values: Tensor) -> Iterator[None]:
    """One thread for a small ensemble on a CPU: more gain nothing there, and on shared cores cost much."""
    before = torch.get_num_threads()
    try:
        if values.device.type == "cpu" and values.numel() < SMALL:
            torch.set_num_threads(1)
        yield
    finally:
        torch.set_num_threads(before)


def _loop(
    run: Run,
    state: _Progress,
    at: np.ndarray,
    first: int,
    seconds_before: float,
    progress: bool | Callable[[int, int], None] | None,
    folder: Path | None,
) -> float:
    """Train from step `first` to the end, in place; seconds spent, those before this call included."""
    config = run.config
    steps, seeds, batch, n_steps = config["steps"], config["seeds"], config["batch"], run.graph.max_steps
    length = chunk_length(n_steps, batch)
    shown = progress is True or (progress is None and sys.stderr.isatty())
    started = last_written = time.monotonic()
    upcoming = int(np.searchsorted(at, first, side="right")) if first else 0
    noise = None
    with tqdm(total=steps, initial=first, disable=not shown, unit="step", file=sys.stderr) as bar:
        for step in range(first, steps + 1):
            if upcoming < len(at) and step == at[upcoming]:
                _evaluate(run, state, upcoming)
                upcoming += 1
                now = time.monotonic()
                if folder and (now - last_written >= CHECKPOINT_SECONDS or step == steps):
                    checkpoints.write(folder, config, step, seconds_before + now - started, _tensors(state))
                    last_written = now
                bar.update(step - bar.n)
                if callable(progress):
                    progress(step, steps)
            if step == steps:
                break
            if noise is None or step % length == 0:
                shape = (length, n_steps, batch)
                noise = uniforms(seeds, step // length, shape, run.device, run.dtype)
            _update(run, state, noise[:, step % length], (1 - step / steps) ** config["decay"])
    return seconds_before + time.monotonic() - started


def _update(run: Run, state: _Progress, noise: Tensor, decay: float) -> None:
    """One step of every member: sample, residual, loss, gradient, Adam.  No wait for the device."""
    members = state.members
    parameters = unpack(members.shapes, members.values)
    log_pf = run.policy.log_pf(parameters)
    # members with one seed see the same uniforms under every loss
    walked = sample(run.graph, log_pf.detach(), noise.repeat(len(run.losses), 1, 1))
    residual = run.residual(run.graph, log_pf, parameters["log_z"], walked)
    rows = residual.view(len(run.losses), -1, residual.shape[-1]).unbind(0)
    values = [loss(x).mean(dim=-1).sum() for loss, x in zip(run.losses.values(), rows, strict=True)]
    # summed over members: no member's gradient holds anything of another's
    (gradient,) = torch.autograd.grad(torch.stack(values).sum(), members.values)
    max_norm = run.config["max_grad_norm"]
    adam_step(members, gradient, decay * run.rates, float("inf") if max_norm is None else max_norm)
    state.visited.scatter_(1, walked.terminal, True)


@torch.no_grad()
def _evaluate(run: Run, state: _Progress, column: int) -> None:
    """Fill column `column` of every curve with exact values, in float64."""
    measured = law_metrics(_law(run, state), target_distribution(run.graph))
    log_z = unpack(state.members.shapes, state.members.values)["log_z"]
    modes = torch.tensor(run.graph.modes, device=run.device)
    measured |= {
        "log_z": log_z.double().cpu(),
        "modes_found": state.visited[:, modes].sum(dim=1).double().cpu(),
    }
    for name in METRICS:
        state.curves[name][:, column] = torch.as_tensor(measured[name])


def _law(run: Run, state: _Progress) -> np.ndarray:
    """[M, X] exact terminal law; float64 parameters, so that it sums to 1 to rounding."""
    values = state.members.values.detach().double()
    log_pf = run.policy.log_pf(unpack(state.members.shapes, values))
    return terminal_distribution(run.graph, log_pf).cpu().numpy()


def _start(run: Run, n_evaluations: int) -> _Progress:
    seeds = list(run.config["seeds"]) * len(run.losses)
    curves = {
        name: torch.full((len(seeds), n_evaluations), torch.nan, dtype=torch.float64) for name in METRICS
    }
    visited = torch.zeros(len(seeds), run.graph.n_states + 1, dtype=torch.bool, device=run.device)
    return _Progress(ensemble(run.policy.init(seeds, run.device, run.dtype)), visited, curves)


def _tensors(state: _Progress) -> dict[str, Tensor]:
    curves = {f"curve.{name}": curve for name, curve in state.curves.items()}
    return {**state.members.state(), "visited": state.visited, **curves}


@torch.no_grad()
def _continue(run: Run, state: _Progress, folder: Path | None) -> tuple[int, float]:
    """Load the checkpoint into `state`; the step to go on from and the seconds spent so far."""
    if folder is None:
        raise TrainingError("resume needs the folder of the run to continue; give out=DIR")
    found = checkpoints.read(folder, run.config)
    if found is None:
        return 0, 0.0
    step, seconds, saved = found
    for name, tensor in _tensors(state).items():
        tensor.copy_(saved[name])
    return step, seconds


def _result(run: Run, state: _Progress, at: np.ndarray, seconds: float) -> Result:
    shape = (len(run.losses), len(run.config["seeds"]), -1)
    curves = {name: curve.numpy().reshape(shape).copy() for name, curve in state.curves.items()}
    with torch.no_grad():
        terminal = _law(run, state).reshape(shape)
    finite = state.members.finite.cpu().numpy().reshape(shape[:2])
    terminal_states, coordinates = run.graph.terminal_states, run.graph.coordinates
    return Result(
        losses=tuple(run.losses),
        seeds=tuple(run.config["seeds"]),
        steps=at,
        metrics=curves,
        terminal=terminal,
        target=target_distribution(run.graph),
        terminal_states=terminal_states,
        coordinates=None if coordinates is None else coordinates[terminal_states],
        log_z_true=log_partition(run.graph),
        finite=finite & np.isfinite(curves["tv"]).all(axis=-1) & np.isfinite(curves["log_z"]).all(axis=-1),
        config=run.config,
        environment=environment(run.device),
        seconds=seconds,
        trajectories_per_second=run.config["steps"] * run.config["batch"] * run.n_members / seconds,
    )
