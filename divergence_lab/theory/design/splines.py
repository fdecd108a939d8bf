"""A loss for every feasible set of penalties: straight lines between them, or with a continuous
g''.

    straight    g'' = sum_i (s_{i+1} - s_i) delta(x - x_i)
    smooth      g'' = a tent in each stretch between two penalties

A tent is its mass and its centre: the mass is what g' gains on the stretch, and the centre the
place where the tangents at both ends meet. So all numbers are rational where the penalties are, and
met exactly. Beyond the last penalty g grows as wished.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import sympy as sp

from divergence_lab.theory.design.feasibility import Knot, knots, slopes
from divergence_lab.theory.design.mixtures import simplest
from divergence_lab.theory.design.wishes import LINEAR, QUADRATIC, Growth, Wishes
from divergence_lab.theory.expressions import constants, write, x

HALVINGS = 60


@dataclass(frozen=True)
class Stretch:
    """g = expression from the distance `start` on, until the next stretch; the distance from 0 is
    written x.
    """

    start: sp.Expr
    expression: sp.Expr


@dataclass(frozen=True)
class State:
    """A place that the loss has come to: how far from 0, its value and its slope there."""

    at: sp.Expr
    value: sp.Expr
    slope: sp.Expr

    def line(self) -> sp.Expr:
        """The tangent."""
        return self.value + self.slope * (x - self.at)


def spline(wishes: Wishes) -> sp.Expr:
    """A loss with all penalties exactly, the curvature at 0 and the growths; wishes that clash must
    have been refused before. The divergence is not symmetric.
    """
    curvature = _curvature_at_zero(wishes)
    sides = (1,) if wishes.even else (-1, 1)
    stretches = {
        side: _one_side(knots(wishes, side), _growth(wishes, side), curvature, wishes)
        for side in sides
    }
    if wishes.even:
        return _joined([], stretches[1], sp.Abs(x))
    return as_formula(stretches[-1], stretches[1])


def _growth(wishes: Wishes, side: int) -> Growth:
    """The slowest growth that the wishes allow on this side."""
    avoiding = Growth("exponential", sp.S.One) if wishes.zero_avoiding else None
    forcing = QUADRATIC if wishes.zero_forcing else None
    if wishes.even:
        return wishes.left_growth or wishes.right_growth or avoiding or forcing or LINEAR
    mine = (wishes.right_growth or avoiding) if side > 0 else (wishes.left_growth or forcing)
    return mine or LINEAR


def _curvature_at_zero(wishes: Wishes) -> sp.Expr | None:
    """g''(0) as wished; of a smooth loss without a wish, the smaller of those that make the start
    of a side one stretch; None where g may have a kink at 0.
    """
    if wishes.curvature is not None or not wishes.smooth:
        return wishes.curvature
    sides = [found for side in (-1, 1) if (found := knots(wishes, side))]
    return min((_curvature_of(found) for found in sides), key=float, default=sp.S.One)


def _curvature_of(found: Sequence[Knot]) -> sp.Expr:
    """The c for which g'' = c (1 - x/w) on [0, w], w <= x_1, leads to the first penalty, with a
    slope below that of the next stretch.
    """
    first, rises = found[0], slopes(found)
    slope = rises[0] * sp.Rational(3, 2)  # w = x_1
    if len(rises) > 1 and not _rises(slope, rises[1], True):
        low, high = float(rises[0]), float(rises[1])
        slope = simplest(low + (high - low) / 4, high - (high - low) / 4)
    return 2 * slope / (3 * (first.at - first.value / slope))


def _one_side(
    found: Sequence[Knot], growth: Growth, curvature: sp.Expr | None, wishes: Wishes
) -> list[Stretch]:
    """The stretches at distances x >= 0 from 0."""
    rises = slopes(found)
    if curvature is None and len(found) < 2 and growth.kind == "power":
        scale = found[0].value / found[0].at ** growth.rate if found else sp.S.One
        return [Stretch(sp.S.Zero, scale * x**growth.rate)]
    if curvature is None:
        slope = rises[0] if rises else _first_slope(wishes)
        state, stretches = State(sp.S.Zero, sp.S.Zero, slope), []
    else:
        state, stretches = _start(found, rises, curvature, wishes.smooth)
        if growth == QUADRATIC and not found and curvature != 0:
            return [Stretch(sp.S.Zero, curvature * x**2 / 2)]
        found = [knot for knot in found if constants.sign_of(knot.at - state.at) == 1]
    link = _tents if wishes.smooth else _lines
    for end, part in link(state, found):
        state, stretches = end, stretches + part
    return stretches + _tail(state, growth, wishes.smooth)


def _first_slope(wishes: Wishes) -> sp.Expr:
    """Of a side without penalties: that of the other side."""
    other = [s for side in (-1, 1) for s in slopes(knots(wishes, side))[:1]]
    return other[0] if other else sp.S.One


# --- next to 0


def _start(
    found: Sequence[Knot], rises: Sequence[sp.Expr], curvature: sp.Expr, smooth: bool
) -> tuple[State, list[Stretch]]:
    """The stretch next to 0, where g'' has its wished value: as far out as it can reach."""
    if smooth and found and (width := _exact_width(found[0], curvature)) is not None:
        state, stretches = _beginning(width, curvature, rises[0], smooth)
        straight_next = len(rises) > 2 and constants.equal(rises[1], rises[2])
        if not straight_next and (len(rises) < 2 or _rises(state.slope, rises[1], True)):
            return state, stretches
    width = found[0].at if found else sp.S.One
    for _ in range(HALVINGS):
        state, stretches = _beginning(width, curvature, rises[0] if rises else sp.S.One, smooth)
        if not found or _leads_on(state, found[0], rises, smooth):
            return state, stretches
        width = width / 2
    raise AssertionError("no start: the penalties clash")


def _exact_width(first: Knot, curvature: sp.Expr) -> sp.Expr | None:
    """The w <= x_1 for which g'' = c (1 - x/w) on [0, w] leads to the first penalty, if it is
    rational.
    """
    if curvature == 0:
        return None
    width = (3 * first.at - sp.sqrt(9 * first.at**2 - 24 * first.value / curvature)) / 2
    return width if width.is_Rational and width <= first.at else None


def _beginning(
    width: sp.Expr, curvature: sp.Expr, rise: sp.Expr, smooth: bool
) -> tuple[State, list[Stretch]]:
    """On [0, width] g'' is the curvature c, of a smooth loss c (1 - x/width); at curvature 0 it
    rises from 0, of a smooth loss to the middle and falls to 0 again.
    """
    if smooth and curvature == 0:
        end = State(width, rise * width / 8, rise / 4)
        return end, _tent(State(sp.S.Zero, sp.S.Zero, sp.S.Zero), end, rise / 8)
    if curvature == 0:
        g = simplest(float(rise / width**2) / 8, float(rise / width**2) / 4) * x**3
    else:
        g = curvature * x**2 / 2 - (curvature * x**3 / (6 * width) if smooth else 0)
    value, slope = (sp.diff(g, x, n).subs(x, width) for n in range(2))
    return State(width, value, slope), [Stretch(sp.S.Zero, g)]


def _leads_on(state: State, first: Knot, rises: Sequence[sp.Expr], smooth: bool) -> bool:
    """Can a convex g come from here to the first penalty, and go on from there?"""
    if state.at == first.at:
        there = constants.equal(state.value, first.value) is True
        return there and not smooth and (len(rises) < 2 or _rises(state.slope, rises[1], False))
    needed = (first.value - state.value) / (first.at - state.at)
    return _rises(state.slope, needed, smooth) and (
        len(rises) < 2 or _rises(needed, rises[1], smooth)
    )


def _rises(low: sp.Expr, high: sp.Expr, strictly: bool) -> bool:
    sign = constants.sign_of(high - low)
    return sign == 1 or (sign == 0 and not strictly)


# --- from penalty to penalty


def _lines(state: State, found: Sequence[Knot]) -> Iterator[tuple[State, list[Stretch]]]:
    for knot in found:
        rise = (knot.value - state.value) / (knot.at - state.at)
        line = State(state.at, state.value, rise).line()
        state, start = State(knot.at, knot.value, rise), state.at
        yield state, [Stretch(start, line)]


def _tents(state: State, found: Sequence[Knot]) -> Iterator[tuple[State, list[Stretch]]]:
    origin = Knot(state.at, state.value, state.at)
    rises = [
        (b.value - a.value) / (b.at - a.at) for a, b in zip([origin, *found], found, strict=False)
    ]
    for i, knot in enumerate(found):
        end = State(knot.at, knot.value, _slope_at(i, rises, state.slope))
        yield end, _tent(state, end, rises[i])
        state = end


def _slope_at(i: int, rises: Sequence[sp.Expr], before: sp.Expr) -> sp.Expr:
    """g' at the end of stretch i: where a straight stretch ends or begins, its slope; else what
    makes the tent symmetric, if the next stretch still rises more; else something between.
    """

    def same(k: int) -> bool:
        return 0 <= k < len(rises) - 1 and constants.equal(rises[k], rises[k + 1]) is True

    if same(i) or same(i - 1):
        return rises[i]
    if same(i + 1):
        return rises[i + 1]
    symmetric = 2 * rises[i] - before
    if i == len(rises) - 1 or _rises(symmetric, rises[i + 1], True):
        return symmetric
    low, high = float(rises[i]), float(rises[i + 1])
    return simplest(low + (high - low) / 4, high - (high - low) / 4)


def _tent(a: State, b: State, rise: sp.Expr) -> list[Stretch]:
    """g'' between two places: a tent whose centre is where the two tangents meet."""
    mass = b.slope - a.slope
    if constants.equal(mass, sp.S.Zero):
        return [Stretch(a.at, a.line())]
    to_end = (rise - a.slope) * (b.at - a.at) / mass
    centre = b.at - to_end
    width = sp.Min(to_end, centre - a.at)
    low, high, steep = centre - width, centre + width, mass / width**2
    found = [
        Stretch(low, a.line() + steep * (x - low) ** 3 / 6),
        Stretch(centre, b.line() + steep * (high - x) ** 3 / 6),
    ]
    if low != a.at:
        found.insert(0, Stretch(a.at, a.line()))
    return found if high == b.at else [*found, Stretch(high, b.line())]


# --- beyond the last penalty


def _tail(state: State, growth: Growth, smooth: bool) -> list[Stretch]:
    """From the last place on, with the wished growth; smooth: g'' starts at 0."""
    beyond, rate = x - state.at, growth.rate
    line, m = state.line(), state.at
    if growth.kind == "linear":
        return [Stretch(m, line)]
    if growth.kind == "exponential":
        whole = state.value + state.slope / rate * (sp.exp(rate * beyond) - 1)
        bent = (sp.exp(rate * beyond) - 1 - rate * beyond) / rate**2 - beyond**2 / 2
        return [Stretch(m, line + bent if smooth else whole)]
    if smooth and (rate <= 2 or not rate.is_Integer):
        return _power_after_a_rise(state, rate)
    if not rate.is_Integer:  # smooth at 0: rounded, u < 0 would have no power
        return [Stretch(m, line + (1 + beyond**2) ** (rate / 2) - 1)]
    if rate == 2 and m != 0:
        return [Stretch(m, state.slope / (2 * m) * x**2 + state.value - state.slope * m / 2)]
    return [Stretch(m, line + beyond**rate)]


def _power_after_a_rise(state: State, rate: sp.Expr) -> list[Stretch]:
    """g'' rises from 0 to 1 on a stretch of length 1, and then goes on as u^(rate - 2)."""
    u = x - state.at
    power = (u**rate - 1) / rate / (rate - 1) - (u - 1) / (rate - 1)
    return [
        Stretch(state.at, state.line() + u**3 / 6),
        Stretch(state.at + 1, state.line() + sp.Rational(1, 6) + (u - 1) / 2 + power),
    ]


# --- as one formula


def as_formula(left: Sequence[Stretch], right: Sequence[Stretch]) -> sp.Expr:
    """The shorter of one Piecewise and, where all stretches are straight, a sum of hinges."""
    forms = [_joined(left, right, x)]
    if all(sp.diff(stretch.expression, x, 2) == 0 for stretch in (*left, *right)):
        forms.append(_hinges(left, right))
    return min(forms, key=lambda form: len(write(form)))


def _joined(left: Sequence[Stretch], right: Sequence[Stretch], distance: sp.Expr) -> sp.Expr:
    """One Piecewise: the left stretches mirrored, then the right ones."""
    pieces = [(_short(s.expression.subs(x, -x)), -s.start) for s in reversed(left)]
    ends = [*(s.start for s in right[1:]), sp.oo]
    pieces += [(_short(s.expression), end) for s, end in zip(right, ends, strict=True)]
    kept = [
        (e.subs(x, distance), _ends(distance, end))
        for (e, end), (after, _) in zip(pieces, [*pieces[1:], (None, None)], strict=True)
        if after is None or sp.expand(e - after) != 0
    ]
    return sp.Piecewise(*kept)


def _ends(distance: sp.Expr, end: sp.Expr) -> sp.Basic:
    """The condition of a piece that ends here."""
    return sp.true if end == sp.oo else distance < end


def _short(expression: sp.Expr) -> sp.Expr:
    forms = (sp.expand(expression, power_exp=False), expression)
    return min(forms, key=lambda form: len(write(form)))


def _hinges(left: Sequence[Stretch], right: Sequence[Stretch]) -> sp.Expr:
    """Straight stretches as a sum of hinges max(0, x - a)."""
    total = sp.S.Zero
    for side, stretches in ((-1, left), (1, right)):
        before = sp.diff(stretches[0].expression, x)
        for s in stretches[1:]:
            here = sp.diff(s.expression, x)
            total += (here - before) * sp.Max(0, side * x - s.start)
            before = here
    low, high = (sp.diff(stretches[0].expression, x) for stretches in (left, right))
    return total + (high + low) / 2 * sp.Abs(x) + (high - low) / 2 * x
