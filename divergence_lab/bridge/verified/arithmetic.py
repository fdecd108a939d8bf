"""Floating point numbers: what a library promises of its functions, what an error is, and the
series of two functions that torch and JAX have not: e^u - 1 - u, and Li_2(z) for -1 <= z <= 0.
"""

import math
import struct
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

import sympy as sp
from flint import arb

from divergence_lab.theory.expressions.enclosure import exact
from divergence_lab.theory.expressions.precision import bits

# Largest error of a library's function in units in the last place: torch on a CPU (SLEEF: 1, erfc
# 1.5), torch on CUDA (NVIDIA's programming guide: at most 3, erfc 5), with room to spare. `linex`
# and `dilog` are made of several steps.
UNITS = {
    "exp": 4,
    "log": 4,
    "expm1": 4,
    "log1p": 4,
    "sinh": 4,
    "cosh": 4,
    "tanh": 4,
    "asinh": 6,
    "atanh": 6,
    "atan": 4,
    "erf": 4,
    "erfc": 8,
    "pow": 4,
    "sin": 4,
    "cos": 4,
    "linex": 600,
    "dilog": 24,
}


# terms of Li_2(z) = -u - u^2/4 - ..., u = log(1 - z) <= log 2; the next is below 1e-18
DILOG_TERMS = 20


SLACK = 1.0 + 2.0**-40  # the bounds themselves are computed in double precision


# XLA states no bounds for its functions in float32; its tanh, erf and expm1 are several units off.
SINGLE_UNITS = {
    **{name: 3 * units for name, units in UNITS.items()},
    "sinh": 64,
    "cosh": 64,
    "linex": 120,
    "dilog": 60,
}


# below which |u| e^u - 1 - u is its series, and of how many terms
LINEX_SERIES = {"double": (1 / 64, 7), "single": (1 / 2, 14)}


@dataclass(frozen=True)
class Arithmetic:
    """Floating point: half a unit in the last place of 1, the smallest normal number, the
    largest; errors of functions.
    """

    name: str
    half: float
    smallest: float
    largest: float
    units: Mapping[str, int]
    least: float  # residuals nearer to 0 and farther out are not looked at
    farthest: float
    flushes: bool = False  # numbers below the smallest may be taken for 0


DOUBLE = Arithmetic("double", 2.0**-53, 2.3e-308, sys.float_info.max, UNITS, 1e-290, 1e40)


SINGLE = Arithmetic(
    "single", 2.0**-24, 1.2e-38, 3.4028234663852886e38, SINGLE_UNITS, 1e-36, 1e36, flushes=True
)


class Error(NamedTuple):
    """The exact value lies in [low, high], and what is computed near it.

    `scale`: at least the largest term that was added.
    """

    low: float
    high: float
    relative: float
    floor: float
    absolute: float
    scale: float

    @property
    def size(self) -> float:
        """The largest |exact value|."""
        return max(abs(self.low), abs(self.high))

    @property
    def is_huge(self) -> bool:
        """Both it and what is computed are large; what is computed may be infinite (`beyond`)."""
        return self.absolute == math.inf and (self.low > 0 or self.high < 0)

    @property
    def nearest(self) -> float:
        """The smallest |exact value|."""
        return min(abs(self.low), abs(self.high)) if self.low > 0 or self.high < 0 else 0.0


NOWHERE = Error(-math.inf, math.inf, math.inf, math.inf, math.inf, 0.0)


# --- beyond the largest number
#
# e^{-e^x} is computed as e^{-oo} = 0, 1 - 2/(1 + e^{e^x}) as 1 - 2/oo.

HUGE = 1e-8  # times the largest number: what is at least so large may be computed as infinite


def beyond(name: str, arguments: Sequence[Error], arithmetic: Arithmetic) -> Error:
    """A step with a huge result or argument, by the rules of IEEE 754: NOWHERE where these give no
    number (oo - oo, 0 oo, oo/oo), or one that is not the limit (log(oo)).
    """
    a, *others = arguments
    nothing = arithmetic.smallest * 2.0**-50
    if name in ("mul", "div"):
        (b,) = others
        if not (b.is_huge or _least(b) > 0):
            return NOWHERE
        if name == "mul" or not b.is_huge:
            ratio = _least(b) if name == "mul" else 1 / _most(b)
            return _huge(_way(a) * _way(b), _least(a) * ratio, arithmetic)
        if a.is_huge:
            return NOWHERE
        most = _most(a) / _least(b) * SLACK + nothing  # which is not 0 where the quotient is
        ends = (0.0, *(_way(b) * way * most for way in (-1, 1) if way * _way(a) >= 0))
        return Error(min(ends), max(ends), 0.0, 2 * most, 2 * most, 0.0)
    if name in ("add", "sub"):
        (b,) = others
        if name == "sub":
            b = b._replace(low=-b.high, high=-b.low)
        for way in (1, -1):
            if (sum_of := _bound(a, way) + _bound(b, way)) > 0:
                return _huge(way, sum_of, arithmetic)
        return NOWHERE
    if name in ("exp", "expm1", "sinh", "cosh") and not (a.is_huge and a.high < 0):
        power = max(_bound(a, 1), _bound(a, -1) if name in ("sinh", "cosh") else -math.inf)
        way = _way(a) if name == "sinh" else 1
        return _huge(way, math.exp(min(power, 709.78)) * 0.999, arithmetic)
    if not a.is_huge:
        return NOWHERE
    way = _way(a)
    if name in ("abs", "fill", "cosh", "sinh"):
        return _huge(way if name in ("fill", "sinh") else 1, _least(a), arithmetic)
    if name == "exp" or (name == "erfc" and way > 0):
        return Error(0.0, nothing, 0.0, nothing, nothing, 0.0)
    limit = {"expm1": -1.0, "erfc": 2.0, "atan": way * math.pi / 2}.get(name, float(way))
    if name not in ("expm1", "erfc", "atan", "tanh", "erf", "sign"):
        return NOWHERE
    own = 2 * arithmetic.half * (arithmetic.units.get(name, 0) + 1)
    ends = math.nextafter(limit, -math.inf), math.nextafter(limit, math.inf)
    return Error(*ends, own, 0.0, own * abs(limit) * SLACK, abs(limit))


def _huge(way: int, size: float, arithmetic: Arithmetic) -> Error:
    """At least so large, exactly and as computed."""
    size = min(size, arithmetic.largest) / SLACK
    if not (way and size >= HUGE * arithmetic.largest):
        return NOWHERE
    ends = (size, math.inf) if way > 0 else (-math.inf, -size)
    return Error(*ends, math.inf, math.inf, math.inf, 0.0)


def _way(a: Error) -> int:
    return 1 if a.low > 0 else -1 if a.high < 0 else 0


def _least(a: Error) -> float:
    """No more than |a|, exactly and as computed."""
    return a.nearest if a.is_huge else max(a.nearest - a.absolute, 0.0) / SLACK


def _most(a: Error) -> float:
    return (a.size + a.absolute) * SLACK


def _bound(a: Error, way: int) -> float:
    """No more than way * a, exactly and as computed."""
    if a.is_huge:
        return a.nearest if way == _way(a) else -math.inf
    return (a.low if way > 0 else -a.high) - a.absolute


def as_single(value: float) -> float:
    """The nearest number of single precision."""
    try:
        return struct.unpack("f", struct.pack("f", value))[0]
    except OverflowError:
        return math.copysign(math.inf, value)


PART_BITS = 300  # to tell a number from the next one, and what is left of it from 0


def parts_of(p: sp.Expr) -> tuple[float, ...] | None:
    """p as a sum of numbers, the first of single precision; one alone is p itself."""
    with bits(PART_BITS, 1):
        ball = exact(p)
        nearest = float(ball.mid())
        last = float((ball - arb(nearest)).mid())
    if sp.Rational(nearest) == p:
        return (nearest,)
    first = as_single(nearest)
    parts = tuple(part for part in (first, nearest - first, last) if part)
    return parts if are_parts_of(p, parts) else None


def are_parts_of(p: sp.Expr, parts: tuple[float, ...]) -> bool:
    """What the bound of `rounding` for X - p rests on: no number of double precision is nearer to
    p than the sum of all parts but the last, none of single precision nearer to that sum than the
    first, and the last is right to half a unit in its last place.
    """
    if not all(map(math.isfinite, parts)):
        return False
    *firsts, last = map(Fraction, parts)
    nearest = float(sum(firsts))
    with bits(PART_BITS, 1):
        ball = exact(p)
        left = ball - arb(nearest)
        nearer = (abs(ball - arb(math.nextafter(nearest, way))) for way in (math.inf, -math.inf))
        return bool(
            sum(firsts) == Fraction(nearest)
            and parts[0] == as_single(nearest)
            and all(abs(left) < other for other in nearer)
            and abs(left - arb(float(last))) <= arb(abs(float(last))) / 2**53
        )


def linex_coefficients(terms: int) -> list[float]:
    """e^u - 1 - u = u^2 (1/2! + u/3! + ...)."""
    return [1 / math.factorial(k + 2) for k in range(terms)]


def dilogarithm_coefficients() -> list[float]:
    """Li_2(z) = -u - u^2/4 - sum B_2k u^(2k+1)/(2k+1)!, u = log(1 - z): the coefficients of u,
    u^2, ...
    """
    bernoulli = [Fraction(1)]
    for n in range(1, DILOG_TERMS):
        terms = (math.comb(n + 1, k) * bernoulli[k] for k in range(n))
        bernoulli.append(-sum(terms, Fraction(0)) / (n + 1))
    return [
        float((-1 if k != 1 else 1) * bernoulli[k] / math.factorial(k + 1))
        for k in range(DILOG_TERMS)
    ]
