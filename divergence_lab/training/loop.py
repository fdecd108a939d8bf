"""Train an ensemble: every (loss, learning rate, seed) is a member, and the members are one
leading tensor axis.
"""

import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from divergence_lab import outputs
from divergence_lab.gflownet import devices, randomness
from divergence_lab.gflownet.listed.exact import log_partition, target_distribution
from divergence_lab.graphs import ambient, dag, generated, texts
from divergence_lab.results import provenance, storage
from divergence_lab.results.result import NeverMoved, Result, never_moved
from divergence_lab.signals import Stopped, noted
from divergence_lab.training import (
    checkpoints,
    evaluation,
    schedule_texts,
    settings,
    sizes,
    stepping,
)
from divergence_lab.training.arguments import Arguments, changed
from divergence_lab.training.trainable import TrainingError

CHECKPOINT_SECONDS = 30.0
SMALL = 2**18  # parameters of all members together
WRITTEN = (*storage.WRITTEN, *checkpoints.WRITTEN)  # in the folder of a run


@ambient.plain_torch()
def train(
    losses: schedule_texts.AnyLosses,
    graph: generated.Space | str | None = None,
    arguments: Arguments = Arguments(),
    *,
    progress: bool | Callable[[int, int], None] | None = None,
    on_drawn: Callable[[int, Tensor], None] | None = None,
    on_laws: Callable[[int, Tensor], None] | None = None,
    on_metrics: Callable[[int, Mapping[str, float]], None] | None = None,
    out: str | Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
    **changes: Any,
) -> Result:
    """Minimise mean_B sum_O weight g(x) of each loss g for each seed by Adam, all members together.

    `losses`: a list of losses, or a mapping of names to them; each is a text, a `Loss`, an
    elementwise g(x) in torch, or a schedule of such.  `graph`: a graph or its text.  `arguments`,
    and any of its fields by name: `Arguments` says what each is (`train("quadratic",
    "hypergrid:2x8", seeds=3, objective="db")`).

    `progress(step, steps)` is called at each of about `evaluations` exact evaluations; None shows a
    bar on standard error if that is a terminal.  `on_metrics(step, values)` is called there too,
    with {"tv/quadratic/seed 0": 0.31, ...}, for a logger of your own, and `on_laws(step, laws)`
    with [L, N, X]; `on_drawn(step, states)` after each step with the terminal states that it drew,
    [L, N, B] or [L, N, B, D].  A run that is resumed calls them from where it goes on.

    With `out`, metrics stream to that folder, a checkpoint follows every 30 s, and `resume`
    continues from it to the same numbers; Ctrl-C writes one and raises `Stopped`, a
    KeyboardInterrupt.  A folder in use is refused, and one that holds a run unless it is resumed or
    `overwrite` replaces it.  What the caller has set in torch (no_grad, inference_mode, a default
    device or dtype) plays no role.  A member that never moved is warned of (NeverMoved).  Raises
    TrainingError for an argument that can't be used.  Source: Hu et al. (2025), section 3; batched
    over losses and seeds.

        >>> import divergence_lab as dl
        >>> losses = ["quadratic", "linex(1)"]
        >>> result = dl.train(losses, "hypergrid:2x3", seeds=2, steps=40, exact=True)
        >>> result.terminal.shape  # losses, seeds, terminal states: exact learned laws
        (2, 2, 9)
        >>> bool((result.metrics["tv"][..., -1] < 0.01).all())
        True
    """
    arguments = changed(arguments, changes)
    texts.refuse_as_losses(losses)
    run = settings.make_run(schedule_texts.torch_losses(losses), texts.as_space(graph), arguments)
    sizes.refuse_what_does_not_fit(run)
    folder = _folder(out, resume, overwrite)
    evaluated = arguments.steps * np.linspace(0, 1, arguments.evaluations + 1) ** 2
    at = np.unique(np.rint(evaluated).astype(np.int64))
    state = stepping.start_progress(run, len(at))
    with outputs.held(folder, WRITTEN) if folder else nullcontext():
        first, seconds = _start(run, state, folder, resume, overwrite) if folder else (0, 0.0)
        with one_thread_if_small(state.members.values), _determinism(arguments.deterministic):
            with noted() if folder else nullcontext([]) as came:
                seconds = run_steps(
                    run,
                    state,
                    at,
                    first,
                    seconds,
                    progress,
                    folder,
                    on_drawn,
                    on_laws,
                    came,
                    on_metrics,
                )
            if came:  # after the last look at them
                raise _stopped(came[0], arguments.steps, arguments.steps, folder)
            result = _result(run, state, at, seconds)
        if folder is not None:
            storage.write(result, folder)
    for line in never_moved(result):
        warnings.warn(line, NeverMoved, stacklevel=3)
    return result


def _folder(out: str | Path | None, resume: bool, overwrite: bool) -> Path | None:
    if resume and out is None:
        raise TrainingError("resume needs the folder of the run to continue; give out=DIR")
    if resume and overwrite:
        raise TrainingError("resume goes on with a run and overwrite replaces it; choose one")
    return None if out is None else outputs.folder_named(out)


def one_thread_if_small(values: Tensor) -> AbstractContextManager[None]:
    """One thread for a small ensemble on a CPU."""
    return devices.one_thread(values.device.type == "cpu" and values.numel() < SMALL)


@contextmanager
def _determinism(wanted: bool) -> Iterator[None]:
    before = torch.are_deterministic_algorithms_enabled()
    try:
        torch.use_deterministic_algorithms(wanted or before)
        yield
    finally:
        torch.use_deterministic_algorithms(before)


def run_steps(
    run: settings.Run,
    state: stepping.Progress,
    at: np.ndarray,
    first: int,
    seconds_before: float,
    progress: bool | Callable[[int, int], None] | None,
    folder: Path | None,
    on_drawn: Callable[[int, Tensor], None] | None = None,
    on_laws: Callable[[int, Tensor], None] | None = None,
    came: Sequence[int] = (),
    on_metrics: Callable[[int, Mapping[str, float]], None] | None = None,
) -> float:
    """Train from step `first` to the end, in place; seconds spent, those before this call
    included.

    Raises Stopped, after a checkpoint, when a signal comes.
    """
    config, steps = run.config, run.config["steps"]
    shown = progress is True or (progress is None and sys.stderr.isatty())
    started = last_written = time.monotonic()
    upcoming = int(np.searchsorted(at, first, side="right")) if first else 0
    noise = None
    inputs, advance = stepping.make_step(run, state)
    with tqdm(total=steps, initial=first, disable=not shown, unit="step", file=sys.stderr) as bar:
        for step in range(first, steps + 1):
            due = upcoming < len(at) and step == at[upcoming]
            if due:
                law = evaluation.evaluate(run, state.members, state.visited, state.curves, upcoming)
                if on_laws and law is not None:
                    on_laws(step, _by_row(run, law))
                if state.window.shape[1]:
                    state.curves["window_l1"][:, upcoming] = evaluation.window_l1(
                        run, state.window, step * config["batch"]
                    )
                if on_metrics:
                    on_metrics(step, _values(run, state.curves, upcoming))
                upcoming += 1
                bar.update(step - bar.n)
            now = time.monotonic()
            if folder and (came or now - last_written >= CHECKPOINT_SECONDS or step == steps):
                spent = seconds_before + now - started
                checkpoints.write(
                    folder, config, _loss_values(run), step, spent, stepping.tensors_of(state)
                )
                storage.write_metrics(folder, config, at[:upcoming], _shaped(run, state.curves))
                last_written = now
            if came and folder:
                raise _stopped(came[0], step, steps, folder)
            if due and callable(progress):
                progress(step, steps)
            if step == steps:
                break
            noise = _fill(run, inputs, step, noise)
            advance(step / steps)
            if on_drawn and not config["exact"]:
                # a recorded step writes there again
                on_drawn(step, _by_row(run, inputs.drawn[0].clone()))
    return seconds_before + time.monotonic() - started


def _stopped(signal: int, step: int, steps: int, folder: Path | None) -> Stopped:
    return Stopped(signal, f"stopped at step {step} of {steps}, with a checkpoint in {folder}")


def _fill(
    run: settings.Run, inputs: stepping.Inputs, step: int, noise: Tensor | None
) -> Tensor | None:
    """Tell a step its rates and its random numbers; the uniforms [N, K, T, B] of some steps, drawn
    together and handed back for the next ones.
    """
    config, seeds = run.config, run.config["seeds"]
    torch.mul(run.rates, (1 - step / config["steps"]) ** config["decay"], out=inputs.rates)
    if config["exact"]:
        return None
    length = randomness.chunk_length(run.space.max_steps, config["batch"])
    if noise is None or step % length == 0:
        shape = (length, run.space.max_steps, config["batch"])
        noise = randomness.uniforms(seeds, step // length, shape, run.device, run.dtype)
    inputs.noise.copy_(noise[:, step % length])
    inputs.step.fill_(step)
    if inputs.bits is not None:
        inputs.bits.copy_(
            randomness.random_bits(
                seeds, randomness.DROPOUT + step, inputs.bits.shape[1:], run.device
            )
        )
    return noise


def _values(run: settings.Run, curves: Mapping[str, Tensor], k: int) -> dict[str, float]:
    """The metrics of each member at evaluation k, by names that loggers group: metric/loss/seed."""
    several = len({rate for _, rate in run.rows}) > 1
    members = [
        f"{loss} at {rate:g}/seed {seed}" if several else f"{loss}/seed {seed}"
        for loss, rate in run.rows
        for seed in run.config["seeds"]
    ]
    return {
        f"{metric}/{member}": value
        for metric, curve in curves.items()
        for member, value in zip(members, curve[:, k].tolist(), strict=True)
    }


def _by_row(run: settings.Run, tensor: Tensor) -> Tensor:
    """[M, ..] -> [L, N, ..]"""
    return tensor.view(len(run.rows), -1, *tensor.shape[1:])


@torch.no_grad()
def _start(
    run: settings.Run, state: stepping.Progress, folder: Path, resume: bool, overwrite: bool
) -> tuple[int, float]:
    """The step to go on from and the seconds spent so far, with the checkpoint loaded into
    `state`; without one the folder must hold no other run, unless it is to be replaced.
    """
    checkpoint = checkpoints.read(folder, run.config, _loss_values(run)) if resume else None
    if checkpoint is None:
        if resume and (there := outputs.already(folder, WRITTEN)) is not None:
            raise checkpoints.CheckpointError(
                f"{folder} holds {there} and no checkpoint to go on from; choose another folder, "
                "or start again with --overwrite"
            )
        if not overwrite:
            outputs.must_be_free(folder, WRITTEN, " go on with its run with --resume,")
        for name in checkpoints.WRITTEN:
            (folder / name).unlink(missing_ok=True)
        storage.start_over(folder)
        return 0, 0.0
    step, seconds, saved = checkpoint
    tensors = stepping.tensors_of(state)
    checkpoints.must_match(folder, saved, tensors)
    for name, tensor in tensors.items():
        tensor.copy_(saved[name])
    storage.start_over(folder)
    return step, seconds


def _loss_values(run: settings.Run) -> dict[str, Tensor]:
    return checkpoints.loss_values(run.losses, run.dtype, run.device)


def _shaped(run: settings.Run, curves: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
    shape = (len(run.rows), len(run.config["seeds"]), -1)
    return {name: curve.numpy().reshape(shape).copy() for name, curve in curves.items()}


def _result(run: settings.Run, state: stepping.Progress, at: np.ndarray, seconds: float) -> Result:
    curves = _shaped(run, state.curves)
    shape = (len(run.rows), len(run.config["seeds"]))
    finite, moved = evaluation.finite_and_moved(run, state.members, curves)
    drawn = 0 if run.config["exact"] else run.config["steps"] * run.config["batch"] * run.n_members
    laws: dict[str, Any] = {
        "terminal": None,
        "target": None,
        "terminal_states": None,
        "coordinates": None,
    }
    if isinstance(run.space, dag.PointedDAG):
        states, coordinates = run.space.terminal_states, run.space.coordinates
        laws = {
            "terminal": evaluation.final_law(run, state.members).reshape(*shape, -1),
            "target": target_distribution(run.listed_as_given),
            "terminal_states": states,
            "coordinates": None if coordinates is None else coordinates[states],
        }
        log_z_true = log_partition(run.listed_as_given)
    else:
        log_z_true = run.space.log_z
    return Result(
        losses=tuple(name for name, _ in run.rows),
        learning_rates=tuple(rate for _, rate in run.rows),
        seeds=tuple(run.config["seeds"]),
        steps=at,
        metrics=curves,
        **laws,
        log_z_true=log_z_true,
        finite=finite,
        moved=moved,
        config=run.config,
        environment=provenance.environment(run.device),
        seconds=seconds,
        trajectories_per_second=drawn / seconds,
    )
