"""Even and symmetric decided by what g' does at its two ends, or of an even g by g'' alone
(Proposition 6, parts 3, 4 and 7), for all parameters of a cell.
"""

import copy
import random

import mpmath as mp
import pytest
import sympy as sp

from divergence_lab.theory.checker.certificate import claim_of, seal
from divergence_lab.theory.checker.facts.proofs import Rejected
from divergence_lab.theory.checker.kinds.in_cells import holds_in_cell
from divergence_lab.theory.checker.parametric import check_parametric
from divergence_lab.theory.checker.sentences import because_of
from divergence_lab.theory.divergence.loss import loss
from divergence_lab.theory.expressions.printing import write
from divergence_lab.theory.verdicts.parameters import ask_for_parameters
from divergence_lab.theory.verdicts.verdict import verdict_to_json

SECONDS = 60.0
TWO_LINEX = "c*(exp(a*x)-a*x-1) + d*(exp(-b*x)+b*x-1)"
ALL_POSITIVE = ("a > 0", "b > 0", "c > 0", "d > 0")
# loss, assumptions, verdict, holds, condition: all derived by hand
KNOWN = [
    ("exp(Abs(x)**p)-1", ("p > 0",), "symmetric", False, None),
    ("Abs(x)**p/p", ("p > 0",), "symmetric", None, "p = 1"),
    ("exp(a*x)*x**2 + x**2", (), "symmetric", False, None),
    ("exp(a*x)*x**2 + x**2", (), "even", None, "a = 0"),
    pytest.param(
        TWO_LINEX,
        ALL_POSITIVE,
        "symmetric",
        None,
        "b = a - 1 and d = a**2*c/(a - 1)**2",
        marks=pytest.mark.slow,
    ),
    # they must not be taken for what they are not: even and symmetric, symmetric and not even
    ("a*Abs(x)", ("a > 0",), "symmetric", True, None),
    ("a*(x**2/2 + exp(x) - x - 1)", ("a > 0",), "symmetric", True, None),
    ("a*(x**2/2 + exp(x) - x - 1)", ("a > 0",), "even", False, None),
    ("a*(exp(x/2) - x/2 - 1)", ("a > 0",), "symmetric", True, None),
    ("a*log(cosh(x))", ("a > 0",), "even", True, None),
    ("a*log(cosh(x))", ("a > 0",), "symmetric", False, None),
    pytest.param(
        "abs(a-2)/a*(((x/c)**2/abs(a-2)+1)**(a/2)-1)",
        ("c > 0",),
        "convex",
        None,
        "a >= 1",
        marks=pytest.mark.slow,
    ),
    ("abs(a-2)/a*(((x/c)**2/abs(a-2)+1)**(a/2)-1)", ("c > 0",), "zero_forcing", None, "a > 1"),
    # an integral that is -oo at one value of the parameter; g'' that tends to 0 at one value
    ("x*sinh(a*x)", (), "zero_avoiding", None, "a >= 1"),
    ("log(1+a*(cosh(x)-1))", ("a > 0",), "convex", None, "a <= 1"),
    # valid since convex, by g'' where g' is the longer
    ("((exp(x)+1)/2)**p - p*x/2 - 1", (), "validity", None, "p > 0"),
    ("exp(a*x)+exp(b*x)-(a+b)*x-2", ("a > 0", "b > 0"), "validity", True, None),
    ("exp(a*x)-exp(b*x)-(a-b)*x", ("a > 0", "b > a"), "validity", False, None),
]


@pytest.mark.parametrize(("text", "assumptions", "kind", "answer", "condition"), KNOWN)
def test_exact_conditions_and_their_forgeries(text, assumptions, kind, answer, condition):
    entry = loss(text, assumptions)
    found = ask_for_parameters(kind, entry, SECONDS)
    assert (found.holds, found.condition) == (answer, condition), found.because
    verdict, written = verdict_to_json(found, kind), write(entry.expression)
    check_parametric(kind, verdict, written, entry.assumptions)
    forged = copy.deepcopy(verdict)
    step = random.Random(text).choice([s for s in forged["steps"] if "holds" in s])
    step["holds"] = {"true": "false", "false": "true"}[step["holds"]]
    step["claim"] = claim_of(
        step["rule"], {k: v for k, v in step.items() if k not in ("rule", "claim")}
    )
    if len(forged["steps"]) == 1:
        forged["holds"] = not forged["holds"]
    try:
        forged["because"] = because_of(kind, forged["holds"], forged["condition"], forged["steps"])
    except (Rejected, LookupError, ValueError):
        return  # not even a sentence can be made of it
    with pytest.raises((Rejected, LookupError, ValueError)):
        check_parametric(kind, {**forged, "seal": seal(forged)}, written, entry.assumptions)


def test_numbers_bear_out_the_line_on_which_two_exponentials_are_symmetric():
    """g''(x) - e^x g''(-x) at 40 digits, on the line and beside it."""
    source = random.Random(6)

    def gap(a, b, c, d, x):
        def bend(y):
            return c * a**2 * mp.exp(a * y) + d * b**2 * mp.exp(-b * y)

        return bend(x) - mp.exp(x) * bend(-x)

    with mp.workdps(40):
        for _ in range(50):
            b, c = mp.mpf(source.randint(1, 300)) / 100, mp.mpf(source.randint(1, 300)) / 100
            a = b + 1
            d = a**2 * c / (a - 1) ** 2
            assert abs(gap(a, b, c, d, mp.mpf("0.7"))) < mp.mpf(10) ** -30
            for moved in ((a + 0.01, b, c, d), (a, b, c, d * 1.01)):
                assert abs(gap(*moved, mp.mpf("0.7"))) > mp.mpf(10) ** -6


@pytest.mark.parametrize("kind", ["even", "symmetric"])
def test_a_cell_across_the_line_has_no_answer(kind):
    """Split-Linex is even where b = -a, symmetric where b = 1 - a: no cell around it is decided."""
    text = "Piecewise(((exp(a*x)-a*x-1)/a**2, x<0), ((exp(b*x)-b*x-1)/b**2, True))"
    expression = loss(text).expression
    whole = {"a": (-sp.oo, sp.S.Zero), "b": (sp.S.Zero, sp.oo)}
    if kind == "symmetric":
        whole = {"a": (sp.S.Zero, sp.S.One), "b": (sp.S.Zero, sp.S.One)}
    with pytest.raises(Rejected):
        holds_in_cell(kind, expression, whole)
