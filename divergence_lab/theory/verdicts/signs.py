"""Where a smooth function is negative, if a point shows it; and forms in which its sign shows best.

A sign is proved by the checker; what the search brings is the form of the function, and one point
at which a guaranteed enclosure has the wrong sign where there is such a point.
"""

import functools
import math
from typing import Any

import sympy as sp

from divergence_lab.theory.budget.asking import OutOfTime, SearchFailed, patient, within
from divergence_lab.theory.checker.facts import proofs, scales
from divergence_lab.theory.checker.facts.normal_form import oscillations_added
from divergence_lab.theory.checker.facts.structure import structural_sign
from divergence_lab.theory.expressions import (
    Pieces,
    balls,
    constants,
    enclosure,
    ordering,
    pieces,
    x,
)
from divergence_lab.theory.expressions.points import undefined_points
from divergence_lab.theory.expressions.unified import collected, in_factors, in_letters

TIDY_SECONDS = 0.8
# Beyond this degree in the slowest exponential the factors of a sum are longer than the sum:
# e^{999x/1000} - 1.
MAX_DEGREE = 48
MAX_TERMS = 2_000  # of a sum that is written out: more take seconds
_EXPONENTIALS = (sp.exp, sp.sinh, sp.cosh, sp.tanh)
FARTHEST = 10**300  # of a point that a proof names


def factored(function: Any) -> sp.Expr:
    """A sum as a product of factors where it is one: 1 - tanh(x)**2 -> 4 e^{2x}/(e^{2x} + 1)^2,
    x^2 + 2x + 1 -> (x + 1)^2; else the same of those of its terms that share functions.
    """
    if any(undefined_points(e.args[0], x, -sp.oo, sp.oo) for e in function.atoms(sp.exp)):
        return function  # of e^{-1/(x-1)^2} little can be seen once (x-1)^2 is written out
    scale = _scale(function)
    if sp.Rational(1, MAX_DEGREE) <= scale <= MAX_DEGREE:
        return _in_factors(function)
    # e^{1000x} would be a high power of e^x
    return _in_factors(function.xreplace({x: x / scale})).xreplace({x: scale * x})


def _in_factors(function: Any) -> Any:
    form, meaning = in_letters(collected(function))
    groups = _groups(form)
    whole = None if len(groups) > 1 and meaning else _product(form)  # of letters it may take long
    if len(groups) > 1 and not _is_product(whole):
        whole = _by_groups(groups)
    found: Any = (form if whole is None else whole).xreplace(dict(meaning))
    if found.is_Add and any(sp.diff(e.args[0], x).has(x) for e in function.atoms(sp.exp)):
        return function  # a narrow e^{-1000 (x - 3)^2} is enclosed far better as it is
    longest = _longest(function) if meaning else sp.count_ops(function) - 1
    return function if found.is_Add and sp.count_ops(found) > longest else found


def _scale(function: Any) -> Any:
    """The largest rational rate of an exponential e^{rx}, tanh(r x) or the like, or the scale of
    the roots; 1 where it is not far from that.
    """
    rates = (
        sp.diff(e.args[0], x).as_coeff_Mul()
        for e in function.atoms(sp.exp, sp.sinh, sp.cosh, sp.tanh)
    )
    found = [abs(rate) for rate, rest in rates if rate != 0 and not rest.has(x)]
    return max(found, default=scales.scales_of(function, x)[0])


def _by_groups(groups: list[sp.Expr]) -> sp.Expr:
    """The sum of the groups, each in factors; the constant goes where it makes a product."""
    constant = sp.Add(*(part for part in groups if not part.has(x)))
    total = sp.S.Zero
    for part in (part for part in groups if part.has(x)):
        joined = _product(part + constant) if constant != 0 else None
        if joined is not None and _is_product(joined):
            total, constant = total + joined, sp.S.Zero
        else:
            total += _product(part) or part
    return total + constant


def _is_product(form: sp.Expr | None) -> bool:
    return form is not None and not sp.fraction(form)[0].is_Add


def _product(form: sp.Expr) -> sp.Expr | None:
    """The factors of the form; None where there is only one, or they are too long."""
    root = _root_in_common(form)
    if root != 1:
        inner = _product(sp.Add(*(term / root for term in sp.Add.make_args(form))))
        return None if inner is None else root * inner
    if form.is_rational_function(x):
        found = in_factors(form)
    elif not form.has(*_EXPONENTIALS):
        return None
    else:
        written = sp.together(form.rewrite(sp.exp))
        if _degree(written) > MAX_DEGREE or _terms(written) > MAX_TERMS:
            return None
        found = in_factors(sp.powsimp(sp.expand(written)))
        found = in_factors(sp.cancel(found)) if found.is_Add else found
    # the root of a square, in whatever form it came, is none
    if found.is_Add or found.has(sp.Abs, sp.sign) or sp.count_ops(found) > _longest(form):
        return None
    return found


def _terms(form: Any) -> int:
    """At most so many terms has the form once it is written out."""
    if form.is_Add:
        return sum(map(_terms, form.args))
    if form.is_Mul:
        return math.prod(map(_terms, form.args))
    if form.is_Pow and form.exp.is_Integer:
        power = abs(int(form.exp))
        return math.comb(_terms(form.base) + power - 1, power)
    return 1


def _longest(form: sp.Expr) -> int:
    """The operations that the factors of a form may have."""
    return 3 * sp.count_ops(form) + 40


def _root_in_common(form: Any) -> sp.Expr:
    """u^r that leaves no root of u in any term, where there is one: u^(-3/2) for
    a u^(-3/2) + b u^(-1/2).
    """
    root = sp.S.One
    for base in {p.base for p in form.atoms(sp.Pow) if _is_root(p)}:
        powers: list[Any] = [
            next((p.exp for p in sp.Mul.make_args(term) if _is_root(p) and p.base == base), None)
            for term in map(sp.powsimp, sp.Add.make_args(form))
        ]
        if None not in powers and all((power - powers[0]).is_Integer for power in powers):
            root *= base ** min(powers)
    return root


def _is_root(e: Any) -> bool:
    return e.is_Pow and e.has(x) and e.exp.is_Rational and not e.exp.is_Integer


def _groups(form: sp.Expr) -> list[sp.Expr]:
    """The terms of a sum, those together that have an exponential or another function in common;
    one more for rational terms and one for constants.
    """
    groups: list[tuple[set[object], sp.Expr]] = []
    for term in sp.Add.make_args(form):
        marks = _marks(term)
        shared = [group for group in groups if group[0] & marks]
        groups = [group for group in groups if not group[0] & marks]
        groups.append(
            (marks.union(*(m for m, _ in shared)), sp.Add(term, *(part for _, part in shared)))
        )
    return [part for _, part in groups]


def _marks(term: Any) -> set[object]:
    """The functions of x in the term, exponentials by their rates up to rational factors."""
    found: set[object] = set()
    for e in term.atoms(sp.Function, sp.Pow):
        if e.has(x) and isinstance(e, _EXPONENTIALS):
            found.add(e.args[0].as_coeff_Mul()[1])
        elif e.has(x) and not (e.is_Pow and e.exp.is_Integer):
            found.add(e.base if e.is_Pow else e)
    return found or {term.has(x)}


def _degree(function: Any) -> sp.Expr:
    """The largest rate r of the exponentials e^{rx} in units of the step between all of them."""
    rates = [
        abs(rate)
        for e in function.atoms(sp.exp)
        if (rate := sp.diff(e.args[0], x).as_coeff_Mul()[0]) != 0
    ]
    if not rates:
        return sp.S.Zero
    whole = sp.ilcm(1, 1, *(rate.q for rate in rates))
    return max(rates) * whole / sp.igcd(0, 0, *(int(rate * whole) for rate in rates))


def tidy(function: Pieces) -> Pieces:
    """Each piece in the form in which its sign shows best: rational functions of x or of
    exponentials are factored, products of sines and cosines are sums.
    """
    return function.map(
        lambda f: (
            oscillations_added(f)
            if f.has(sp.sin, sp.cos)
            else _factored(f)
            if f.has(sp.Add)
            and (f.is_rational_function(x) or f.has(*_EXPONENTIALS) or len(in_letters(f)[1]) > 0)
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


def negative_point(piece: pieces.Piece) -> sp.Expr | None:
    """A point at which the piece's expression is negative, as an enclosure shows; None where there
    is none or none was found.
    """
    function = piece.expression
    if (
        function == 0
        or structural_sign(function, x, piece.low, piece.high) == 1
        or _is_nonnegative(function, piece)
    ):
        return None
    point = _counterexample(piece)
    return _next_to_an_end(piece) if point is None else point


def _next_to_an_end(piece: pieces.Piece) -> sp.Expr | None:
    """A point next to an end, or far out, where a tail shows the sign: cosh(x) - 1 - x^2 (1/2 +
    10^-25) falls for 0 < x < 10^-12 alone, log(1 + x^2/10^30) bends down beyond 10^15.
    """
    if piece.expression.free_symbols - {x}:
        return None
    for end, side in ((piece.low, 1), (piece.high, -1)):
        try:
            sign, X = proofs.at_end(
                piece.expression, x, end, side, lambda X, line, tail: (line.sign(tail), X)
            )
        except proofs.Rejected:
            continue
        if sign < 0 and X <= FARTHEST:
            return _within(piece, end, side, sp.Integer(X))
    return None


def _within(piece: pieces.Piece, end: sp.Expr, side: int, X: sp.Integer) -> sp.Expr:
    """A point of the piece no further from a finite end than 1/X, or beyond X."""
    other = piece.high if side > 0 else piece.low
    if end.is_infinite:
        beyond = -side * X if other.is_infinite else other - side * X
        return beyond if abs(beyond) >= X else -side * X
    near = end + sp.Rational(side, X)
    inside = other.is_infinite or constants.sign_of(side * (other - near)) == 1
    return near if inside else (end + other) / 2


def _is_nonnegative(form: sp.Expr, piece: pieces.Piece) -> bool:
    """SymPy's assumption calculus sees form >= 0 on the piece, from the sign of x there."""
    return bool(form.subs(x, pieces.positive_argument(x, piece)[0]).is_nonnegative)


def _counterexample(piece: pieces.Piece) -> sp.Expr | None:
    if piece.expression.free_symbols - {x}:
        return None
    candidates = {
        side * probe + anchor
        for probe in PROBES
        for side in (1, -1)
        for anchor in {a for a in (piece.low, piece.high, sp.S.Zero) if a.is_finite}
    }
    try:
        for point in sorted(candidates, key=lambda c: abs(balls.ball_of_constant(c)).mid()):
            inside = ordering.is_less(piece.low, point) and ordering.is_less(point, piece.high)
            if inside and enclosure.value_at(piece.expression, x, point, 30) < 0:
                return point
    except enclosure.NotEvaluable:
        pass  # parameters without values: no counterexample can be computed
    return None
