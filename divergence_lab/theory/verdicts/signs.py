"""The sign of a smooth function on an interval: a proof, a counterexample, or neither.

A proof is SymPy's assumption calculus on a signed variable, or, for sums of exponentials, exact
counting of the roots of a polynomial in s = e^{x/q}. A counterexample is one point at which a
guaranteed enclosure has the wrong sign.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import sympy as sp

from divergence_lab.theory.budget.asking import OutOfTime, SearchFailed, patient, within
from divergence_lab.theory.checker.facts.proofs import structural_sign
from divergence_lab.theory.expressions.enclosure import NotEvaluable, value_at
from divergence_lab.theory.expressions.ordering import is_less
from divergence_lab.theory.expressions.pieces import Piece, Pieces, positive_argument
from divergence_lab.theory.expressions.symbols import x

ALGEBRA_SECONDS = 1.0
TIDY_SECONDS = 1.5
# Beyond this degree in the slowest exponential the factors of a sum are longer than the sum:
# e^{999x/1000} - 1.
MAX_DEGREE = 48


def factored(function: sp.Expr) -> sp.Expr:
    """A sum as a product of factors where it is one: 1 - tanh(x)**2 -> 4 e^{2x}/(e^{2x} + 1)^2,
    x^2 + 2x + 1 -> (x + 1)^2.
    """
    if function.is_rational_function(x):
        candidate = sp.factor(sp.together(function))
    else:
        written = function.rewrite(sp.exp)
        if _degree(written) > MAX_DEGREE:
            return function
        candidate = sp.factor(sp.powsimp(sp.expand(sp.together(written))), deep=False)
        candidate = sp.factor(sp.cancel(candidate)) if candidate.is_Add else candidate
    if candidate.has(sp.Abs, sp.sign):  # the root of a square, in whatever form it came
        return function
    return (
        function
        if candidate.is_Add or sp.count_ops(candidate) > 3 * sp.count_ops(function) + 40
        else candidate
    )


def _degree(function: sp.Expr) -> sp.Expr:
    """The largest rate r of the exponentials e^{rx} in units of the step between all of them."""
    rates = [
        abs(rate)
        for e in function.atoms(sp.exp)
        if (rate := sp.diff(e.args[0], x)).is_Rational and rate != 0
    ]
    return max(rates, default=sp.S.Zero) * sp.ilcm(1, 1, *(rate.q for rate in rates))


def tidy(function: Pieces) -> Pieces:
    """Each piece in the form in which its sign shows best: rational functions of x or of
    exponentials are factored.
    """
    return function.map(
        lambda f: (
            _factored(f)
            if f.has(sp.Add)
            and (f.is_rational_function(x) or f.has(sp.exp, sp.sinh, sp.cosh, sp.tanh))
            else f
        )
    )


@functools.lru_cache(maxsize=512)
def _factored(f: sp.Expr) -> sp.Expr:
    try:
        return within(patient(TIDY_SECONDS), factored, f)
    except (OutOfTime, SearchFailed):
        return f


PROBES = (
    tuple(sp.Rational(n, 8) for n in (1, 3, 7, 13, 21, 34, 55, 89, 144, 233, 800))
    + tuple(sp.Rational(1, 10**k) for k in (2, 3, 5, 8))
    + tuple(sp.Rational(n, 12) for n in range(5, 100, 4))
)


@dataclass(frozen=True)
class Sign:
    """`holds`: function >= 0 on the whole piece (True), negative somewhere (False), not decided
    (None).

    `because` is the reason in words; `witness` the point of a counterexample.
    """

    holds: bool | None
    because: str
    witness: sp.Expr | None = None


def nonnegative(piece: Piece) -> Sign:
    """Is the piece's expression >= 0 on its open interval?"""
    function = piece.expression
    if function == 0:
        return Sign(True, "it is 0")
    if structural_sign(function, x, piece.low, piece.high) == 1 or is_nonnegative(function, piece):
        return Sign(True, f"{function} is a sum and product of terms that are not negative there")
    counterexample = _counterexample(piece)
    if counterexample is not None:
        return Sign(False, f"it is negative at x = {counterexample}", counterexample)
    try:
        if any(
            max(abs(n.p), n.q) > MAX_DEGREE
            for e in function.atoms(sp.exp)
            for n in e.args[0].atoms(sp.Rational)
        ):
            raise OutOfTime  # SymPy takes powers of e^{x/q} for unknowns
        return within(patient(ALGEBRA_SECONDS), by_algebra, piece)
    except (OutOfTime, SearchFailed):
        return Sign(None, "no proof was found in time")


def by_algebra(piece: Piece) -> Sign:
    """The sign as SymPy's rewriting shows it, which may take for ever."""
    for shorter in (sp.factor, lambda f: sp.simplify(f.rewrite(sp.exp))):
        form = shorter(piece.expression)
        if is_nonnegative(form, piece):
            return Sign(True, f"{form} is a sum and product of terms that are not negative there")
    return _by_roots(piece) or Sign(None, "no proof was found and no counterexample either")


def is_nonnegative(form: sp.Expr, piece: Piece) -> bool:
    """SymPy's assumption calculus sees form >= 0 on the piece, from the sign of x there."""
    return bool(form.subs(x, positive_argument(x, piece)[0]).is_nonnegative)


def _counterexample(piece: Piece) -> sp.Expr | None:
    if piece.expression.free_symbols - {x}:
        return None
    candidates = {
        side * probe + anchor
        for probe in PROBES
        for side in (1, -1)
        for anchor in {a for a in (piece.low, piece.high, sp.S.Zero) if a.is_finite}
    }
    try:
        for point in sorted(candidates, key=lambda c: abs(float(c))):
            inside = is_less(piece.low, point) and is_less(point, piece.high)
            if inside and value_at(piece.expression, x, point, 30) < 0:
                return point
    except NotEvaluable:
        pass  # parameters without values: no counterexample can be computed
    return None


def _by_roots(piece: Piece) -> Sign | None:
    """Exact for rational functions of e^{x/q}: no sign change when the numerator has no root of
    odd order inside.
    """
    if piece.expression.free_symbols - {x}:
        return None
    rates = [
        sp.diff(e.args[0], x) for e in piece.expression.rewrite(sp.exp).atoms(sp.exp) if e.has(x)
    ]
    if (
        not rates
        or not all(rate.is_Rational and rate != 0 for rate in rates)
        or _degree(piece.expression.rewrite(sp.exp)) > MAX_DEGREE
    ):
        return None
    s = sp.Symbol("~s", positive=True)
    q = sp.ilcm(1, 1, *(rate.q for rate in rates))
    rational = sp.together(piece.expression.rewrite(sp.exp).subs(x, q * sp.log(s)))
    numerator, denominator = sp.fraction(sp.cancel(rational))
    if not (numerator.is_polynomial(s) and denominator.is_polynomial(s)):
        return None
    low = sp.S.Zero if piece.low == -sp.oo else sp.exp(piece.low / q)
    high = sp.oo if piece.high == sp.oo else sp.exp(piece.high / q)
    if not all(bound.is_rational or bound == sp.oo for bound in (low, high)):
        return None
    polynomial = sp.Poly(numerator * denominator, s)
    if not polynomial.domain.is_QQ and not polynomial.domain.is_ZZ:
        return None
    odd = sp.prod([f for f, order in polynomial.factor_list()[1] if order % 2], sp.Poly(1, s))
    inside = (
        sp.Poly(odd, s).count_roots(low, None if high == sp.oo else high)
        if sp.Poly(odd, s).degree() > 0
        else 0
    )
    # roots at the very ends of the interval don't change the sign inside it
    inside -= sum(
        1
        for bound in (low, high)
        if bound != sp.oo and sp.Poly(odd, s).degree() > 0 and sp.Poly(odd, s)(bound) == 0
    )
    if inside:
        return None
    return Sign(
        True,
        f"with s = e^(x/{q}) it is {numerator}/({denominator}), which has no sign change "
        "by exact root "
        "counting"
        if q != 1
        else (
            f"with s = e^x it is ({numerator})/({denominator}), which has no sign change by "
            "exact root counting"
        ),
    )
