"""How much memory a run takes, told before anything of that size is made: counted bytes a unit,
measured on both kinds of graphs (tests/test_sizes.py holds them against the memory that runs take).
"""

import math

import torch

from divergence_lab.graphs import dag
from divergence_lab.inputs import refuse_if_too_large
from divergence_lab.training.settings import Run

# bytes in float32, gradients and what the optimiser keeps included
PARAMETER, CELL, PAIR, TABLE, LOGIT, HIDDEN = 36, 45, 20, 100, 60, 6
EVALUATED = 80  # a point of all curves


def refuse_what_does_not_fit(run: Run) -> None:
    """InputError that names the largest part of a run that needs more memory than is free."""
    parts = _parts(run)
    largest = max(parts, key=lambda part: parts[part])
    of_dtype = 2 if run.dtype == torch.float64 else 1
    refuse_if_too_large(
        of_dtype * sum(parts.values()),
        f"this run of {run.n_members:,} members (losses x learning rates x seeds)",
        f"most of it is for {largest[0]}: {largest[1]}",
        _free(run.device),
    )


def _free(device: torch.device) -> int | None:
    """Bytes free on a GPU, with those that torch holds for what comes next; None elsewhere."""
    if device.type != "cuda":
        return None
    held = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return torch.cuda.mem_get_info(device)[0] + held


def _parts(run: Run) -> dict[tuple[str, str], int]:
    """(what, what to do) -> bytes."""
    config, space, members = run.config, run.space, run.n_members
    steps, batch, actions = space.max_steps, config["batch"], space.n_actions
    cells = members * steps * batch
    width = max((shape[-1] for shape in run.policy.shapes.values() if shape), default=0)
    hidden = 0 if config["policy"] == "tabular" else width * HIDDEN * (len(run.policy.shapes) // 2)
    size = members * sum(math.prod(shape) for shape in run.policy.shapes.values())
    listed = space.n_states if isinstance(space, dag.PointedDAG) else 0
    rows = LOGIT * actions + hidden
    visited = cells if not listed else members * min(steps * batch, listed)
    points = members * min(config["evaluations"], config["steps"]) + config["evaluations"]
    pairs = steps * (steps + 1) // 2 if "subtb" in config["objective"] else 0
    window = config.get("window", 0)
    drawn = 0 if config["exact"] else CELL * cells + PAIR * members * pairs * batch
    return {
        ("its parameters", "take a smaller width, or fewer members"): PARAMETER * size,
        ("its trajectories", "take a smaller batch, or fewer members"): drawn
        + (rows * visited if config["evaluate"] == "visited" and not config["exact"] else 0),
        ("all states of the graph", "take a smaller graph, or fewer members"): (
            members
            * listed
            * (TABLE * actions + (hidden if config["evaluate"] != "visited" else 0))
        ),
        ("its evaluations", "ask for fewer evaluations"): EVALUATED * points,
        ("the window", "take a smaller window"): 12 * members * window,
        ("the replay buffer", "take a smaller capacity"): 8 * members * steps * config["capacity"],
    }
