"""The distinct states of a member, in a row without padding, against every visit in a rectangle:
the same numbers.
"""

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from divergence_lab.gflownet import rollouts
from divergence_lab.gflownet.objectives import objective
from divergence_lab.gflownet.policies.policy import THIN, heads, mlp
from divergence_lab.gflownet.rollouts import Rollout, draw_residuals, empty_buffer
from divergence_lab.gflownet.samplers import sampler
from divergence_lab.gflownet.visited import places
from divergence_lab.gflownet.visited.residuals import residuals_along
from divergence_lab.gflownet.visited.walks import walk, walk_again
from divergence_lab.graphs.generated import as_generated
from divergence_lab.graphs.spaces.hypergrid import hypergrid
from divergence_lab.graphs.texts import space_from_text
from divergence_lab.training import stepping, train
from tests.small_graphs import skips

M, BATCH = 3, 6
SPACES = ["generated:hypergrid:3x4", "generated:bits:6x2", "generated:sets:5x2", "listed"]
WAYS = [
    ("tb", "uniform", "on"),
    ("tb", "maxent", "epsilon:0.1"),
    ("vargrad", "learned", "on"),
    ("db", "learned", "replay:0.5"),
    ("subtb(0.9)", "uniform", "on"),
    ("fm", "uniform", "on"),
    ("fm", "uniform", "replay:0.5"),
    ("fl-db", "learned", "on"),
    ("modified-db", "learned", "on"),
    ("tied-db", "uniform", "on"),
]


@pytest.fixture(autouse=True)
def however_few(monkeypatch):
    monkeypatch.setattr(places, "MANY", 1)


def spaces(name):
    return as_generated(skips()) if name == "listed" else space_from_text(name)


def rolled(space, way, width=5, seed=0):
    """(residuals, weights, terminal states, gradients) of one step with the distinct places, and
    with packed ones.
    """
    chosen, backward, drawn = objective(way[0]), way[1], sampler(way[2])
    needs = heads(
        space, learned_back=backward == "learned", flow=chosen.flow in ("free", "forward-looking")
    )
    policy = mlp(space, heads=needs, width=width, depth=2)
    found = []
    for made in (policy, replace(policy, in_a_row=None)):
        parameters = {
            key: (3 * value).requires_grad_() for key, value in policy.init(range(M)).items()
        }
        rollout = Rollout(made, chosen, drawn, backward, "visited")
        noise = torch.rand(M, space.max_steps, BATCH, generator=torch.Generator().manual_seed(seed))
        buffer = empty_buffer(rollout, M, torch.device("cpu"))
        residuals, terminal = draw_residuals(rollout, parameters, noise, buffer, torch.tensor(0))
        weight = residuals.weight.expand_as(residuals.x)
        total = (weight * (torch.expm1(residuals.x / 4) + residuals.x**2)).sum()
        slopes = torch.autograd.grad(total, tuple(parameters.values()), materialize_grads=True)
        found.append((residuals.x * weight, weight, terminal, slopes))
    return found


@pytest.mark.parametrize("name", SPACES)
@pytest.mark.parametrize("way", WAYS, ids="-".join)
def test_residuals_and_gradients_agree(name, way):
    space = spaces(name)
    if (way[0] == "fl-db" and space.log_partial is None) or (
        way[0] == "modified-db" and not terminal_everywhere(space)
    ):
        pytest.skip("the space does not allow this objective")
    ours, packed = rolled(space, way)
    torch.testing.assert_close(ours[2], packed[2], rtol=0, atol=0)
    torch.testing.assert_close(ours[:2], packed[:2], rtol=1e-4, atol=1e-4)
    for one, other in zip(ours[3], packed[3], strict=True):
        torch.testing.assert_close(
            one, other, rtol=1e-3, atol=1e-3 * max(1.0, float(other.abs().max()))
        )


@pytest.mark.parametrize("name", SPACES)
@pytest.mark.parametrize("edge_flows", [False, True], ids=["logits", "edge flows"])
@pytest.mark.parametrize("drawn", ["on", "epsilon:0.3", "tempered:2"])
def test_a_list_that_shrinks_walks_as_the_rectangle_does(name, edge_flows, drawn):
    """With more trajectories than THIN, which are grouped at first, and then with few."""
    space = spaces(name)
    policy = mlp(space, width=5, depth=2)
    parameters = {key: 3 * value for key, value in policy.init(range(M)).items()}
    for batch in (2 * THIN, 5):
        noise = torch.rand(M, space.max_steps, batch, generator=torch.Generator().manual_seed(1))
        ours, rectangle = (
            walk(made, parameters, sampler(drawn), noise, edge_flows)
            for made in (policy, replace(policy, in_a_row=None))
        )
        for part in ("states", "actions", "exists"):
            torch.testing.assert_close(
                getattr(ours, part), getattr(rectangle, part), rtol=0, atol=0
            )
        lengths = ours.exists.sum(dim=1)
        assert lengths.min() < lengths.max() or name in SPACES[1:3]  # where all are filled
        other = walk(policy, parameters, sampler(drawn), 1 - noise, edge_flows)  # negative control
        assert other.actions.shape != ours.actions.shape or (other.actions != ours.actions).any()


def terminal_everywhere(space):
    return not space.name.startswith(("bits", "generated:bits", "sets", "generated:sets", "skips"))


@pytest.mark.parametrize("width", [1, 4, 30])
def test_any_width_and_number_of_rows(width):
    """The kernel takes rows of 16 bytes; what is no multiple of it is filled up."""
    for name in ("generated:hypergrid:1x3", "generated:hypergrid:3x4", "generated:bits:5x5"):
        ours, packed = rolled(spaces(name), ("db", "learned", "on"), width)
        for one, other in zip(ours[3], packed[3], strict=True):
            torch.testing.assert_close(
                one, other, rtol=1e-3, atol=1e-3 * max(1.0, float(other.abs().max()))
            )


@pytest.mark.parametrize("name", SPACES[:3])
def test_states_that_share_a_hash_stay_apart(monkeypatch, name):
    space = spaces(name)
    ours = rolled(space, WAYS[0])[0]
    monkeypatch.setattr(places, "_hash", lambda states: torch.zeros_like(states[:, 0]))
    shared = rolled(space, WAYS[0])[0]
    torch.testing.assert_close(shared, ours, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("size", "side"), [(2, 8), (4, 8), (6, 3), (30, 9), (120, 2)])
def test_different_states_have_different_hashes(size, side):
    """Neighbours above all: a state and those that differ from it in two numbers."""
    states = torch.randint(0, side, (300, size), generator=torch.Generator().manual_seed(0))
    moved = states.repeat(20, 1)
    for column in torch.randint(
        0, size, (2, len(moved)), generator=torch.Generator().manual_seed(1)
    ):
        moved[torch.arange(len(moved)), column] = (
            moved[torch.arange(len(moved)), column] + 1
        ) % side
    states = torch.unique(torch.cat([states, moved]), dim=0)
    assert len(torch.unique(places._hash(states))) == len(states)


def test_a_state_of_one_number_must_fit():
    """2^44 of one member would pass for 0 of the next."""
    space = as_generated(hypergrid(2, 3))
    policy = mlp(space, width=4, depth=1)
    states = torch.zeros(M, 1, 2, 1, dtype=torch.long)
    wished = torch.ones(M, 1, 2, dtype=torch.bool)
    places.places(policy, policy.init(range(M)), states, wished)
    for wrong in (2**44, -1):
        states[0, 0, 0, 0] = wrong
        with pytest.raises(ValueError, match="must be in 0"):
            places.places(policy, policy.init(range(M)), states, wished)


visits = st.lists(
    st.tuples(st.integers(0, 3), st.integers(-1, 2), st.integers(-1, 2)), min_size=1, max_size=40
)


@settings(max_examples=300, deadline=None)
@given(visits, st.sampled_from(["hash", "one hash for all"]))
def test_groups_are_the_distinct_pairs_of_member_and_state(found, way):
    member = torch.tensor([one[0] for one in found])
    states = torch.tensor([one[1:] for one in found])
    before, places._hash = (
        places._hash,
        places._hash if way == "hash" else lambda at: torch.zeros_like(at[:, 0]),
    )
    try:
        group, first = places.grouped(member, states)
    finally:
        places._hash = before
    assert len(first) == len(set(found)) == len(set(group.tolist()))
    for visit, one in enumerate(found):
        assert found[first[group[visit]]] == one
    of_groups = member[first].tolist()
    assert of_groups == sorted(of_groups)


def test_each_state_of_a_member_is_evaluated_once():
    """From the source all B trajectories start: one place in a row, B in a rectangle."""
    space = spaces(SPACES[0])
    policy = mlp(space, width=4, depth=1)
    parameters = policy.init(range(M))
    states = torch.zeros(M, 1, BATCH, 3, dtype=torch.long)
    wished = torch.ones(M, 1, BATCH, dtype=torch.bool)
    wished[1] = False
    distinct = places.places(policy, parameters, states, wished)
    assert distinct.states.shape == (1, 2, 3)
    rows = distinct.rows()
    back = distinct.put(distinct.each(rows)[:, 0])
    true = policy.rows(parameters, states[:, 0])[:, 0]
    torch.testing.assert_close(back[wished], true[[0, 2]].flatten())
    assert (back[1] == 0).all()
    packed = places.places(replace(policy, in_a_row=None), parameters, states, wished)
    assert packed.states.shape == (M, BATCH, 3)


def test_flow_matching_evaluates_parents_with_the_visited_states_once():
    """1 2 3 in a chain of one dimension: each is visited, and each but the last is a parent too."""
    space = spaces("generated:hypergrid:1x5")
    policy = mlp(space, width=4, depth=1)
    asked = []

    def counted(parameters):
        evaluated = policy.in_a_row(parameters)
        return lambda states, *given: (
            asked.append(states[:, 0].tolist()) or evaluated(states, *given)
        )

    walked = walk_again(
        space, torch.zeros(M, 3, 2, dtype=torch.long)
    )  # 0 -> 1 -> 2 -> 3, cut there
    found = residuals_along(
        replace(policy, in_a_row=counted), policy.init(range(M)), objective("fm"), "uniform", walked
    )
    assert asked == [[0, 1, 2] * M]
    assert found.weight.sum() == 2 * 2 * M  # the states 1 and 2


def test_double_precision_goes_by_the_rectangle():
    """The kernel is for float32: nothing may silently lose digits."""
    space = spaces(SPACES[0])
    policy = mlp(space, width=4, depth=1)
    parameters = policy.init(range(M), dtype=torch.float64)
    states, wished = (
        torch.zeros(M, 1, 2, 3, dtype=torch.long),
        torch.ones(M, 1, 2, dtype=torch.bool),
    )
    found = places.places(policy, parameters, states, wished)
    assert found.states.shape[0] == M and found.rows().dtype == torch.float64
    assert math.isfinite(float(found.rows().sum()))


def test_few_members_go_by_the_rectangle(monkeypatch):
    monkeypatch.setattr(places, "MANY", M + 1)
    space = spaces(SPACES[0])
    policy = mlp(space, width=4, depth=1)
    parameters = policy.init(range(M))
    states, wished = (
        torch.zeros(M, 1, 2, 3, dtype=torch.long),
        torch.ones(M, 1, 2, dtype=torch.bool),
    )
    assert places.places(policy, parameters, states, wished).states.shape[0] == M


@pytest.mark.parametrize("goal, backward, drawn", WAYS)
def test_blocks_of_members_learn_as_all_at_once(monkeypatch, goal, backward, drawn):
    """Of one loss each, however the members of a loss are cut into blocks."""
    asked, found = [], []

    def run(size):
        asked.clear()
        found.clear()
        monkeypatch.setattr(rollouts, "block_size", lambda *_: size)
        given = {"objective": goal, "backward": backward, "sampler": drawn, "policy": "mlp"}
        chosen = {"steps": 1, "batch": 4, "evaluate": "visited", "evaluations": 1}
        train(["quadratic", "linex(1)"], hypergrid(3, 4), seeds=3, **chosen, **given)
        return list(asked), list(found[0])

    real = rollouts.residuals_of
    monkeypatch.setattr(
        rollouts, "residuals_of", lambda *a: asked.append(len(a[2].exists)) or real(*a)
    )
    adam = stepping._adam
    monkeypatch.setattr(
        stepping, "_adam", lambda *a: found.append([part.clone() for part in a[2]]) or adam(*a)
    )
    (whole, all_at_once), (pairs, in_pairs), (single, alone) = run(6), run(2), run(1)
    assert (whole, pairs, single) == ([6], [2, 1, 2, 1], [1] * 6)
    for part, two, one in zip(all_at_once, in_pairs, alone, strict=True):
        near = {"rtol": 1e-3, "atol": 1e-5 * float(part.abs().max())}
        torch.testing.assert_close(two, part, **near)
        torch.testing.assert_close(one, part, **near)
    first, second = all_at_once[0].split(3)
    assert (first - second).abs().max() > 1e-3 * first.abs().max()  # each has its own loss


def test_somebody_elses_loss_is_called_for_all_its_members(monkeypatch):
    """It may look at them together."""
    asked = []

    def theirs(residual):
        asked.append(residual.shape)
        return residual**2 / 2 if bool((residual > -99).any()) else torch.zeros_like(residual)

    monkeypatch.setattr(rollouts, "block_size", lambda *_: 1)
    chosen = {"policy": "mlp", "evaluate": "visited", "evaluations": 1, "steps": 4, "batch": 4}
    train([theirs, "quadratic"], hypergrid(2, 6), seeds=3, **chosen)
    assert {shape[0] for shape in asked[-4:]} == {3}


def test_a_block_is_of_as_many_members_as_fit():
    space, chosen = spaces(SPACES[0]), objective("fm")
    policy = mlp(space, width=8, depth=2)
    parameters = policy.init(range(M))
    walked = walk_again(space, torch.zeros(M, 3, 2, dtype=torch.long))
    rollout = Rollout(policy, chosen, sampler("on"), "uniform", "visited")
    units = 8 * 4 * 6  # of a member, at its states and their three parents
    sizes = []
    for block in (1, 2 * units, 3 * units - 1, 100 * units):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(rollouts, "BLOCK", block)
            sizes.append(rollouts.block_size(rollout, parameters, walked))
    assert sizes == [1, 2, 2, M]
    rectangle = replace(rollout, policy=replace(policy, in_a_row=None))
    assert rollouts.block_size(rectangle, parameters, walked) == M
