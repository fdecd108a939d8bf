"""Functions of one argument on a stretch: where they are trusted, and what they do there.

    `Shape`: the ends of f, the steepest |f'|, the largest condition |y f'/f|

The ends are by Arb. Slope and condition are bounds on all that the computed argument may be.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

from flint import acb, arb

from divergence_lab.bridge.verified.arithmetic import Arithmetic, Error

# |u| up to which sinh and cosh, sin and cos are trusted
HYPERBOLIC_END, CIRCULAR_END = 709.0, 1000.0


class Shape(NamedTuple):
    """Of f on a stretch: its least and largest value, and bounds of |f'| and of |y f'/f|."""

    low: float
    high: float
    slope: float
    condition: float


class _Growing(NamedTuple):
    """A function that grows everywhere from `start` to `end`; slope and condition on [a, b]."""

    function: Callable[[arb], arb]
    start: float
    end: float
    slope: Callable[[float, float], float]
    condition: Callable[[float, float], float]


def shape_of(name: str, y: Error, arithmetic: Arithmetic) -> Shape | None:
    """The function on the exact argument's stretch; None where it is not trusted."""
    low, high = y.low - y.absolute, y.high + y.absolute  # where the computed argument may lie
    if name in _SHAPED:
        return _SHAPED[name](y, low, high)
    function, start, end, slope, condition = _GROWING[name]
    if start == 0 <= y.low and y.floor == 0 and y.relative < 0.5:
        low = max(low, y.low * (1 - y.relative), 0.0)  # a relative error does not change the sign
    if not (start <= low and high <= end + 16 * arithmetic.smallest):
        return None
    least, most = lower(function(arb(y.low))), upper(function(arb(y.high)))
    if name in ("exp", "sqrt"):
        least = max(least, 0.0)
    return Shape(least, most, slope(low, high), condition(low, high))


def lower(ball: arb) -> float:
    """A number of double precision below all of the ball."""
    return math.nextafter(float(ball.lower()), -math.inf) if ball.is_finite() else -math.inf


def upper(ball: arb) -> float:
    """A number of double precision above all of the ball."""
    return math.nextafter(float(ball.upper()), math.inf) if ball.is_finite() else math.inf


def _dilog(y: arb) -> arb:
    """Li_2(y) for y <= 1."""
    return acb(y).polylog(acb(2)).real


def _exponential(b: float) -> float:
    return math.exp(b) * 1.0001 if b < 709.7 else math.inf


def _far(a: float, b: float) -> float:
    return max(abs(a), abs(b))


def _inside_one(a: float, b: float) -> float:
    return 1 / (1 - _far(a, b) ** 2) if _far(a, b) < 1 else math.inf


_GROWING: dict[str, _Growing] = {
    "exp": _Growing(arb.exp, -math.inf, 709.8, lambda a, b: _exponential(b), _far),
    "expm1": _Growing(
        arb.expm1, -math.inf, 709.8, lambda a, b: _exponential(b), lambda a, b: 1 + max(0.0, b)
    ),
    "log": _Growing(
        arb.log, 0.0, math.inf, lambda a, b: 1.01 / a if a > 0 else math.inf, lambda a, b: math.inf
    ),
    "log1p": _Growing(
        arb.log1p,
        -1.0,
        math.inf,
        lambda a, b: 1.01 / (1 + a) if a > -1 else math.inf,
        lambda a, b: 1.01 / (1 + min(0.0, a)) if a > -1 else math.inf,
    ),
    "sinh": _Growing(
        arb.sinh,
        -HYPERBOLIC_END,
        HYPERBOLIC_END,
        lambda a, b: _exponential(_far(a, b)),
        lambda a, b: 1 + _far(a, b),
    ),
    "tanh": _Growing(arb.tanh, -math.inf, math.inf, lambda a, b: 1.0, lambda a, b: 1.0),
    "asinh": _Growing(arb.asinh, -math.inf, math.inf, lambda a, b: 1.0, lambda a, b: 1.0),
    "atanh": _Growing(arb.atanh, -1.0, 1.0, _inside_one, _inside_one),
    "atan": _Growing(arb.atan, -math.inf, math.inf, lambda a, b: 1.0, lambda a, b: 1.0),
    "erf": _Growing(arb.erf, -math.inf, math.inf, lambda a, b: 1.13, lambda a, b: 1.0),
    "dilog": _Growing(_dilog, -1.0, 0.0, lambda a, b: 1.0, lambda a, b: 1.0),
    "sqrt": _Growing(
        arb.sqrt,
        0.0,
        math.inf,
        lambda a, b: 0.51 / math.sqrt(a) if a > 0 else math.inf,
        lambda a, b: 0.51,
    ),
}


def _cosh(y: Error, low: float, high: float) -> Shape | None:
    far = _far(low, high)
    if far > HYPERBOLIC_END:
        return None
    return Shape(lower(arb(y.nearest).cosh()), upper(arb(y.size).cosh()), _exponential(far), far)


def _linex(y: Error, low: float, high: float) -> Shape | None:
    if high > 709.78:
        return None
    one, other = (arb(end).expm1() - arb(end) for end in (y.low, y.high))
    least = max(min(lower(one), lower(other)), 0.0) if y.nearest else 0.0
    most = max(upper(one), upper(other))
    return Shape(least, most, max(_exponential(high), 1.0), 2 + max(0.0, high))


def _erfc(y: Error, low: float, high: float) -> Shape:
    least, top = max(low, 0.0), max(high, 0.0)
    condition = max(top * (top + math.sqrt(top * top + 2)), 0.6)
    slope = 1.13 * math.exp(-least * least)
    return Shape(max(lower(arb(y.high).erfc()), 0.0), upper(arb(y.low).erfc()), slope, condition)


def _circular(function: Callable[[arb], arb], condition: Callable[[float], float]) -> Callable:
    def shaped(y: Error, low: float, high: float) -> Shape | None:
        far = _far(low, high)
        if far > CIRCULAR_END:
            return None
        ball = function(arb(y.low).union(arb(y.high)))
        return Shape(max(lower(ball), -1.0), min(upper(ball), 1.0), 1.0, condition(far))

    return shaped


_SHAPED: dict[str, Callable[[Error, float, float], Shape | None]] = {
    "cosh": _cosh,
    "linex": _linex,
    "erfc": _erfc,
    "sin": _circular(arb.sin, lambda far: 1.0 if far < 1.57 else math.inf),
    "cos": _circular(arb.cos, lambda far: math.inf),
}
