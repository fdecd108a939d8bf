"""Where a policy is evaluated for what trajectories visit, and the way back from its rows to the
trajectories.

On a CPU each distinct state of a member once, all members' states one after another (`_distinct`),
if the policy can evaluate them so and members are many; else each visit, in a rectangle as wide as
the fullest member needs (`_packed`). Where looking at a number would mean waiting for the device,
every visit has a place, wished or not, and no shape depends on a value.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from divergence_lab.gflownet import devices, randomness
from divergence_lab.gflownet.policies.policy import Parameters, Policy, RowEvaluation
from divergence_lab.graphs.generated import GeneratedDAG

# members from which one row without padding is faster than a rectangle, whose products are fewer
MANY = 8
HASH_BITS = 44  # of the state; the member's number lies above them
HASH = 2**61  # the stream of its multipliers


@dataclass(frozen=True, eq=False)
class Places:
    """N places for the wished visits among [M, T, B]; m = M, or m = 1 where the places of all
    members are one list.

    `states` [m, N, D] of the places.  `rows()` -> [m, R, N]: the policy there.
    `take` [M, T, B(, D)] -> [m, V(, D)]: of the V wished visits.  `each` [m, K, N] -> [m, K, V]: a
    place's column for each of its visits.  `put` [m, V] -> [M, T, B], 0 at visits that are not
    wished; `spread`: any number at those.
    """

    states: Tensor
    rows: Callable[[], Tensor]
    take: Callable[[Tensor], Tensor]
    each: Callable[[Tensor], Tensor]
    put: Callable[[Tensor], Tensor]
    spread: Callable[[Tensor], Tensor]

    def pick(self, table: Tensor, index: Tensor) -> Tensor:
        """Of each visit, entry index [M, T, B] of its place's column in the table [m, K, N]: [M,
        T, B], any number at visits that are not wished.
        """
        return self.spread(self.each(table).gather(1, self.take(index)[:, None]).squeeze(1))


def places(
    policy: Policy[GeneratedDAG], parameters: Parameters, states: Tensor, wished: Tensor
) -> Places:
    """For the visits [M, T, B] that are `wished`, in the states [M, T, B, D]."""
    in_a_row = row_evaluation(policy, parameters["log_z"])
    if in_a_row is None:
        return _packed(policy, parameters, states, wished)
    return _distinct(policy.space, lambda: in_a_row(parameters), states, wished)


def row_evaluation(
    policy: Policy[GeneratedDAG], log_z: Tensor
) -> Callable[[Parameters], RowEvaluation] | None:
    """How the members' distinct states are evaluated one after another: on a CPU, in float32,
    MANY members or more; else None.
    """
    many = log_z.dtype == torch.float32 and (policy.n_together or len(log_z)) >= MANY
    return policy.in_a_row if many and devices.may_look(log_z.device) else None


def all_places(
    policy: Policy[GeneratedDAG], parameters: Parameters, states: Tensor, wished: Tensor
) -> Places:
    """A place for every visit, [M, T * B] in order: what has been evaluated already."""
    there = states.flatten(1, 2)
    return Places(
        there,
        rows=lambda: policy.rows(parameters, there),
        take=lambda tensor: tensor.flatten(1, 2),
        each=lambda table: table,
        put=lambda values: devices.kept(values.view(wished.shape), wished),
        spread=lambda values: values.view(wished.shape),
    )


def _packed(
    policy: Policy[GeneratedDAG], parameters: Parameters, states: Tensor, wished: Tensor
) -> Places:
    """Wished visits moved to the front of each member."""
    flat = wished.flatten(1)
    if not devices.may_look(flat.device):
        return all_places(policy, parameters, states, wished)
    kept = max(1, int(flat.sum(dim=1).max()))
    order = flat.int().argsort(dim=1, descending=True, stable=True)[:, :kept]
    return _rectangle(policy, parameters, states, wished, order)


def _rectangle(
    policy: Policy[GeneratedDAG],
    parameters: Parameters,
    states: Tensor,
    wished: Tensor,
    order: Tensor,
) -> Places:
    """Visit order[m, n] of member m has place n; those among them that are not wished are put
    down as 0.
    """
    flat = wished.flatten(1)

    def take(tensor: Tensor) -> Tensor:
        tensor = tensor.flatten(1, 2)
        index = order if tensor.dim() == 2 else order[..., None].expand(-1, -1, tensor.shape[-1])
        return tensor.gather(1, index)

    def put(values: Tensor) -> Tensor:
        values = values.masked_fill(~flat.gather(1, order), 0)
        return values.new_zeros(flat.shape).scatter(1, order, values).view(wished.shape)

    there = take(states)
    rows = lambda: policy.rows(parameters, there)  # noqa: E731
    return Places(there, rows, take, lambda table: table, put, put)


def _distinct(
    space: GeneratedDAG, evaluation: Callable[[], RowEvaluation], states: Tensor, wished: Tensor
) -> Places:
    """Each state that a member visits has one place, whatever the number of visits; members one
    after another.
    """
    flat = wished.flatten()
    visits = flat.nonzero()[:, 0]
    here = states.flatten(0, 2)[visits]
    if here.shape[1] == 1 and bool((here >> HASH_BITS).any()):
        raise ValueError(
            f"{space.name}: a state of one number must be in 0..2^{HASH_BITS} - "
            "1; use several numbers"
        )
    of_each = visits.div(wished[0].numel(), rounding_mode="floor")
    of_visit, first = grouped(of_each, here)
    member, distinct = of_each[first], here[first]

    def put(values: Tensor) -> Tensor:
        return values.new_zeros(flat.shape).index_copy(0, visits, values[0]).view(wished.shape)

    return Places(
        states=distinct[None],
        rows=lambda: evaluation()(distinct, member).T[None],
        take=lambda tensor: tensor.flatten(0, 2)[None, visits],
        each=lambda table: table.index_select(-1, of_visit),
        put=put,
        spread=put,
    )


def grouped(member: Tensor, states: Tensor) -> tuple[Tensor, Tensor]:
    """(the group [V] of each visit, the first visit [N] of each group): visits of one member [V] in
    one state [V, D].

    Groups are sorted by member.  They are told apart by a hash, and the states then compared: where
    two different ones share a hash, which is rare, by the states themselves.  A state of one
    number, below 2^HASH_BITS, is its own hash.
    """
    key = _hash(states) + (member << HASH_BITS)
    distinct, group = torch.unique(key, return_inverse=True)
    first = _one_of_each(group, len(distinct))
    if states.shape[1] > 1 and not torch.equal(states[first][group], states):
        distinct, group = torch.unique(
            torch.cat([member[:, None], states], dim=1), dim=0, return_inverse=True
        )
        first = _one_of_each(group, len(distinct))
    return group, first


def _one_of_each(group: Tensor, n_groups: int) -> Tensor:
    """[N] the place of the first visit of each group."""
    places = torch.arange(len(group), device=group.device)
    return group.new_full((n_groups,), len(group)).scatter_reduce_(0, group, places, "amin")


def _hash(states: Tensor) -> Tensor:
    """[V, D] -> [V] in 0..2^HASH_BITS - 1."""
    if states.shape[1] == 1:
        return states[:, 0]
    return ((states + 1) * _factors(states.shape[1])).sum(dim=1) >> (64 - HASH_BITS) & (
        (1 << HASH_BITS) - 1
    )


@lru_cache
def _factors(size: int) -> Tensor:
    """[D] odd multipliers modulo 2^64, well mixed: the high bits of the sum of their multiples are
    the hash.

    Multiples of one number would not do: then states with the same weighted sum of their numbers
    share a hash.
    """
    return torch.tensor([_signed(randomness.mix(place, HASH) | 1) for place in range(size)])


def _signed(number: int) -> int:
    """The integer modulo 2^64 that an int64 holds."""
    return (number + (1 << 63)) % (1 << 64) - (1 << 63)
