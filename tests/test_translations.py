"""Proposition 26 on a tree: f-TB, VarGrad and entropy-regularised RL in our words, to 1e-12."""

from __future__ import annotations

from itertools import product

import pytest
import sympy as sp
import torch

import divergence_lab as dl
from divergence_lab.gflownet.listed.exact import target_distribution, terminal_distribution
from divergence_lab.gflownet.policies.policy import tabular
from divergence_lab.theory.divergence.inversion import invert
from divergence_lab.theory.divergence.transforms import swap
from divergence_lab.theory.expressions import x as residual
from tests.small_graphs import binary_tree

u, v = sp.symbols("u v", positive=True)
# generators of D(policy || target), as Fawkes and Hartford write them: alpha = 0, 1/2, 1, 2, JS
GENERATORS = {
    "forward KL": -sp.log(u) + u - 1,
    "Hellinger": 2 * (sp.sqrt(u) - 1) ** 2,
    "reverse KL": u * sp.log(u) - u + 1,
    "half Pearson": (u - 1) ** 2 / 2,
    "Jensen-Shannon": u * sp.log(u) - (u + 1) * sp.log((u + 1) / 2),
}
ALPHA = {"forward KL": 0, "Hellinger": sp.Rational(1, 2), "reverse KL": 1, "half Pearson": 2}
OURS = {
    "forward KL": "linex(1)",
    "Hellinger": "linex(1/2)",
    "reverse KL": "quadratic",
    "half Pearson": "linex(-1)",
}


@pytest.fixture(scope="module")
def tree():
    """Parameters, the law of the leaves that they make, and the target law."""
    graph = binary_tree(3)
    policy = tabular(graph, scale=1.0)
    rows = policy.init([4], dtype=torch.float64)["rows"].requires_grad_()
    law = terminal_distribution(graph, policy.log_pf({"rows": rows}))[0]
    return rows, law, torch.tensor(target_distribution(graph))


def gradient(value: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    return torch.autograd.grad(value, rows, retain_graph=True)[0]


def score_sum(weights: torch.Tensor, law: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """E_q[weight * grad log q], the weights held."""
    return gradient((law.detach() * weights.detach() * law.log()).sum(), rows)


def as_torch(expression: sp.Expr, symbol: sp.Symbol, at: torch.Tensor) -> torch.Tensor:
    return sp.lambdify(symbol, expression, modules=torch)(at)


def slope_of_f_tb(name: str) -> sp.Expr:
    """L'(Delta) = f'(e^Delta) - f'(1), in v = e^Delta."""
    slope = sp.diff(GENERATORS[name], u)
    return slope.subs(u, v) - slope.subs(u, 1)


@pytest.mark.parametrize("name", GENERATORS)
def test_the_gradient_of_f_tb_is_that_of_its_divergence(name, tree):
    rows, law, target = tree
    slopes = as_torch(slope_of_f_tb(name), v, (law / target).detach())
    found = score_sum(slopes, law, rows)
    expected = gradient((target * as_torch(GENERATORS[name], u, law / target)).sum(), rows)
    assert (found - expected).abs().max() < 1e-12
    assert expected.abs().max() > 1e-2


@pytest.mark.parametrize("name", OURS)
def test_it_is_our_loss_of_minus_delta_with_alpha_turned_into_one_minus_alpha(name, tree):
    _, law, target = tree
    delta = (law / target).log().detach()
    ours = sp.diff(dl.loss(OURS[name]).expression, residual)
    theirs = as_torch(slope_of_f_tb(name), v, delta.exp())
    assert (theirs + as_torch(ours, residual, -delta)).abs().max() < 1e-12
    # control: the same alpha on both sides is another loss, but for alpha = 1/2
    same = "quadratic" if ALPHA[name] == 0 else f"linex({ALPHA[name]})"
    other = as_torch(sp.diff(dl.loss(same).expression, residual), residual, -delta)
    assert ((theirs + other).abs().max() < 1e-12) == (name == "Hellinger")


def test_it_is_the_swap_of_the_loss_with_their_generator(tree):
    _, law, target = tree
    for name in ("forward KL", "half Pearson"):
        read_in_t = str(GENERATORS[name]).replace("u", "t")
        ours = swap(invert(read_in_t).loss)
        at = (law / target).log().detach()
        theirs = as_torch(slope_of_f_tb(name), v, at.exp())
        slope = sp.diff(ours.expression, residual)
        assert (theirs + as_torch(slope, residual, -at)).abs().max() < 1e-12, name


@pytest.mark.parametrize("batch", [2, 3])
def test_the_log_variance_loss_has_the_gradient_of_reverse_kl(batch, tree):
    """All batches of K leaves, weighed by their chance."""
    rows, law, target = tree
    h = target.log() - law.log()
    expected = gradient((law * -h).sum(), rows)
    total, short = torch.zeros(()), torch.zeros(())
    for picks in product(range(len(law)), repeat=batch):
        chance = law.detach()[list(picks)].prod()
        some = h[list(picks)]
        squares = ((some - some.mean()) ** 2).sum() / 2
        total, short = total + chance * squares / (batch - 1), short + chance * squares / batch
    assert (gradient(total, rows) - expected).abs().max() < 1e-12
    assert (gradient(short, rows) - (1 - 1 / batch) * expected).abs().max() < 1e-12
    # control: without its factor it is not the gradient
    assert (gradient(short, rows) - expected).abs().max() > 1e-3


def test_a_step_is_a_policy_gradient_with_the_advantage_g_prime(tree):
    rows, law, target = tree
    x = (target / law).log().detach()
    for text in ("quadratic", "linex(1)", "shifted_cosh"):
        g = dl.to_torch(dl.loss(text))
        at = x.clone().requires_grad_()
        advantage = torch.autograd.grad(g(at).sum(), at)[0]
        loss = (law.detach() * g((target / law).log())).sum()
        step = -gradient(loss, rows)
        assert (step - score_sum(advantage, law, rows)).abs().max() < 1e-12
        # control: the other sign climbs away from the target
        assert (step - score_sum(-advantage, law, rows)).abs().max() > 1e-2


def test_the_quadratic_loss_is_entropy_regularised_rl_whatever_log_z(tree):
    """J = E[log R - log P_F]: of a tree, where P_B is 1."""
    rows, law, target = tree
    log_reward = target.log() + 2.0
    wanted = gradient((law * (log_reward - law.log())).sum(), rows)
    for log_z in (-1.0, 0.0, 5.0):
        residuals = log_reward - law.log() - log_z
        step = -gradient((law.detach() * residuals**2 / 2).sum(), rows)
        assert (step - wanted).abs().max() < 1e-12
    # control: without the entropy it is another objective
    assert (gradient((law * log_reward).sum(), rows) - wanted).abs().max() > 1e-2


@pytest.mark.parametrize("a", [-1.0, 0.5, 2.0])
def test_linex_climbs_exponential_utility_below_one_and_falls_above(a, tree):
    rows, law, target = tree
    w = target / law
    climbed = gradient((law * w**a).sum().log() / a, rows)
    step = score_sum(torch.expm1(a * w.log()) / a, law, rows)
    factor = (1 - a) / (law * w**a).sum().item()
    assert (climbed - factor * step).abs().max() < 1e-12
    assert (factor > 0) == (a < 1)
