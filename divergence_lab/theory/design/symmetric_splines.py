"""A loss of a symmetric divergence for every set of penalties that such losses have.

    on one side   g'' = w_0 delta(x) + sum_i w_i h_i   h_i a kink at u_i or, smooth, a hat about it
    mirrored      e^{+-u} times that                   g''(u) = e^u g''(-u)

The weights are found by a linear program, among kinks at the places that `symmetric` proposes, or
among hats about those, ever narrower. One side has rational coefficients: that of the penalties,
where all are on one, which are met exactly then. Beyond the last penalty g grows as wished.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import sympy as sp

from divergence_lab.theory.design import mixtures
from divergence_lab.theory.design.proofs import can_be_read_back
from divergence_lab.theory.design.splines import Stretch, as_formula
from divergence_lab.theory.design.symmetric import places_for
from divergence_lab.theory.design.wishes import QUADRATIC, Wishes
from divergence_lab.theory.expressions import write, x

# Hats are made narrower so many times, each time to a quarter.
NARROWER = 8
# Of the tolerance: what weights may miss before they are rounded, and after.
LOOSE, ROUNDED = (sp.Rational(1, 2), sp.Rational(9, 10)), 0.99
# Gauss-Legendre on (-1, 1): nodes and weights, each for both signs.
NODES = (
    (0.1834346424956498, 0.3626837833783620),
    (0.5255324099163290, 0.3137066458778873),
    (0.7966664774136267, 0.2223810344533745),
    (0.9602898564975363, 0.1012285362903763),
)


@dataclass(frozen=True)
class Hat:
    """Curvature that rises from 0 at `low` to 1 at `peak` and falls to 0 at `high`; with low = peak
    it begins there with 1. A kink where the three are one.
    """

    low: sp.Expr
    peak: sp.Expr
    high: sp.Expr

    @property
    def is_kink(self) -> bool:
        return self.low == self.high

    @property
    def cost(self) -> int:
        """Its length as a formula, about."""
        return 1 + sum(len(write(end)) for end in {self.low, self.peak, self.high} if end != 0)

    def height(self, u: sp.Expr) -> sp.Expr:
        if self.low < u < self.peak:
            return (u - self.low) / (self.peak - self.low)
        if self.peak <= u < self.high:
            return (self.high - u) / (self.high - self.peak)
        return sp.S.Zero

    def loss(self, size: sp.Expr, tilt: int) -> Any:
        """int_0^size (size - u) h(u) e^{tilt u} du: exactly where there is no tilt."""
        if self.is_kink:
            beyond = max(size - self.low, sp.S.Zero)
            return float(beyond) * math.exp(tilt * float(self.low)) if tilt else beyond
        ends = [min(end, size) for end in (self.low, self.peak, self.high)]
        total = sp.S.Zero
        for low, high in pairwise(ends):
            if low < high:
                a, b, far = self.height(low), self.height(high), size - low
                total += (
                    _tilted(a, b, far, low, high, tilt) if tilt else _flat(a, b, far, high - low)
                )
        return total


def _flat(a: sp.Expr, b: sp.Expr, far: sp.Expr, width: sp.Expr) -> sp.Expr:
    """int_0^width (far - u) h(u) du, h straight from a to b: by Simpson's rule, exactly."""
    return width / 6 * (far * a + 2 * (far - width / 2) * (a + b) + (far - width) * b)


def _tilted(*numbers: Any) -> float:
    """As `_flat` with e^{tilt (low + u)}: the integrand is one smooth function there."""
    a, b, far, low, high, tilt = map(float, numbers)
    half = (high - low) / 2
    return half * math.fsum(
        weight
        * (a + (b - a) * part)
        * (far - 2 * half * part)
        * math.exp(tilt * (low + 2 * half * part))
        for node, weight in NODES
        for part in ((1 - node) / 2, (1 + node) / 2)
    )


Weighted = list[tuple[Hat, sp.Expr]]


def symmetric_spline(wishes: Wishes, tolerance: sp.Rational) -> sp.Expr | None:
    """A loss with all penalties, within the tolerance, the curvature at 0 and the growths; None
    where none was found.
    """
    if wishes.even:  # only a*|x|
        at, value = wishes.penalties[0] if wishes.penalties else (sp.S.One, sp.S.One)
        return value / abs(at) * sp.Abs(x)
    plain = 1 if wishes.penalties and all(at > 0 for at, _ in wishes.penalties) else -1
    for offer in _smooth_offers(wishes, plain, tolerance) if wishes.smooth else _offers(wishes):
        weighted = _weighted(offer, wishes, plain, tolerance)
        if weighted is None:
            continue
        # many pieces are soon proved, but grow with the square of their number
        for written in (_in_pieces, _in_terms):
            if can_be_read_back(form := written(weighted, wishes, plain)):
                return form
    return None


# --- what the curvature can be made of


@dataclass(frozen=True)
class _Offer:
    """Hats with free weights, of which the one next to 0 must have some; one of a fixed weight."""

    hats: Sequence[Hat]
    next_to_zero: Hat | None
    fixed: tuple[Hat, sp.Expr] | None = None


_AT_ZERO = Hat(sp.S.Zero, sp.S.Zero, sp.S.Zero)


def _sizes(wishes: Wishes) -> list[sp.Rational]:
    return sorted({mixtures.rational(abs(at)) for at, _ in wishes.penalties}) or [sp.S.One]


def _kinks(wishes: Wishes) -> list[Hat]:
    largest = _sizes(wishes)[-1]
    return [Hat(u, u, u) for u in places_for(wishes.penalties) if 0 < u < largest]


def _offers(wishes: Wishes) -> Iterator[_Offer]:
    """Kinks, and what makes the curvature at 0 what it shall be."""
    kinks = _kinks(wishes)
    if wishes.curvature is None:
        yield _Offer([_AT_ZERO, *kinks], _AT_ZERO)
        return
    for k in range(NARROWER):
        width = _sizes(wishes)[0] / 2 / 4**k
        rising = Hat(sp.S.Zero, width / 2, width)
        if wishes.curvature == 0:
            yield _Offer([rising, *kinks], rising)
        else:
            first = Hat(sp.S.Zero, sp.S.Zero, width)
            yield _Offer([rising, *kinks], None, (first, wishes.curvature))


def _smooth_offers(wishes: Wishes, plain: int, tolerance: sp.Rational) -> Iterator[_Offer]:
    """Hats from node to node, about the places of the kinks that would do as well."""
    kinks = _weighted(_Offer([_AT_ZERO, *_kinks(wishes)], None), wishes, plain, tolerance)
    places = [hat.peak for hat, _ in kinks or [] if hat.peak != 0]
    sizes = _sizes(wishes)
    ends = [sp.S.Zero, *sizes]
    middles = [(low + high) / 2 for low, high in pairwise(ends)]
    grids = [[sizes[0] / 2, *ends], [sizes[0] / 4, *ends, *middles]]
    for k in range(NARROWER):
        beside = [
            place + sign * min(abs(place - end) for end in ends if end != place) / 2 / 4**k
            for place in places
            for sign in (-1, 0, 1)
        ]
        grids.append([sizes[0] / 2 / 4**k, *ends, *middles, *beside])
    for nodes in grids:
        row = sorted({*nodes})
        row.append(2 * row[-1] - row[-2])
        first, hats = (
            Hat(row[0], row[0], row[1]),
            [Hat(*row[i : i + 3]) for i in range(len(row) - 2)],
        )
        if wishes.curvature is None:
            yield _Offer([first, *hats], first)
        elif wishes.curvature == 0:
            yield _Offer(hats, hats[0])
        else:
            yield _Offer(hats, None, (first, wishes.curvature))


def _weighted(offer: _Offer, wishes: Wishes, plain: int, tolerance: sp.Rational) -> Weighted | None:
    """Hats with the weights that meet the penalties; None where there are none such."""
    fixed = [] if offer.fixed is None else [offer.fixed]
    if not wishes.penalties:
        return fixed or [(offer.next_to_zero or offer.hats[0], sp.S.One)]

    def row(hat: Hat) -> list[Any]:
        return [
            hat.loss(abs(at), 0 if at * plain > 0 else -plain) / value
            for at, value in wishes.penalties
        ]

    known = [sp.S.Zero] * len(wishes.penalties)
    for hat, weight in fixed:
        known = [weight * entry for entry in row(hat)]
    targets, columns = [1 - entry for entry in known], [row(hat) for hat in offer.hats]
    if not columns or not all(target > 0 for target in targets):
        return None
    masks = [[hat is offer.next_to_zero for hat in offer.hats]] if offer.next_to_zero else []
    costs = [hat.cost for hat in offer.hats]
    tried = (
        mixtures.cheapest(columns, targets, costs, masks, missed)
        for missed in (mixtures.MISSED, *(share * tolerance for share in LOOSE))
    )
    found = next((weights for weights in tried if weights is not None), None)
    if found is None:
        return None
    used = [i for i, weight in enumerate(found) if weight > 0]
    weights = _readable([columns[i] for i in used], [found[i] for i in used], targets, tolerance)
    if weights is None:
        return None
    return [*fixed, *((offer.hats[i], w) for i, w in zip(used, weights, strict=True))]


def _readable(
    columns: Sequence[Sequence[Any]],
    weights: Sequence[float],
    targets: Sequence[Any],
    tolerance: sp.Rational,
) -> Sequence[sp.Expr] | None:
    """Weights that meet the targets exactly where they are rational, else short ones."""
    exact = mixtures.exact_weights(sp.Matrix(columns).T, sp.Matrix(targets))
    if exact is not None:
        return exact
    rows, ends = [[*map(float, column)] for column in columns], [*map(float, targets)]

    def good(rounded: list[Any]) -> Sequence[sp.Expr] | None:
        got = mixtures.sums([float(w) for w in rounded], rows)
        near = ROUNDED * float(tolerance)
        return rounded if all(abs(a - b) <= near for a, b in zip(got, ends, strict=True)) else None

    return mixtures.readable_weights(weights, good)


# --- as a formula


def _in_pieces(weighted: Weighted, wishes: Wishes, plain: int) -> sp.Expr:
    sides = {side: _one_side(weighted, 0 if side == plain else -plain) for side in (-1, 1)}
    start, tail = _tail(wishes, sides[1][-1].start, plain)
    for side, beyond in tail.items():
        sides[side].append(Stretch(start, sides[side][-1].expression + beyond))
    return as_formula(sides[-1], sides[1])


def _one_side(weighted: Weighted, tilt: int) -> list[Stretch]:
    """The stretches at distances x >= 0 from 0, of e^{tilt x} times the curvature."""
    ends = sorted({sp.S.Zero, *(e for hat, _ in weighted for e in (hat.low, hat.peak, hat.high))})
    value, slope, stretches = sp.S.Zero, sp.S.Zero, []
    for low, high in pairwise([*ends, sp.oo]):
        kinks = [w for hat, w in weighted if hat.is_kink and hat.low == low]
        slope = sp.expand(slope + sp.Add(*kinks) * sp.exp(tilt * low))
        whole = value + slope * (x - low)
        if high != sp.oo:
            a, b = (sp.Add(*(w * hat.height(end) for hat, w in weighted)) for end in (low, high))
            whole += _beyond_tangent(_bend(a, (b - a) / (high - low), low, tilt), low)
            value, slope = (sp.expand(sp.diff(whole, x, n).subs(x, high)) for n in range(2))
        if tilt:
            factors = [sp.exp(tilt * x), *(sp.exp(tilt * end) for end in ends)]
            whole = sp.collect(sp.expand(whole, power_exp=False), factors)
        stretches.append(Stretch(low, whole))
    return stretches


def _in_terms(weighted: Weighted, wishes: Wishes, plain: int) -> sp.Expr:
    """A sum of what begins at each place where the curvature, or its slope, jumps."""
    total, mine, other = sp.S.Zero, plain * x, -plain * x
    rises: dict[sp.Expr, sp.Expr] = {}
    for hat, w in weighted:
        at = hat.low
        if hat.is_kink and at == 0:
            total += w * sp.Abs(x)
        elif hat.is_kink:
            total += w * (sp.Max(0, mine - at) + sp.exp(-plain * at) * sp.Max(0, other - at))
        else:
            up = w / (hat.peak - at) if at < hat.peak else sp.S.Zero
            down = w / (hat.high - hat.peak)
            for place, jump in ((at, up), (hat.peak, -up - down), (hat.high, down)):
                rises[place] = rises.get(place, sp.S.Zero) + jump
            if not up:
                beyond = _beyond_tangent(_bend(w, sp.S.Zero, at, -plain), at)
                total += w * sp.Max(0, mine) ** 2 / 2 + beyond.subs(x, sp.Max(0, other))
    for at, jump in rises.items():
        far, tilt = sp.Max(at, other), -plain
        ramp = sp.exp(tilt * far) * (far - at - 2 * tilt)  # its second derivative: (x - at) e^{+-x}
        line = sp.exp(tilt * at) * (far - at + 2 * tilt)
        total += jump * sp.Max(0, mine - at) ** 3 / 6 + jump * (ramp + line)
    start, tail = _tail(wishes, max((hat.high for hat, _ in weighted)), plain)
    if tail:
        left, right = tail[-1].subs(x, -x), tail[1]
        total += sp.Piecewise((left, x < -start), (0, x < start), (right, True))
    return total


def _bend(a: sp.Expr, rise: sp.Expr, low: sp.Expr, tilt: int) -> sp.Expr:
    """What has the second derivative (a + rise (x - low)) e^{tilt x}, tilt^2 = 0 or 1."""
    u = x - low
    if tilt == 0:
        return a * u**2 / 2 + rise * u**3 / 6
    return (a + rise * (u - 2 * tilt)) * sp.exp(tilt * x)


def _beyond_tangent(f: sp.Expr, at: sp.Expr) -> sp.Expr:
    return f - f.subs(x, at) - sp.diff(f, x).subs(x, at) * (x - at)


def _tail(wishes: Wishes, last: sp.Expr, plain: int) -> tuple[sp.Expr, dict[int, sp.Expr]]:
    """(start, by side what is added to straight lines from the distance `start` on); nothing where
    g is to grow like |x|. Smooth: the curvature starts from 0 there.

    Powers: (e^{-+x} h)'' = e^{-+x} (h'' -+ 2 h' + h) with h = (k + u)^(p - 2), so that both sides
    have a closed form.
    """
    start = max(last, _sizes(wishes)[-1])
    u, rate, growth = x - start, _rate(wishes), wishes.right_growth
    if rate is not None:
        side, first = -1, sp.S.One
        mine = u**2 / 2 if rate == 1 else sp.exp((rate - 1) * u) / (rate - 1) ** 2
        other = sp.exp(start + rate * u) / rate**2
    else:
        side = 1 if growth is not None and growth.kind == "power" else -1
        growth = growth if side == 1 else wishes.left_growth
        if growth is None or growth.kind != "power":
            return start, {}
        s = growth.rate - 2
        base = u + (3 if s < 0 else s and 1 + sp.ceiling(s + sp.sqrt(s)))
        h = base**s
        once, twice = base ** (s + 1) / (s + 1), base ** (s + 2) / (s + 1) / (s + 2)
        mine, other = h - 2 * side * once + twice, sp.exp(-side * x) * h
        first = sp.diff(mine, x, 2).subs(x, start)
    if wishes.smooth:
        mine -= first * sp.exp(-u)
        other -= first * (sp.exp(-x - u) / 4 if side == 1 else sp.exp(start) * u**2 / 2)
    scale = sp.exp(-start) if plain == 1 and side == -1 else sp.S.One
    return start, {
        at: _beyond_tangent(scale * bend, start) for at, bend in ((side, mine), (-side, other))
    }


def _rate(wishes: Wishes) -> sp.Expr | None:
    """r where the tail shall be e^{rx} on the right and so e^{(r - 1)|x|} on the left."""
    left, right = wishes.left_growth, wishes.right_growth
    if right is not None and right.kind == "exponential":
        return right.rate
    if left is not None and left.kind == "exponential":
        return left.rate + 1
    both = left is None and right is None and (wishes.zero_forcing or wishes.zero_avoiding)
    return sp.S.One if both or left == QUADRATIC else None
