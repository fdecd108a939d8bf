"""f(0+), f'(oo) and g''(0) of a loss with parameters: one expression in them, or a value for each
case.

    f(0+) = -lim g'(x), x -> -oo      f'(oo) = int_0^oo g' e^{-x} dx = lim f(t)/t      g''(0)

The ranges of the parameters are cut where a sign depends on them, as for verdicts. On each cell
germs give a number for all parameters at once; it is then held against the plain loss at a sample.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import sympy as sp

from divergence_lab.theory.budget.asking import OutOfTime, SearchFailed, patient, within
from divergence_lab.theory.checker.conditions import condition_of
from divergence_lab.theory.checker.facts import proofs
from divergence_lab.theory.checker.facts.proofs import Rejected
from divergence_lab.theory.checker.families import (
    by_terms,
    cell_forms,
    cells,
    continuation,
    exponential_terms,
    signs,
)
from divergence_lab.theory.checker.families.ranges import Ranges, read_assumed, sides_of
from divergence_lab.theory.divergence.given_values import substituted
from divergence_lab.theory.divergence.loss import Loss
from divergence_lab.theory.expressions import (
    ExpressionError,
    balls,
    ordering,
    pieces,
    split,
    t,
    write,
    x,
)
from divergence_lab.theory.verdicts import ends, proposals

SECONDS = 4.0  # for each of the numbers
MAX_CELLS = 60
SHARES = (sp.Rational(3, 11), sp.Rational(17, 11))


@dataclass(frozen=True)
class Cases:
    """(condition on the parameters, value there), ...; the value is None where it is not known
    or not defined.
    """

    cases: tuple[tuple[str, sp.Expr | None], ...]


Number = sp.Expr | Cases | None


def numbers_for_parameters(loss: Loss, generator: sp.Expr | None) -> tuple[Number, Number, Number]:
    """f(0+), f'(oo), g''(0); None where one is not known."""
    return tuple(_within_time(loss, generator, which) for which in range(3))


def _within_time(loss: Loss, generator: sp.Expr | None, which: int) -> Number:
    try:
        return within(patient(SECONDS), number_for_parameters, loss, generator, which)
    except (OutOfTime, SearchFailed):
        return None


def number_for_parameters(loss: Loss, generator: sp.Expr | None, which: int) -> Number:
    """f(0+), f'(oo) or g''(0), as `which` is 0, 1 or 2, however long it takes."""

    def slope_at_infinity(g: sp.Expr, written: Mapping) -> sp.Expr | None:
        return _slope_at_infinity(g, generator, written)

    ask = (_value_at_zero, slope_at_infinity, _curvature)[which]
    return _by_cells(loss, ask, (_plain_value_at_zero, _plain_slope, _plain_curvature)[which])


def _by_cells(loss: Loss, ask: Callable, plain: Callable) -> Number:
    """What `ask` says of the loss on each cell, in as few cases as there are different values."""

    def decide(ranges: Ranges) -> sp.Expr | type[continuation.NoValue] | None:
        try:
            return _in_cell(loss, ranges, ask, plain)
        except continuation.NoValue:
            return continuation.NoValue
        except signs.Unsigned as unknown:
            if not proposals.critical_values(unknown.expression, loss.expression, ranges):
                return None
            raise
        except (proofs.Rejected, ordering.CannotSplit, ExpressionError, ValueError, AttributeError):
            return None

    decided = proposals.decide_cells(loss, [p.name for p in loss.parameters], decide, MAX_CELLS)
    return _cases(loss, [cell for cell, _ in decided], [value for _, value in decided])


def _in_cell(loss: Loss, ranges: Ranges, ask: Callable, plain: Callable) -> sp.Expr | None:
    """The number on this cell as an expression in the parameters, borne out by what `plain` says
    of the loss at samples.
    """
    written = cell_forms.positive_form(loss.expression, ranges)
    sides = sides_of(ranges, read_assumed(loss.expression, loss.assumptions))
    expression = cell_forms.at_points(loss.expression, written, ranges, sides)
    cells.need_order(cells.refined(split(expression, x), mirrored=False))
    found = ask(expression, written)
    if found is None:
        return None
    found = sp.simplify(found.subs(cell_forms.in_parameters(written, ranges)))
    for share in SHARES:
        free = dict.fromkeys(expression.free_symbols - {x}, share)
        known = plain(Loss(expression.subs(free)))
        values = {
            symbol: form.subs(dict.fromkeys(form.free_symbols, share))
            for symbol, form in written.items()
        }
        if known is None:
            continue
        stated = found.subs(values)
        agree = (
            known == stated
            if sp.oo in (abs(known) if isinstance(known, sp.Expr) else 0, abs(stated))
            else (known - balls.ball_of_constant(stated)).contains(0)
        )
        if not agree:
            return None
    return found


def _cases(loss: Loss, cells: list[Ranges], values: list) -> Number:
    symbols = {p.name: p for p in loss.parameters}
    different: list[sp.Expr | None] = []
    for ranges, value in sorted(
        zip(cells, values), key=lambda pair: sum(a == b for a, b in pair[0].values())
    ):
        if value is not continuation.NoValue and not any(
            _is_the_same(value, other, ranges, symbols) for other in different
        ):
            different.append(value)
    if not any(value is not None for value in different):
        return None
    names = [
        n for n in cells[0] if proposals.depends_on_parameters(cells) or proposals.is_cut(cells, n)
    ]
    chosen = [
        next(
            (
                k
                for k, other in enumerate(different)
                if value is not continuation.NoValue and _is_the_same(value, other, ranges, symbols)
            ),
            None,
        )
        for ranges, value in zip(cells, values)
    ]
    if len(different) == 1 or not names:
        return different[0]
    shown = [
        {name: (write(ranges[name][0]), write(ranges[name][1])) for name in names}
        for ranges in cells
    ]
    order = dict.fromkeys(k for k in chosen if k is not None)
    return Cases(
        tuple((condition_of(shown, [c == k for c in chosen]), different[k]) for k in order)
    )


def _is_the_same(
    value: sp.Expr | None, other: sp.Expr | None, ranges: Ranges, symbols: Mapping[str, sp.Symbol]
) -> bool:
    """`other` has this value for all parameters of the cell."""
    if value is None or other is None or value.is_infinite or other.is_infinite:
        return value is other or value == other
    here = substituted(
        other, {symbols[name]: low for name, (low, high) in ranges.items() if low == high}
    )
    return here is not None and here.is_finite is not False and signs.is_zero(here - value)


# --- the numbers on one cell


def _slopes(g: sp.Expr) -> tuple[pieces.Piece, ...]:
    """g' on its pieces, broken at 0 as well."""
    return tuple(p for half in split(g, x).split_at_zero() for p in half.derivative().pieces)


def _limit(f: sp.Expr, end: sp.Expr, side: int = 0) -> sp.Expr:
    if f.free_symbols - {x}:
        return by_terms.limit_of(f, x, end, side)
    found = proofs.limit_of(f, x, end, side)
    if found is None:
        raise Rejected(f"the limit of {f} at {end} is not known")
    return found


def _value_at_zero(g: sp.Expr, written: Mapping) -> sp.Expr:
    return -_limit(_slopes(g)[0].expression, -sp.oo) if g.has(x) else sp.S.Zero


def _slope_at_infinity(g: sp.Expr, generator: sp.Expr | None, written: Mapping) -> sp.Expr | None:
    if not g.has(x):
        return sp.S.Zero
    integrand = _slopes(g)[-1].expression * sp.exp(-x)
    for way in (1, -1):
        if (
            by_terms.diverges(way * integrand, x)
            if g.free_symbols - {x}
            else _diverges(way * integrand)
        ):
            return way * sp.oo
    try:
        return _integral(g)
    except Rejected:
        pass
    if generator is None:
        return None
    last = generator.args[-1][0] if isinstance(generator, sp.Piecewise) else generator
    here = substituted(last, dict(written))
    return None if here is None else _limit(sp.expand(here.subs(t, sp.exp(x)) * sp.exp(-x)), sp.oo)


def _integral(g: sp.Expr) -> sp.Expr:
    """int_0^oo g' e^{-x} dx of a g' that is a sum of c x^n e^{rx} on each piece."""
    return sum(
        exponential_terms.integral_against(p.expression, p.low, p.high)
        for p in _slopes(g)
        if ordering.is_less(sp.S.Zero, p.high)
    )


def _diverges(f: sp.Expr) -> bool:
    try:
        return proofs.integral_diverges(f, x)
    except Rejected:  # it is -oo
        return False


def _curvature(g: sp.Expr, written: Mapping) -> sp.Expr | None:
    """oo at a kink, a number where both sides agree, None where it is not defined."""
    if not g.has(x):
        return sp.S.Zero
    before, after = [
        (p, end) for p in _slopes(g) for end in (-1, 1) if (p.high if end < 0 else p.low) == 0
    ]
    slopes = [_limit(p.expression, sp.S.Zero, side) for p, side in (before, after)]
    if any(slope.is_infinite for slope in slopes):
        return sp.oo if slopes[1] == sp.oo or slopes[0] == -sp.oo else None
    if not signs.is_zero(slopes[1] - slopes[0]) and (way := signs.sign(slopes[1] - slopes[0])):
        return way * sp.oo
    bends = [
        _limit(pieces.with_signed(sp.diff(p.expression, x), x, p), sp.S.Zero, side)
        for p, side in (before, after)
    ]
    if bends[0] == bends[1] or (
        not any(b.is_infinite for b in bends)
        and (signs.is_zero(bends[1] - bends[0]) or signs.sign(bends[1] - bends[0]) == 0)
    ):
        return bends[0]
    return None


# --- the same of a plain loss


def _plain_value_at_zero(loss: Loss):
    """-g'(-oo) of a loss without parameters, as a ball or an infinity."""
    found = (
        proofs.limit_of(-loss.derivative.pieces[0].expression, x, -sp.oo)
        if loss.expression.has(x)
        else sp.S.Zero
    )
    return found if found is None or found.is_infinite else balls.ball_of_constant(found)


def _plain_slope(loss: Loss):
    return ends.enclose_slope(loss) if loss.expression.has(x) else balls.ball_of_constant(sp.S.Zero)


def _plain_curvature(loss: Loss):
    found = ends.curvature_at_zero(loss) if loss.expression.has(x) else sp.S.Zero
    return found if found is None or found.is_infinite else balls.ball_of_constant(found)
