"""What is measured while an ensemble trains: exact values where the states are listed, estimates
where not.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from divergence_lab.gflownet import optimiser, randomness, samplers
from divergence_lab.gflownet.listed import exact, expected, flow
from divergence_lab.gflownet.policies.policy import Policy
from divergence_lab.gflownet.visited import residuals, walks
from divergence_lab.graphs import dag, generated
from divergence_lab.results.result import METRICS, SAMPLED_METRICS, law_metrics
from divergence_lab.training.settings import Run

SAMPLES = 256  # trajectories of each member behind one estimate
AT_TARGET = 1e-6  # total variation at which nothing is left to learn
CHUNK = 2**24  # hidden units of all members held at once while a large graph is evaluated


def metric_names(space: generated.Space) -> tuple[str, ...]:
    """The names of what is measured on this space."""
    return METRICS if isinstance(space, dag.PointedDAG) else SAMPLED_METRICS


@torch.no_grad()
def evaluate(
    run: Run,
    members: optimiser.Ensemble,
    visited: Tensor,
    curves: Mapping[str, Tensor],
    column: int,
) -> Tensor | None:
    """Fill column `column` of every curve: exact values in float64, or estimates from SAMPLES
    trajectories.

    The exact law [M, X], or None where there is none.
    """
    law = None
    if isinstance(run.space, dag.PointedDAG):
        law, log_z = _law(run, members)
        target = exact.target_distribution(run.listed_as_given)
        measured = {**law_metrics(law.cpu().numpy(), target), "log_z": log_z}
    else:
        measured = _sampled(run, members)
    measured["modes_found"] = _modes_found(run, visited)
    for name, values in measured.items():
        curves[name][:, column] = torch.as_tensor(values).double().cpu()
    return law


@torch.no_grad()
def final_law(run: Run, members: optimiser.Ensemble) -> np.ndarray:
    """[M, X] exact terminal law; float64 parameters, so that it sums to 1 to rounding."""
    return _law(run, members)[0].cpu().numpy()


def finite_and_moved(
    run: Run, members: optimiser.Ensemble, curves: Mapping[str, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """`Result.finite` and `Result.moved`, [L, N], from the curves [L, N, K]; what a member was
    at the start, its seed tells.
    """
    shape = (len(run.rows), len(run.config["seeds"]))
    start = run.policy.init(list(run.config["seeds"]) * len(run.rows), run.device, run.dtype)
    now = optimiser.unpack(members.shapes, members.values.detach())
    changed = torch.stack(
        [(now[key] != start[key]).view(len(now[key]), -1).any(dim=1) for key in now]
    ).any(dim=0)
    finite, moved = (one.cpu().numpy().reshape(shape) for one in (members.finite, changed))
    for name in ("tv", "log_z"):
        if name in curves:
            finite = finite & np.isfinite(curves[name]).all(axis=-1)
    # a member that stands still counts as a run only where it stands at the target
    at_target = curves["tv"][..., -1] < AT_TARGET if "tv" in curves else np.zeros(shape, dtype=bool)
    return finite & (moved | at_target), moved


def _law(run: Run, members: optimiser.Ensemble) -> tuple[Tensor, Tensor]:
    """The terminal law [M, X] and log Z [M] of the parameters in float64."""
    policy = run.law_policy
    assert policy is not None  # the states are listed
    parameters = optimiser.unpack(members.shapes, members.values.detach().double())
    rows = _all_rows(policy, parameters, run.config["policy"] == "tabular", run)
    model = flow.flow_from_rows(
        policy, rows, parameters, run.rollout.objective, run.rollout.backward
    )
    log_z = model.log_z
    if (
        run.rollout.objective.kind == "vargrad"
    ):  # it learns no log Z: what stands in for it, in expectation
        log_z = expected.expected_tb(
            run.graph, replace(model, log_z=torch.zeros_like(log_z)), [(1.0, 1, 0.0)]
        )
    return exact.terminal_distribution(run.graph, model.log_pf), log_z


def _all_rows(policy: Policy, parameters: Mapping[str, Tensor], tabular: bool, run: Run) -> Tensor:
    """The policy's rows at all states, a large graph chunk by chunk: hidden layers of all states
    do not fit.
    """
    if tabular:
        return policy.rows(parameters, None)
    n_members, n_states = len(parameters["log_z"]), run.graph.n_states
    size = max(
        1, CHUNK // (n_members * max(shape[-1] for shape in policy.shapes.values() if shape))
    )
    places = torch.arange(n_states, device=parameters["log_z"].device)
    parts = [policy.rows(parameters, part.expand(n_members, -1)) for part in places.split(size)]
    return torch.cat(parts, dim=-1)


def _sampled(run: Run, members: optimiser.Ensemble) -> dict[str, Tensor]:
    """Mean log-reward, and the bound E[log R + log P_B - log P_F] <= log Z, of fresh on-policy
    trajectories.
    """
    space = run.space
    assert isinstance(space, generated.GeneratedDAG)
    parameters = optimiser.unpack(members.shapes, members.values.detach())
    shape = (run.space.max_steps, SAMPLES)
    noise = randomness.uniforms(
        run.config["seeds"], randomness.EVALUATION, shape, run.device, run.dtype
    ).repeat(len(run.rows), 1, 1)
    walked = walks.walk(
        run.policy, parameters, samplers.Sampler(), noise, run.rollout.objective.flow == "edges"
    )
    steps = residuals.steps_along(
        run.policy, parameters, run.rollout.objective, run.rollout.backward, walked
    )
    return {
        "log_z": steps.log_z,
        "mean_log_reward": space.log_reward(walked.terminal).mean(dim=-1),
        "log_z_bound": steps.increment.sum(dim=1).mean(dim=-1),
    }


def mark_visited(run: Run, visited: Tensor, terminal: Tensor) -> None:
    """Mark the terminal states (or modes, in a generated space) that were reached; no wait for
    the device.
    """
    if isinstance(run.space, dag.PointedDAG):
        visited.scatter_(1, terminal if terminal.dim() == 2 else terminal[..., 0], True)
    elif run.space.modes_of is not None:
        place = run.space.modes_of(terminal).flatten(1)
        visited.scatter_(1, torch.where(place < 0, run.space.n_modes, place).long(), True)


@torch.no_grad()
def push_window(window: Tensor, terminal: Tensor, step: Tensor) -> None:
    """Put the terminal states of a step, [M, B] or [M, B, 1], into the ring `window` [M, W]; W is
    at least B.

    So no place is written twice: `settings` refuses a smaller window.
    """
    drawn = terminal if terminal.dim() == 2 else terminal[..., 0]
    batch, size = drawn.shape[1], window.shape[1]
    window[:, (step * batch + torch.arange(batch, device=window.device)) % size] = drawn.to(
        window.dtype
    )


@torch.no_grad()
def window_l1(run: Run, window: Tensor, drawn: int) -> Tensor:
    """sum over x of |share of x in the window - R(x)/Z|, [M]; nan where nothing has been drawn."""
    target = torch.tensor(exact.target_distribution(run.listed_as_given), device=window.device)
    counts = target.new_zeros(len(window), run.graph.n_states + 1)
    counts.scatter_add_(1, window.long(), torch.ones_like(window, dtype=target.dtype))
    states = torch.tensor(run.graph.terminal_states, device=window.device).long()
    share = counts[:, states] / (min(drawn, window.shape[1]) if drawn else torch.nan)
    return (share - target).abs().sum(dim=1)


def _modes_found(run: Run, visited: Tensor) -> Tensor:
    modes = (
        torch.tensor(run.listed_as_given.modes, device=visited.device).long()
        if isinstance(run.space, dag.PointedDAG)
        else slice(-1)
    )
    return visited[:, modes].sum(dim=1).double()
