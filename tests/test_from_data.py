"""Losses from data are of their class, proved; every combination of wishes is met or clashes; a
designed loss trains.
"""

import itertools

import numpy as np
import pytest
import sympy as sp

from divergence_lab.theory.design import proofs as room
from divergence_lab.theory.design.blocks import allowed, blocks, needs
from divergence_lab.theory.design.from_data import fit_to_residuals, fit_to_tradeoffs
from divergence_lab.theory.design.mixtures import simplest
from divergence_lab.theory.design.proofs import prove
from divergence_lab.theory.design.reading import read_wishes
from divergence_lab.theory.design.search import design
from divergence_lab.theory.design.wishes import LINEAR, DesignError
from divergence_lab.theory.divergence.loss import loss
from divergence_lab.theory.expressions.symbols import x

YES_NO = (True, False)


@pytest.fixture(scope="module", autouse=True)
def _derive_once():
    """The same loss comes up again and again here: derive it once."""
    known, original = {}, room.derive

    def derive(entry, budget):
        if entry.expression not in known:
            known[entry.expression] = original(entry, budget=budget)
        return known[entry.expression]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(room, "derive", derive)
        yield


# --- the wishes


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_every_combination_of_wishes_is_met_or_clashes():
    """The list of clashes is complete: what is not refused is met by a loss on offer."""
    names = ("symmetric", "even", "bounded_gradient", "bounded_second_moment")
    refused = 0
    for forcing, avoiding, *rest in itertools.product(
        (None, True, False), (None, True, False), *[YES_NO] * 4
    ):
        wishes = dict(zip(names, rest), zero_forcing=forcing, zero_avoiding=avoiding)
        try:
            found = design(**wishes, count=1)
        except DesignError as reason:
            assert " clash: " in str(reason), (wishes, reason)
            refused += 1
            continue
        verdicts = found[0].derivation.verdicts
        for name in ("zero_forcing", "zero_avoiding"):
            assert wishes[name] in (None, getattr(verdicts, name).holds)
        for name in ("symmetric", "even", "bounded_gradient"):
            assert getattr(verdicts, name).holds or not wishes[name]
    assert 0 < refused < 144


MUTATIONS = [
    ("zero_forcing", False),
    ("zero_avoiding", False),
    ("symmetric", True),
    ("even", True),
    ("bounded_gradient", True),
    ("bounded_second_moment", True),
    ("curvature", 3),
    ("penalties", {2: 1}),
    ("left_growth", "linear"),
    ("right_growth", "exponential:2"),
]


@pytest.mark.parametrize("name, value", MUTATIONS)
def test_a_wish_that_the_loss_does_not_meet_is_never_proved(name, value):
    expression = x**4 / 4 + sp.exp(x) - x - 1
    kept = read_wishes(
        zero_forcing=True,
        zero_avoiding=True,
        curvature=1,
        left_growth="power:4",
        right_growth="exponential:1",
        penalties={2: 1 + sp.exp(2)},
    )
    proved = prove(expression, kept)
    assert proved is not None and {met.status for met in proved.met} == {"proved"}
    assert prove(expression, read_wishes(**{name: value})) is None


@pytest.mark.slow
def test_what_blocks_say_of_themselves_is_true():
    for block in blocks(read_wishes()):
        verdicts = room.derive(loss(block.text), budget=10.0).verdicts
        assert verdicts.valid.holds and verdicts.convex.holds, block.text
        assert verdicts.zero_forcing.holds is (block.left != LINEAR), block.text
        assert verdicts.zero_avoiding.holds is (
            block.right.kind == "exponential" and bool(block.right.rate >= 1)
        ), block.text
        assert (verdicts.symmetric.holds, verdicts.even.holds) == (block.symmetric, block.even), (
            block.text
        )
        growths = read_wishes(left_growth=str(block.left), right_growth=str(block.right))
        assert allowed(block, growths) and all(test(block) for test in needs(growths))
        assert prove(block.expression, growths) is not None, block.text


def test_penalties_are_exact_where_the_weights_are_rational():
    (entry,) = design(penalties={-2: 6}, zero_forcing=True, even=True, zero_avoiding=False, count=1)
    assert entry.loss.expression == sp.Rational(3, 2) * x**2
    assert [met.status for met in entry.met if met.wish.startswith("g(")] == ["proved"]


def test_simplest_is_the_fraction_of_smallest_denominator():
    assert simplest(0.32, 0.34) == sp.Rational(1, 3) and simplest(2.9, 3.2) == 3
    for low in np.random.default_rng(1).uniform(0.01, 3, 30):
        found = simplest(low, low * 1.01)
        assert low <= float(found) <= low * 1.01
        assert not any(low <= -(-low * q // 1) / q <= low * 1.01 for q in range(1, found.q))


# --- data


@pytest.mark.parametrize(
    "wishes", [{}, {"zero_avoiding": True}, {"symmetric": True, "zero_avoiding": True}]
)
def test_tradeoffs_are_met(wishes):
    entry = fit_to_tradeoffs([(-3, 2, 1)], **wishes)
    g = entry.loss.expression
    assert abs(sp.N(g.subs(x, -3) / g.subs(x, 2)) - 1) < 2e-3
    assert all(getattr(entry.derivation.verdicts, name).holds for name in wishes)


def test_tradeoffs_that_no_loss_meets_clash():
    for rows, wishes, words in (
        ([(-3, 3, 2)], {"even": True}, "even loss and the trade-off"),
        ([(1, 3, 2)], {}, "1/3 is the largest"),
        ([(3, 1, 2)], {}, "3 is the smallest"),
        ([(1, 2, "1/2"), (3, 2, "7/5")], {}, "clash"),
        ([(-1, 1, 2), (-2, 1, 3)], {}, "the trade-offs"),
    ):
        with pytest.raises(DesignError, match=" clash: ") as raised:
            fit_to_tradeoffs(rows, **wishes)
        assert words in str(raised.value)
    entry = fit_to_tradeoffs([(2, 1, 5), (-1, 1, "1/2"), (-1, -4, "1/6")], smooth=True)
    assert [met.status for met in entry.met] == ["proved"] * 4
    with pytest.raises(DesignError, match="clash"):
        fit_to_tradeoffs([(-3, 3, 2)], zero_forcing=True, bounded_gradient=True)
    with pytest.raises(DesignError, match="no row"):
        fit_to_tradeoffs([])
    with pytest.raises(DesignError, match=r"g\(0\)"):
        fit_to_tradeoffs([(0, 3, 2)])


def test_normal_residuals_give_the_quadratic_and_logistic_ones_log_cosh():
    draw = np.random.default_rng(0)
    normal = fit_to_residuals(draw.normal(0, 2, 4000)).loss.expression
    assert normal.is_polynomial(x) and abs(float(normal.subs(x, 1)) - 1 / 8) < 0.01
    logistic = fit_to_residuals(
        draw.logistic(0, 0.5, 4000)
    ).loss.expression  # the score is 2 tanh(x)
    assert (
        logistic.has(sp.cosh)
        and abs(float(logistic.subs(x, 2)) / float(2 * sp.log(sp.cosh(2))) - 1) < 0.05
    )
    with pytest.raises(DesignError, match="at least 20"):
        fit_to_residuals([1.0] * 5)
    with pytest.raises(DesignError, match="use design"):
        fit_to_residuals(draw.normal(size=50), curvature=1)


@pytest.mark.parametrize(
    "wishes",
    [
        {"zero_forcing": True, "zero_avoiding": True},
        {"bounded_gradient": True},
        {"symmetric": True, "zero_forcing": True},
    ],
)
def test_residuals_are_fitted_within_the_class(wishes):
    entry = fit_to_residuals(np.random.default_rng(3).logistic(0, 0.5, 2000), **wishes)
    assert all(getattr(entry.derivation.verdicts, name).holds for name in wishes)


# --- training


@pytest.mark.parametrize("steps", (2, 3, 5))
def test_stopped_early_the_zero_avoiding_loss_has_more_on_the_hidden_modes(steps):
    """The four corners of the grid.

    True of these two losses there, and no law: cosh(x) - 1 is behind both.
    """
    import divergence_lab as dl

    wished = {
        "forcing": design(zero_forcing=True, zero_avoiding=False, count=1),
        "avoiding": design(zero_forcing=False, zero_avoiding=True, count=1),
    }
    result = dl.train(
        {name: dl.to_torch(found[0].loss) for name, found in wished.items()},
        dl.graph_from_text("hypergrid:2x8:paper"),
        exact=True,
        steps=steps,
        seeds=1,
        device="cpu",
        progress=False,
    )
    target = np.asarray(result.target)
    modes = target > 0.99 * target.max()
    learned = {
        name: np.asarray(result.terminal)[i].reshape(-1, target.size)[0]
        for i, name in enumerate(wished)
    }
    worst = {name: (law / target)[modes].min() for name, law in learned.items()}
    forward = {name: (target * np.log(target / law)).sum() for name, law in learned.items()}
    assert worst["avoiding"] > worst["forcing"] and forward["avoiding"] < forward["forcing"]
