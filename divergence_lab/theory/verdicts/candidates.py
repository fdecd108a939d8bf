"""Points and scales that may settle a cell of parameters, as expressions in them.

    g''(p/2; p) < 0      g(x/p; p) = c(p) g(x; 1)

Each is first held against numbers at values across the cell: what one of them contradicts, the
checker need not be asked. It must bear out the others.
"""

import functools
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import sympy as sp
from flint import arb

from divergence_lab.theory.budget.asking import OutOfTime, SearchFailed, patient, within
from divergence_lab.theory.checker.families import ranges
from divergence_lab.theory.divergence.loss import Loss
from divergence_lab.theory.expressions import CannotSplit, Pieces, balls, ordering, x
from divergence_lab.theory.expressions.parsing import parse_number
from divergence_lab.theory.expressions.pieces import Piece
from divergence_lab.theory.verdicts import plain, verdict

SOLVE_SECONDS = 2.0
MOST = 12
NUMBERS = tuple(
    sp.Rational(n, d) for n, d in ((1, 1), (2, 1), (1, 2), (5, 1), (1, 8), (10, 1), (50, 1))
)
EXTREMES, MOST_APART = (sp.Rational(1, 1000), sp.Integer(2), sp.Integer(1000)), 3
PROBES = (sp.Rational(3, 7), sp.Rational(-8, 5), sp.Rational(9, 4))

Values = Mapping[sp.Symbol, sp.Expr]


# --- values across a cell


def corners(loss: Loss, ranges: ranges.Ranges) -> list[Values]:
    """Values of all parameters across their ranges: all different, alike, and far apart."""
    apart = itertools.product(EXTREMES, repeat=min(len(loss.parameters), MOST_APART))
    alike = ((share,) for share in NUMBERS[:4])
    names = {p.name: p for p in loss.parameters}
    return [
        values_across(
            ranges, names, (functools.partial(_across, s) for s in itertools.cycle(shares))
        )
        for shares in (NUMBERS[1:], *alike, *apart)
    ]


def values_across(
    ranges: ranges.Ranges, symbols: Mapping[str, sp.Symbol], ways: Iterable[Callable]
) -> dict[sp.Symbol, sp.Expr]:
    """A value for each parameter, in a way of its own inside its range, which those before it may
    bound.
    """
    values: dict[sp.Symbol, sp.Expr] = {}
    for name, inside in zip((name for name in ranges if name in symbols), ways):
        low, high = (end.xreplace(values) for end in ranges[name])
        values[symbols[name]] = inside(low, high)
    return values


def _across(share: sp.Expr, low: sp.Expr, high: sp.Expr) -> sp.Expr:
    if low.is_finite:
        return low + ((high - low) / (1 + share) if high.is_finite else share)
    return high - share if high.is_finite else share - 1


@dataclass(frozen=True)
class _Member:
    """A function of the family at values of its parameters."""

    function: Pieces
    values: Values

    def at(self, point: sp.Expr) -> tuple[sp.Expr, arb]:
        """The point, an expression in the parameters, and the value there; not finite where it is
        not seen.
        """
        here: Any = point.xreplace(dict(self.values))
        if balls.is_finite_constant(here):
            for piece in self.function.pieces:
                if _is_inside(here, piece):
                    return here, balls.ball_at_point(piece.expression, x, here)
        return here, arb.nan()


def _members(function: Pieces, across: Iterable[Values]) -> list[_Member]:
    return [
        _Member(Pieces(tuple(_piece_at(p, values) for p in function.pieces), x), values)
        for values in across
    ]


def _piece_at(piece: Piece, values: Values) -> Piece:
    parts: Any = [e.xreplace(dict(values)) for e in (piece.low, piece.high, piece.expression)]
    return Piece(*parts)


def _is_inside(point: sp.Expr, piece: Piece) -> bool:
    try:
        return ordering.is_less(piece.low, point) and ordering.is_less(point, piece.high)
    except CannotSplit:
        return False


# --- points


def points_of_difference(kind: str, loss: Loss, ranges: ranges.Ranges) -> Iterator[sp.Expr]:
    """Where an identity that fails may be seen to fail: x > 0 with rational powers of e, or at
    the scale of a parameter.
    """
    points: list[sp.Expr] = []
    for parameter in loss.parameters:
        if ranges[parameter.name][0].is_nonnegative:
            points += [2 * parameter, 2 / parameter, parameter / 2, 1 / (2 * parameter)]
    function = loss.derivative if kind == "even" else loss.curvature
    members = _members(function, corners(loss, ranges))
    every = (*points, sp.log(3), sp.S.One)
    return (point for point in every if not _differs_both_ways(kind, members, point))


def _differs_both_ways(kind: str, members: Iterable[_Member], point: sp.Expr) -> bool:
    """g'(x) + g'(-x), or g''(x) - e^x g''(-x), is seen to be positive and to be negative."""
    signs = set()
    for member in members:
        (here, right), (_, left) = member.at(point), member.at(-point)
        ball = right + left if kind == "even" else right - balls.ball_of_constant(here).exp() * left
        signs |= {1} if ball > 0 else {-1} if ball < 0 else set()
        if len(signs) > 1:
            return True
    return False


def wrong_signs(
    kind: str, loss: Loss, ranges: ranges.Ranges, sample: verdict.Verdict
) -> Iterator[sp.Expr]:
    """Where g'' < 0, or where g' has the wrong sign: the witness of a plain verdict, then points
    at the scale of a parameter, then beside the zeros.
    """
    function = plain.refine(loss.pieces).derivative()
    function = function.derivative() if kind == "convex" else function
    members = _members(function, corners(loss, ranges))
    known = [parse_number(dict(s.data)["at"]) for s in sample.steps if s.rule == "witness"]
    every = itertools.chain(known, _at_scales(loss, ranges), _beside_zeros(loss, ranges, function))
    wrong = (point for point in every if all(_is_wrong(kind, m, point) for m in members))
    return itertools.islice(wrong, MOST)


def _is_wrong(kind: str, member: _Member, point: sp.Expr) -> bool:
    here, ball = member.at(point)
    rises = kind != "convex" and balls.ball_of_constant(here) < 0
    return bool(ball > 0 if rises else ball < 0)


def _at_scales(loss: Loss, ranges: ranges.Ranges) -> Iterator[sp.Expr]:
    free = _free(loss, ranges)
    for n, unit in itertools.product(NUMBERS, (sp.S.One, *free, *(1 / p for p in free))):
        yield from (n * unit, -n * unit)


def _beside_zeros(loss: Loss, ranges: ranges.Ranges, function: Pieces) -> Iterator[sp.Expr]:
    free = _free(loss, ranges)
    fixed: Any = {p: ranges[p.name][0] for p in loss.parameters if p not in free}
    for piece in function.pieces:
        for zero in _zeros_of(piece.expression.subs(fixed)):
            yield from (2 * zero, zero + 1, zero - 1, zero / 2)


def _free(loss: Loss, ranges: ranges.Ranges) -> list[sp.Symbol]:
    return [p for p in loss.parameters if ranges[p.name][0] != ranges[p.name][1]]


def _zeros_of(f: sp.Expr) -> list[sp.Expr]:
    try:
        plain = sp.Symbol("~x")
        found = within(
            patient(SOLVE_SECONDS),
            sp.solve,
            sp.fraction(sp.factor(sp.together(f)))[0].subs(x, plain),
            plain,
        )
    except (OutOfTime, SearchFailed):
        return []
    return [zero for zero in found if isinstance(zero, sp.Expr) and not zero.has(sp.I)]


# --- scales


def scales(loss: Loss, ranges: ranges.Ranges) -> Iterator[sp.Expr]:
    """k and 1/k (or -k and -1/k) for each parameter of one sign."""
    for parameter in loss.parameters:
        low, high = ranges[parameter.name]
        sign = 1 if low == 0 else -1 if high == 0 else 0
        for scale in (sign * parameter, sign / parameter) if sign and low != high else ():
            if _may_be_scale(loss, ranges, parameter, sign, scale):
                yield scale


def _may_be_scale(
    loss: Loss, ranges: ranges.Ranges, parameter: sp.Symbol, sign: int, scale: sp.Expr
) -> bool:
    """g(x/u)/g(x) with u = 1 below the line is not seen to depend on x."""
    expression: Any = loss.expression
    values = corners(loss, ranges)[0]
    g, core = (expression.subs({**values, parameter: n}) for n in (3 * sign, sign))
    u = scale.subs(parameter, 3 * sign)
    ratios = [balls.ball_at_point(g, x, at / u) / balls.ball_at_point(core, x, at) for at in PROBES]
    return all(not ratio.is_finite() or ratio.overlaps(ratios[0]) for ratio in ratios)
