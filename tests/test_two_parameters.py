"""Two parameters against each other: conditions such as a > b, in answers and in --assume; the
cells that prove them, and what is refused.
"""

import copy
import random
from collections.abc import Sequence

import mpmath as mp
import pytest
import sympy as sp

from divergence_lab.theory.checker.certificate import cites, claim_of, seal
from divergence_lab.theory.checker.facts.proofs import Rejected
from divergence_lab.theory.checker.families.continuation import value_or_limit
from divergence_lab.theory.checker.families.minima import least_value
from divergence_lab.theory.checker.families.ranges import grid, parts_of, read_assumed
from divergence_lab.theory.checker.families.signs import Unsigned, is_nonnegative, sign
from divergence_lab.theory.checker.kinds.in_cells import holds_in_cell
from divergence_lab.theory.checker.parametric import check_parametric
from divergence_lab.theory.checker.sentences import because_of
from divergence_lab.theory.divergence.loss import loss
from divergence_lab.theory.expressions.parsing import read_assumptions
from divergence_lab.theory.expressions.printing import write
from divergence_lab.theory.expressions.symbols import x
from divergence_lab.theory.expressions.syntax import ExpressionError
from divergence_lab.theory.verdicts.parameters import ask_for_parameters
from divergence_lab.theory.verdicts.verdict import KINDS, verdict_to_json
from tests import two_parameters
from tests.families import DIGITS, Member, holds
from tests.two_parameters import is_true, parameters

SECONDS = 60.0
BOTH = ("a > 0", "b > 0")
COSH = "cosh(a*x)-cosh(b*x)"
DIVIDED = "(exp(a*x)/a-exp(b*x)/b+1/b-1/a)/(a-b)"
PRODUCT = "(exp(p*x)-1)*(exp(q*x)-1)"
# loss, assumptions, verdict, holds, condition: all derived by hand
KNOWN = [
    (COSH, BOTH, "validity", None, "a > b"),
    (COSH, BOTH, "convex", None, "a >= b"),
    (COSH, BOTH, "zero_forcing", None, "a > b"),
    (COSH, BOTH, "zero_avoiding", None, "a > b and a >= 1"),
    (COSH, BOTH, "symmetric", None, "a = b"),
    (COSH, ("b > 0", "a > b"), "validity", True, None),
    (COSH, ("b > 0", "a > b"), "zero_avoiding", None, "a >= 1"),
    (COSH, ("a > 0", "b > a"), "zero_forcing", False, None),
    (PRODUCT, (), "zero_avoiding", None, "p > 0 and q > 0 and q >= 1 - p"),
    (PRODUCT, (), "even", None, "p = 0 or q = 0 or q = -p"),
    (PRODUCT, (), "convex", None, "(p != 0 and q = 0) or p = 0"),
    ("exp(a*x)+exp(b*x)-(a+b)*x-2", (), "even", None, "b = -a"),
    ("Abs(x)**p + Abs(x)**q", ("p > 2", "q > 2"), "zero_forcing", True, None),
    ("Abs(x)**p + Abs(x)**q", ("p > 0", "q > 0"), "zero_avoiding", False, None),
    ("(cosh(a*x)-1)/a**2 + k*x**2", (), "convex", None, "k >= -1/2"),
    ("x**2+k*x*exp(x)-k*(exp(x)-1)", (), "convex", None, "0 <= k <= 2*exp(2)"),
    ("exp(x)/(1+x**2)**p + x**2", ("p > 0",), "symmetric", False, None),
    ("(exp(x)-x-1)/(1+c*(exp(x)-x-1))", ("c > 0",), "convex", False, None),
    ("x**2/(a*b-1) + Abs(x)", BOTH, "convex", None, "b > 1/a"),
    ("x**2/(a-b)**2 + exp(x)-x-1", BOTH, "even", False, None),
    (DIVIDED, BOTH, "zero_avoiding", None, "a >= 1 or b >= 1"),
    ("x**2*(a**2-b**2)/(a-b)", (), "validity", None, "b > -a"),
]


@pytest.mark.parametrize(
    ("text", "assumptions", "kind", "answer", "condition"),
    [
        *KNOWN[::3],
        *(pytest.param(*one, marks=pytest.mark.slow) for one in KNOWN if one not in KNOWN[::3]),
    ],
)
def test_exact_conditions(text, assumptions, kind, answer, condition):
    entry = loss(text, assumptions)
    found = ask_for_parameters(kind, entry, SECONDS)
    assert (found.holds, found.condition) == (answer, condition), found.because
    check_parametric(kind, verdict_to_json(found, kind), write(entry.expression), entry.assumptions)


# --- certificates that must be refused


def altered(verdict, change):
    """The verdict after `change(steps)`, with words, citations and seal made to fit."""
    forged = copy.deepcopy(verdict)
    change(forged["steps"])
    for step in forged["steps"]:
        data = {k: v for k, v in step.items() if k not in ("rule", "claim")}
        step["claim"] = claim_of(step["rule"], data)
    forged["cites"] = cites("zero_forcing", forged["steps"])
    forged["because"] = because_of(
        "zero_forcing", forged["holds"], forged["condition"], forged["steps"]
    )
    return {**forged, "seal": seal(forged)}


def renamed(old, new):
    def change(steps):
        for step in steps:
            step["ranges"] = step["ranges"].replace(old, new)

    return change


CHANGES = {
    "a cell is missing": lambda steps: steps.pop(1),
    "a cell stands twice": lambda steps: steps.insert(1, dict(steps[1])),
    "the cells are out of order": lambda steps: steps.reverse(),
    "an answer is turned": lambda steps: steps[0].update(holds="false"),
    "another line": renamed("b: a", "b: 2*a"),
    "an end that depends on what comes after it": renamed("a: 0..oo", "a: b..oo"),
    "an end at a pole": renamed("b: a..oo", "b: 1/(a - 1)..oo"),
    "an end that is written otherwise": renamed("b: a..oo", "b: (a)..oo"),
    "no such parameter": renamed("b: a..oo", "b: c..oo"),
    "cells that overlap": renamed("b: 0..a", "b: 0..2*a"),
}


@pytest.fixture(scope="module")
def forcing():
    entry = loss(COSH, BOTH)
    verdict = verdict_to_json(ask_for_parameters("zero_forcing", entry, SECONDS), "zero_forcing")
    assert [step["ranges"] for step in verdict["steps"]] == [
        "a: 0..oo; b: 0..a",
        "a: 0..oo; b: a",
        "a: 0..oo; b: a..oo",
    ]
    return verdict


def refuses(verdict, assumptions=BOTH):
    try:
        check_parametric("zero_forcing", verdict, COSH, assumptions)
    except (Rejected, LookupError, ValueError):
        return True
    return False


def test_the_certificate_as_it_is_holds(forcing):
    assert not refuses(forcing)
    assert not refuses(altered(forcing, lambda steps: None))
    assert refuses(forcing, ("a > 0",)) and refuses(forcing, (*BOTH, "a > b"))


@pytest.mark.parametrize("what", CHANGES)
def test_altered_cells_are_refused(forcing, what):
    try:
        forged = altered(forcing, CHANGES[what])
    except (Rejected, LookupError, ValueError):
        return  # not even a sentence can be made of it
    assert refuses(forged)


@pytest.mark.parametrize("condition", ["a >= b", "a < b", "a > 2*b", "b < a", "a != b", None])
def test_another_condition_is_refused(forcing, condition):
    forged = {**forcing, "condition": condition}
    forged["because"] = because_of("zero_forcing", None, condition, forged["steps"])
    assert refuses({**forged, "seal": seal(forged)})


def test_what_is_left_of_random_certificates_is_refused(forcing):
    """Characters of the ranges replaced at random: none proves anything else."""
    source, accepted = random.Random(3), set()
    for _ in range(150):
        place, new = source.randrange(3), source.choice("ab0123 .:;-+*/()o")

        def change(steps, place=place, new=new):
            text = steps[place]["ranges"]
            at = source.randrange(len(text))
            steps[place]["ranges"] = text[:at] + new + text[at + 1 :]

        try:
            forged = altered(forcing, change)
        except (Rejected, LookupError, ValueError, ArithmeticError):
            continue
        if not refuses(forged):
            accepted.add(forged["steps"][place]["ranges"])
    assert accepted <= {step["ranges"] for step in forcing["steps"]}


# --- limits on a line, where both parameters move


def limit_at(text, points):
    names = sp.symbols("a b", real=True)
    e = sp.sympify(text, {"x": x, **dict(zip("ab", names, strict=True))})
    return value_or_limit(e, dict(zip(names, points, strict=True)), {})


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("x**2*(exp(a)-exp(b))/(a-b)", "exp(k)*x**2"),
        ("x**2*(a-b)**3/(a-b)**2", "0"),
        ("(exp(a*x)-exp(b*x))/(a-b)", "x*exp(k*x)"),
        ("Abs(x)*sin(a-b)/(a-b)", "Abs(x)"),
    ],
)
def test_a_limit_on_a_line(text, limit):
    for k in (sp.S.Zero, sp.Rational(3, 7)):
        expected = sp.sympify(limit, {"x": x, "k": k})
        found = limit_at(text, (k, k))
        assert all(sp.simplify((found - expected).subs(x, at)) == 0 for at in (-2, 3))


@pytest.mark.parametrize(
    "text",
    [
        "x**2*(a-b)**2/((a-b)**2+a**4)",  # 0 on b = a, 1 on a = 0
        "x**2*(a-b)**3/((a-b)**3+(a-b)*a**4)",
        "x**2*(a**2-b**2)/(a-b)**2",
        "x**2*a*(a-b)/(a-b)**2",
        "x**2*Abs(a-b)/(a-b)",
    ],
)
def test_no_limit_where_it_depends_on_the_way(text):
    with pytest.raises(Rejected):
        limit_at(text, (sp.S.Zero, sp.S.Zero))


# --- cells, signs, least values


def test_a_cell_that_straddles_a_line_is_not_proved():
    expression = loss(COSH, BOTH).expression
    a, _ = sorted(expression.free_symbols - {x}, key=str)
    whole = {"a": (sp.S.Zero, sp.oo), "b": (sp.S.Zero, sp.oo)}
    for kind in ("validity", "convex", "zero_forcing"):
        with pytest.raises(Rejected):
            holds_in_cell(kind, expression, whole)
        with pytest.raises(Rejected):
            holds_in_cell(kind, expression, {**whole, "b": (sp.S.Zero, 2 * a)})
        assert holds_in_cell(kind, expression, {**whole, "b": (sp.S.Zero, a)})


def test_ends_have_one_order_or_the_parameters_before_are_cut():
    entry = loss(COSH, ("a > 0",))
    assumed = read_assumed(entry.expression, entry.assumptions)
    a = assumed.symbols["a"]
    with pytest.raises(Unsigned):
        grid(["a", "b"], {"b": [a, sp.S.One]}, assumed)
    assert len(grid(["a", "b"], {"a": [sp.S.One], "b": [a, sp.S.One]}, assumed)) == 5 + 3 + 5
    # a cut that is no number at a = 1 is none there, and none where a may be 1
    pole = 1 / (a - 1)
    assert grid(["a", "b"], {"b": [pole]}, assumed) == grid(["a", "b"], {}, assumed)
    cells = grid(["a", "b"], {"a": [sp.S.One], "b": [pole]}, assumed)
    assert [cell["a"] for cell in cells if pole not in cell["b"]] == [(sp.S.One, sp.S.One)]


def test_parts_of_a_range_that_may_be_empty_or_a_point():
    one, two = sp.S.One, sp.Integer(2)
    assert parts_of([(">=", one), ("<=", one)], [], {}) == [(one, one)]
    assert parts_of([(">", one), ("<=", one)], [], {}) == []
    assert parts_of([(">", two), ("<", one)], [], {}) == []


def test_what_assumptions_on_two_parameters_say_of_each():
    assert read_assumptions(["b > 0", "a > b"])["a"] == [(">", 0)]
    assert read_assumptions(["b >= 1", "a >= 2*b + 1"])["a"] == [(">=", 3)]
    assert read_assumptions(["a < 1 - b", "b > 0"])["a"] == [("<", 1)]
    assert read_assumptions(["a > b", "c > a", "b >= 2"])["c"] == [(">", 2)]


@pytest.mark.parametrize("text", ["a > a", "a > b*c", "a > b**2", "a > x", "a > 1/b", "a b"])
def test_assumptions_that_say_nothing_are_refused(text):
    with pytest.raises(ExpressionError):
        read_assumptions([text])


def test_a_sign_by_a_slope_in_one_of_several_symbols():
    a, b, y = sp.symbols("a b y", positive=True)
    larger = (a + b) * sp.sinh((a + b) * y) - b * sp.sinh(b * y)
    assert sign(larger) == 1 and is_nonnegative(larger)
    for e in (a * sp.sinh(a * y) - b * sp.sinh(b * y), sp.exp(a * y) - b, sp.exp(-a * y) - b):
        assert not is_nonnegative(e) and not is_nonnegative(-e)
        with pytest.raises(Unsigned):
            sign(e)


def test_least_values():
    k, y = sp.symbols("k y", positive=True)
    assert least_value(k * (y - 2) ** 2 + 1 - y * 0, y) == (2, 1)
    assert least_value(sp.exp(y) - k * y, y) is None  # at log(k), which may be left of 0
    assert least_value(sp.exp(y) - (1 + k) * y, y)[0] == sp.log(k + 1)
    assert least_value(-((y - 2) ** 2), y) is None  # its greatest
    assert least_value((y - 2) ** 2 * (y - 5) ** 2, y) is None  # turns three times
    assert least_value(1 / (y - 2) ** 2, y) is None  # a pole
    assert least_value(sp.Abs(y - 2), y) is None  # not smooth


# --- random families


def hunt(
    seed: int, count: int, kinds: int, seconds: float, parts: Sequence[str] = two_parameters.PARTS
) -> dict[str, int]:
    """Families, verdicts that were decided, comparisons; fails at the first that is wrong."""
    source, seen = random.Random(seed), {"decided": 0, "undecided": 0, "compared": 0}
    with mp.workdps(DIGITS):
        for _ in range(count):
            family = two_parameters.draw(source, parts)
            entry = loss(family.text, family.assumptions)
            for kind in source.sample(KINDS, kinds):
                verdict = verdict_to_json(ask_for_parameters(kind, entry, seconds), kind)
                check_parametric(kind, verdict, write(entry.expression), entry.assumptions)
                decided = verdict["status"] != "undecided"
                seen["decided" if decided else "undecided"] += 1
                pairs = list(parameters(family, verdict["steps"])) if decided else []
                for pair in source.sample(pairs, min(len(pairs), 6)):
                    expected = holds(kind, family.at(pair))
                    if expected is None:
                        continue
                    seen["compared"] += 1
                    condition = verdict["condition"]
                    said = verdict["holds"] if condition is None else is_true(condition, pair)
                    where = {name: mp.nstr(value, 8) for name, value in pair.items()}
                    assert said is expected, (
                        f"seed {seed}: {family}: {kind} {verdict['holds']} {condition}: "
                        f"at {where} it is {expected}"
                    )
    return seen


def test_five_random_families():
    seen = hunt(1, 5, kinds=1, seconds=6.0)
    assert seen["decided"] > 3 and seen["compared"] > 10, seen


@pytest.mark.slow
def test_fifty_random_families():
    seed = 2000
    print(f"seed {seed}: {hunt(seed, 50, kinds=3, seconds=4.0)}")


@pytest.mark.slow
def test_twenty_five_families_without_a_value_on_a_line():
    seen = hunt(7, 25, kinds=2, seconds=6.0, parts=tuple(two_parameters.DIVIDED))
    assert seen["decided"] > 3 * seen["undecided"] and seen["compared"] > 100, seen


def test_the_oracle_sees_what_is_wrong():
    with mp.workdps(DIGITS):
        for a, b in ((2, 1), (1, 2), (1, 1)):
            member = Member(COSH, {"a": mp.mpf(a), "b": mp.mpf(b)})
            assert holds("validity", member) is (a > b)
            assert holds("convex", member) is (a >= b)
        straight = Member(
            "a*(exp(x)-x-1)-b*(exp(-x)+x-1) + 2*(cosh(x)-1)", {"a": mp.mpf(4), "b": mp.mpf(1)}
        )
        assert holds("convex", straight) is True
