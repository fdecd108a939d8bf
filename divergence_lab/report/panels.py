"""A loss as plain numbers: g at float points, and I(u) as polynomials on panels. No numpy, so that
the page in a browser draws with it too.

    I(u) = int_0^u g'(v) e^{-v} dv = f(e^u) e^{-u}

g' is evaluated by ball arithmetic at the Chebyshev points of panels that end at 0 and at the kinks;
on each panel its product with e^{-v} is a polynomial, integrated exactly. No closed form of f is
needed.
"""

import itertools
import math
from collections.abc import Sequence
from operator import mul

from flint import acb

from divergence_lab.theory.divergence.loss import Loss
from divergence_lab.theory.expressions import Pieces, digits
from divergence_lab.theory.expressions.enclosure import evaluator

NODES = 16
# Panel ends on either side of 0; beyond the last the integrand goes on as its last polynomial's end
# value.
EDGES = (
    *(0.0, 0.25, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 5.0, 6.0, 7.0, 8.0, 10.0, 12.0, 14.0),
    *(16.0, 18.0, 20.0, 23.0, 26.0, 30.0, 34.0, 38.0, 43.0, 48.0, 54.0, 60.0),
)
# Where the integrand grows beyond this, I(u) is infinite for every purpose here.
LARGEST = 1e120
# An integrand that is larger must be followed closely: its panel is halved until it is, down to
# this width.
STEEP, NARROWEST = 1e6, 1 / 32

_ANGLES = [math.pi * (k + 0.5) / NODES for k in range(NODES)]
_COSINES = [[math.cos(degree * angle) for angle in _ANGLES] for degree in range(NODES)]


def values(function: Pieces, points: Sequence[float]) -> list[float]:
    """The function at float points, correct to double precision; inf where it is too large or
    not defined.

        >>> from divergence_lab import loss
        >>> values(loss("x**2/2").pieces, [-2.0, 3.0])
        [2.0, 4.5]
    """
    ends = [math.inf if piece.high.is_infinite else float(piece.high) for piece in function.pieces]
    found = []
    with digits(40):
        evaluators = [evaluator(piece.expression, function.variable) for piece in function.pieces]
        for point in points:
            here = next(k for k, end in enumerate(ends) if point < end or end == math.inf)
            ball = evaluators[here](acb(point), False)
            found.append(float(ball.real.mid()) if ball.is_finite() else math.inf)
    return found


def panels(loss: Loss) -> tuple[list[float], list[list[float]]]:
    """(edges [P + 1], Chebyshev coefficients of I on each panel [P, NODES + 1]).

    The first coefficient of a panel on which I can't be followed is inf, and the others 0.

        >>> from divergence_lab import loss
        >>> edges, table = panels(loss("x**2/2"))  # I(u) = 1 - (1 + u) e^(-u)
        >>> place = edges.index(1.0)
        >>> round(sum(c for c in table[place - 1]), 12) == round(1 - 2 / math.e, 12)
        True
    """
    kinks = [float(kink) for kink in loss.pieces.kinks if abs(float(kink)) < EDGES[-1]]
    ends = sorted({*EDGES, *(-edge for edge in EDGES), *kinks})
    pending, table, lows = list(itertools.pairwise(ends))[::-1], [], []
    while pending:
        low, high = pending.pop()
        found = _fitted(loss, low, high)
        if found is None and high - low > NARROWEST:
            pending += [((low + high) / 2, high), (low, (low + high) / 2)]
            continue
        lows.append(low)
        table.append(_integrated(found or [math.inf], (high - low) / 2))
    return [*lows, ends[-1]], _joined(table, lows.index(0.0))


def _fitted(loss: Loss, low: float, high: float) -> list[float] | None:
    """Chebyshev coefficients of g'(v) e^{-v}: [inf] where it is too large, None where it is too
    steep for them.
    """
    points = [(low + high) / 2 + (high - low) / 2 * math.cos(angle) for angle in _ANGLES]
    integrand = [slope * math.exp(-v) for slope, v in zip(values(loss.derivative, points), points)]
    if not all(abs(value) < LARGEST for value in integrand):
        return [math.inf]
    found = [2 / NODES * math.fsum(map(mul, row, integrand)) for row in _COSINES]
    found[0] /= 2
    size = max(map(abs, found))
    steep = size > STEEP and max(map(abs, found[-2:])) > 1e-8 * size
    return None if steep else found


def _integrated(found: list[float], half: float) -> list[float]:
    """Coefficients of the integral, 0 at the middle or thereabouts; [inf, 0, ...] for [inf]."""
    if found == [math.inf]:
        return [math.inf] + [0.0] * NODES
    padded = [half * c for c in found] + [0.0, 0.0]
    return [0.0, padded[0] - padded[2] / 2] + [
        (padded[k - 1] - padded[k + 1]) / (2 * k) for k in range(2, NODES + 1)
    ]


def _joined(table: list[list[float]], zero: int) -> list[list[float]]:
    """Each panel's constant set, from I(0) = 0 outwards; I is infinite beyond a panel that is."""
    for outwards, panels_of_side in ((1, table[zero:]), (-1, table[:zero][::-1])):
        inner = 0.0
        for row in panels_of_side:
            near = sum(c * (-outwards) ** k for k, c in enumerate(row) if k)
            row[0] += inner - near
            inner = row[0] + sum(c * outwards**k for k, c in enumerate(row) if k)
    return table
