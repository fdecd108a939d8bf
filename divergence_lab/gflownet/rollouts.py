"""One training step without its loss: draw trajectories, and say their residuals, in either way of
evaluating.

`all states`: the policy's table at every state of an enumerated graph, from which everything is
looked up. `visited`: the policy at the visited states alone, for generated spaces and for large
graphs.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int, Int16
from torch import Tensor

from divergence_lab.gflownet import objectives, samplers
from divergence_lab.gflownet.listed import flow as listed
from divergence_lab.gflownet.listed.sampling import (
    draw_terminal,
    join_trajectories,
    sample,
    sample_backward,
    trajectories,
)
from divergence_lab.gflownet.policies.policy import Parameters, Policy
from divergence_lab.gflownet.visited import residuals as visited_residuals
from divergence_lab.gflownet.visited import walks
from divergence_lab.gflownet.visited.places import row_evaluation
from divergence_lab.graphs.tables import tables

BLOCK = 2 << 20  # hidden units of one layer


@dataclass(frozen=True, eq=False)
class Rollout:
    """What stays fixed: `way` is 'all states' or 'visited', `backward` names P_B.

    `target_states` [X, D] or [X] and `target_law` [X]: from where trajectories are drawn backward;
    None if never.
    """

    policy: Policy
    objective: objectives.Objective
    sampler: samplers.Sampler
    backward: str
    way: str
    target_states: Tensor | None = None
    target_law: Tensor | None = None


def empty_buffer(rollout: Rollout, n_members: int, device: torch.device) -> Int[Tensor, "M T C"]:
    """The last C trajectories of each member, as step indices or actions; C = 0
    without replay.
    """
    capacity = rollout.sampler.capacity if rollout.sampler.replay else 0
    return torch.zeros(
        n_members, rollout.policy.space.max_steps, capacity, dtype=torch.long, device=device
    )


def draw_residuals(
    rollout: Rollout,
    parameters: Parameters,
    noise: Float[Tensor, "M T B"],
    buffer: Int[Tensor, "M T C"],
    step: Int[Tensor, ""],
    bits: Int16[Tensor, "N T B K"] | None = None,
) -> tuple[objectives.Residuals, Int[Tensor, "M B *D"]]:
    """Draw B trajectories of each member, by noise in [0, 1): their residuals, and where they end.

    With replay, `buffer` takes in the new trajectories, at places that depend on `step` alone.
    `bits`: the random numbers of a policy with dropout.
    """
    if in_one_pass(rollout):
        chosen = rollout.objective
        walked, steps = visited_residuals.walk_once(
            rollout.policy, parameters, rollout.sampler, chosen, rollout.backward, noise, bits
        )
        return objectives.residuals(chosen, steps), walked.terminal
    if not in_two_halves(rollout):
        return _all_states(rollout, parameters, noise, buffer, step)
    walked = draw_walks(rollout, parameters, noise, buffer, step)
    return residuals_of(rollout, parameters, walked), walked.terminal


def in_two_halves(rollout: Rollout) -> bool:
    """Trajectories are drawn first, and the states on them evaluated afterwards."""
    return rollout.way != "all states" and not in_one_pass(rollout)


def in_one_pass(rollout: Rollout) -> bool:
    """Each visited state is evaluated once: where the policy wishes it and all trajectories are
    drawn by it.
    """
    drawn = rollout.sampler.backward == 0 == rollout.sampler.replay
    return rollout.policy.single_pass and drawn and rollout.objective.kind != "fm"


def _all_states(
    rollout: Rollout, parameters: Parameters, noise: Tensor, buffer: Tensor, step: Tensor
) -> tuple[objectives.Residuals, Tensor]:
    graph, chosen = rollout.policy.space, rollout.sampler
    model = listed.flow(rollout.policy, parameters, rollout.objective, rollout.backward)
    new, back, again = noise.split(chosen.split(noise.shape[-1]), dim=-1)
    log_pf = model.log_pf.detach()
    mask = tables(graph, log_pf.device, log_pf.dtype).mask
    walked = []
    if new.shape[-1]:
        walked.append(sample(graph, samplers.log_behaviour(chosen, log_pf, mask), new))
    if again.shape[-1]:
        walked.append(trajectories(graph, _replayed(buffer, walked[0].index, again, step)))
    if back.shape[-1]:
        law, states = (
            objectives.needed(rollout.target_law),
            objectives.needed(rollout.target_states),
        )
        ends = draw_terminal(law, states, back[:, 0])
        walked.append(sample_backward(graph, model.log_pb.detach(), ends, back[:, 1:]))
    together = join_trajectories(walked)
    return listed.residuals_along(graph, rollout.objective, model, together), together.terminal


def draw_walks(
    rollout: Rollout, parameters: Parameters, noise: Tensor, buffer: Tensor, step: Tensor
) -> walks.Walks:
    """The first half of `draw_residuals` where visited states are evaluated."""
    policy, chosen = rollout.policy, rollout.sampler
    new, back, again = noise.split(chosen.split(noise.shape[-1]), dim=-1)
    walked = []
    if new.shape[-1]:
        walked.append(
            walks.walk(policy, parameters, chosen, new, rollout.objective.flow == "edges")
        )
    if again.shape[-1]:
        missing = buffer.shape[1] - walked[0].actions.shape[1]
        last = walked[0].actions.new_full(
            (*again.shape[:1], missing, new.shape[-1]), policy.heads.n_actions - 1
        )
        actions = torch.cat([walked[0].actions, last], dim=1)
        walked.append(walks.walk_again(policy.space, _replayed(buffer, actions, again, step)))
    if back.shape[-1]:
        law, states = (
            objectives.needed(rollout.target_law),
            objectives.needed(rollout.target_states),
        )
        places = torch.arange(len(law), device=noise.device)
        ends = states[draw_terminal(law, places, back[:, 0])]
        walked.append(walks.walk_back(policy, parameters, rollout.backward, ends, back[:, 1:]))
    return walks.join_walks(walked)


def residuals_of(
    rollout: Rollout, parameters: Parameters, walked: walks.Walks
) -> objectives.Residuals:
    """The second half."""
    return visited_residuals.residuals_along(
        rollout.policy, parameters, rollout.objective, rollout.backward, walked
    )


def block_size(rollout: Rollout, parameters: Parameters, walked: walks.Walks) -> int:
    """Of how many members residuals and their gradient are taken at a time.

    Of all, but where each member's states are evaluated one after another and are so many that the
    hidden units leave the processor's cache: of as many as fit.
    """
    policy, n_members = rollout.policy, len(parameters["log_z"])
    if row_evaluation(policy, parameters["log_z"]) is None:
        return n_members
    family = 1 + policy.space.n_back if rollout.objective.kind == "fm" else 1
    widest = max(shape[-1] for shape in policy.shapes.values() if shape)
    # so many at the most: a state is evaluated once
    n_states = family * int(walked.exists.sum()) / n_members
    return max(1, min(n_members, int(BLOCK / (n_states * widest))))


@torch.no_grad()
def _replayed(buffer: Tensor, new: Tensor, noise: Tensor, step: Tensor) -> Tensor:
    """Put `new` [M, T, N] into the ring buffer and draw from all that it holds, uniformly: [M, T,
    R].

    Of more than C new trajectories the last C are kept: each place is written once, since of two
    writes to one place some steps of either may stay.
    """
    count, capacity = new.shape[-1], buffer.shape[-1]
    kept = torch.arange(max(0, count - capacity), count, device=buffer.device)
    buffer[:, :, (step * count + kept) % capacity] = new[:, :, -capacity:]
    filled = ((step + 1) * count).clamp(max=capacity)
    picked = torch.minimum((noise[:, 0] * filled).long(), filled - 1)
    return buffer.gather(2, picked[:, None].expand(-1, buffer.shape[1], -1))
