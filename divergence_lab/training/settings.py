"""The settings of a training run: every argument of `train` checked, and the defaults filled in."""

import hashlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from numbers import Integral, Real
from typing import Any

import torch
from torch import Tensor

from divergence_lab.gflownet import objectives, rollouts, samplers
from divergence_lab.gflownet.listed import exact, flow, sampling
from divergence_lab.gflownet.policies.policy import Policy, heads
from divergence_lab.gflownet.policies.transformer import NotWordsError
from divergence_lab.graphs import dag, generated
from divergence_lab.training.arguments import (
    POLICIES,
    Arguments,
    check_choices,
    check_numbers,
    find_device,
    learning_rates,
    read_seeds,
    with_sizes,
)
from divergence_lab.training.schedules import LossFunction, losses_at, terms_of
from divergence_lab.training.trainable import TrainingError, check_losses, with_clamped_rewards

LISTED = 100_000  # trajectories that exact training holds at most
STAGES = 20  # of a run, at which the steepness of a loss that changes is looked at
LEARNING_RATE = {"tabular": 0.03, "mlp": 1e-3, "transformer": 1e-3, "mpnn": 1e-3}
LEARNING_RATE_LOG_Z = 0.1
# (learning rate, momentum) of exact training of a table: residuals of whole trajectories tell every
# state at once what to do, those of edges and states pass it on one level a step, which momentum
# makes faster.
NATURAL = {
    "tb": (1.0, 0.0),
    "vargrad": (1.0, 0.0),
    "subtb": (0.25, 0.8),
    "db": (0.25, 0.93),
    "fm": (0.25, 0.93),
}
# Evaluating one state more in a batch costs less than the Python and the thinner products of
# walking step by step: visited states win only where they are this many times fewer
# (benchmarks/training_speed.py shows where).
CROSSOVER = 2.0

# what a run is known by in config.json as it was given
ALWAYS = ("steps", "batch", "policy", "backward", "max_grad_norm", "evaluations", "exact")
SELDOM = ("weight_decay", "dropout", "window")


@dataclass(frozen=True, eq=False)
class Run:
    """What stays fixed while the ensemble trains.

    `rows`: (loss, learning rate) of each row of N seeds.  `law_policy` evaluates all states of an
    enumerated graph with the same parameters; None for a generated space.  `rates`: [M, 2] learning
    rates, of everything but log Z, and of log Z.  `listed`: all trajectories, where exact training
    needs them.  `space` has the rewards that are trained with, `given` those that the target law,
    its modes and log Z are of.
    """

    space: generated.Space
    given: generated.Space
    losses: Mapping[str, LossFunction]
    rows: tuple[tuple[str, float], ...]
    rollout: rollouts.Rollout
    law_policy: Policy | None
    config: Mapping[str, Any]
    device: torch.device
    dtype: torch.dtype
    rates: Tensor
    listed: sampling.Trajectories | None = None

    @property
    def policy(self) -> Policy:
        return self.rollout.policy

    @property
    def graph(self) -> dag.PointedDAG:
        """The space where its states are listed."""
        assert isinstance(self.space, dag.PointedDAG)
        return self.space

    @property
    def listed_as_given(self) -> dag.PointedDAG:
        """The space with the rewards that were given, where its states are listed."""
        assert isinstance(self.given, dag.PointedDAG)
        return self.given

    @property
    def n_members(self) -> int:
        return len(self.rows) * len(self.config["seeds"])


def make_run(
    losses: Mapping[str, LossFunction], space: generated.Space, arguments: Arguments
) -> Run:
    """Check every argument of `train`, fill in the defaults, and build what stays fixed."""
    arguments = with_sizes(arguments)
    check_numbers(arguments)
    check_choices(arguments, space)
    given, space = space, with_clamped_rewards(space, arguments.clamp_log_reward)
    device = find_device(arguments.device)
    losses = check_losses(losses, device, arguments.dtype)
    chosen, drawn = _objective_and_sampler(arguments, space)
    natural = is_natural(arguments.exact, arguments.policy, chosen)
    default = NATURAL[chosen.kind][0] if natural else LEARNING_RATE[arguments.policy]
    rates = learning_rates(arguments, default)
    start = _start_values(arguments, space, chosen)
    way = _way(arguments, space)
    policy, law_policy = _policies(arguments, space, chosen, way, start)
    seeds = read_seeds(arguments.seeds)
    rows = tuple((name, rate) for name in losses for rate in rates)
    rate_log_z = arguments.learning_rate_log_z or (default if natural else LEARNING_RATE_LOG_Z)
    decay = float(not natural) if arguments.decay is None else arguments.decay
    config = {
        "objective": chosen.name,
        "losses": [name for name, _ in rows],
        "learning_rates": [rate for _, rate in rows],
        "seeds": seeds,
        "env": given.name,
        "graph": _fingerprint(space),
        "learning_rate_log_z": rate_log_z,
        **{key: _plain(getattr(arguments, key)) for key in ALWAYS},
        # named only where they differ from what older runs did, so that these go on
        **{key: _plain(value) for key in SELDOM if (value := getattr(arguments, key))},
        **_clamped(arguments.clamp_log_reward),
        **_targets(arguments.target_states),
        "sampler": samplers.sampler_text(drawn),
        "capacity": drawn.capacity if drawn.replay else 0,
        "decay": decay,
        "evaluate": way,
        **start,
        "device": device.type,
        "dtype": str(arguments.dtype).removeprefix("torch."),
    }
    rollout = rollouts.Rollout(policy, chosen, drawn, arguments.backward, way)
    if arguments.dropout and not rollouts.in_one_pass(rollout):
        raise TrainingError(
            "dropout needs policy='transformer' and trajectories drawn by the policy "
            "itself, since what is drawn and "
            "what is learned must share their masks; use sampler on, epsilon:E or "
            "tempered:T and another objective than fm"
        )
    if natural and arguments.weight_decay:
        raise TrainingError("weight_decay is Adam's; exact training of a table goes without")
    if drawn.backward:
        rollout = _with_target(rollout, space, arguments, device)
    listed = (
        _listed(space, losses, rollout, device)
        if arguments.exact and isinstance(space, dag.PointedDAG)
        else None
    )
    table = torch.tensor(
        [(rate, rate_log_z) for _, rate in rows], dtype=arguments.dtype, device=device
    )
    if natural:
        steepness = torch.stack([_steepness(losses[name], table) for name, _ in rows])
        table = table / steepness.float().to(table)[:, None]
    table = table.repeat_interleave(len(seeds), dim=0)
    return Run(
        space,
        given,
        losses,
        rows,
        rollout,
        law_policy,
        config,
        device,
        arguments.dtype,
        table,
        listed,
    )


def _plain(value: Any) -> Any:
    """A number of numpy as JSON has it."""
    if isinstance(value, bool) or not isinstance(value, Real):
        return value
    return int(value) if isinstance(value, Integral) else float(value)


def _clamped(low: float | None) -> dict[str, float]:
    return {} if low is None else {"clamp_log_reward": float(low)}


def _objective_and_sampler(
    arguments: Arguments, space: generated.Space
) -> tuple[objectives.Objective, samplers.Sampler]:
    try:
        chosen, drawn = objectives.objective(arguments.objective), arguments.sampler
        drawn = drawn if isinstance(drawn, samplers.Sampler) else samplers.sampler(drawn)
        drawn.split(arguments.batch)
        if isinstance(space, dag.PointedDAG):
            flow.check_objective(space, chosen)
        if arguments.exact:
            objectives.refuse_of_the_released_code(chosen, "exact training")
    except (objectives.ObjectiveError, samplers.SamplerError) as error:
        raise TrainingError(str(error)) from error
    if chosen.kind == "vargrad" and arguments.batch < 2:
        raise TrainingError("vargrad estimates log Z from the batch; give batch at least 2")
    return chosen, drawn


def _listed(
    graph: dag.PointedDAG,
    losses: Mapping[str, LossFunction],
    rollout: rollouts.Rollout,
    device: torch.device,
) -> sampling.Trajectories | None:
    """All trajectories, where no recursion gives the expected loss: subtb, vargrad, and tb of
    losses without `terms`.
    """
    chosen, drawn = rollout.objective, rollout.sampler
    if drawn.backward or drawn.replay:
        raise TrainingError(
            "exact training needs a sampler that walks forward; use on, epsilon:E or tempered:T"
        )
    if chosen.kind in ("db", "fm") or (
        chosen.kind == "tb" and all(map(_has_terms, losses.values()))
    ):
        return None
    termless = next((name for name, loss in losses.items() if not _has_terms(loss)), None)
    why = f"tb with {termless}" if chosen.kind == "tb" else chosen.name
    try:
        walked = exact.enumerate_trajectories(graph, LISTED)
    except exact.EnumerationError as error:
        raise TrainingError(
            f"exact training of {why} lists all trajectories, and {error}; db and fm "
            "need no list, nor does tb with "
            "losses that are sums of powers and exponentials"
        ) from error
    return replace(walked, index=walked.index.to(device), terminal=walked.terminal.to(device))


def _has_terms(loss: LossFunction) -> bool:
    # a loss that changes may have them before and not after
    return all(terms_of(loss, fraction) is not None for fraction in (0.0, 1.0))


def is_natural(exact: bool, policy: str, chosen: objectives.Objective) -> bool:
    """Exact training of a table follows the natural gradient, unless P_F says what F is: there
    one hides the other.
    """
    return exact and policy == "tabular" and chosen.flow != "modified"


def _steepness(loss: LossFunction, like: Tensor) -> Tensor:
    """g''(0) by a difference of g', at least 1: a natural step of 1/g''(0) brings a small residual
    to 0.

    Of a loss that changes over the run, the largest on the way: a step that is too long does not
    settle.
    """
    beside = like.new_tensor([-1e-3, 1e-3], requires_grad=True)
    there = losses_at(loss, [k / STAGES for k in range(STAGES + 1)])
    slopes = torch.stack([torch.autograd.grad(one(beside).sum(), beside)[0] for one in there])
    curvatures = (slopes[:, 1] - slopes[:, 0]).double() / 2e-3
    return curvatures.nan_to_num(nan=1.0, posinf=torch.inf).max().clamp(min=1.0)


def _start_values(
    arguments: Arguments, space: generated.Space, chosen: objectives.Objective
) -> dict[str, float]:
    """Where log Z, the logit of stopping and log F start: so that residuals start below 0, where
    no loss explodes.
    """
    log_x, largest = (
        (math.log(space.terminal_states.size), float(space.log_reward.max()))
        if isinstance(space, dag.PointedDAG)
        else (0.0, 0.0)
    )
    bound = log_x + largest if arguments.initial_log_z is None else arguments.initial_log_z
    defaults = {
        "initial_log_z": bound,
        "stop_logit": _long_trajectories(space),
        "initial_log_flow": bound - largest if chosen.flow == "forward-looking" else bound,
    }
    return {
        key: float(value if getattr(arguments, key) is None else getattr(arguments, key))
        for key, value in defaults.items()
    }


def _long_trajectories(space: generated.Space) -> float:
    """The logit that makes P(stop) = 1/T where all other A - 1 actions have logit 0."""
    return math.log((space.n_actions - 1) / (space.max_steps - 1)) if space.max_steps > 1 else 0.0


def _way(arguments: Arguments, space: generated.Space) -> str:
    """All states at once, or the visited ones alone: whichever evaluates fewer, the first where
    they are close.
    """
    if isinstance(space, generated.GeneratedDAG):
        return "visited"
    if arguments.policy == "tabular" or arguments.exact:
        return "all states"
    if arguments.evaluate != "auto":
        return arguments.evaluate
    return (
        "visited"
        if space.n_states > CROSSOVER * arguments.batch * space.max_steps
        else "all states"
    )


def _policies(
    arguments: Arguments,
    space: generated.Space,
    chosen: objectives.Objective,
    way: str,
    start: Mapping[str, float],
) -> tuple[Policy, Policy | None]:
    """The policy that is trained, and the one that evaluates it at all states of an enumerated
    graph.
    """
    learned = {
        "learned_back": arguments.backward == "learned",
        "flow": chosen.flow in ("free", "forward-looking"),
    }
    sizes = {"width": arguments.width, "depth": arguments.depth}
    shape = {"mlp": sizes, "mpnn": sizes, "transformer": {"dropout": arguments.dropout}}.get(
        arguments.policy, {}
    )
    make = POLICIES[arguments.policy]
    try:
        return _made(make, space, way, learned, shape, start)
    except NotWordsError as error:
        raise TrainingError(str(error)) from error


def _made(
    make: Callable[..., Policy],
    space: generated.Space,
    way: str,
    learned: Mapping[str, bool],
    shape: Mapping[str, float],
    start: Mapping[str, float],
) -> tuple[Policy, Policy | None]:
    if isinstance(space, generated.GeneratedDAG):
        return make(space, heads=heads(space, **learned), **shape, **start), None
    at_all = make(space, heads=heads(space, **learned), **shape, **start)
    if way == "all states":
        return at_all, at_all
    return make(generated.as_generated(space), heads=at_all.heads, **shape, **start), at_all


def _with_target(
    rollout: rollouts.Rollout, space: generated.Space, arguments: Arguments, device: torch.device
) -> rollouts.Rollout:
    """From where trajectories are drawn backward: the exact target law, or the states that were
    given.
    """
    if isinstance(space, dag.PointedDAG):
        law = torch.tensor(exact.target_distribution(space), device=device)
        states = torch.tensor(space.terminal_states, device=device).long()
        return replace(
            rollout,
            target_states=states if rollout.way == "all states" else states[:, None],
            target_law=law,
        )
    given = arguments.target_states
    if given is None:
        raise TrainingError(
            f"{space.name} is too large to draw from its target law; give "
            "target_states=[X, D], which are drawn in "
            "proportion to their reward, or sample otherwise"
        )
    states = torch.as_tensor(
        given, device=device
    ).clone()  # made in inference mode, it could not be looked up in
    return replace(
        rollout, target_states=states, target_law=torch.softmax(space.log_reward(states), dim=0)
    )


def _targets(states: Any) -> dict[str, str]:
    """What tells the states that were given from others."""
    if states is None:
        return {}
    content = torch.as_tensor(states).cpu().numpy().tobytes()
    return {"targets": hashlib.sha256(content).hexdigest()[:16]}


def _fingerprint(space: generated.Space) -> str:
    """Tells a graph from another of the same name; a generated space is told by its name alone."""
    content = (
        space.name.encode()
        if isinstance(space, generated.GeneratedDAG)
        else space.child.tobytes() + space.log_reward.tobytes()
    )
    return hashlib.sha256(content).hexdigest()[:16]
