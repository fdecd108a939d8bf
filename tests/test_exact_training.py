"""Training along expected gradients: few steps, any loss, resumable, the same in every run."""

import itertools

import numpy as np
import pytest
import torch

from divergence_lab.bridge import to_torch
from divergence_lab.gflownet.listed.expected import expected_residuals, row_visits
from divergence_lab.gflownet.listed.flow import flow
from divergence_lab.gflownet.objectives import objective
from divergence_lab.gflownet.optimiser import ensemble, natural_step
from divergence_lab.gflownet.policies.policy import heads, tabular
from divergence_lab.graphs import hypergrid
from divergence_lab.theory.divergence.loss import loss
from divergence_lab.training.loop import train
from divergence_lab.training.schedules import anneal_linex, blend, terms_of, then
from divergence_lab.training.settings import TrainingError
from tests.small_graphs import diamond, single_state, skips

LOSSES = {
    name: to_torch(loss(text))
    for name, text in {
        "quadratic": "x**2/2",
        "linex(1)": "exp(x) - x - 1",
        "cosh": "2*cosh(x) - 2",
    }.items()
}


def run(graph, name, steps, losses=LOSSES, **given):
    return train(
        losses,
        graph,
        objective=name,
        exact=True,
        steps=steps,
        seeds=1,
        progress=False,
        device="cpu",
        **given,
    )


def first_below(result, bound):
    """The first evaluated step after which every loss stays below `bound`."""
    above = np.flatnonzero((result.metrics["tv"][:, 0] >= bound).any(axis=0))
    return 0 if not above.size else int(result.steps[min(above[-1] + 1, len(result.steps) - 1)])


@pytest.mark.parametrize("dimensions", [2, 4])
def test_trajectory_balance_is_learned_in_fewer_than_75_steps(dimensions):
    result = run(hypergrid(dimensions, 8), "tb", 25, evaluations=100, dtype=torch.float64)
    assert first_below(result, 0.01) <= 20
    assert (result.metrics["tv"][..., -1] < 1e-5).all()
    np.testing.assert_allclose(result.metrics["log_z"][..., -1], result.log_z_true, atol=1e-4)


@pytest.mark.parametrize("dimensions", [2, 4])
def test_detailed_balance_with_linex_is_learned_in_fewer_than_300_steps(dimensions):
    result = run(hypergrid(dimensions, 8), "db", 300, {"linex(1)": LOSSES["linex(1)"]})
    assert first_below(result, 0.01) < 300


@pytest.mark.parametrize(
    "name", ["tb", "db", "fm", "fl-db", "vargrad", "subtb(0.9)", "modified-db"]
)
def test_every_objective_can_be_trained_exactly(name):
    graph = hypergrid(2, 3)
    steps = 100 if name in ("tb", "vargrad", "subtb(0.9)") else 1_000
    result = run(graph, name, steps)
    bound = 0.1 if name == "modified-db" else 1e-3  # by Adam
    assert (result.metrics["tv"][..., -1] < bound).all() and result.finite.all()


@pytest.mark.parametrize(
    "name",
    [
        "tb",
        "vargrad",
        "db",
        "subtb(0.9)",
        "fm",
        "fl-db",
        "modified-db",
        "tied-db",
        "tied-subtb(0.9)",
    ],
)
@pytest.mark.parametrize("exact", [True, False])
def test_a_graph_of_one_state_is_no_exception(name, exact):
    """Flow matching and tied flows have no object there at all."""
    given = {
        "objective": name,
        "exact": exact,
        "steps": 20,
        "batch": 4,
        "seeds": 2,
        "progress": False,
        "device": "cpu",
    }
    result = train(LOSSES, single_state(), **given)
    assert result.finite.all()
    np.testing.assert_allclose(result.log_z, result.log_z_true, atol=0.01)
    if name == "tb":  # control: there is something to learn
        moved = train(LOSSES, single_state(), **given, initial_log_z=2.0)
        assert np.abs(moved.metrics["log_z"][..., 0] - moved.log_z_true).min() > 1


@pytest.mark.parametrize("backward", ["learned", "maxent"])
def test_a_learned_backward_policy_is_trained_too(backward):
    losses = {"quadratic": LOSSES["quadratic"]}
    result = run(diamond(), "tb", 100, losses, backward=backward, learning_rate=0.3)
    assert result.metrics["tv"][0, 0, -1] < 1e-4


def test_losses_without_terms_list_the_trajectories_or_say_what_to_do():
    huber = {"huber": to_torch(loss("huber(1)"))}
    assert run(hypergrid(2, 3), "tb", 200, huber).metrics["tv"][0, 0, -1] < 1e-3
    with pytest.raises(TrainingError, match="tb with huber lists all trajectories.*db and fm"):
        run(hypergrid(2, 20), "tb", 5, huber)
    with pytest.raises(TrainingError, match="walks forward"):
        run(hypergrid(2, 4), "tb", 5, sampler="mixture:0.5")


def test_losses_that_change_keep_their_terms():
    changing = {
        "anneal": anneal_linex(1.0, 0.0),
        "blend": blend(LOSSES["linex(1)"], LOSSES["quadratic"]),
        "then": then(LOSSES["linex(1)"], LOSSES["cosh"], 0.3),
    }
    x = torch.linspace(-3, 3, 13, dtype=torch.float64)
    for loss_, fraction in itertools.product(changing.values(), (0.0, 0.2, 0.5, 0.95, 0.97, 1.0)):
        by_terms = sum(c * x**n * torch.exp(a * x) for c, n, a in terms_of(loss_, fraction))
        torch.testing.assert_close(by_terms, loss_.at(fraction)(x), rtol=1e-9, atol=1e-12)
    assert (run(hypergrid(2, 8), "tb", 60, changing).metrics["tv"][..., -1] < 1e-3).all()


def test_a_loss_that_becomes_steeper_does_not_leave_what_it_had_learned():
    steep = then(LOSSES["quadratic"], lambda x: 25 * x**2, 0.5)
    result = run(hypergrid(2, 4), "db", 300, {"steep": steep})
    assert result.metrics["tv"][0, 0, -1] < 1e-3 < result.metrics["tv"][0, 0, 0]


def test_exact_training_with_noise_in_the_weights():
    assert run(skips(), "tb", 60, sampler="epsilon:0.2").metrics["tv"][..., -1].max() < 1e-4


def test_a_network_follows_the_exact_gradient_by_adam():
    result = run(hypergrid(2, 4), "tb", 150, policy="mlp", width=32, learning_rate=0.01)
    assert (result.metrics["tv"][..., -1] < 0.1 * result.metrics["tv"][..., 0]).all()


def test_the_exact_gradient_is_the_mean_of_sampled_ones():
    graph, chosen = hypergrid(2, 3), objective("db")
    policy = tabular(graph, heads=heads(graph, flow=True), scale=1.0)
    parameters = {k: v.requires_grad_() for k, v in policy.init([1], dtype=torch.float64).items()}
    model = flow(policy, parameters, chosen)
    found = expected_residuals(graph, chosen, model)
    (exact,) = torch.autograd.grad((found.weight * found.x**2 / 2).sum(), parameters["rows"])

    from divergence_lab.gflownet.listed.flow import residuals_along
    from divergence_lab.gflownet.listed.sampling import sample

    batch = 40_000
    noise = torch.rand(
        1, graph.max_steps, batch, generator=torch.Generator().manual_seed(0), dtype=torch.float64
    )
    walked = sample(graph, model.log_pf.detach(), noise)
    drawn = residuals_along(graph, chosen, flow(policy, parameters, chosen), walked)
    (rough,) = torch.autograd.grad(
        (drawn.weight * drawn.x**2 / 2).sum() / batch, parameters["rows"]
    )
    assert (rough - exact).abs().max() < 0.05 * exact.abs().max()
    assert (rough + exact).abs().max() > exact.abs().max()


def test_the_natural_step_solves_the_fisher_system():
    """Per state: F v = gradient with F = d (diag p - p p'), up to a constant that the softmax
    does not see.
    """
    graph, chosen = hypergrid(2, 3), objective("tb")
    policy = tabular(graph, scale=1.0)
    parameters = policy.init([2], dtype=torch.float64)
    model = flow(policy, parameters, chosen)
    rows = row_visits(policy, model)
    members = ensemble({"rows": parameters["rows"], "log_z": parameters["log_z"]})
    start = members.values.clone()
    direction = (
        torch.randn(rows.shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
        * 1e-3
    )
    probability = model.log_pf.exp()
    centred = direction - (probability * direction).sum(dim=1, keepdim=True)
    gradient = rows * centred  # F applied to `direction`
    scale = torch.cat([rows.flatten(1), torch.ones(1, 1, dtype=torch.float64)], dim=1)
    natural_step(
        members,
        [gradient, torch.zeros(1, dtype=torch.float64)],
        scale,
        torch.ones(1, 2, dtype=torch.float64),
        0.0,
    )
    moved = (start - members.values)[:, :-1].view_as(rows)
    allowed = rows > 0
    torch.testing.assert_close(moved[allowed], centred[allowed], rtol=1e-9, atol=1e-15)


def test_a_member_that_is_not_finite_stops_alone():
    broken = {"quadratic": LOSSES["quadratic"], "broken": lambda x: x * float("nan")}
    result = run(hypergrid(2, 3), "db", 50, broken)
    assert result.finite.tolist() == [[True], [False]]
    alone = run(hypergrid(2, 3), "db", 50, {"quadratic": LOSSES["quadratic"]})
    np.testing.assert_array_equal(result.metrics["tv"][0], alone.metrics["tv"][0])


@pytest.mark.parametrize("exact", [False, True])
def test_deterministic_runs_are_the_same_to_the_bit(exact):
    given = {
        "objective": "db",
        "exact": exact,
        "steps": 40,
        "seeds": 2,
        "batch": 8,
        "progress": False,
        "device": "cpu",
    }
    one, other = (train(LOSSES, hypergrid(2, 4), deterministic=True, **given) for _ in range(2))
    np.testing.assert_array_equal(one.terminal, other.terminal)
    assert not torch.are_deterministic_algorithms_enabled()
