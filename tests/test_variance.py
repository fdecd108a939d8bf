"""The noise of a sampled gradient is that of sampled batches, and what proposition 31 says of it.

Exact covariances against the formula by hand, against draws, and against laws that are wrong.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from divergence_lab.gflownet.listed import exact, flow, sampling
from divergence_lab.gflownet.objectives import ObjectiveError, objective
from divergence_lab.gflownet.policies.policy import heads, tabular
from divergence_lab.gflownet.samplers import Sampler
from divergence_lab.graphs.spaces.hypergrid import hypergrid
from divergence_lab.theorem.variance import (
    Noise,
    Sampled,
    batch_gradients,
    gradient_noise,
    weighted_noise,
)

CHECKS = Path(__file__).resolve().parents[1] / "paper_checks"
PAGE = CHECKS / "results" / "noise" / "standard" / "noise.json"


def linex(a):
    return lambda x: (torch.expm1(a * x) - a * x) / a**2


def quadratic(x):
    return x**2 / 2


def at_random(name, loss=quadratic, spread=0.6):
    """A 3 x 3 grid, 19 trajectories, a table at a random point."""
    graph, chosen = hypergrid(2, 3, r0=0.1), objective(name)
    needs = heads(graph, flow=chosen.flow in ("free", "forward-looking"))
    policy = tabular(graph, heads=needs, scale=spread, initial_log_z=0.9)
    return Sampled(loss, chosen, policy), policy.init([5], dtype=torch.float64)


@pytest.mark.parametrize("loss", [quadratic, linex(1.0)])
def test_the_covariance_is_that_of_the_formula(loss):
    """E[g'(x)^2 s s'] - G G' with the scores of a table written down by hand."""
    trained, parameters = at_random("tb", loss)
    graph = trained.policy.space
    walked = exact.enumerate_trajectories(graph)
    model = flow.flow(trained.policy, parameters, trained.objective)
    chances = model.log_pf[0].exp().numpy()
    states, slots = walked.states[0].numpy(), walked.slots[0].numpy()
    second, mean, total = 0.0, 0.0, 0.0
    for walk in range(states.shape[1]):
        score, law, x = np.zeros_like(chances), 1.0, -float(model.log_z)
        for state, slot in zip(states[:, walk], slots[:, walk], strict=True):
            if state == graph.n_states:
                break
            score[:, state] -= chances[:, state]
            score[slot, state] += 1
            law *= chances[slot, state]
            back = float(model.log_pb[0, slot, state])
            stops = slot == graph.n_actions - 1
            x += (graph.log_reward[state] if stops else back) - np.log(chances[slot, state])
        leaf = torch.tensor(x, requires_grad=True)
        (slope,) = torch.autograd.grad(loss(leaf), leaf)
        v = -float(slope) * score.ravel()
        second, mean, total = second + law * np.outer(v, v), mean + law * v, total + law
    noise = gradient_noise(trained, parameters)
    assert total == pytest.approx(1)
    np.testing.assert_allclose(noise.mean, mean, atol=1e-12)
    np.testing.assert_allclose(noise.covariance, second - np.outer(mean, mean), atol=1e-11)
    assert noise.critical_batch == pytest.approx(np.trace(second) / (mean @ mean) - 1)


@pytest.mark.parametrize("name", ["tb", "db", "subtb", "fm", "fl-db", "modified-subtb(0.9)"])
def test_sampled_batches_have_this_covariance(name):
    """Batches of 8 as a tensor axis; the law of the target in place of the policy's must fail."""
    trained, parameters = at_random(name, linex(0.5))
    graph, batch, count = trained.policy.space, 8, 1_500
    model = flow.flow(trained.policy, parameters, trained.objective)
    uniforms = torch.rand(
        count,
        graph.max_steps,
        batch,
        generator=torch.Generator().manual_seed(2),
        dtype=torch.float64,
    )
    walked = sampling.sample(graph, model.log_pf.expand(count, -1, -1), uniforms)
    rows = batch_gradients(trained, parameters, walked)
    apart = rows - rows.mean(dim=0)
    squares = batch * apart.square().sum(dim=1)
    error = float(squares.std() / count**0.5)

    def off(noise: Noise) -> float:
        return abs(float(squares.mean()) - noise.trace) / error

    assert off(gradient_noise(trained, parameters)) < 4
    wrong = gradient_noise(trained, parameters, Sampler(backward=1.0))
    assert off(wrong) > 6 or name == "fm"
    mean_error = rows.std(dim=0) / count**0.5
    told = mean_error > 0
    z = ((rows.mean(dim=0) - gradient_noise(trained, parameters).mean) / mean_error)[told]
    assert float(z.abs().max()) < 4.5


def test_a_residual_that_depends_on_the_batch_is_refused():
    for name in ("vargrad", "mean-db"):
        with pytest.raises(ObjectiveError):
            gradient_noise(*at_random(name))


def softmax_noise(slope, target, law) -> Noise:
    """Trajectory balance on outcomes: -g'(x) (e_o - P)."""
    x = np.log(target / law)
    scores = np.eye(len(law)) - law
    return weighted_noise(torch.tensor(-slope(x)[:, None] * scores), torch.tensor(law))


SLOPES = {
    "quadratic": lambda x: x,
    "log_cosh": np.tanh,
    "linex(1/2)": lambda x: 2 * np.expm1(x / 2),
    "linex(3/4)": lambda x: np.expm1(0.75 * x) / 0.75,
    "linex(1)": np.expm1,
    "shifted_cosh": lambda x: 2 * np.sinh(x),
}
TARGET, REST = np.array([0.3, 0.5, 0.2]), np.array([0.4, 0.6])


def dropped(x):
    """The law with P(o) = target(o) e^-x for the first outcome."""
    low = TARGET[0] * np.exp(-x)
    return np.array([low, *(1 - low) * REST])


@pytest.mark.parametrize("name", SLOPES)
def test_bounded_exactly_up_to_half_of_the_exponent(name):
    """31.3, from the covariance itself and not from the part of the mode."""
    far = [softmax_noise(SLOPES[name], TARGET, dropped(x)) for x in (20.0, 22.0)]
    growth = float(far[1].trace / far[0].trace)
    steep = {"linex(3/4)": np.exp(1), "linex(1)": np.exp(2), "shifted_cosh": np.exp(2)}
    assert growth == pytest.approx(steep.get(name, 1.0), rel=0.02)
    low, score = dropped(20.0)[0], np.eye(3)[0] - dropped(20.0)
    part = TARGET[0] * np.exp(-20.0) * SLOPES[name](20.0) ** 2 * (score @ score)
    assert (score @ score) == pytest.approx((1 - low) ** 2 * (1 + REST @ REST))
    if name in steep:
        assert far[0].trace == pytest.approx(part, rel=0.01)


def test_a_zero_avoiding_loss_whose_noise_is_bounded_along_a_sequence():
    """31.4: stairs at 1, 2, 4, 8, ...: zero-avoiding, and e^-x g'^2 = 1 at each stair's end."""
    ends = 2.0 ** np.arange(1, 7)
    slope = lambda x: np.where(x <= 1, x, np.exp(ends[np.searchsorted(ends, x)] / 2))  # noqa: E731
    np.testing.assert_allclose(np.exp(-ends) * slope(ends) ** 2, 1)
    after = ends[:-1] + 1e-9
    assert (np.exp(-after) * slope(after) ** 2 > np.exp(ends[:-1]) * 0.99).all()
    steps = [np.exp(low) * (np.exp(-low) - np.exp(-2 * low)) for low in ends]
    assert np.sum(steps) > 5  # the integral of g' e^-x, a stair each: it does not converge
    bounded = [softmax_noise(slope, TARGET, dropped(x)).trace for x in ends[2:5]]
    between = [softmax_noise(slope, TARGET, dropped(x)).trace for x in (4.5, 8.5, 16.5)]
    assert max(bounded) < 2 < 20 < between[1] < between[2] / 100


def test_one_wrong_mode_is_as_clear_with_every_loss():
    """31.2, and that another residual elsewhere ends it."""
    law = np.array([0.01, 0.59, 0.4])
    target = law * [np.exp(3.0), 1.0, 1.0]
    alone = [softmax_noise(slope, target, law).critical_batch for slope in SLOPES.values()]
    np.testing.assert_allclose(alone, 1 / 0.01 - 1, rtol=1e-9)
    target = law * [np.exp(3.0), 1.5, 1.0]
    both = [softmax_noise(slope, target, law).critical_batch for slope in SLOPES.values()]
    assert max(both) > 2 * min(both)


def test_a_share_from_the_target_bounds_flat_losses_only():
    """31.5."""

    def second(slope, x):
        law = dropped(x)
        drawn, scores = 0.9 * law + 0.1 * TARGET, np.eye(3) - law
        return float((drawn * slope(np.log(TARGET / law)) ** 2 * (scores**2).sum(axis=1)).sum())

    growth = {name: second(slope, 22.0) / second(slope, 20.0) for name, slope in SLOPES.items()}
    assert growth["log_cosh"] == pytest.approx(1, rel=1e-6)
    assert growth["quadratic"] == pytest.approx((22 / 20) ** 2, rel=0.03)
    assert growth["linex(1/2)"] == pytest.approx(np.exp(2), rel=0.01)
    assert growth["linex(1)"] == pytest.approx(np.exp(4), rel=0.01)


def test_towards_the_optimum_losses_differ_by_their_curvature_alone():
    """31.6; a kink at 0 is left out for a reason."""
    logits, u = np.log(TARGET), np.array([0.5, -1.0, 0.3])
    law = np.exp(logits + 1e-5 * u)
    law /= law.sum()
    slopes = {**SLOPES, "absolute": np.sign}
    noise = {name: softmax_noise(slope, TARGET, law) for name, slope in slopes.items()}
    for name in SLOPES:
        curvature = 2.0 if name == "shifted_cosh" else 1.0
        ratio = noise[name].trace / noise["quadratic"].trace
        assert ratio == pytest.approx(curvature**2, rel=1e-4)
        assert noise[name].critical_batch == pytest.approx(
            noise["quadratic"].critical_batch, rel=1e-4
        )
    assert noise["absolute"].trace > 1e6 * noise["quadratic"].trace


# --- the page


@pytest.fixture
def check(monkeypatch):
    monkeypatch.syspath_prepend(str(CHECKS))
    import noise

    return noise


def test_the_page_is_what_its_results_say(check):
    import noise_page

    content = json.loads(PAGE.read_text())
    assert (CHECKS / "noise.md").read_text() == noise_page.render(content)


def test_committed_numbers_are_computed_anew(check, monkeypatch):
    """One of each table; the losses by hand."""
    content = json.loads(PAGE.read_text())
    by_hand = {"quadratic": quadratic, "linex(1)": linex(1.0)}
    for name in ("tb", "fm"):
        for loss, function in by_hand.items():
            trained = check.trained_with(loss, name, function)
            for where, make in check.POINTS.items():
                (row,) = (
                    row
                    for row in content["compared"]
                    if (row["objective"], row["loss"], row["point"]) == (name, loss, where)
                )
                noise = gradient_noise(trained, make(name))
                assert noise.trace == pytest.approx(row["exact"], rel=1e-5)
                assert noise.critical_batch == pytest.approx(row["critical"], rel=1e-5)


def test_other_numbers_stop_the_page(check):
    import noise_page
    from saying import NotCarried

    content = json.loads(PAGE.read_text())
    swapped = {"log_cosh": "linex(1)", "linex(1)": "log_cosh"}
    for part in ("dropped", "backward"):
        rows = [{**row, "loss": swapped.get(row["loss"], row["loss"])} for row in content[part]]
        with pytest.raises(NotCarried):
            noise_page.render({**content, part: rows})
    rows = [{**row, "z": 2 * row["z"] + 4} for row in content["compared"]]
    with pytest.raises(NotCarried):
        noise_page.render({**content, "compared": rows})
    rows = [{**row, "control_rms": row["rms"]} for row in content["compared"]]
    with pytest.raises(NotCarried):
        noise_page.render({**content, "compared": rows})
