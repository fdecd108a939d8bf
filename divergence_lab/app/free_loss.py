"""Any other loss, as numbers fast enough to draw: g, g' and I(u) = int_0^u g'(v) e^{-v} dv = f(e^u)
e^{-u}.

g' is evaluated by ball arithmetic at the Chebyshev points of panels that end at 0 and at the kinks;
on each panel its product with e^{-v} is a polynomial, integrated exactly. No closed form of f is
needed.
"""

import itertools
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from flint import acb
from numpy.polynomial import chebyshev

from divergence_lab.theory.divergence.loss import Loss
from divergence_lab.theory.expressions import Pieces, digits
from divergence_lab.theory.expressions.enclosure import evaluator

NODES = 16
# Panel ends on either side of 0; beyond the last the integrand goes on as its last polynomial's end
# value.
EDGES = (
    0.0,
    0.25,
    0.5,
    1.0,
    1.5,
    2.0,
    2.5,
    3.0,
    3.5,
    4.0,
    5.0,
    6.0,
    7.0,
    8.0,
    10.0,
    12.0,
    14.0,
    16.0,
    18.0,
    20.0,
    23.0,
    26.0,
    30.0,
    34.0,
    38.0,
    43.0,
    48.0,
    54.0,
    60.0,
)
# Where the integrand grows beyond this, I(u) is infinite for every purpose here.
LARGEST = 1e120
# An integrand that is larger must be followed closely: its panel is halved until it is, down to
# this width.
STEEP, NARROWEST = 1e6, 1 / 32


@dataclass(frozen=True)
class FreeLoss:
    """A loss without parameters; `text` is what was typed."""

    text: str
    loss: Loss

    def value(self, points: np.ndarray) -> np.ndarray:
        """g(x)."""
        return evaluate(self.loss.pieces, points)

    def slope(self, points: np.ndarray) -> np.ndarray:
        """g'(x)."""
        return evaluate(self.loss.derivative, points)

    def integral(self, points: np.ndarray) -> np.ndarray:
        """I(u); |u| is cut at 60, beyond which no ratio that is drawn or fitted matters."""
        edges, table = self._panels
        u = np.clip(np.asarray(points, dtype=np.float64), edges[0], edges[-1])
        index = np.clip(np.searchsorted(edges, u, side="right") - 1, 0, len(edges) - 2)
        inside = 2 * (u - edges[index]) / (edges[index + 1] - edges[index]) - 1
        c = table[index]  # Clenshaw's recurrence, a panel's own coefficients at every point
        high, low = np.zeros_like(u), np.zeros_like(u)
        for k in range(table.shape[1] - 1, 0, -1):
            high, low = 2 * inside * high - low + c[..., k], high
        return np.where(np.isfinite(c[..., 0]), inside * high - low + c[..., 0], np.inf)

    @cached_property
    def _panels(self) -> tuple[np.ndarray, np.ndarray]:
        """(edges [P + 1], Chebyshev coefficients of I on each panel [P, NODES + 1])."""
        kinks = [float(kink) for kink in self.loss.pieces.kinks if abs(float(kink)) < EDGES[-1]]
        edges = np.array(sorted({*EDGES, *(-edge for edge in EDGES), *kinks}))
        nodes = np.cos(np.pi * (np.arange(NODES) + 0.5) / NODES)
        pending, tables, lows = list(itertools.pairwise(edges))[::-1], [], []
        while pending:
            low, high = pending.pop()
            v = (low + high) / 2 + (high - low) / 2 * nodes
            with np.errstate(over="ignore"):
                integrand = self.slope(v) * np.exp(-v)
            integrand = np.where(np.abs(integrand) < LARGEST, integrand, np.inf)
            finite = bool(np.isfinite(integrand).all())
            found = (
                chebyshev.chebfit(nodes, integrand, NODES - 1) if finite else np.full(NODES, np.inf)
            )
            size = np.abs(found).max()
            steep = finite and size > STEEP and np.abs(found[-2:]).max() > 1e-8 * size
            if steep and high - low > NARROWEST:
                pending += [((low + high) / 2, high), (low, (low + high) / 2)]
                continue
            lows.append(low)
            tables.append(
                np.full(NODES + 1, np.inf)
                if steep or not finite
                else chebyshev.chebint((high - low) / 2 * found)
            )
        edges = np.array([*lows, edges[-1]])
        table = np.array(tables)
        broken = ~np.isfinite(table[:, 0])
        table[broken] = 0
        at_low, at_high = (np.array([chebyshev.chebval(end, c) for c in table]) for end in (-1, 1))
        zero = int(np.searchsorted(edges, 0.0))
        # I at the low end of each panel, summed from 0 outwards: far out it is huge on one side
        rise = at_high - at_low
        left, right = -rise[:zero][::-1].cumsum()[::-1], rise[zero:].cumsum()
        table[:, 0] += np.concatenate([left, [0.0], right[:-1]]) - at_low
        table[broken, 0] = np.inf
        return edges, table


def evaluate(function: Pieces, points: np.ndarray) -> np.ndarray:
    """The function at float points, correct to double precision; inf where it is too large or
    not defined.
    """
    points = np.asarray(points, dtype=np.float64)
    ends = [np.inf if piece.high.is_infinite else float(piece.high) for piece in function.pieces]
    with digits(40):
        evaluators = [evaluator(piece.expression, function.variable) for piece in function.pieces]
        found = []
        for point in points.ravel():
            here = next(k for k, end in enumerate(ends) if point < end or end == np.inf)
            ball = evaluators[here](acb(point), False)
            found.append(float(ball.real.mid()) if ball.is_finite() else np.inf)
    return np.array(found).reshape(points.shape)
