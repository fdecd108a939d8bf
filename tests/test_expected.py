"""Exact expected losses against the sum over all trajectories, value and gradient."""

import pytest
import torch

from divergence_lab.bridge import to_torch
from divergence_lab.bridge.terms import power_exponential_terms
from divergence_lab.gflownet.listed.exact import enumerate_trajectories
from divergence_lab.gflownet.listed.expected import (
    expected_residuals,
    expected_tb,
    listed_residuals,
)
from divergence_lab.gflownet.listed.flow import check_objective, flow
from divergence_lab.gflownet.objectives import ObjectiveError, objective
from divergence_lab.gflownet.policies.policy import heads, tabular
from divergence_lab.gflownet.samplers import sampler
from divergence_lab.graphs import hypergrid
from divergence_lab.theory.divergence.loss import loss
from tests.small_graphs import binary_tree, diamond, single_state, skips

GRAPHS = [single_state(), diamond(), binary_tree(3), skips(), hypergrid(2, 4), hypergrid(3, 3)]
LOSSES = {
    "quadratic": "x**2/2",
    "linex(1)": "exp(x) - x - 1",
    "linex(1/2)": "4*exp(x/2) - 2*x - 4",
    "cosh": "2*cosh(x) - 2",
    "quartic": "x**4/4",
    "mixed": "x**2*exp(-x/2)/3 + x**2",
    "both": "exp(x) - x - 1 + x**2/2 + x**3*0",
}


def models(graph, name, backward):
    chosen = objective(name)
    policy = tabular(
        graph,
        heads=heads(graph, learned_back=True, flow=chosen.flow in ("free", "forward-looking")),
        scale=1.0,
    )
    parameters = {
        key: value.requires_grad_()
        for key, value in policy.init([1, 2], dtype=torch.float64).items()
    }
    return chosen, parameters, flow(policy, parameters, chosen, backward)


def by_force(graph, chosen, model, walked, g, drawn):
    """[M] E over all trajectories of sum_O weight g(x)."""
    found = listed_residuals(graph, chosen, model, walked, drawn)
    return (found.weight * g(found.x)).sum(dim=(1, 2)) / found.x.shape[-1]


def same(one, other, parameters):
    torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-13)
    leaves = list(parameters.values())
    first = torch.autograd.grad(
        one.sum(), leaves, retain_graph=True, allow_unused=True, materialize_grads=True
    )
    second = torch.autograd.grad(
        other.sum(), leaves, retain_graph=True, allow_unused=True, materialize_grads=True
    )
    for a, b in zip(first, second, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-11)
    return first


@pytest.mark.parametrize("drawn", ["on", "epsilon:0.3", "tempered:2"])
@pytest.mark.parametrize("backward", ["uniform", "learned"])
@pytest.mark.parametrize("graph", GRAPHS, ids=lambda graph: graph.name)
def test_trajectory_balance_by_recursion_is_the_sum_over_trajectories(graph, backward, drawn):
    chosen, parameters, model = models(graph, "tb", backward)
    walked, policy = enumerate_trajectories(graph), sampler(drawn)
    for text in LOSSES.values():
        g = to_torch(loss(text))
        assert g.terms is not None, text
        expected = by_force(graph, chosen, model, walked, g, policy)
        found = expected_tb(graph, model, g.terms, policy)
        same(found, expected, parameters)
    # control: a term less is seen
    assert (expected_tb(graph, model, g.terms[1:], policy) - expected).abs().max() > 1e-6


@pytest.mark.parametrize("drawn", ["on", "epsilon:0.3", "tempered:2"])
@pytest.mark.parametrize("name", ["db", "fm", "fl-db", "modified-db"])
@pytest.mark.parametrize("graph", GRAPHS, ids=lambda graph: graph.name)
def test_visits_of_edges_and_states_give_the_sum_over_trajectories(graph, name, drawn):
    try:
        check_objective(graph, objective(name))
    except ObjectiveError:
        pytest.skip("this graph does not allow the objective")
    chosen, parameters, model = models(graph, name, "learned")
    walked, policy = enumerate_trajectories(graph), sampler(drawn)
    for g in (to_torch(loss("exp(x) - x - 1")), to_torch(loss("huber(1)")), lambda x: x.abs()):
        expected = by_force(graph, chosen, model, walked, g, policy)
        found = expected_residuals(graph, chosen, model, policy)
        same((found.weight * g(found.x)).sum(dim=(1, 2)), expected, parameters)


def test_only_sums_of_powers_and_exponentials_have_terms():
    for text in ("log(cosh(x))", "huber(1)", "Abs(x)", "sqrt(1 + x**2) - 1", "x**2/(1 + x**2)"):
        assert to_torch(loss(text)).terms is None
    assert sorted(to_torch(loss("exp(x) - x - 1")).terms) == [
        (-1.0, 0, 0.0),
        (-1.0, 1, 0.0),
        (1.0, 0, 1.0),
    ]


SMALL = {
    "linex(1/10**9)": "x**2/2",
    "linex(1/10**20)": "x**2/2",
    "10**24*(cosh(x/10**12) - 1)": "x**2/2",
    "exp(x) - x - 1 + linex(-1/10**7)": "exp(x) - x - 1 + x**2/2",
}


@pytest.mark.parametrize("text", SMALL)
def test_small_rates_lose_no_digits(text):
    """10^18 (e^{x/10^9} - 1) - 10^9 x by its terms has none left; its series has all."""
    graph = hypergrid(2, 4)
    found = []
    for one in (text, SMALL[text]):
        _, parameters, _ = models(graph, "tb", "uniform")
        single = {key: part.detach().float().requires_grad_() for key, part in parameters.items()}
        policy = tabular(graph, heads=heads(graph, learned_back=True), scale=1.0)
        model = flow(policy, single, objective("tb"), "uniform")
        total = expected_tb(graph, model, to_torch(loss(one)).terms)
        slopes = torch.autograd.grad(
            total.sum(), [*single.values()], allow_unused=True, materialize_grads=True
        )
        found.append((total, *slopes))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


def test_terms_that_cancel_are_none():
    """10^12 (cosh(x + x/10^9) - cosh(x)) is near 1000 x sinh(x); a sum of terms of 10^12 is not."""
    assert power_exponential_terms(loss("10**12*(cosh(x + x/10**9) - cosh(x))")) is None
    assert power_exponential_terms(loss("linex(1/900)")) is not None


def test_long_trajectories_do_not_overflow():
    """exp(x/2) of residuals near -700: the recursion carries logarithms."""
    graph = hypergrid(2, 30)
    chosen, parameters, model = models(graph, "tb", "uniform")
    with torch.no_grad():
        parameters["log_z"] += 700.0
    _, _, model = (
        chosen,
        parameters,
        flow(tabular(graph, heads=heads(graph, learned_back=True)), parameters, chosen, "uniform"),
    )
    for text in ("x**2/2", "4*exp(x/2) - 2*x - 4"):
        assert torch.isfinite(expected_tb(graph, model, to_torch(loss(text)).terms)).all()
