"""How far a program's result may be from the exact value, on a whole stretch of residuals.

    |computed - exact| <= relative * |exact| + floor   and   <= absolute,   for every residual

Forward, step by step. `low` and `high` enclose the exact value (functions at their ends by Arb). A
step adds its own error to what its arguments bring along: half a unit for +, -, *, / and roots, for
a function what `UNITS` states and the tests measure. A result below the smallest normal number may
be anything from 0 to that number (`floor`). One beyond the largest has no bound; what comes of it,
as 0 of e^{-oo}, may have one (`arithmetic.beyond`).
"""

import math
from collections.abc import Callable
from fractions import Fraction

from flint import arb

from divergence_lab.bridge.verified import functions, programs
from divergence_lab.bridge.verified.arithmetic import (
    NOWHERE,
    SLACK,
    Arithmetic,
    Error,
    as_single,
    beyond,
)


def error_on(program: programs.Program, low: float, high: float, arithmetic: Arithmetic) -> Error:
    """The error of `program` for all residuals in [low, high], which does not reach across 0."""
    residual = Error(low, high, 0.0, 0.0, 0.0, min(abs(low), abs(high)))
    found: list[Error] = []

    def of(argument: int | str | tuple[float]) -> Error:
        if isinstance(argument, tuple):
            return _constant(argument[0], argument[0] in program.rounded, arithmetic)
        return found[argument] if isinstance(argument, int) else residual

    huge = False
    for name, *arguments in program.steps:
        given = [of(argument) for argument in arguments]
        if any(one is NOWHERE for one in given):
            return NOWHERE
        if huge and any(one.is_huge for one in given):
            step = NOWHERE
        elif name == "mul" and arguments[0] == arguments[1]:
            step = _square(given[0], arithmetic)
        elif (
            name == "mul"
            and isinstance(arguments[1], tuple)
            and math.frexp(arguments[1][0])[0] in (0.5, -0.5)
        ):
            step = _multiply(given[0], given[1], arithmetic, 0.0)  # by a power of 2
        elif name == "div" and isinstance(arguments[0], tuple) and arguments[0] != (1.0,):
            # c/b is c (1/b) in torch: rounded twice
            step = _multiply(_divide(of((1.0,)), given[1], arithmetic), given[0], arithmetic)
        elif name == "away":
            step = _away(given[0], [part for (part,) in arguments[1:]], arithmetic)
        elif name in _STEPS:
            step = _STEPS[name](*given, arithmetic)
        else:
            step = _function(name, given[0], arithmetic)
        if not (max(step.size, step.absolute) < arithmetic.largest):
            step, huge = beyond(name, given, arithmetic), True
            if step is NOWHERE:
                return NOWHERE
        found.append(step)
    return NOWHERE if found[-1].is_huge else found[-1]


def _constant(value: float, rounded: bool, arithmetic: Arithmetic) -> Error:
    """NOWHERE beyond the largest number; what is below the smallest one may be 0."""
    if abs(value) >= arithmetic.largest:
        return NOWHERE
    error = 2.0**-52 if rounded else 0.0
    if arithmetic.half > 2.0**-30 and as_single(value) != value:
        error += 2.0**-24
    if 0 < abs(value) < arithmetic.smallest:
        error = 1.0
    ends = (
        (math.nextafter(value, -math.inf), math.nextafter(value, math.inf))
        if rounded
        else (value, value)
    )
    return Error(*ends, error, 0.0, error * abs(value) * SLACK, abs(value) * (1 - 2.0**-50))


def _made(
    low: float,
    high: float,
    relative: float,
    floor: float,
    absolute: float,
    scale: float,
    new: float,
    arithmetic: Arithmetic,
    sums: bool = False,
) -> Error:
    """One operation whose own relative error is `new` on top of what its arguments brought; a
    sum never underflows.
    """
    if not (low <= high and absolute < math.inf):
        return NOWHERE
    nearest, size = (
        min(abs(low), abs(high)) if low > 0 or high < 0 else 0.0,
        max(abs(low), abs(high)),
    )
    lost = (
        min(arithmetic.smallest, size + absolute + 8 * arithmetic.half * arithmetic.smallest)
        if nearest - absolute < arithmetic.smallest and not sums and size > 0
        else 0.0
    )
    if relative < math.inf:  # else 0 oo, where `new` is 0
        relative = (relative + new * (1 + relative)) * SLACK
    floor = (floor * (1 + new) + lost) * SLACK
    absolute = (absolute + new * (size + absolute) + lost) * SLACK
    absolute = min(absolute, (relative * size + floor) * SLACK)
    if nearest > 0:
        together = (
            min(absolute, relative * nearest + floor) / nearest * SLACK
            if relative < math.inf
            else absolute / nearest
        )
        if floor > 0 and together <= 2 * relative + new:
            relative, floor = together, 0.0
        elif absolute / nearest <= relative:
            relative, floor = absolute / nearest * SLACK, 0.0
    if math.isnan(absolute) or math.isnan(relative) or math.isnan(floor):
        return NOWHERE
    return Error(low, high, relative, floor, absolute, max(scale, nearest))


def _down(value: float) -> float:
    return math.nextafter(value, -math.inf) if value else 0.0


def _up(value: float) -> float:
    return math.nextafter(value, math.inf) if value else 0.0


def _is_exact(total: float, a: float, b: float) -> bool:
    """Nothing was rounded away in a + b (Knuth's two-sum)."""
    part = total - a
    return (a - (total - part)) + (b - part) == 0


def _add(a: Error, b: Error, arithmetic: Arithmetic) -> Error:
    if (
        (a.low >= 0 and b.low >= 0)
        or (a.high <= 0 and b.high <= 0)
        or a.absolute == b.absolute == 0
    ):
        relative = max(a.relative, b.relative)
    else:  # where |b| <= q |a|: r |a + b| bounds r_a |a| + r_b |b| for r = (r_a + q r_b)/(1 - q)
        big, small = (a, b) if a.nearest > b.nearest else (b, a)
        share = small.size / big.nearest if big.nearest > 0 else math.inf
        relative = (
            (big.relative + share * small.relative) / (1 - share)
            if share < 0.9 and small.relative < math.inf
            else math.inf
        )
    low, high = a.low + b.low, a.high + b.high
    return _made(
        low if _is_exact(low, a.low, b.low) else _down(low),
        high if _is_exact(high, a.high, b.high) else _up(high),
        relative,
        a.floor + b.floor,
        a.absolute + b.absolute,
        max(a.scale, b.scale),
        arithmetic.half,
        arithmetic,
        sums=True,
    )


def _away(a: Error, parts: list[float], arithmetic: Arithmetic) -> Error:
    """X - p for numbers X, by subtracting the parts of p one after another (`are_parts_of`).

    Where |X - h| <= |h|/4, h the sum of all parts but the last, X and h are within a factor of 2:
    X less the first parts is exact (Sterbenz). Farther away each subtraction is wrong by half a
    unit of something that is at most 1 + 2^-20 times |X - p|. No X is nearer to p than h: what the
    last part lacks, half a unit of it, counts as half a unit of |X - p| at most. In single
    precision the same holds of the first part alone, and of the second one, which is rounded.
    All in all 3 half units and a little.
    """
    if a.absolute or min(map(abs, parts)) < arithmetic.smallest:
        return NOWHERE
    p, last = sum(map(Fraction, parts)), Fraction(abs(parts[-1])) / 2**53
    low, high = float(Fraction(a.low) - p - last), float(Fraction(a.high) - p + last)
    size = max(abs(low), abs(high))
    relative = 4 * arithmetic.half
    return _made(
        math.nextafter(low, -math.inf),
        math.nextafter(high, math.inf),
        relative,
        0.0,
        relative * size * SLACK,
        0.0,
        0.0,
        arithmetic,
        sums=True,
    )


def _negative(a: Error) -> Error:
    return a._replace(low=-a.high, high=-a.low)


def _outermost(a: Error, b: Error, ends: list[float], exact: bool = False) -> tuple[float, float]:
    """Below and above all of a * b or a/b, whose ends were rounded: one of 0 is below the smallest
    number, or a sign that both have.
    """
    least, most = min(ends), max(ends)
    if a.size == 0 or b.size == 0:
        return 0.0, 0.0
    if least == 0 and not ((a.low >= 0 and b.low >= 0) or (a.high <= 0 and b.high <= 0)):
        least = -SMALLEST
    if most == 0 and not ((a.low >= 0 and b.high <= 0) or (a.high <= 0 and b.low >= 0)):
        most = SMALLEST
    return (least, most) if exact else (_down(least), _up(most))


SMALLEST = 5e-324  # of all numbers of double precision


def _multiply(a: Error, b: Error, arithmetic: Arithmetic, new: float | None = None) -> Error:
    ends = [a.low * b.low, a.low * b.high, a.high * b.low, a.high * b.high]
    floor = (
        sum(
            one.size * (1 + one.relative) * other.floor
            for one, other in ((a, b), (b, a))
            if other.floor
        )
        + a.floor * b.floor
    )
    relative = (
        a.relative + b.relative + a.relative * b.relative
        if max(a.relative, b.relative) < math.inf
        else math.inf
    )
    return _made(
        *_outermost(a, b, ends, exact=new == 0),
        relative,
        floor,
        a.size * b.absolute + b.size * a.absolute + a.absolute * b.absolute,
        a.scale * b.scale,
        arithmetic.half if new is None else new,
        arithmetic,
    )


def _square(a: Error, arithmetic: Arithmetic) -> Error:
    both = _multiply(a, a, arithmetic)
    return both._replace(low=max(both.low, 0.0)) if both is not NOWHERE else both


def _divide(a: Error, b: Error, arithmetic: Arithmetic) -> Error:
    # the nearest to 0 that the computed b may be
    least = max(b.nearest - b.absolute, b.nearest * (1 - b.relative) / SLACK - b.floor)
    if not (least > 0 and b.relative < 0.5):
        return NOWHERE
    ends = [a.low / b.low, a.low / b.high, a.high / b.low, a.high / b.high]
    size = max(map(abs, ends))
    relative = (
        a.relative + (1 + a.relative) * (b.relative / (1 - b.relative))
        if a.relative < math.inf
        else math.inf
    )
    floor = (a.floor + size * b.floor) / least
    return _made(
        *_outermost(a, b, ends),
        relative,
        floor,
        (a.absolute + size * b.absolute) / least,
        a.scale / b.size,
        arithmetic.half,
        arithmetic,
    )


def _power(a: Error, p: Error, arithmetic: Arithmetic) -> Error:
    """a^p for a >= 0 and a constant p > 0."""
    if not (a.low >= 0 and p.low > 0):
        return NOWHERE
    low = functions.lower(arb(a.low) ** arb(p.low if a.low >= 1 else p.high)) if a.low else 0.0
    high = functions.upper(arb(a.high) ** arb(p.high if a.high >= 1 else p.low)) if a.high else 0.0
    relative = _conditioned(a, p.high)
    if p.absolute:  # a^(p + d) = a^p e^(d log a), and 0 where a is 0
        if a.floor and a.low == 0:
            return NOWHERE
        farthest = max(abs(math.log(end)) if end else FARTHEST_LOG for end in (a.low, a.high))
        moved = math.expm1(p.absolute * farthest * 1.01)
        relative += moved * (1 + relative)
    if a.floor and not a.nearest > a.absolute:
        return NOWHERE
    floor = (
        a.floor
        * p.high
        * max(_to(a.nearest - a.absolute, p.low - 1), _to(a.size + a.absolute, p.high - 1))
        if a.floor
        else 0.0
    )
    return _made(
        max(low, 0.0),
        high,
        relative,
        floor,
        relative * high + floor,
        0.0,
        _own("pow", arithmetic),
        arithmetic,
    )


FARTHEST_LOG = 746.0  # |log a| of a number a that is not 0


def _to(base: float, power: float) -> float:
    try:
        return max(base, 1e-320) ** power * 1.01
    except OverflowError:
        return math.inf


def _own(name: str, arithmetic: Arithmetic) -> float:
    return arithmetic.units[name] * 2 * arithmetic.half


def _conditioned(y: Error, condition: float) -> float:
    """Relative error of f(y~) where |d log f / d log y| <= condition all the way from y to y~."""
    if y.relative == 0:
        return 0.0
    try:
        return math.expm1(-condition * math.log1p(-y.relative)) if y.relative < 0.5 else math.inf
    except OverflowError:
        return math.inf


def _magnitude(a: Error, arithmetic: Arithmetic) -> Error:
    return (
        a
        if a.low >= 0
        else _negative(a)
        if a.high <= 0
        else a._replace(low=0.0, high=a.size, scale=0.0)
    )


def _sign(a: Error, arithmetic: Arithmetic) -> Error:
    for one, way in ((a, 1.0), (_negative(a), -1.0)):
        if one.low > one.absolute or (one.low >= 0 and one.relative < 1 and one.floor == 0):
            return Error(way, way, 0.0, 0.0, 0.0, 1.0)
    return NOWHERE


_STEPS: dict[str, Callable] = {
    "fill": lambda a, arithmetic: a,
    "abs": _magnitude,
    "sign": _sign,
    "add": _add,
    "sub": lambda a, b, arithmetic: _add(a, _negative(b), arithmetic),
    "mul": _multiply,
    "div": _divide,
    "pow": _power,
}


def _function(name: str, y: Error, arithmetic: Arithmetic) -> Error:
    """One function of one argument; outside the stretch where it is trusted there is no bound."""
    shape = functions.shape_of(name, y, arithmetic)
    if shape is None:
        return NOWHERE
    low, high, steepest, condition = shape
    relative = math.expm1(min(y.absolute, 700.0)) if name == "exp" else _conditioned(y, condition)
    floor = y.floor * steepest if y.floor and name != "exp" else 0.0
    absolute = y.absolute * steepest if y.absolute else 0.0
    if name == "log" and y.floor == 0 and y.relative < 0.5:  # |log(1 + r)| <= |r|/(1 - |r|)
        absolute = min(absolute, y.relative / (1 - y.relative) * SLACK)
    if not absolute < math.inf:
        absolute = relative * max(abs(low), abs(high)) + floor
    zero = 1.0 if name == "log" else 0.0
    vanishes = name not in ("exp", "cosh") and y.low <= zero <= y.high
    own = arithmetic.half if name == "sqrt" else _own(name, arithmetic)
    return _made(
        low, high, relative, floor, absolute, y.scale if vanishes else 0.0, own, arithmetic
    )
