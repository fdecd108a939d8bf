"""Models that are too small: minimisers against fine grids, gradients against differences, and what
proposition 34 says of tails.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

CHECKS = Path(__file__).resolve().parents[1] / "paper_checks"
PAGE = CHECKS / "results" / "small_models" / "standard" / "small_models.json"


def log_cosh_price(u):
    """f(e^u) e^-u, f = 2t atan t + 1 - (pi/2 + 1) t."""
    return 2 * torch.atan(u.exp()) + (-u).exp() - (torch.pi / 2 + 1)


SLOPES = {"quadratic": lambda x: x, "log_cosh": torch.tanh, "linex(1)": torch.expm1}
PRICES = {
    "quadratic": lambda u: 1 - (1 + u) * (-u).exp(),
    "log_cosh": log_cosh_price,
    "linex(1)": lambda u: u - 1 + (-u).exp(),
}


@pytest.fixture
def check(monkeypatch):
    monkeypatch.syspath_prepend(str(CHECKS))
    import small_models

    return small_models


@pytest.fixture
def by_hand(check, monkeypatch):
    """The losses without SymPy."""
    given = {name: check.Torched(SLOPES[name], PRICES[name]) for name in SLOPES}
    monkeypatch.setattr(check, "torched", given.__getitem__)
    check.informed.cache_clear()
    yield given
    check.informed.cache_clear()


def test_gradients_are_those_of_differences(check, by_hand):
    for problem in check.problems():
        at = 0.3 * problem.starts(1)
        for loss in by_hand.values():
            _, gradient = check.divergence(problem, loss, at)
            step = 1e-5 * torch.eye(problem.size, dtype=torch.float64)
            ahead, back = (check.divergence(problem, loss, at + way * step)[0] for way in (1, -1))
            scale = 1 + gradient.abs().max()
            assert float((gradient[0] - (ahead - back) / 2e-5).abs().max() / scale) < 1e-7


def test_targets_and_models_are_laws(check):
    for problem in check.problems():
        laws = problem.log_model(problem.starts(3)).exp().sum(dim=1)
        torch.testing.assert_close(laws, torch.ones_like(laws))
        assert float(problem.log_target.exp().sum()) == pytest.approx(1)
        assert ((problem.modes.sum(dim=0) <= 1).all()) and problem.height > 0


@pytest.mark.parametrize("loss", ["quadratic", "log_cosh"])
def test_the_minimum_is_that_of_a_fine_grid(check, by_hand, loss):
    tied = check.problems()[1]
    fine = torch.linspace(-15, 15, 6_001, dtype=torch.float64)[:, None]
    values, _ = check.divergence(tied, by_hand[loss], fine)
    found = check.minimum(tied, by_hand[loss], 3)
    assert found.value <= float(values.min()) + 1e-12
    assert found.value == pytest.approx(float(values.min()), rel=1e-4)
    bump = next(p for p in check.problems() if p.name == "bump, distance 4")
    grid = torch.cartesian_prod(
        torch.linspace(-3, 3, 121, dtype=torch.float64),
        torch.linspace(-6, 4, 101, dtype=torch.float64),
    )
    values, _ = check.divergence(bump, by_hand[loss], grid)
    found = check.minimum(bump, by_hand[loss], 3)
    assert found.value <= float(values.min()) + 1e-12
    assert found.value == pytest.approx(float(values.min()), rel=0.01)


def continued(slope, c, forcing, avoiding):
    """g' goes on beyond c as in the proof of 34.1."""

    def whole(x):
        inside = slope(x.clamp(-c, c))
        above = torch.expm1((x - c).clamp(min=0)) * np.exp(c) if avoiding else 0.0
        below = (x + c).clamp(max=0) if forcing else 0.0
        return inside + above + below

    return whole


def price_of(slope):
    """I(u) = int_0^u g' e^-v dv by quadrature, kinks among the ends of its panels."""
    nodes, weights = (torch.tensor(a) for a in np.polynomial.legendre.leggauss(40))

    def price(u):
        total = torch.zeros_like(u)
        for low, high in ((-20.0, -6.0), (-6.0, 0.0), (0.0, 6.0), (6.0, 20.0)):
            a, b = (u.clamp(low, high), torch.full_like(u, min(max(low, 0.0), high)))
            v = b[..., None] + (a - b)[..., None] * (nodes + 1) / 2
            total = total + ((a - b)[..., None] / 2 * weights * slope(v) * (-v).exp()).sum(dim=-1)
        return total

    return price


def test_losses_of_all_four_classes_have_one_minimiser(check):
    """34.1: within ratios of e^6 they are one divergence; beyond, they are not (the control)."""
    tied = check.problems()[1]
    fine = torch.linspace(-8, 12, 801, dtype=torch.float64)[:, None]
    ratios = (tied.log_target - tied.log_model(fine)).abs().amax(dim=1)
    near = ratios <= 6.0
    assert 100 < int(near.sum()) < 700
    values = []
    for forcing in (False, True):
        for avoiding in (False, True):
            slope = continued(torch.tanh, 6.0, forcing, avoiding)
            values.append(check.divergence(tied, check.Torched(slope, price_of(slope)), fine)[0])
    plain, _ = check.divergence(tied, check.Torched(torch.tanh, log_cosh_price), fine)
    for one in values:
        np.testing.assert_allclose(one[near], plain[near], rtol=1e-9, atol=1e-12)
        assert int(one[near].argmin()) == int(plain[near].argmin())
    apart = [float((one - values[0])[~near].abs().max()) for one in values[1:]]
    assert min(apart) > 1e-3


def test_the_limit_says_half():
    """34.2 on three cells: a mode, another, a valley."""
    neyman = lambda u: 1 / 2 - (-u).exp() + (-2 * u).exp() / 2  # noqa: E731
    prices = {**PRICES, "shifted_cosh": lambda u: PRICES["linex(1)"](u) + neyman(u)}

    def costs(price, height):
        p, drops, fills = (
            torch.tensor(law, dtype=torch.float64)
            for law in (
                (0.6, 0.4 - np.exp(-height), np.exp(-height)),
                (1 - 2 * np.exp(-height), np.exp(-height), np.exp(-height)),
                (0.5, 0.3, 0.2),
            )
        )
        return [float((p * price((p / q).log())).sum()) for q in (drops, fills)]

    grows = {}
    for name, price in prices.items():
        (a1, b1), (a2, b2) = (costs(price, height) for height in (15.0, 30.0))
        grows[name] = (a2 - a1 > 1, b2 - b1 > 1)
    assert grows == {
        "quadratic": (False, True),
        "log_cosh": (False, False),
        "linex(1)": (True, False),
        "shifted_cosh": (True, True),
    }


def test_two_modes_on_a_square():
    """34.3: log-cosh drops one; what is symmetric is level."""
    t = torch.tensor([0.5, 2.0], dtype=torch.float64)
    half, two = (t * log_cosh_price(t.log())).tolist()
    one, both = half + (np.pi / 2 - 1) / 2, two / 2 + 1 / 2
    assert (round(one, 3), round(both, 3)) == (0.464, 0.644)
    symmetric = {
        "Hellinger": (lambda t: 2 * (t**0.5 - 1) ** 2, 2, 2),
        "total variation": (lambda t: abs(t - 1), 1, 1),
        "triangular": (lambda t: (t - 1) ** 2 / (t + 1), 1, 1),
        "Jensen-Shannon": (
            lambda t: (t * np.log(2 * t / (1 + t)) + np.log(2 / (1 + t))) / 2,
            np.log(2) / 2,
            np.log(2) / 2,
        ),
    }
    for f, at_zero, at_infinity in symmetric.values():
        assert f(0.5) + at_infinity / 2 == pytest.approx(f(2.0) / 2 + at_zero / 2)
    assert one != pytest.approx(both, rel=0.1)


def test_training_goes_down_and_sampled_ones_with_it(check, by_hand):
    problem = check.problems()[0]
    loss, size = by_hand["quadratic"], {"seeds": 2, "steps": 100}
    least = check.minimum(problem, loss, 2).value
    for sampled, within in ((False, 1e-3), (True, 0.02)):
        at = check.trained(problem, loss, size, sampled)
        value, _ = check.divergence(problem, loss, at)
        assert float((value - least).max()) < within


# --- the page


def test_the_page_is_what_its_results_say(check):
    import small_models_page

    content = json.loads(PAGE.read_text())
    assert (CHECKS / "small_models.md").read_text() == small_models_page.render(content)


def test_committed_minima_are_found_anew(check, by_hand):
    content = json.loads(PAGE.read_text())
    few = {p.name: p for p in check.problems() if p.name.startswith(("tied", "bump"))}
    for row in content["rows"]:
        if row["problem"] in few and row["loss"] in ("quadratic", "log_cosh"):
            found = check.minimum(few[row["problem"]], by_hand[row["loss"]], 1)
            assert found.value == pytest.approx(row["value"], rel=2e-5)
            assert check.covered(few[row["problem"]], found.law) == row["covered"]


def test_other_classes_stop_the_page(check):
    import small_models_page
    from saying import NotCarried

    content = json.loads(PAGE.read_text())
    turned = {"zero-forcing": "zero-avoiding", "zero-avoiding": "zero-forcing"}
    rows = [{**row, "tails": turned.get(row["tails"], row["tails"])} for row in content["rows"]]
    with pytest.raises(NotCarried):
        small_models_page.render({**content, "rows": rows})


def test_the_chooser_ranks_by_the_exact_minimiser(check):
    import small_models_page

    content = json.loads(PAGE.read_text())
    best = small_models_page.ranked(content["rows"], "bump, distance 5")
    distances = [row["tv"] for row in best]
    assert distances == sorted(distances) and len(best) > 15
