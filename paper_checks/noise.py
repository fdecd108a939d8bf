"""The noise of a sampled gradient, by loss and objective (docs/propositions.md, P31).

    python paper_checks/noise.py                       the quick preset: that it runs
    python paper_checks/noise.py --preset standard     committed; about a minute
    python paper_checks/noise.py --page                only the page, from the committed results

A 4 x 4 grid, 69 trajectories, a table. The covariance of one trajectory's gradient is a sum over all of
them; that of sampled batches is held against it, and against one that weighs the trajectories wrongly.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import presets
import torch
from noise_page import write_page
from torch import Tensor

import divergence_lab as dl
from divergence_lab.gflownet.listed import exact, flow, sampling
from divergence_lab.gflownet.objectives import objective
from divergence_lab.gflownet.policies.policy import heads, tabular
from divergence_lab.gflownet.samplers import Sampler
from divergence_lab.graphs.tables import tables
from divergence_lab.results.storage import write_atomically
from divergence_lab.theorem.variance import Noise, Sampled, batch_gradients, gradient_noise

CHECK = "noise"
GRAPH = dl.hypergrid(2, 4, r0=0.1)
CORNER = GRAPH.n_states - 1  # the far one: 0.6 of the 3.6 that all rewards sum to
LOSSES = ("quadratic", "log_cosh", "linex(1/2)", "linex(3/4)", "linex(1)", "shifted_cosh")
OBJECTIVES = ("tb", "db", "subtb", "fm")
DROPS = (0.5, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0, 12.0)
DISTANCES = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
BATCH = 16
SIZES = {"quick": 400, "standard": 6_000, "paper": 40_000}  # batches of BATCH


def solved(log_reward: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """log F(s, a) [A, S] and log F(s) [S] of the exact model for these rewards, uniform P_B."""
    log_pb = tables(GRAPH, "cpu", torch.float64).log_pb.numpy()
    log_edge = np.full(GRAPH.child.shape, -np.inf)
    log_edge[-1] = log_reward
    log_flow = np.zeros(GRAPH.n_states)
    for state in reversed(range(GRAPH.n_states)):
        for action in np.flatnonzero(GRAPH.child[:-1, state] >= 0):
            ahead = log_flow[GRAPH.child[action, state]]
            log_edge[action, state] = ahead + log_pb[action, state]
        log_flow[state] = np.logaddexp.reduce(log_edge[:, state])
    return log_edge, log_flow


def trained_with(
    loss: str, name: str, function: Callable[[Tensor], Tensor] | None = None
) -> Sampled:
    """A table for this objective; `function`: the loss where it is not to be derived again."""
    chosen = objective(name)
    needs = heads(GRAPH, flow=chosen.flow == "free")
    return Sampled(function or in_torch(loss), chosen, tabular(GRAPH, heads=needs))


@cache
def in_torch(loss: str) -> Callable[[Tensor], Tensor]:
    """The loss as a torch callable."""
    return dl.to_torch(dl.loss(loss))


def point(name: str, drop: float, spread: float) -> dict[str, Tensor]:
    """The exact model of a target whose far corner is e^-drop of the true one, and noise of this
    spread on every number of the table.
    """
    log_reward = GRAPH.log_reward.copy()
    log_reward[CORNER] -= drop
    log_edge, log_flow = solved(log_reward)
    rows = np.where(np.isfinite(log_edge), log_edge, 0.0)
    if objective(name).flow == "free":
        rows = np.concatenate([rows, log_flow[None]])
    table = torch.from_numpy(rows)[None]
    noise = torch.randn(
        table.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64
    )
    return {"rows": table + spread * noise, "log_z": torch.tensor(log_flow[:1])}


def start(name: str) -> dict[str, Tensor]:
    """A uniform policy, all flows at Z*."""
    given = point(name, 0.0, 0.0)
    rows = torch.zeros_like(given["rows"])
    if objective(name).flow == "free":
        rows[:, -1] = given["log_z"]
    return {**given, "rows": rows}


POINTS = {
    "at the start": start,
    "the corner at e^-2": lambda name: point(name, 2.0, 0.3),
    "near the optimum": lambda name: point(name, 0.0, 0.03),
}


def sampled_batches(trained: Sampled, parameters: dict[str, Tensor], batches: int) -> Tensor:
    """The gradients [N, D] of N batches, all drawn and differentiated at once."""
    log_pf = _log_pf(trained, parameters).expand(batches, -1, -1)
    draws = torch.Generator().manual_seed(1)
    uniforms = torch.rand(batches, GRAPH.max_steps, BATCH, generator=draws, dtype=torch.float64)
    return batch_gradients(trained, parameters, sampling.sample(GRAPH, log_pf, uniforms))


def _log_pf(trained: Sampled, parameters: dict[str, Tensor]) -> Tensor:
    return flow.flow(trained.policy, parameters, trained.objective).log_pf


def in_errors(noise: Noise, rows: Tensor) -> dict[str, float]:
    """How far sampled batches are from this noise, in standard errors: of the trace, and of all
    entries of the covariance (root mean square).
    """
    count = len(rows)
    apart = rows - rows.mean(dim=0)
    squares = BATCH * apart.square().sum(dim=1)
    found = float(squares.sum() / (count - 1))
    error = float(squares.std() / count**0.5)
    entries = BATCH * apart.T @ apart / (count - 1)
    fourth = BATCH**2 * apart.square().T @ apart.square() / count
    errors = ((fourth - entries.square()) / count).clamp(min=0).sqrt()
    told = errors > 1e-9 * errors.max()
    z = ((entries - noise.covariance) / errors)[told]
    return {
        "trace": found,
        "error": error,
        "z": (found - noise.trace) / error,
        "rms": float(z.square().mean().sqrt()),
    }


def wrongly_weighted(trained: Sampled, parameters: dict[str, Tensor]) -> Noise:
    """The control: trajectories weighted by the target's law and not the policy's."""
    return gradient_noise(trained, parameters, Sampler(backward=1.0))


def compared(batches: int) -> list[dict]:
    """Each loss, objective and point: exact noise, sampled noise, and the control."""
    rows = []
    for name in OBJECTIVES:
        for where, make in POINTS.items():
            for loss in LOSSES:
                trained, parameters = trained_with(loss, name), make(name)
                noise = gradient_noise(trained, parameters)
                drawn = sampled_batches(trained, parameters, batches)
                wrong = in_errors(wrongly_weighted(trained, parameters), drawn)
                rows.append(
                    {
                        "objective": name,
                        "point": where,
                        "loss": loss,
                        "signal": float(noise.mean.norm()),
                        "exact": noise.trace,
                        "critical": noise.critical_batch,
                        **in_errors(noise, drawn),
                        "control_z": wrong["z"],
                        "control_rms": wrong["rms"],
                    }
                )
    return rows


def dropped() -> list[dict]:
    """The far corner alone is wrong, by e^-drop: trace and critical batch."""
    return [
        {
            "objective": name,
            "loss": loss,
            "drop": drop,
            "exact": n.trace,
            "critical": n.critical_batch,
        }
        for name in OBJECTIVES
        for loss in LOSSES
        for drop in DROPS
        for n in [gradient_noise(trained_with(loss, name), point(name, drop, 0.0))]
    ]


def backward_share(share: float = 0.1) -> list[dict]:
    """The same with trajectory balance, a share of the trajectories drawn from the target."""
    return [
        {"share": share, "loss": loss, "drop": drop, "exact": noise.trace}
        for loss in LOSSES
        for drop in DROPS
        for noise in [
            gradient_noise(
                trained_with(loss, "tb"), point("tb", drop, 0.0), Sampler(backward=share)
            )
        ]
    ]


def approached() -> list[dict]:
    """Towards the optimum: critical batch, and the trace in units of the quadratic loss's."""
    rows = []
    for name in OBJECTIVES:
        for distance in DISTANCES:
            found = {
                loss: gradient_noise(trained_with(loss, name), point(name, 0.0, distance))
                for loss in LOSSES
            }
            rows += [
                {
                    "objective": name,
                    "distance": distance,
                    "loss": loss,
                    "critical": noise.critical_batch,
                    "ratio": noise.trace / found["quadratic"].trace,
                }
                for loss, noise in found.items()
            ]
    return rows


def rounded(rows: list[dict]) -> list[dict]:
    """Six digits of every number."""
    return [
        {k: float(f"{v:.6g}") if isinstance(v, float) else v for k, v in row.items()}
        for row in rows
    ]


def main(argv: list[str] | None = None) -> int:
    chosen = presets.arguments(__doc__, argv)
    results = presets.folder(CHECK, chosen.preset, chosen.out)
    quick = chosen.preset == "quick" and not chosen.page
    if not (chosen.page or chosen.gather):
        batches = SIZES[chosen.preset]
        content = {
            "trajectories": exact.count_trajectories(GRAPH),
            "batches": batches,
            "batch": BATCH,
            "compared": rounded(compared(batches)),
            "dropped": rounded(dropped()),
            "backward": rounded(backward_share()),
            "approached": rounded(approached()),
        }
        results.mkdir(parents=True, exist_ok=True)
        write_atomically(results / "noise.json", (json.dumps(content, indent=0) + "\n").encode())
    committed = results if quick or chosen.out else presets.folder(CHECK, "standard")
    page = results / "noise.md" if quick or chosen.out else Path(__file__).with_suffix(".md")
    write_page(committed, page, quick or bool(chosen.out))
    print(page)
    return 0


if __name__ == "__main__":
    sys.exit(main())
