"""Sampling: the law, forbidden actions, seeds."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from divergence_lab.gflownet.listed.exact import terminal_distribution
from divergence_lab.gflownet.listed.sampling import gather_steps, sample, with_sink
from divergence_lab.gflownet.policies.policy import tabular
from divergence_lab.gflownet.randomness import chunk_length, mix, uniforms
from divergence_lab.gflownet.samplers import (
    Sampler,
    SamplerError,
    log_behaviour,
    sampler,
    sampler_text,
)
from divergence_lab.graphs import hypergrid
from divergence_lab.graphs.tables import tables
from tests.small_graphs import binary_tree, diamond, single_state, skips

GRAPHS = [single_state(), diamond(), binary_tree(3), skips(), hypergrid(2, 5), hypergrid(3, 3)]


def policy_of(graph, seeds, scale=1.0, dtype=torch.float64):
    policy = tabular(graph, scale=scale)
    return policy.log_pf(policy.init(seeds, dtype=dtype))


def p_value(graph, terminal, law):
    counts = torch.bincount(terminal, minlength=graph.n_states)[
        graph.terminal_states.tolist()
    ].double()
    expected = law / law.sum() * counts.sum()
    kept = expected > 5
    counts = torch.cat([counts[kept], counts[~kept].sum()[None]])
    expected = torch.cat([expected[kept], expected[~kept].sum()[None]])
    kept = expected > 0
    return 1.0 if kept.sum() < 2 else chisquare(counts[kept], expected[kept]).pvalue


@pytest.mark.parametrize("graph", GRAPHS, ids=lambda graph: graph.name)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_long_sampling_has_the_exact_law(graph, dtype):
    log_pf = policy_of(graph, [0, 1], dtype=dtype)
    walked = sample(graph, log_pf, uniforms([10, 11], 0, (graph.max_steps, 100_000), "cpu", dtype))
    for member, law in enumerate(terminal_distribution(graph, log_pf.double())):
        # 24 comparisons: a correct sampler would fail one in 400 times, were the seeds not fixed
        assert p_value(graph, walked.terminal[member], law) > 1e-4
        # control: the law of the other member is told apart
        other = terminal_distribution(graph, log_pf.double())[1 - member]
        assert graph.n_states == 1 or p_value(graph, walked.terminal[member], other) < 1e-9


@pytest.mark.parametrize("graph", GRAPHS, ids=lambda graph: graph.name)
@pytest.mark.parametrize("u", [0.0, 1 - 2**-24, 0.5])
def test_no_forbidden_action_at_any_u(graph, u):
    # enormous logits leave cumulative probabilities of exactly 0 and, rounded, below 1
    for scale in (0.0, 1.0, 60.0):
        log_pf = policy_of(graph, range(20), scale=scale, dtype=torch.float32)
        walked = sample(graph, log_pf, torch.full((20, graph.max_steps, 3), u))
        assert_is_walk(graph, walked)


def assert_is_walk(graph, walked):
    child = torch.full((graph.n_actions, graph.n_states + 1), -1)
    child[:, :-1] = torch.tensor(graph.child)
    child[-1, -1] = graph.n_states
    reached = child[walked.slots, walked.states]
    assert (reached >= 0).all()
    assert (walked.states[:, 0] == 0).all()
    assert torch.equal(reached[:, :-1], walked.states[:, 1:])
    assert (reached[:, -1] == graph.n_states).all()
    assert torch.equal(
        walked.terminal, walked.states.masked_fill(walked.states == graph.n_states, -1).amax(dim=1)
    )


@pytest.mark.parametrize("graph", GRAPHS, ids=lambda graph: graph.name)
def test_random_walks_follow_the_edges(graph):
    log_pf = policy_of(graph, range(4), dtype=torch.float32)
    assert_is_walk(graph, sample(graph, log_pf, torch.rand(4, graph.max_steps, 500)))


def test_u_selects_the_slot_of_its_interval():
    graph = binary_tree(1)
    log_pf = torch.tensor([[0.25], [0.75], [0.0]]).log().expand(3, 3).clone()
    log_pf[:, 1:] = torch.tensor([-torch.inf, -torch.inf, 0.0])[:, None]
    u = torch.tensor([[0.0, 0.2499, 0.25, 0.9999], [0.0, 0.0, 0.0, 0.0]])[None]
    walked = sample(graph, log_pf[None], u)
    assert [graph.labels[s] for s in walked.terminal[0]] == ["0", "0", "1", "1"]


def test_gathered_log_probability_of_a_walk():
    graph = skips()
    log_pf = policy_of(graph, [0, 1])
    walked = sample(graph, log_pf, torch.rand(2, graph.max_steps, 50, dtype=torch.float64))
    total = gather_steps(with_sink(log_pf), walked)
    for member in range(2):
        for number in range(50):
            pairs = zip(
                walked.slots[member, :, number], walked.states[member, :, number], strict=True
            )
            expected = sum(float(log_pf[member, a, s]) for a, s in pairs if s < graph.n_states)
            assert float(total[member, number]) == pytest.approx(expected, abs=1e-12)


def test_random_numbers_depend_on_seed_and_chunk_alone():
    both = uniforms([3, 4], 5, (7, 2), "cpu", torch.float32)
    assert torch.equal(both[1], uniforms([4], 5, (7, 2), "cpu", torch.float32)[0])
    assert not torch.equal(both[0], both[1])
    assert not torch.equal(both[1], uniforms([4], 6, (7, 2), "cpu", torch.float32)[0])
    assert (both >= 0).all() and (both < 1).all()


def test_seeds_and_chunks_do_not_collide_in_the_bits_the_generator_keeps():
    streams = [mix(seed, chunk) & 0xFFFFFFFF for seed in range(50) for chunk in range(200)]
    assert len(set(streams)) >= len(streams) - 1  # 0.01 collisions expected
    assert mix(1, 0) != mix(0, 1)


def test_chunks_are_bounded():
    assert chunk_length(15, 64) * 15 * 64 <= 2**18
    assert chunk_length(10**6, 10**6) == 1
    assert chunk_length(1, 1) == 256


@given(st.floats(0, 1), st.floats(1e-3, 100), st.floats(0, 1), st.floats(0, 1))
def test_the_text_of_a_sampler_gives_it_back(epsilon, temperature, backward, replay):
    """To the last bit, so that a run with another share is another run."""
    chosen = Sampler(epsilon, temperature, backward, replay)
    assert sampler(sampler_text(chosen)) == chosen


def test_shares_and_temperatures_that_mean_nothing_are_refused():
    """1e-30 divides to infinity in float32, and then no action is left to choose from."""
    for given_ in (
        {"epsilon": 2.0},
        {"epsilon": math.nan},
        {"temperature": 0.0},
        {"temperature": 1e-30},
        {"backward": -0.5},
        {"replay": math.inf},
        {"capacity": 0},
    ):
        with pytest.raises(SamplerError, match=next(iter(given_))):
            Sampler(**given_)
    with pytest.raises(
        SamplerError,
        match="'tempered:1e-30': temperature is 1e-30; give a number from 0.001 to 100",
    ):
        sampler("tempered:1e-30")


@pytest.mark.parametrize("temperature", [1e-3, 100.0])
def test_a_tempered_policy_is_a_law_at_both_ends_of_the_range(temperature):
    graph = hypergrid(2, 5)
    log_pf = policy_of(graph, [0], scale=10.0, dtype=torch.float32)
    behaviour = log_behaviour(
        Sampler(temperature=temperature), log_pf, tables(graph, "cpu", torch.float32).mask
    )
    torch.testing.assert_close(behaviour.exp().sum(dim=1), torch.ones(1, graph.n_states))
    assert ((behaviour == -torch.inf) >= torch.tensor(graph.child < 0)).all()


@pytest.mark.parametrize(("epsilon", "temperature"), [(0.0, 3.0), (0.1, 1.0), (0.3, 0.5)])
def test_the_behaviour_policy_by_hand(epsilon, temperature):
    """(1 - epsilon) P_F^(1/T) / norm + epsilon / (number of allowed actions), in plain Python,
    state by state.
    """
    graph = skips()
    log_pf = policy_of(graph, [3])
    found = log_behaviour(
        Sampler(epsilon, temperature), log_pf, tables(graph, "cpu", torch.float64).mask
    )[0].exp()
    for state in range(graph.n_states):
        slots = [slot for slot in range(graph.n_actions) if graph.child[slot, state] >= 0]
        flat = [math.exp(log_pf[0, slot, state].item()) ** (1 / temperature) for slot in slots]
        wanted = [0.0] * graph.n_actions
        for slot, chance in zip(slots, flat, strict=True):
            wanted[slot] = (1 - epsilon) * chance / sum(flat) + epsilon / len(slots)
        assert found[:, state].tolist() == pytest.approx(wanted, abs=1e-14)
