"""Random families of losses in one parameter c, and an oracle for them in high precision that knows
nothing of the engine.

Singular parts in u = c - s, whose formula has no value at c = s; regular parts with thresholds and
kinks in c.
"""

from __future__ import annotations

import itertools
import math
import random
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import flint
import mpmath as mp
from flint import arb

DIGITS = 600
TINY = (
    mp.mpf(10) ** -120
)  # how near to a value without a value the oracle looks: far nearer than 1/FAR^2
STEP = mp.mpf(10) ** -200  # of difference quotients
POINTS = [mp.mpf(n) / d for n, d in ((1, 7), (1, 1), (11, 4), (9, 1))]
NEAR, FAR = mp.mpf(10) ** 20, mp.mpf(10) ** 24
BEYOND = [mp.mpf(10) ** k for k in range(1, 25)]

# part, whether it is also real for u < 0
SINGULAR = (
    ("U*(sqrt(1+(x/U)**2)-1)", True),
    ("Abs(U)*(sqrt(1+(x/U)**2)-1)", True),
    ("U**2*(sqrt(1+(x/U)**2)-1)", True),
    ("(cosh(U*x)-1)/U**2", True),
    ("(exp(U*x)-U*x-1)/U**2", True),
    ("exp(U*x)/U**2-x/U-1/U**2", True),
    ("U*log((1+exp(x**2/U))/2)", False),
    ("U*log(1+exp(x/U))", True),
    ("U*log(cosh(x/U))", True),
    ("log(1+U*x**2)/U", False),
    ("(1-exp(-U*x**2))/U", False),
    ("U*log(1+x**2/U**2)", False),
    ("x**2/(x**2+U**2)", True),
    ("x**2/U", True),
    ("x**2/U**2", True),
    ("x*tanh(x/U)", True),
    ("x**2*exp(-1/(4*U))", False),
    ("x**2*exp(-1/(9*U**2))", True),
    ("1-exp(-x**2/U)", False),
    ("((1+Abs(x))**U-1)/U", True),
    ("x**2*tanh(1/U)", True),
    ("Piecewise((x**2/(2*U), Abs(x) < U), (Abs(x) - U/2, True))", False),
)
REGULAR = (
    "x**2",
    "Abs(x)",
    "exp(x)-x-1",
    "log(cosh(x))",
    "Abs(c-1)*x**2",
    "(c-2)*x**2",
    "exp(c*x)-c*x-1",
    "c*Abs(x)",
    "(2-c)*x**4",
    "exp(-x)+x-1",
    "sqrt(1+x**2)-1",
)


@dataclass(frozen=True)
class Family:
    """A loss in x and c, what is assumed of c, and the values of c that matter."""

    text: str
    assumptions: tuple[str, ...]
    singular: int
    sides: tuple[int, ...]


def draw(source: random.Random) -> Family:
    """One family; most have a singular part, some two parts."""
    s = source.choice((0, 0, 0, 1, -1))
    part, both = source.choice(SINGULAR)
    u = "c" if s == 0 else f"(c-{s})" if s > 0 else f"(c+{-s})"
    text = part.replace("U", u)
    weight = source.choice(("", "", "2*", "3*"))
    text = f"{weight}({text})" if weight else text
    if "Piecewise" not in part and source.random() < 0.5:
        extra = source.choice(REGULAR)
        text += source.choice((" + ", " + 2*")) + f"({extra})"
    relation = source.choice((">=", ">=", "<=", "")) if both else ">="
    if "Piecewise" in part and s:
        s, text = 0, part.replace("U", "c")
    sides = (1,) if relation == ">=" else (-1,) if relation == "<=" else (-1, 1)
    return Family(text, (f"c {relation} {s}",) if relation else (), s, sides)


# --- the oracle

_LATER = r"Piecewise((lambda: \1, \2), (lambda: \3, True))"


class Member:
    """g of a family at one value of c, or of several parameters by name, minus its gauge, by the
    formula itself.
    """

    def __init__(self, text: str, c: mp.mpf | Mapping[str, mp.mpf]):
        self.parameters = c if isinstance(c, Mapping) else {"c": c}
        self.names = {
            "exp": mp.exp,
            "log": mp.log,
            "sqrt": mp.sqrt,
            "cosh": mp.cosh,
            "tanh": mp.tanh,
            "Abs": abs,
            **self.parameters,
            "Piecewise": lambda *pairs: next(value() for value, holds in pairs if holds),
        }
        # only the piece that holds is evaluated
        later = re.sub(r"Piecewise\(\((.*?), (.*?)\), \((.*?), True\)\)", _LATER, text)
        self.code = compile(later, "family", "eval")
        self.raw = lambda x: mp.mpf(eval(self.code, {**self.names, "x": x}))
        self.start = self.raw(mp.mpf(0))
        below, above = (self.start - self.raw(-STEP)) / STEP, (self.raw(STEP) - self.start) / STEP
        self.tilt = (
            (below + above) / 2
            if abs(below - above) < mp.mpf(10) ** -15 * (1 + abs(above))
            else mp.mpf(0)
        )

    def value(self, x: mp.mpf) -> mp.mpf:
        return self.raw(x) - self.start - self.tilt * x

    def is_sure(self, x: mp.mpf) -> bool:
        """Has a ball of it digits? (1 - b) e^x, written as a sum, is all rounding at b = 1."""
        functions = {name: _in_balls(name) for name in ("exp", "log", "sqrt", "cosh", "tanh")}
        with flint.ctx.workdps(DIGITS):
            values = {name: _ball(value) for name, value in {**self.parameters, "x": x}.items()}
            found = eval(self.code, {**self.names, **functions, **values})
            return arb(found).rel_accuracy_bits() > 300

    def slope(self, x: mp.mpf) -> mp.mpf:
        h = STEP * max(1, abs(x))
        return (self.value(x + h) - self.value(x - h)) / (2 * h)

    def bend(self, x: mp.mpf) -> mp.mpf:
        h = mp.mpf(10) ** -30 * min(1, abs(x))
        return (self.value(x + h) - 2 * self.value(x) + self.value(x - h)) / h**2


def _ball(number: mp.mpf) -> arb:
    sign, digits, exponent, _ = number._mpf_
    return arb((-1) ** sign * int(digits)) * arb(2) ** int(exponent)


def _in_balls(name: str) -> Callable[[arb], arb]:
    return lambda u: getattr(arb(u), name)()


def limit_exists(family: Family) -> bool:
    """Does the family seem to converge at its singular value?"""
    seen = []
    for side in family.sides:
        near, nearer = (
            Member(family.text, family.singular + side * TINY * k) for k in (1, mp.mpf(1) / 1000)
        )
        values = [
            (near.value(x), nearer.value(x))
            for x in (*POINTS, *(-x for x in POINTS), mp.mpf(10) ** -12)
        ]
        if (
            any(abs(a - b) > mp.mpf(10) ** -6 * (1 + abs(a)) for a, b in values)
            or abs(values[-1][0]) > mp.mpf(10) ** -6
        ):
            return False
        seen.append([a for a, _ in values])
    return all(abs(a - b) < mp.mpf(10) ** -6 * (1 + abs(a)) for a, b in zip(seen[0], seen[-1]))


def _growth(f, near: mp.mpf = NEAR, far: mp.mpf = FAR) -> float:
    """d log |f| / d log x far out; -oo for what is 0 there."""
    a, b = f(near), f(far)
    if abs(b) < mp.mpf(10) ** -40 or abs(a) < mp.mpf(10) ** -40:
        return -math.inf
    return float(mp.log(abs(b) / abs(a)) / mp.log(far / near))


def _grid() -> list[mp.mpf]:
    right = [mp.mpf(10) ** (mp.mpf(k) / 6) for k in range(-18, 13)]
    return [*right, *(-x for x in right)]


def holds(kind: str, g: Member) -> bool | None:
    """The verdict as values say it; None where they leave it open."""
    if max(abs(g.value(x)) for x in (*POINTS, *(-x for x in POINTS))) < mp.mpf(10) ** -20:
        return kind in ("convex", "even", "symmetric", "bounded_gradient")  # g = 0
    if kind == "zero_forcing":
        return _is_infinite(_growth(lambda x: g.slope(-x)), g.slope(-FAR) < 0)
    if kind == "bounded_gradient":
        ends = [_is_infinite(_growth(lambda x, s=s: g.slope(s * x)), True) for s in (1, -1)]
        return None if None in ends else not any(ends)
    if kind == "zero_avoiding":
        if g.slope(FAR) <= 0:
            return False
        growth = _growth(lambda x: g.slope(x) * mp.exp(-x), mp.mpf(2000), mp.mpf(4000))
        return growth > -1 if abs(growth + 1) > 0.05 else None
    if kind == "even":
        return all(
            abs(g.slope(x) + g.slope(-x)) < mp.mpf(10) ** -18 * (abs(g.slope(x)) + mp.mpf(10) ** -3)
            for x in POINTS
        )
    if kind == "symmetric":
        kink = g.slope(TINY * 10**6) + g.slope(-TINY * 10**6)
        return abs(kink) < mp.mpf(10) ** -12 and all(
            abs(g.bend(x) - mp.exp(x) * g.bend(-x))
            < mp.mpf(10) ** -9 * (abs(g.bend(x)) + mp.mpf(10) ** -3)
            for x in _grid()
            if 0 < x < 20
        )
    if kind == "convex":
        kink = g.slope(TINY * 10**6) - g.slope(-TINY * 10**6)
        near = kink > -(mp.mpf(10) ** -12) and all(
            g.bend(x) > -(mp.mpf(10) ** -12) * (1 + abs(g.value(x))) for x in _grid()
        )
        return near and all(_rises(_chords(g, side)) for side in (1, -1))
    far = all(_rises([g.value(side * x) for x in _beyond(g, side)]) for side in (1, -1))
    return (
        far
        and all(g.slope(x) * mp.sign(x) > -(mp.mpf(10) ** -12) for x in _grid())
        and all(abs(g.value(s * mp.mpf(10) ** -3)) > mp.mpf(10) ** -30 for s in (1, -1))
    )


def _chords(g: Member, side: int) -> list[mp.mpf]:
    """The slopes of g between the points BEYOND the grid, from 0 on: they rise if g is convex."""
    sizes = _beyond(g, side)
    values = [g.value(side * x) for x in sizes]
    return [
        (after - before) / (b - a)
        for (a, before), (b, after) in itertools.pairwise(zip(sizes, values))
    ]


def _beyond(g: Member, side: int) -> list[mp.mpf]:
    return [x for x in BEYOND if g.is_sure(side * x)]


def _rises(numbers: list[mp.mpf]) -> bool:
    return all(b >= a - mp.mpf(10) ** -12 * (1 + abs(a)) for a, b in itertools.pairwise(numbers))


def _is_infinite(growth: float, right_way: bool) -> bool | None:
    if growth > 0.004:
        return right_way
    return False if growth < 0.001 else None
