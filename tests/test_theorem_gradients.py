"""The theorem on enumerated graphs, with the controls that make it able to fail."""

import pytest
import torch

from divergence_lab.gflownet.theorem import check_tb
from divergence_lab.graphs import hypergrid
from divergence_lab.graphs.small import binary_tree, diamond, single_state, skips

PAIRS = {
    "quadratic": (lambda x: x**2 / 2, lambda t: t - torch.log(t) - 1),
    "linex(1)": (lambda x: torch.expm1(x) - x, lambda t: t * torch.log(t) - t + 1),
    "linex(1/2)": (lambda x: 4 * torch.expm1(x / 2) - 2 * x, lambda t: 2 * t - 4 * torch.sqrt(t) + 2),
    "shifted_cosh": (lambda x: 2 * torch.cosh(x) - 2, lambda t: t * torch.log(t) - t / 2 + 1 / (2 * t)),
}
GRAPHS = [single_state(), diamond(), binary_tree(3), skips(), hypergrid(2, 4), hypergrid(3, 3)]


@pytest.mark.parametrize("graph", GRAPHS, ids=lambda graph: graph.name)
@pytest.mark.parametrize("loss", PAIRS)
def test_the_theorem_holds(graph, loss):
    for seed in range(3):
        check = check_tb(graph, *PAIRS[loss], seed=seed)
        assert check.holds and check.max_gradient_error < 1e-13


@pytest.mark.parametrize("graph", GRAPHS, ids=lambda graph: graph.name)
def test_a_flipped_sign_is_seen_for_losses_that_are_not_even(graph):
    for seed in range(3):
        flipped = {name: check_tb(graph, *pair, seed=seed).flipped_sign_error for name, pair in PAIRS.items()}
        assert flipped["linex(1)"] > 0.05 and flipped["linex(1/2)"] > 0.02
        assert flipped["quadratic"] < 1e-13 and flipped["shifted_cosh"] < 1e-13


@pytest.mark.parametrize("loss", PAIRS)
def test_the_generator_of_another_loss_is_refused(loss):
    for other in PAIRS:
        if other != loss:
            check = check_tb(hypergrid(2, 4), PAIRS[loss][0], PAIRS[other][1])
            assert not check.holds and check.max_gradient_error > 1e-3


def test_a_multiple_of_t_minus_1_moves_log_z_only():
    # the theorem fixes f up to c (t - 1): harmless to the policy, but not with log Z among the parameters
    loss, generator = PAIRS["linex(1)"]
    assert not check_tb(diamond(), loss, lambda t: generator(t) + 0.1 * (t - 1)).holds


def test_a_generator_that_is_not_a_number_does_not_pass():
    assert not check_tb(diamond(), PAIRS["quadratic"][0], lambda t: t * torch.nan).holds


def test_seeds_are_different_points():
    errors = {
        check_tb(hypergrid(2, 4), *PAIRS["linex(1)"], seed=seed).flipped_sign_error for seed in range(3)
    }
    assert len(errors) == 3
