"""False proofs that a rule of the checker once let through, or nearly did: each rule must be a
theorem under what it checks.
"""

import pytest
import sympy as sp
from flint import arb

from divergence_lab.theory.checker.certificate import step
from divergence_lab.theory.checker.facts import proofs
from divergence_lab.theory.checker.facts.monomials import ONE, NoTail, iterated_log
from divergence_lab.theory.checker.facts.parts import Part, read_number
from divergence_lab.theory.checker.facts.proofs import Rejected
from divergence_lab.theory.checker.facts.tails import HalfLine, Tail
from divergence_lab.theory.checker.families.signs import Unsigned, is_finite, sign
from divergence_lab.theory.checker.kinds.in_cells import holds_in_cell
from divergence_lab.theory.checker.kinds.table import KINDS
from divergence_lab.theory.checker.replay import check_verdict, read_parts
from divergence_lab.theory.divergence.loss import loss
from divergence_lab.theory.expressions.parsing import parse
from divergence_lab.theory.expressions.symbols import x
from divergence_lab.theory.verdicts.plain import decide_plain
from divergence_lab.theory.verdicts.verdict import Verdict, in_words, verdict_to_json

z = sp.Symbol("z", positive=True)


def accepted(text, kind, verdict):
    """Does the checker accept this verdict, in the right form and sealed, on the loss?"""
    entry = loss(text)
    parts = read_parts({"loss": text, "pieces": decide_plain(entry, None).pieces})
    try:
        check_verdict(kind, verdict_to_json(in_words(kind, verdict), kind), parts)
    except Rejected:
        return False
    return True


# --- conclusions

ZERO_AVOIDING = "Piecewise((x**2/2, x < 0), ((exp(x)-x-1)/((2+x)*log(2+x)), True))"


@pytest.mark.parametrize("scale, limit", [("x", "0"), ("x*log(x)", "1")])
def test_a_divergent_integral_is_no_proof_that_a_loss_is_not_zero_avoiding(scale, limit):
    """f*scale -> 0 with int 1/scale = oo says nothing, and int f = oo was proved: the answer is
    yes whatever the limit.
    """
    entry = loss(ZERO_AVOIDING)
    f = parse(decide_plain(entry, None).pieces[-1]["slope"], x) * sp.exp(-x)
    for holds in (True, False):
        forged = Verdict(
            holds,
            "proved",
            "",
            steps=(
                step(
                    "integral",
                    of="weighted slope",
                    f=str(f),
                    scale=scale,
                    limit=limit,
                    diverges="true",
                ),
            ),
        )
        assert accepted(ZERO_AVOIDING, "zero_avoiding", forged) is holds


def test_a_jump_that_is_0_in_disguise_is_no_downward_jump():
    text = "Piecewise((x**2/2, x < 1), (x**2/2 + (x-1)**3, True))"
    forged = step("jump", at="1", jump="1/(1+sqrt(2)) - sqrt(2) + 1")
    assert not accepted(text, "convex", Verdict(False, "proved", "", steps=(forged,)))


# f = sqrt(|t^2-1|)
SWAPPED_ALIKE = "Piecewise((log(1+sqrt(1-exp(2*x)))-x, x < 0), (atan(sqrt(exp(2*x)-1)), True))"


def test_infinite_jumps_are_not_seen_to_differ():
    """f = sqrt|t^2 - 1| is t f(1/t); its slopes at 1 are infinite, and oo - oo says nothing of
    symmetry.
    """
    parts = [
        {
            "low": "-oo",
            "high": "0",
            "loss": "log(1+sqrt(1-exp(2*x)))-x",
            "slope": "-1/sqrt(1-exp(2*x))",
            "curvature": "-exp(2*x)/(1-exp(2*x))**(3/2)",
        },
        {
            "low": "0",
            "high": "oo",
            "loss": "atan(sqrt(exp(2*x)-1))",
            "slope": "1/sqrt(exp(2*x)-1)",
            "curvature": "-exp(2*x)/(exp(2*x)-1)**(3/2)",
        },
    ]
    read = [
        Part(
            read_number(p["low"]),
            read_number(p["high"]),
            *(parse(p[key], x) for key in ("loss", "slope", "curvature")),
        )
        for p in parts
    ]
    jump = {"rule": "jump", "at": "0", "jump": "oo", "claim": ""}
    with pytest.raises(Rejected):
        KINDS["symmetric"].conclude(False, [jump], read)


def test_a_kink_beside_an_infinite_slope_at_0_counts_for_symmetry():
    """g = g0 + k max(x, 0), g0 symmetric with infinite slopes at 0: f(t) - t f(1/t) = k (t - 1)
    is not 0 (P6, 6).
    """
    k = sp.Symbol("k", positive=True)
    g0 = parse(SWAPPED_ALIKE, x)
    assert holds_in_cell("symmetric", g0 * k, {"k": (sp.S.Zero, sp.oo)}) is True
    assert holds_in_cell("symmetric", g0 + k * sp.Max(x, 0), {"k": (sp.S.Zero, sp.oo)}) is False
    assert holds_in_cell("symmetric", g0 + k * sp.Abs(x), {"k": (sp.S.Zero, sp.oo)}) is True


# --- signs with parameters


@pytest.mark.parametrize(
    "e",
    [
        sp.exp(sp.atan(1 / (z - 1000))) - 1,
        sp.exp(1 / (z - 50)) - 1,
        sp.log(2 + sp.tanh(1 / (z - 300))) - sp.log(2),
    ],
)
def test_a_slope_of_one_sign_says_nothing_across_a_break(e):
    with pytest.raises(Unsigned):
        sign(e)
    assert not is_finite(e)


def test_a_slope_of_one_sign_still_shows_the_sign_of_what_is_continuous():
    assert sign(sp.exp(z) - 1 - z) == 1 and sign(sp.log(1 + z) - z) == -1


def test_a_certificates_point_and_scale_are_finite_for_all_parameters():
    k = sp.Symbol("k", positive=True)
    g, cell = sp.log(sp.cosh(k * x)), {"k": (sp.S.Zero, sp.oo)}
    assert holds_in_cell("convex", g, cell) is True
    for hints in (
        {"at": 1 / (k - 1) ** 2},
        {"at": sp.exp(sp.atan(1 / (k - 1)))},
        {"scale": 1 / (k - 1) ** 2},
    ):
        with pytest.raises(Rejected, match="finite"):
            holds_in_cell("convex", g, cell, **{"at": None, "scale": None, **hints})


def test_a_value_at_a_break_is_a_limit_where_substitution_makes_0_of_0_times_infinity():
    """x sqrt(1 + (k/x)^2) is sign(x) sqrt(x^2 + k^2): it jumps by 2 k at 0, where SymPy's subs
    gives 0 on both sides.
    """
    k = sp.Symbol("k", positive=True)
    g = x * sp.sqrt(1 + (k / x) ** 2) + sp.Max(x, 0) ** 2
    for kind in ("convex", "validity", "even"):
        with pytest.raises(Rejected):
            holds_in_cell(kind, g, {"k": (sp.S.Zero, sp.oo)})


# --- tails


def test_the_remainder_of_an_exponential_counts_a_ball_around_0():
    """|e^d - sum_{k<n} d^k/k!| <= |d|^n e^|d|/n!: with d in [-1, 1] the factor e^|d| is not 1."""
    line = HalfLine(30)
    tail = line.exp(Tail((), iterated_log(0, sp.S.NegativeOne) ** sp.Rational(1, 10**6), arb(0, 1)))
    assert tail.terms and tail.size is not None
    size = line.at_X(tail.size)
    d = line.at_X(iterated_log(0, sp.S.NegativeOne) ** sp.Rational(1, 10**6))
    for value in (d, -d):
        stated = sum((arb(int(c.p)) / int(c.q)) * line.at_X(m) for m, c in tail.terms)
        assert (stated + size * tail.bound - value.exp()).contains(0)


def test_a_remainder_is_finite_or_refused():
    with pytest.raises(NoTail):
        Tail((), ONE, arb.nan())
    with pytest.raises(NoTail):
        Tail((), ONE, arb.pos_inf())
    line = HalfLine(30)
    assert proofs.limit_of_tail(line, Tail(((ONE, sp.Integer(2)), (ONE, sp.Integer(3))))) == 5
