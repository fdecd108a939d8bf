"""Which named divergence is it? Losses are compared, not generators: that needs no closed form of
f.

    D_f = c D_named   <=>   g' = c g'_named, c > 0    (without the gauge f -> f + b (t - 1))

Enclosed values refuse at once what is not proportional; what they don't refuse is named only when
the ratio was proved constant. Agreement in thirty digits at every point is no proof: without one
there is no name.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

import sympy as sp
from flint import arb

from divergence_lab.theory.budget.asking import OutOfTime, SearchFailed, patient, within
from divergence_lab.theory.catalogue import named as catalogue
from divergence_lab.theory.divergence import given_values
from divergence_lab.theory.divergence.loss import Loss
from divergence_lab.theory.expressions import (
    CannotSplit,
    ExpressionError,
    Pieces,
    digits,
    enclosure,
    identity,
    ordering,
    parse,
    split,
    t,
    write,
    x,
)
from divergence_lab.theory.expressions.pieces import Piece, inside

# Seven residuals on either side of 0.
POINTS = tuple(
    sp.Rational(n, 13) for n in (-71, -47, -29, -19, -11, -5, -1, 1, 5, 11, 19, 29, 47, 71)
)
DIGITS = 30
# What the proof over building blocks leaves open, SymPy may try this long.
SIMPLIFY_SECONDS = 1.0


@dataclass(frozen=True)
class _Candidate:
    """A named divergence, or a family at one value of its parameter."""

    name: str
    slopes: Pieces


def recognise(loss: Loss) -> tuple[str | None, sp.Expr | None]:
    """The named divergence that a continuous loss minimises, and the factor: D_f = factor *
    D_named.

    A factor of 1 is preferred among proportional names (GAN is twice Jensen-Shannon). Losses with
    one scale on the left of 0 and another on the right are named with the share tau of the right
    one.
    """
    return recognise_slopes(loss.derivative, loss.assumptions)


def recognise_slopes(
    slopes: Pieces, assumptions: tuple[str, ...] = ()
) -> tuple[str | None, sp.Expr | None]:
    """As `recognise`, from g' alone. A factor with parameters is positive for some of them."""
    try:
        seen = _values(slopes, assumptions)
    except (enclosure.NotEvaluable, CannotSplit):
        return None, None
    for candidates in (_named(), _families(slopes, seen, assumptions)):
        proportional = [
            (candidate.name, *factors)
            for candidate in candidates
            if (factors := _side_factors(slopes, seen, candidate, assumptions)) is not None
            and _is_multiple(*factors, assumptions)
        ]
        if proportional:
            name, below, above = next(
                (row for row in proportional if row[1] == row[2] == 1), proportional[0]
            )
            if sp.simplify(below - above) == 0:
                return name, above
            tau = sp.simplify(above / (below + above))
            return f"asymmetric {name} with tau = {write(tau)}", sp.simplify((below + above) / 2)
    return None, None


def as_catalogued(slopes: Pieces, assumptions: tuple[str, ...]) -> sp.Expr | None:
    """g as a factor times the catalogue's loss of the divergence that g' is recognised as, or None.

    To be confirmed.
    """
    name = recognise_slopes(slopes, assumptions)[0] or ""
    family, _, setting = name.partition(" with ")
    entry = next((entry for entry in catalogue.DIVERGENCES if entry.name == family), None)
    if entry is None:
        return None
    value = parse(re.split(" = |parameter ", setting)[1], x, assumptions) if setting else None
    try:
        expression = catalogue.lookup(entry.loss.replace(f"({entry.parameter})", "(own_)"))[1]
    except ExpressionError:
        return None
    own = next((s for s in expression.free_symbols if s.name == "own_"), None)
    expression = expression if own is None else expression.subs(own, value)
    mine, named = (
        sp.simplify(sp.diff(f.split_at_zero()[1].pieces[0].expression, x).subs(x, 0))
        for f in (slopes, Loss(expression, None).derivative)
    )
    return (
        sp.simplify(mine / named) * expression
        if ordering.is_finite(mine) and ordering.is_finite(named) and named != 0
        else None
    )


# --- the candidates


@cache
def _named() -> tuple[_Candidate, ...]:
    return tuple(
        _Candidate(entry.name, derivative_of_generator(catalogue.generator(entry)))
        for entry in catalogue.DIVERGENCES
        if entry.parameter is None
    )


@cache
def _family_slopes() -> tuple[tuple[catalogue.NamedDivergence, sp.Symbol, Pieces], ...]:
    return tuple(
        (
            entry,
            sp.Symbol(entry.parameter, real=True),
            derivative_of_generator(catalogue.generator(entry)),
        )
        for entry in catalogue.DIVERGENCES
        if entry.parameter is not None
    )


def _families(
    slopes: Pieces, seen: tuple[arb, ...], assumptions: tuple[str, ...]
) -> Iterator[_Candidate]:
    """Each family at the parameter value that the third over the second derivative of g at 0 points
    to.

    First in numbers, which refuse nearly always, then exactly.
    """
    piece = slopes.split_at_zero()[1].pieces[0]
    near = _skewness(piece.expression, assumptions)
    if near is None:
        return
    exact = None
    for entry, symbol, family in _family_slopes():
        about = _parameter_at(entry, near)
        if not _allowed(entry, about) or not _nearly_proportional(
            seen, _at_parameter(family, symbol, about)
        ):
            continue
        if exact is None:
            slope = identity.simplified(piece.expression, inside(piece))
            exact = sp.simplify(sp.diff(slope, x, 2).subs(x, 0) / sp.diff(slope, x).subs(x, 0))
        value = sp.simplify(_parameter_at(entry, exact))
        if value.is_finite and _allowed(entry, value):
            yield _Candidate(
                f"{entry.name} with {_setting(entry, value)}",
                derivative_of_generator(catalogue.generator(entry).subs(symbol, value)),
            )


def _setting(entry: catalogue.NamedDivergence, value: sp.Expr) -> str:
    """ "w = 1/4", or "parameter 1 - w" where the user calls one of his own w."""
    own = entry.parameter in {symbol.name for symbol in value.free_symbols}
    return ("parameter " if own else f"{entry.parameter} = ") + write(value)


def _skewness(slope: sp.Expr, assumptions: tuple[str, ...]) -> sp.Rational | None:
    """The third over the second derivative of g at 0, to thirty digits; free parameters at
    sample values.
    """
    try:
        chosen = given_values.sampled(slope.free_symbols - {x}, assumptions)
        curvature, third = (
            enclosure.value_at(sp.diff(slope, x, n).subs(chosen), x, sp.S.Zero, 2 * DIGITS)
            for n in (1, 2)
        )
    except enclosure.NotEvaluable:
        return None
    with digits(2 * DIGITS):
        ratio = third / curvature
        size = abs(ratio)  # no family is looked for at a parameter that could not be written
        holds = ratio.is_finite() and (ratio.contains(0) or size > 1e-100) and size < 1e100
        return sp.Rational(arb(ratio.mid()).str(DIGITS, radius=False)) if holds else None


def _parameter_at(entry: catalogue.NamedDivergence, skewness: sp.Expr) -> sp.Expr:
    r = sp.Symbol("r", real=True)
    return parse(entry.from_skewness, r).subs(r, skewness)


def _allowed(entry: catalogue.NamedDivergence, value: sp.Expr) -> bool:
    """Is the family defined at this value? A symbolic one counts as allowed: it is the user's
    own parameter.
    """
    if value.free_symbols:
        return True
    try:
        return all(
            catalogue.holds_at(bound, {entry.parameter: write(value)}) for bound in entry.where
        )
    except (
        ExpressionError,
        TypeError,
    ):  # too long to be written, or not told from a bound: no value to name
        return False


def _at_parameter(family: Pieces, symbol: sp.Symbol, value: sp.Expr) -> Pieces:
    return family.map(lambda expression: expression.subs(symbol, value))


def _nearly_proportional(seen: tuple[arb, ...], slopes: Pieces) -> bool:
    """Do g' and a family at a rounded parameter agree in some digits? Only a filter before the
    exact question.
    """
    try:
        ratios = [a / b for a, b in zip(seen, _values(slopes))]
    except enclosure.NotEvaluable:
        return False
    return all(ratio.is_finite() and abs(ratio / ratios[0] - 1) < 1e-12 for ratio in ratios)


def derivative_of_generator(generator: sp.Expr) -> Pieces:
    """g'(x) = t f'(t) - f(t) at t = e^x, from f normalised to f(1) = f'(1) = 0 (the converse,
    Remark 4.3).

    With F(x) = f(e^x) that is F' - F.
    """
    pieces = []
    for piece in split(generator, t, sp.S.Zero, sp.oo).pieces:
        low = -sp.oo if piece.low == 0 else sp.log(piece.low)
        high = sp.oo if piece.high == sp.oo else sp.log(piece.high)
        in_residual = piece.expression.subs(t, sp.exp(x))
        pieces.append(Piece(low, high, sp.diff(in_residual, x) - in_residual))
    return Pieces(tuple(pieces), x)


# --- proportional on either side?


def _values(slopes: Pieces, assumptions: tuple[str, ...] = ()) -> tuple[arb, ...]:
    """g' at the points, enclosed; free parameters take sample values."""
    chosen = given_values.sampled(
        set().union(*(piece.expression.free_symbols for piece in slopes.pieces)) - {x}, assumptions
    )
    expressions = [
        piece.expression.subs(chosen) if chosen else piece.expression for piece in slopes.pieces
    ]
    ends = [piece.high.subs(chosen) for piece in slopes.pieces]
    return tuple(
        enclosure.value_at(
            next(
                e
                for e, high in zip(expressions, ends)
                if high == sp.oo or ordering.is_less(point, high)
            ),
            x,
            point,
            DIGITS,
        )
        for point in POINTS
    )


@cache
def _values_of(candidate: _Candidate) -> tuple[arb, ...]:
    return _values(candidate.slopes)


def _side_factors(
    slopes: Pieces, seen: tuple[arb, ...], candidate: _Candidate, assumptions: tuple[str, ...]
) -> tuple[sp.Expr, sp.Expr] | None:
    """(c_left, c_right) with g' = c g'_named on either side of 0: proved, or None."""
    try:
        named = any(piece.expression.free_symbols != {x} for piece in candidate.slopes.pieces)
        known = _values(candidate.slopes, assumptions) if named else _values_of(candidate)
    except enclosure.NotEvaluable:
        return None
    half = len(POINTS) // 2
    for side in (slice(0, half), slice(half, None)):
        ratios = [a / b for a, b in zip(seen[side], known[side])]
        if any(not ratio.is_finite() or ratio.contains(0) for ratio in ratios) or any(
            not a.overlaps(b) for a, b in pairwise(ratios)
        ):
            return None
    factors = tuple(
        _factor(mine.pieces, named.pieces)
        for mine, named in zip(slopes.split_at_zero(), candidate.slopes.split_at_zero())
    )
    return None if None in factors else factors


def _factor(mine: tuple[Piece, ...], named: tuple[Piece, ...]) -> sp.Expr | None:
    """The constant c with mine = c * named on every piece of one side of 0, proved."""
    factor = None
    try:
        pairs = [
            (a, b, common) for a in mine for b in named if (common := _common(a, b)) is not None
        ]
    except CannotSplit:
        return None
    for a, b, common in pairs:
        ratio = _proved_ratio(a.expression, b.expression, common)
        if ratio is None or (factor is not None and sp.simplify(ratio - factor) != 0):
            return None
        factor = ratio
    return factor


def _is_multiple(below: sp.Expr, above: sp.Expr, assumptions: tuple[str, ...]) -> bool:
    """Both factors are positive; one factor for both sides, with parameters, for some of them."""
    if below.is_positive and above.is_positive:
        return True
    if not above.free_symbols or sp.simplify(below - above) != 0:
        return False
    return given_values.is_positive_somewhere(above, assumptions)


def _common(a: Piece, b: Piece) -> Piece | None:
    """The overlap of two pieces."""
    low = b.low if ordering.is_less(a.low, b.low) else a.low
    high = a.high if ordering.is_less(a.high, b.high) else b.high
    return Piece(low, high, a.expression) if ordering.is_less(low, high) else None


def _proved_ratio(a: sp.Expr, b: sp.Expr, where: Piece) -> sp.Expr | None:
    """c with a = c b: over building blocks, or from the derivatives and one exact value, or by
    SymPy's simplify.
    """
    sample = inside(where)
    ratio = identity.constant_ratio(a, b, sample)
    if ratio is not None:
        return sp.simplify(ratio)
    ratio = identity.constant_ratio(sp.diff(a, x), sp.diff(b, x), sample)
    if ratio is not None:
        anchor = sp.S.Zero if sp.S.Zero in (where.low, where.high) else sample
        if identity.vanishes((a - ratio * b).subs(x, anchor), sample):
            return sp.simplify(ratio)
    try:
        ratio = within(patient(SIMPLIFY_SECONDS), sp.simplify, a / b)
    except (OutOfTime, SearchFailed):
        return None
    return None if ratio.has(x) else ratio
