"""Dynamic programming against a brute force that shares no code with it."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings

from divergence_lab.gflownet.listed.exact import (
    EnumerationError,
    count_trajectories,
    enumerate_trajectories,
    log_partition,
    state_probability,
    target_distribution,
    terminal_distribution,
)
from divergence_lab.gflownet.listed.visits import visits
from divergence_lab.gflownet.policies.policy import tabular
from divergence_lab.graphs import from_edges, hypergrid
from divergence_lab.graphs.tables import tables
from tests.small_graphs import binary_tree, diamond, single_state, skips
from tests.test_dag import edge_lists

GRAPHS = [
    single_state(),
    diamond(),
    binary_tree(3),
    skips(),
    hypergrid(2, 4),
    hypergrid(3, 3),
    hypergrid(1, 6),
]


def random_log_pf(graph, members=3, scale=2.0):
    policy = tabular(graph, scale=scale)
    return policy.log_pf(policy.init(range(members), dtype=torch.float64))


def walk(graph, log_pf):
    """Every complete trajectory as (states, log-probability), by plain recursion over Python
    floats.
    """
    table = log_pf.tolist()
    stop = graph.n_actions - 1

    def go(states, total):
        state = states[-1]
        for slot in range(graph.n_actions):
            child = int(graph.child[slot, state])
            if child == graph.n_states:
                assert slot == stop
                yield states, total + table[slot][state]
            elif child >= 0:
                yield from go((*states, child), total + table[slot][state])

    return list(go((0,), 0.0))


@pytest.mark.parametrize("graph", GRAPHS, ids=lambda graph: graph.name)
def test_terminal_law_is_that_of_all_trajectories(graph):
    log_pf = random_log_pf(graph)
    law = terminal_distribution(graph, log_pf)
    assert law.dtype == torch.float64
    for member in range(3):
        expected, reached = np.zeros(graph.n_states), np.zeros(graph.n_states)
        for states, total in walk(graph, log_pf[member]):
            expected[states[-1]] += math.exp(total)
            reached[list(states)] += math.exp(total)
        np.testing.assert_allclose(law[member], expected[graph.terminal_states], rtol=0, atol=1e-12)
        np.testing.assert_allclose(
            state_probability(graph, log_pf[member]), reached, rtol=0, atol=1e-12
        )
    np.testing.assert_allclose(law.sum(dim=-1), 1.0, atol=1e-12)


@settings(max_examples=40, deadline=None)
@given(edge_lists())
def test_terminal_law_on_random_graphs(case):
    graph = from_edges(*case)
    log_pf = random_log_pf(graph, members=1)
    expected = np.zeros(graph.n_states)
    for states, total in walk(graph, log_pf[0]):
        expected[states[-1]] += math.exp(total)
    np.testing.assert_allclose(
        terminal_distribution(graph, log_pf)[0], expected[graph.terminal_states], rtol=0, atol=1e-12
    )


@pytest.mark.parametrize("graph", GRAPHS, ids=lambda graph: graph.name)
def test_enumeration_lists_every_trajectory_once(graph):
    expected = {states for states, _ in walk(graph, random_log_pf(graph)[0])}
    found = enumerate_trajectories(graph)
    assert found.states.shape == (1, graph.max_steps, len(expected)) and count_trajectories(
        graph
    ) == len(expected)
    paths = found.states[0].T.tolist()
    assert {tuple(s for s in path if s < graph.n_states) for path in paths} == expected
    ends = [max(s for s in path if s < graph.n_states) for path in paths]
    assert found.terminal[0].tolist() == ends


def test_enumeration_stops_at_its_limit():
    assert count_trajectories(hypergrid(2, 8)) == sum(
        math.comb(x + y, x) for x in range(8) for y in range(8)
    )
    with pytest.raises(EnumerationError, match="12,869 trajectories, more than 100"):
        enumerate_trajectories(hypergrid(2, 8), limit=100)
    with pytest.raises(EnumerationError, match=r"over 10\^15"):
        enumerate_trajectories(hypergrid(2, 60))


def test_the_backward_policy_is_normalised_and_gives_the_law_of_the_target():
    for graph in GRAPHS:
        log_pb = tables(graph, "cpu", torch.float64).log_pb
        edges = graph.edges
        weights = np.exp(log_pb.numpy()[edges.slot, edges.parent])
        total = np.bincount(edges.child, weights, minlength=graph.n_states)
        np.testing.assert_allclose(total[1:], 1.0)
        # sum over trajectories of R P_B = Z: every terminal state spreads its reward over its
        # trajectories
        mass = 0.0
        for states, log_weight in walk(
            graph, torch.where(torch.tensor(graph.child < 0), -torch.inf, log_pb)
        ):
            mass += math.exp(log_weight + graph.log_reward[states[-1]])
        assert math.log(mass) == pytest.approx(log_partition(graph), abs=1e-12)


def test_the_law_is_differentiable():
    graph = skips()
    policy = tabular(graph)
    logits = tabular(graph, scale=1.0).init([0], dtype=torch.float64)["rows"].requires_grad_()
    torch.autograd.gradcheck(
        lambda x: terminal_distribution(graph, policy.log_pf({"rows": x})), logits
    )


def test_target():
    np.testing.assert_allclose(target_distribution(binary_tree(2)).sum(), 1.0)
    tree = binary_tree(2)
    by_name = dict(
        zip([tree.labels[s] for s in tree.terminal_states], target_distribution(tree), strict=True)
    )
    assert by_name == pytest.approx({"00": 0.1, "01": 0.2, "10": 0.3, "11": 0.4})
    assert log_partition(single_state(0.7)) == pytest.approx(0.7)


def test_the_law_has_the_precision_of_the_logits():
    graph = hypergrid(2, 6)
    log_pf = random_log_pf(graph)
    rough = terminal_distribution(graph, log_pf.float())
    assert rough.dtype == torch.float32
    torch.testing.assert_close(
        rough.double(), terminal_distribution(graph, log_pf), rtol=0, atol=1e-6
    )


@pytest.mark.parametrize("graph", GRAPHS, ids=lambda graph: graph.name)
def test_visits_and_their_gradient_against_all_trajectories(graph):
    """Any function of the visits of all edges: gradient by brute force over trajectories."""
    generator = torch.Generator().manual_seed(4)
    logits = torch.randn(
        2, *graph.child.shape, generator=generator, dtype=torch.float64
    ).requires_grad_()
    worth = torch.randn(2, *graph.child.shape, generator=generator, dtype=torch.float64)
    mask = torch.zeros(graph.child.shape, dtype=torch.float64).masked_fill(
        torch.tensor(graph.child < 0), -torch.inf
    )
    log_pf = torch.log_softmax(logits + mask, dim=1)
    walked = enumerate_trajectories(graph)
    exists = walked.states[0] < graph.n_states
    places = (walked.slots[0] * graph.n_states + walked.states[0]).where(exists, 0)
    chance = torch.where(exists, log_pf.flatten(1)[:, places], 0.0).sum(dim=1).exp()  # [2, J]
    counted = torch.zeros(2, graph.child.size, dtype=torch.float64)
    counted = counted.index_add(
        1, places[exists], chance[:, None].expand(-1, len(places), -1)[:, exists]
    )
    found = visits(graph, logits)
    torch.testing.assert_close(found.flatten(1), counted, rtol=1e-12, atol=1e-13)
    torch.testing.assert_close(visits(graph, log_pf), found, rtol=1e-12, atol=1e-13)
    (by_recursion,) = torch.autograd.grad((found.exp() * worth).sum(), logits)
    (by_force,) = torch.autograd.grad((counted.exp() * worth.flatten(1)).sum(), logits)
    torch.testing.assert_close(by_recursion, by_force, rtol=1e-10, atol=1e-12)


def test_what_is_never_reached_has_no_gradient_and_no_nan():
    graph = hypergrid(2, 4)
    logits = torch.zeros(1, *graph.child.shape, dtype=torch.float32)
    logits[:, -1] = 500.0  # the first stop takes all
    logits.requires_grad_()
    law = terminal_distribution(graph, logits)
    (gradient,) = torch.autograd.grad((law[:, 1:] * 3).sum(), logits)
    assert torch.isfinite(gradient).all() and law[0, 0] == 1
