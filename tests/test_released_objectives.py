"""What the released code does otherwise: the mean over a batch's transitions, a learned flow of
stops.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

import divergence_lab as dl
from divergence_lab.gflownet.listed.exact import enumerate_trajectories
from divergence_lab.gflownet.listed.flow import flow, residuals_along
from divergence_lab.gflownet.objectives import ObjectiveError, objective
from divergence_lab.gflownet.policies.policy import heads, tabular
from divergence_lab.graphs import hypergrid
from divergence_lab.theorem.objects import list_objects
from divergence_lab.training.settings import TrainingError
from tests.small_graphs import diamond


def squared(x):
    return x**2 / 2


def along(graph, name):
    chosen = objective(name)
    needs = heads(graph, flow=chosen.flow == "free")
    policy = tabular(graph, heads=needs, scale=1.0, initial_log_z=0.3)
    model = flow(policy, policy.init([2], dtype=torch.float64), chosen)
    return residuals_along(graph, chosen, model, enumerate_trajectories(graph)), model


@pytest.mark.parametrize("name", ["db", "tied-db", "fm"])
def test_the_mean_is_over_all_transitions_of_the_batch(name):
    """Trajectories of different lengths: each transition counts as much as any other."""
    summed, _ = along(hypergrid(2, 3), name)
    mean, _ = along(hypergrid(2, 3), f"mean-{name}")
    exists = summed.weight.expand_as(summed.x) > 0
    assert len(set(exists.sum(dim=1).flatten().tolist())) > 1
    by_hand = squared(summed.x[exists]).mean()
    found = (mean.weight * squared(mean.x)).sum() / mean.x.shape[-1]
    torch.testing.assert_close(found, by_hand)
    # control: the sum along a trajectory is another number
    assert not torch.isclose((summed.weight * squared(summed.x)).sum() / mean.x.shape[-1], by_hand)


def test_a_learned_flow_of_a_stop_is_held_against_the_reward_where_a_trajectory_ends():
    graph = diamond()
    found, model = along(graph, "exit-fm")
    ends = enumerate_trajectories(graph).terminal[0]
    log_exit = (model.log_pf[0, -1] + model.log_flow[0])[ends]
    torch.testing.assert_close(found.x[0, -1], torch.tensor(graph.log_reward)[ends] - log_exit)
    assert (found.weight[0, -1] == 1).all()
    # the mean is that of the states, beside that of the ends
    mean, _ = along(graph, "mean-exit-fm")
    assert (mean.weight[0, -1] == 1).all()
    assert mean.weight[0, :-1].sum() == pytest.approx(mean.x.shape[-1])


@pytest.mark.parametrize("name", ["mean-tied-db", "mean-fm", "exit-fm", "mean-exit-fm"])
def test_both_ways_of_evaluating_learn_the_same_numbers(name):
    given = {
        "objective": name,
        "backward": "learned",
        "policy": "mlp",
        "width": 8,
        "seeds": 2,
        "steps": 6,
        "batch": 8,
        "dtype": torch.float64,
        "evaluations": 2,
        "device": "cpu",
    }
    ways = [
        dl.train({"q": squared}, dl.hypergrid(2, 4), evaluate=way, **given)
        for way in ("visited", "all states")
    ]
    for metric in ("tv", "log_z"):
        np.testing.assert_allclose(ways[0].metrics[metric], ways[1].metrics[metric], rtol=1e-6)


def test_a_learned_exit_learns_the_target():
    found = dl.train(
        {"q": squared}, dl.hypergrid(2, 2), objective="exit-fm", seeds=1, steps=300, device="cpu"
    )
    assert found.metrics["tv"][0, 0, -1] < 0.05 < found.metrics["tv"][0, 0, 0]


@pytest.mark.parametrize("name", ["mean-db", "exit-fm"])
def test_what_has_no_expectation_of_the_same_form_is_refused(name):
    with pytest.raises(ObjectiveError, match=f"knows no {name}; use"):
        list_objects(diamond(), objective(name))
    with pytest.raises(TrainingError, match=f"exact training knows no {name}; use"):
        dl.train({"q": squared}, dl.hypergrid(2, 3), objective=name, exact=True, device="cpu")


@pytest.mark.parametrize("text", ["mean-tb", "mean-subtb(0.9)", "exit-db", "tied-exit-fm"])
def test_forms_that_mean_nothing_are_refused(text):
    with pytest.raises(ObjectiveError, match="is not known"):
        objective(text)
