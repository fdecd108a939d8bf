"""Residuals: their sign, their value by hand, and 0 at the solution."""

import math

import pytest
import torch

from divergence_lab.gflownet.exact import enumerate_trajectories, log_partition, terminal_distribution
from divergence_lab.gflownet.objectives import tb
from divergence_lab.gflownet.policies import tabular
from divergence_lab.graphs import hypergrid
from divergence_lab.graphs.small import binary_tree, diamond, single_state, skips


def exact_policy(graph):
    """log P_F proportional to flows with uniform P_B, by a backward pass in plain Python."""
    flow = [math.exp(r) for r in graph.log_reward]
    weight = torch.zeros(graph.child.shape, dtype=torch.float64)
    for state in reversed(range(graph.n_states)):
        for slot, child in enumerate(graph.child[:, state].tolist()):
            if child == graph.n_states:
                weight[slot, state] = math.exp(graph.log_reward[state])
            elif child >= 0:
                weight[slot, state] = flow[child] / float(graph.n_parents[child])
                flow[state] += weight[slot, state].item()
    return (weight / weight.sum(dim=0)).log()[None]


@pytest.mark.parametrize(
    "graph",
    [single_state(), diamond(), binary_tree(3), skips(), hypergrid(2, 4)],
    ids=lambda graph: graph.name,
)
def test_residual_is_zero_at_the_solution_and_only_there(graph):
    walked = enumerate_trajectories(graph)
    log_pf, log_z = exact_policy(graph), torch.tensor([log_partition(graph)], dtype=torch.float64)
    assert tb(graph, log_pf, log_z, walked).abs().max() < 1e-12
    law = terminal_distribution(graph, log_pf)[0]
    torch.testing.assert_close(law.log() + log_z, torch.tensor(graph.log_reward[graph.terminal_states]))
    # target/model: a model that claims too little (log Z too small) has a positive residual
    torch.testing.assert_close(
        tb(graph, log_pf, log_z - 0.5, walked),
        torch.full((1, walked.terminal.shape[1]), 0.5, dtype=torch.float64),
    )


def test_value_by_hand():
    graph = diamond()
    log_pf = tabular(graph).log_pf({"logits": torch.zeros(2, 3, 4, dtype=torch.float64)})
    residual = tb(graph, log_pf, torch.tensor([0.0, 1.0], dtype=torch.float64), enumerate_trajectories(graph))
    # start, left: P_F 1/2 1/2; start, left, both: P_F 1/2 1/2, P_B 1/2; start, right, both: P_F 1/2, P_B 1/2
    expected = sorted([-0.4 - math.log(1 / 4), 0.9 + math.log(1 / 2) - math.log(1 / 4), 0.9])
    assert sorted(residual[0].tolist()) == pytest.approx(expected)
    torch.testing.assert_close(residual[1], residual[0] - 1.0)
