"""Wishes from texts and numbers, checked for clashes."""

from collections.abc import Mapping
from itertools import combinations

import sympy as sp

from divergence_lab.inputs import is_whole, kind_of
from divergence_lab.theory.design import clashes, feasibility, symmetric, wishes
from divergence_lab.theory.expressions import ExpressionError, constants, write
from divergence_lab.theory.expressions.parsing import parse_number
from divergence_lab.theory.expressions.syntax import shown


def read_wishes(
    zero_forcing: bool | None = None,
    zero_avoiding: bool | None = None,
    symmetric: bool = False,
    even: bool = False,
    bounded_gradient: bool = False,
    bounded_second_moment: bool = False,
    curvature: object = None,
    penalties: Mapping[object, object] | None = None,
    left_growth: str | None = None,
    right_growth: str | None = None,
    smooth: bool = False,
    max_terms: int | None = None,
    tolerance: object = wishes.TOLERANCE,
) -> wishes.Wishes:
    """Wishes from numbers and texts ("1/3", 0.5, 2), checked for clashes.

    Raises DesignError naming two that clash.
    """
    for name, value in (("zero_forcing", zero_forcing), ("zero_avoiding", zero_avoiding)):
        if value not in (True, False, None):
            raise wishes.DesignError(f"{name} is {shown(str(value))}: give True, False or None")
    asked = {
        "symmetric": symmetric,
        "even": even,
        "bounded_gradient": bounded_gradient,
        "bounded_second_moment": bounded_second_moment,
        "smooth": smooth,
    }
    for name, value in asked.items():
        if not isinstance(value, bool):
            raise wishes.DesignError(f"{name} is {shown(str(value))}: give True or False")
    if not isinstance(penalties, Mapping | None):
        raise wishes.DesignError(f"the penalties are {kind_of(penalties)}: write them as {{2: 3}}")
    c = None if curvature is None else read_number(curvature, "the curvature at 0")
    if c is not None and c.is_negative:
        raise wishes.DesignError(
            f"curvature {write(c)} and a convex loss clash: its g'' is never negative; give 0 or a "
            "positive number"
        )
    if max_terms is not None and not is_whole(max_terms, 1):
        raise wishes.DesignError(f"max_terms is {shown(str(max_terms))}: ask for 1 or more")
    pairs = tuple(
        (read_number(at, "the residual of a penalty"), read_number(value, "a penalty"))
        for at, value in (penalties or {}).items()
    )
    for at, value in pairs:
        if at == 0:
            raise wishes.DesignError(
                "a penalty at x = 0 is 0 for every loss: give another residual"
            )
        if not value.is_positive:
            raise wishes.DesignError(
                f"the penalty {write(value)} at x = {write(at)} is not positive: every "
                "loss is, away from 0"
            )
    if any(constants.equal(a, b) for (a, _), (b, _) in combinations(pairs, 2)):
        raise wishes.DesignError("two penalties are given at the same residual: keep one of them")
    found = wishes.Wishes(
        zero_forcing,
        zero_avoiding,
        symmetric,
        even,
        bounded_gradient,
        bounded_second_moment,
        c,
        tuple(sorted(pairs, key=lambda pair: float(pair[0]))),
        read_growth(left_growth),
        read_growth(right_growth),
        smooth,
        max_terms,
    )
    clashes.refuse_clashes(found)
    refuse_penalties(found, read_tolerance(tolerance))
    return found


def refuse_penalties(wishes: wishes.Wishes, tolerance: sp.Rational) -> None:
    """Raises DesignError naming penalties that no convex loss with the other wishes has, and
    why.
    """
    feasibility.refuse_penalties(wishes)
    symmetric.refuse_asymmetric(wishes, tolerance)


def read_number(given: object, what: str) -> sp.Expr:
    """An exact real number from a text, an int, a float (as it is written: 0.1 is 1/10) or a
    SymPy number.
    """
    if isinstance(given, sp.Expr) and given.is_real and given.is_finite:
        return given
    try:
        return parse_number(str(given), what)
    except ExpressionError as reason:
        raise wishes.DesignError(str(reason)) from None


def read_tolerance(given: object) -> sp.Rational:
    """A rational number between 0 and 1."""
    tolerance = read_number(given, "the tolerance")
    if not (isinstance(tolerance, sp.Rational) and 0 < tolerance < 1):
        raise wishes.DesignError(f"the tolerance {write(tolerance)} is not between 0 and 1")
    return tolerance


def read_growth(text: str | None) -> wishes.Growth | None:
    """ "linear", "quadratic", "power:3/2" or "exponential:1"; None stays None."""
    if text is None:
        return None
    kind, colon, rate = str(text).strip().partition(":")
    if not colon and kind == "linear":
        return wishes.LINEAR
    if not colon and kind == "quadratic":
        return wishes.QUADRATIC
    if not colon and kind == "bounded":
        raise wishes.DesignError(
            "the growth 'bounded' and a convex loss clash: a convex loss with its only "
            "minimum at 0 grows "
            "at least like |x| on either side; ask for 'linear', or for --bounded-gradient"
        )
    if colon and kind in ("power", "exponential"):
        value = read_number(rate, f"the rate of the growth {shown(text)}")
        if not value.is_Rational or not value > (1 if kind == "power" else 0):
            raise wishes.DesignError(
                f"the growth {shown(text)} needs a rational rate above "
                f"{1 if kind == 'power' else 0}"
            )
        return wishes.Growth(kind, value)
    raise wishes.DesignError(
        f"the growth {shown(text)} is not known: write linear, quadratic, power:3 or "
        "exponential:1/2"
    )
