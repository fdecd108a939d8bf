"""The settings of a training run: every argument of `train` checked, and the defaults filled in."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import index
from typing import Any

import torch
from torch import Tensor

from divergence_lab.gflownet.objectives import tb
from divergence_lab.gflownet.policies import Policy, mlp, tabular
from divergence_lab.graphs.dag import PointedDAG

Loss = Callable[[Tensor], Tensor]
POLICIES = {"tabular": tabular, "mlp": mlp}
OBJECTIVES = {"tb": tb}
LEARNING_RATE = {"tabular": 0.03, "mlp": 1e-3}
LEARNING_RATE_LOG_Z = 0.1


class TrainingError(ValueError):
    """An argument of `train` that cannot be used; the message names it and says what to do."""


@dataclass(frozen=True, eq=False)
class Run:
    """What stays fixed while the ensemble trains."""

    graph: PointedDAG
    losses: Mapping[str, Loss]
    residual: Callable[..., Tensor]
    policy: Policy
    config: Mapping[str, Any]
    device: torch.device
    dtype: torch.dtype
    rates: Tensor  # [N] learning rate of every parameter

    @property
    def n_members(self) -> int:
        return len(self.losses) * len(self.config["seeds"])


def prepare(arguments: Mapping[str, Any]) -> Run:
    """Check every argument of `train`, fill in the defaults, and build what stays fixed."""
    graph, losses = arguments["graph"], dict(arguments["losses"])
    for name, choices in (("objective", OBJECTIVES), ("policy", POLICIES)):
        if arguments[name] not in choices:
            raise TrainingError(
                f"{name} {arguments[name]!r} is not available; use one of {', '.join(choices)}"
            )
    if not losses:
        raise TrainingError("losses is empty; give at least one, as {name: callable}")
    for name, loss in losses.items():
        probe = loss(torch.zeros(1, 2, dtype=arguments["dtype"]))
        if not isinstance(probe, Tensor) or probe.shape != (1, 2):
            raise TrainingError(f"loss {name!r} must return one value per residual; do not average in it")
    for name in ("steps", "batch", "evaluations"):
        if not isinstance(arguments[name], int) or arguments[name] < 1:
            raise TrainingError(f"{name} is {arguments[name]!r}; give a whole number of at least 1")
    for name in ("learning_rate", "learning_rate_log_z", "max_grad_norm"):
        if arguments[name] is not None and not 0 < arguments[name] < float("inf"):
            raise TrainingError(
                f"{name} is {arguments[name]!r}; give a positive number, or None for the default"
            )
    if not 0 <= arguments["decay"] < float("inf"):
        raise TrainingError(f"decay is {arguments['decay']!r}; give a number of at least 0 (0: no decay)")
    rate = arguments["learning_rate"] or LEARNING_RATE[arguments["policy"]]
    rate_log_z = arguments["learning_rate_log_z"] or LEARNING_RATE_LOG_Z
    device = _device(arguments["device"])
    start = {
        key: float(value if arguments[key] is None else arguments[key])
        for key, value in (("initial_log_z", _log_z_bound(graph)), ("stop_logit", _long_trajectories(graph)))
    }
    policy = POLICIES[arguments["policy"]](graph, **start)
    config = {
        "objective": arguments["objective"],
        "losses": list(losses),
        "seeds": _seeds(arguments["seeds"]),
        "env": graph.name,
        "graph": hashlib.sha256(graph.child.tobytes() + graph.log_reward.tobytes()).hexdigest()[:16],
        "learning_rate": rate,
        "learning_rate_log_z": rate_log_z,
        **{
            key: arguments[key]
            for key in ("steps", "batch", "policy", "decay", "max_grad_norm", "evaluations")
        },
        **start,
        "device": device.type,
        "dtype": str(arguments["dtype"]).removeprefix("torch."),
    }
    rates = [
        torch.full((torch.Size(shape).numel(),), rate_log_z if key == "log_z" else rate)
        for key, shape in policy.shapes.items()
    ]
    rates = torch.cat(rates).to(device, arguments["dtype"])
    residual = OBJECTIVES[arguments["objective"]]
    return Run(graph, losses, residual, policy, config, device, arguments["dtype"], rates)


def _log_z_bound(graph: PointedDAG) -> float:
    return math.log(graph.terminal_states.size) + float(graph.log_reward.max())


def _long_trajectories(graph: PointedDAG) -> float:
    """The logit that makes P(stop) = 1/T where all other A - 1 actions have logit 0."""
    return math.log((graph.n_actions - 1) / (graph.max_steps - 1)) if graph.max_steps > 1 else 0.0


def _seeds(seeds: int | Sequence[int]) -> list[int]:
    chosen = list(range(seeds)) if isinstance(seeds, int) else [index(seed) for seed in seeds]
    if not chosen or min(chosen) < 0 or len(set(chosen)) < len(chosen):
        raise TrainingError(
            f"seeds is {seeds!r}; give a positive number of seeds, or different ones from 0 up"
        )
    return chosen


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name not in ("cpu", "cuda"):
        raise TrainingError(f"device {name!r} is not known; use auto, cpu or cuda")
    if name == "cuda" and not torch.cuda.is_available():
        raise TrainingError("device 'cuda' is not available here; use auto or cpu")
    return torch.device(name)
