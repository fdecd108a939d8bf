"""What `train` takes, in one record, which sweeps and the benchmark read too."""

from collections.abc import Sequence, Sized
from dataclasses import dataclass, field, fields, replace
from operator import index
from typing import Any

import torch
from torch import Tensor

from divergence_lab.gflownet.listed.flow import BACKWARD
from divergence_lab.gflownet.policies.mpnn import mpnn
from divergence_lab.gflownet.policies.policy import mlp, tabular
from divergence_lab.gflownet.policies.transformer import transformer
from divergence_lab.gflownet.samplers import Sampler
from divergence_lab.graphs import dag, generated
from divergence_lab.graphs.dag import short
from divergence_lab.inputs import did_you_mean, is_number, is_whole, refuse_if_too_large
from divergence_lab.training.trainable import TrainingError

POLICIES = {"tabular": tabular, "mlp": mlp, "transformer": transformer, "mpnn": mpnn}
SIZES = {"tabular": (1, 1), "mlp": (256, 2), "transformer": (1, 1), "mpnn": (32, 3)}
DTYPES = (torch.float32, torch.float64)
EVALUATE = ("auto", "all states", "visited")
TINY, LARGE = 1e-30, 1e30  # what float32 holds, and its square root does
MOST, DEEPEST = 10**9, 1000
BYTES_OF_A_SEED = 40
# name -> least, greatest, what is wanted
NUMBERS = {
    "learning_rate_log_z": (TINY, LARGE, "a positive number, or None for the default"),
    "max_grad_norm": (TINY, LARGE, "a positive number, or None: it is never cut"),
    "decay": (0.0, LARGE, "a number of at least 0 (0: no decay), or None for the default"),
    "weight_decay": (0.0, LARGE, "a number of at least 0"),
    "dropout": (0.0, 1 - 1e-9, "a number of at least 0 and below 1"),
    **dict.fromkeys(
        ("initial_log_z", "initial_log_flow", "stop_logit", "clamp_log_reward"),
        (-1e6, 1e6, "a number of at most 10**6 in size, or None for the default"),
    ),
}
MAY_BE_NONE = {*NUMBERS} - {"weight_decay", "dropout"}
NOT_IN_JSON = {"json": False}  # says where it runs, or is a tensor: no part of a sweep's file


@dataclass(frozen=True, eq=False)
class Arguments:
    """What `train` takes beside losses and graph; None means the default that is named.

    objective            tb, vargrad, db, subtb(0.9), fm, fl-..., tied-..., modified-...
    sampler              on, epsilon:0.05, tempered:2, backward, mixture:0.5, replay:0.5, several
                         of them joined by commas, or a `Sampler`
    backward             P_B: uniform, learned or maxent
    exact                the expected gradient of an enumerated graph in place of a sampled one; a
                         table then moves along the natural gradient, which takes tens of steps
                         where sampling takes thousands
    seeds                how many, or a list
    steps, batch         gradient steps; trajectories a step and member
    policy               tabular, mlp, transformer (generated bits) or mpnn (blocks)
    width, depth         of mlp (256, 2) and mpnn (32, 3)
    evaluate             the policy at "all states", at the "visited" ones, or "auto", whichever
                         are fewer
    window               W > 0 keeps the last W terminal states drawn and measures `window_l1`, the
                         sum |empirical law of these - target| (nan before the first)
    learning_rate        a number or a list: every loss is trained at each (0.03 of a table, else
                         1e-3; 1/4 or 1 of an exact table)
    learning_rate_log_z  of log Z (0.1; exact: as the others)
    decay                rates fall as (1 - step/steps)^decay (1; 0 of an exact table)
    max_grad_norm        a member's gradient is cut to this length; None: never
    weight_decay         Adam's, of all but log Z
    dropout              of the transformer
    initial_log_z        (the bound log X + max log R, so that residuals start below 0, where no
                         loss explodes)
    initial_log_flow     (as log Z)
    stop_logit           (log((A-1)/(T-1)), so that the first trajectories are about as long as
                         they can be; 0.0 is the usual start)
    target_states        [X, D] from which trajectories are drawn backward in a generated space
    device               auto, cpu or cuda
    deterministic        the same bits in every run on one device
    dtype                torch.float32 or torch.float64
    evaluations          how many exact evaluations there are, about
    clamp_log_reward     LOW: trained with max(log R, LOW), as released code does; what is reported
                         is held against R itself, which may be 0 (None: R as it is)
    """

    objective: str = "tb"
    sampler: str | Sampler = "on"
    backward: str = "uniform"
    exact: bool = False
    seeds: int | Sequence[int] = 5
    steps: int = 5_000
    batch: int = 64
    policy: str = "tabular"
    width: int | None = None
    depth: int | None = None
    evaluate: str = "auto"
    window: int = 0
    learning_rate: float | Sequence[float] | None = None
    learning_rate_log_z: float | None = None
    decay: float | None = None
    max_grad_norm: float | None = 10.0
    weight_decay: float = 0.0
    dropout: float = 0.0
    initial_log_z: float | None = None
    initial_log_flow: float | None = None
    stop_logit: float | None = None
    target_states: Tensor | None = field(default=None, metadata=NOT_IN_JSON)
    device: str = field(default="auto", metadata=NOT_IN_JSON)
    deterministic: bool = field(default=False, metadata=NOT_IN_JSON)
    dtype: torch.dtype = field(default=torch.float32, metadata=NOT_IN_JSON)
    evaluations: int = 50
    clamp_log_reward: float | None = None


NAMES = tuple(entry.name for entry in fields(Arguments))
IN_JSON = tuple(entry.name for entry in fields(Arguments) if entry.metadata.get("json", True))


# what other libraries call it -> what it is called here
ELSEWHERE = {
    "env": "graph",
    "loss": "losses",
    "lr": "learning_rate",
    "batch_size": "batch",
    **dict.fromkeys(("epochs", "iterations", "num_steps", "max_steps"), "steps"),
    **dict.fromkeys(("hidden_dim", "hidden_size"), "width"),
    **dict.fromkeys(("num_layers", "layers"), "depth"),
    **dict.fromkeys(("log_dir", "save_dir", "output_dir"), "out"),
    **dict.fromkeys(("callback", "logger", "wandb"), "on_metrics"),
}
BESIDE = ("losses", "graph", "out", "resume", "overwrite", "progress", "on_metrics", "on_laws")


def changed(arguments: Arguments, changes: dict[str, Any]) -> Arguments:
    """The arguments with these changes; TypeError for one that `train` does not have."""
    for name in changes:
        if name not in NAMES:
            near = ELSEWHERE.get(name.lower())
            said = f"; it is called {near!r}" if near else did_you_mean(name, (*NAMES, *BESIDE))
            raise TypeError(f"train() got an unexpected keyword argument {name!r}{said}")
    return replace(arguments, **changes)


def with_sizes(arguments: Arguments) -> Arguments:
    """Width and depth as the policy has them where they were not given."""
    width, depth = next((size for name, size in SIZES.items() if name == arguments.policy), (1, 1))
    return replace(
        arguments,
        width=width if arguments.width is None else arguments.width,
        depth=depth if arguments.depth is None else arguments.depth,
    )


def check_choices(arguments: Arguments, graph: generated.Space) -> None:
    """TrainingError where a choice is not one, or two of them do not fit together."""
    enumerated = isinstance(graph, dag.PointedDAG)
    if not isinstance(graph, dag.PointedDAG | generated.GeneratedDAG):
        raise TrainingError(
            f"graph is a {type(graph).__name__}; give a graph, such as "
            "divergence_lab.space_from_text('hypergrid:2x8')"
        )
    if arguments.dtype not in DTYPES:
        raise TrainingError(f"dtype is {arguments.dtype!r}; use torch.float32 or torch.float64")
    choices = {"policy": POLICIES, "backward": BACKWARD, "evaluate": EVALUATE}
    for name, allowed in choices.items():
        if getattr(arguments, name) not in tuple(allowed):
            raise TrainingError(
                f"{name} {short(getattr(arguments, name))} is not available; use one of "
                f"{', '.join(allowed)}{did_you_mean(str(getattr(arguments, name)), allowed)}"
            )
    for does_not_fit, why in (
        (
            not enumerated and arguments.policy == "tabular",
            "a generated space has no table of states; use policy='mlp', or 'transformer' for bits",
        ),
        (
            arguments.window and (not enumerated or arguments.exact),
            "a window of samples needs sampled training on a graph whose states are listed; "
            "give window=0",
        ),
        (
            not enumerated and arguments.exact,
            "exact training needs a graph whose states are listed; leave exact out",
        ),
        (
            arguments.policy == "mpnn" and (enumerated or graph.blocks is None),
            "policy 'mpnn' needs a space of blocks, such as generated:molecules:8; use "
            "policy='mlp'",
        ),
        (
            arguments.policy == "tabular" and arguments.evaluate == "visited",
            "a tabular policy is one table of all states; use policy='mlp' or evaluate='auto'",
        ),
    ):
        if does_not_fit:
            raise TrainingError(why)


def check_numbers(arguments: Arguments) -> None:
    """TrainingError for a number outside its range."""
    for name in ("steps", "batch", "evaluations", "width", "depth"):
        most = DEEPEST if name == "depth" else MOST
        if not is_whole(value := getattr(arguments, name), 1, most):
            raise TrainingError(
                f"{name} is {short(value)}; give a whole number of at least 1 and at most {most:,}"
            )
    window, batch = arguments.window, arguments.batch
    if not is_whole(window) or 0 < window < batch:
        raise TrainingError(
            f"window is {short(window)}; give 0, or a whole number of at least the batch, {batch}"
        )
    for name, (least, most, wanted) in NUMBERS.items():
        value = getattr(arguments, name)
        if not is_number(value, least, most) and not (value is None and name in MAY_BE_NONE):
            raise TrainingError(f"{name} is {short(value)}; give {wanted}")
    for name in ("exact", "deterministic"):
        if not isinstance(value := getattr(arguments, name), bool):
            raise TrainingError(f"{name} is {short(value)}; give True or False")


def learning_rates(arguments: Arguments, default: float) -> list[float]:
    """The learning rates of everything but log Z, one at least."""
    given = arguments.learning_rate
    rates = list(given) if isinstance(given, Sequence) else [given]
    if not all(rate is None or is_number(rate, TINY, LARGE) for rate in rates):
        raise TrainingError(
            f"learning_rate is {short(given)}; give positive numbers, or None for the default"
        )
    if not rates or len(set(rates)) < len(rates):
        raise TrainingError(
            f"learning_rate is {short(given)}; give one or several different numbers"
        )
    return [default if rate is None else float(rate) for rate in rates]


def read_seeds(seeds: int | Sequence[int]) -> list[int]:
    """How many, or which, as a list."""
    if isinstance(seeds, bytes):  # each byte a whole number, too
        seeds = ()
    count = len(seeds) if isinstance(seeds, Sized) else seeds
    if isinstance(count, int) and is_whole(count, most=2**64):
        refuse_if_too_large(BYTES_OF_A_SEED * count, f"seeds={count}", "ask for fewer seeds")
    try:
        chosen = list(range(seeds)) if isinstance(seeds, int) else [index(seed) for seed in seeds]
    except (TypeError, OverflowError):
        chosen = []
    # random numbers depend on 64 bits of a seed: two seeds that share them would be one run twice
    if (
        isinstance(seeds, bool)
        or not chosen
        or any(isinstance(seed, bool) for seed in (seeds if isinstance(seeds, Sequence) else ()))
        or min(chosen) < 0
        or max(chosen) >= 2**64
        or len(set(chosen)) < len(chosen)
    ):
        raise TrainingError(
            f"seeds is {short(seeds)}; give how many, or a list of different whole numbers "
            "from 0 to 2**64 - 1"
        )
    return chosen


def find_device(name: str | torch.device) -> torch.device:
    """auto, cpu or cuda as a device that is there."""
    name = str(name) if isinstance(name, torch.device) else name
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name not in ("cpu", "cuda"):
        near = did_you_mean(str(name), ("auto", "cpu", "cuda"))
        raise TrainingError(f"device {name!r} is not known; use auto, cpu or cuda{near}")
    if name == "cuda" and not torch.cuda.is_available():
        raise TrainingError("device 'cuda' is not available here; use auto or cpu")
    return torch.device(name)
