"""Policies: the ensemble axis, seeds, masks, and the MLP against torch.nn."""

import pytest
import torch

from divergence_lab.gflownet.policies.policy import mlp, tabular
from divergence_lab.graphs import hypergrid
from tests.small_graphs import diamond, single_state, skips

MAKERS = [lambda graph: tabular(graph, scale=1.0), lambda graph: mlp(graph, width=16)]


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize(
    "graph", [diamond(), skips(), single_state(), hypergrid(2, 5)], ids=lambda g: g.name
)
def test_probabilities_sum_to_one_over_allowed_actions(make, graph):
    policy = make(graph)
    log_pf = policy.log_pf(policy.init([0, 1, 2], dtype=torch.float64))
    assert log_pf.shape == (3, graph.n_actions, graph.n_states)
    torch.testing.assert_close(
        log_pf.exp().sum(dim=1), torch.ones(3, graph.n_states, dtype=torch.float64)
    )
    assert torch.equal(log_pf[0].isinf(), torch.tensor(graph.child < 0))


@pytest.mark.parametrize("make", MAKERS)
def test_a_member_starts_from_its_own_seed_alone(make):
    policy = make(hypergrid(2, 5))
    together, alone = policy.init([3, 7, 5]), policy.init([7])
    for key in policy.shapes:
        assert torch.equal(together[key][1], alone[key][0])
    assert not torch.equal(
        *policy.init([3, 7])[next(key for key in policy.shapes if key != "log_z")]
    )


@pytest.mark.parametrize("make", MAKERS)
def test_visited_states_alone_give_the_same_numbers(make):
    policy = make(hypergrid(2, 5))
    parameters = policy.init([0, 1], dtype=torch.float64)
    states = torch.randint(0, 25, (2, 7), generator=torch.Generator().manual_seed(0))
    full = policy.log_pf(parameters).gather(2, states[:, None].expand(-1, 3, -1))
    torch.testing.assert_close(policy.log_pf(parameters, states), full)


def test_the_mlp_is_that_of_torch():
    graph = hypergrid(2, 5)
    policy = mlp(graph)
    parameters = policy.init([4], dtype=torch.float64)
    assert policy.shapes["weight_1"] == (256, 256)
    layers = [torch.nn.Linear(10, 256), torch.nn.Linear(256, 256), torch.nn.Linear(256, 3)]
    net = torch.nn.Sequential(
        layers[0], torch.nn.ReLU(), layers[1], torch.nn.ReLU(), layers[2]
    ).double()
    for number, layer in enumerate(layers):
        weight = parameters[f"weight_{number}"][0]
        layer.weight.data = weight if number == 2 else weight.T
        layer.bias.data = parameters[f"bias_{number}"][0].flatten()
        bound = layer.in_features**-0.5
        assert 0.9 * bound < weight.abs().max() <= bound
    expected = net(torch.tensor(graph.features).double()).T
    torch.testing.assert_close(
        policy.rows(parameters, None)[0], expected.detach(), check_stride=False
    )


def test_starts():
    graph = hypergrid(2, 5)
    for policy in (
        tabular(graph, stop_logit=-50.0, initial_log_z=3.0),
        mlp(graph, stop_logit=-50.0, initial_log_z=3.0),
    ):
        parameters = policy.init([0])
        assert parameters["log_z"].tolist() == [3.0]
        assert policy.log_pf(parameters)[0, 2, :-1].max() < -40
        assert policy.log_pf(parameters)[0, 2, -1] == 0.0
