"""Random losses handed to torch, held against 80-digit mpmath: what is promised, point by point."""

from __future__ import annotations

import math
import random
import re
from collections.abc import Callable

import sympy as sp
import torch
from mpmath import mp

from divergence_lab.bridge import NotRepresentable, to_torch
from divergence_lab.theory.divergence.loss import loss
from divergence_lab.theory.expressions.symbols import x

TOLERANCE = {torch.float64: 1e-10, torch.float32: 2e-6}
DIGITS, DIGITS_PER_POWER = 80, 7  # exp(x**50) - 1 at 10^-6 loses 300


def linex(rate):
    """The catalogue's loss, as an expression."""
    return (sp.exp(rate * x) - rate * x - 1) / rate**2


def drawn(source: random.Random) -> str:
    """One loss of a grammar: sums with rational weights of losses at rational scales, their
    mirrors, and pieces of them.
    """

    def number(most: int = 48) -> sp.Rational:
        return sp.Rational(source.randint(1, most), source.randint(1, most))

    def sign() -> int:
        return source.choice((1, -1))

    def smooth() -> sp.Expr:
        a, kind = number(12), source.randrange(16)
        return [
            lambda: linex(sign() * number()),
            lambda: linex(sign() * number()),
            lambda: number() * linex(number()) + number() * linex(-number()),
            lambda: (sp.cosh(a * x) - 1) / a**2,
            lambda: x ** (2 * source.randint(1, 30)) / source.choice((1, 2, 12)),
            lambda: sp.log(sp.cosh(a * x)) / a,
            lambda: sp.sqrt(a**2 + x**2) - a,
            lambda: number() * x**2 / 2 + number() * linex(sign() * number(9)),
            lambda: number() * sp.log(1 + x**2 / number()) + number() * x**2,
            lambda: x * sp.atan(a * x) - sp.log(1 + (a * x) ** 2) / (2 * a),
            lambda: sp.log((1 + sp.exp(a * x)) / 2) - a * x / 2,
            lambda: x * sp.asinh(a * x) - (sp.sqrt(1 + (a * x) ** 2) - 1) / a,
            lambda: sp.exp((x / a) ** 2 / 2) - 1,
            lambda: a * (1 - sp.exp(-((x / a) ** 2) / 2)) + x**2 / 7,
            lambda: x * sp.tanh(a * x) + linex(sign() * a),
            lambda: (1 + x**2) ** (1 + number(9)) - 1,
        ][kind]()

    kind = source.randrange(10)
    if kind < 5:
        return str(smooth())
    if kind == 5:
        return str(number() * smooth() + number() * smooth())
    if kind == 6:
        return str(sp.Abs(x) ** (1 + number(8)) * number())
    if kind == 7:
        return str(sp.Piecewise((smooth(), x < 0), (smooth(), True)))
    if kind == 8:
        delta = number(9)
        return str(
            sp.Piecewise((x**2 / 2, sp.Abs(x) <= delta), (delta * sp.Abs(x) - delta**2 / 2, True))
        )
    return source.choice(
        (
            f"linex({sign() * number()})",
            "jsd",
            f"skewed_jsd({sp.Rational(1, source.randint(2, 30))})",
            f"power({1 + number(6)})",
            f"fair({number(9)})",
            f"student({number(9)})",
            f"charbonnier({number(9)})",
            f"annealed_kl({sp.Rational(1, source.randint(2, 9))})",
        )
    )


def composed(source: random.Random) -> str:
    """One loss of another grammar: a function of a loss, at any size, steep or flat; and kinks
    at numbers that are not binary.
    """
    a, b = (sp.Rational(source.randint(1, 9), source.randint(1, 9)) for _ in range(2))
    inner = source.choice(
        [
            lambda: linex(source.choice((1, -1)) * a),
            lambda: sp.log((1 + sp.exp(a * x)) / 2) - a * x / 2,
            lambda: sp.log(sp.cosh(1000 * a * x)),
            lambda: x * sp.sinh(9 * a * x),
            lambda: 1 - 1 / sp.cosh(a * x),
            lambda: sp.sqrt(sp.Abs(x)) + linex(a),
            lambda: x * sp.erfi(x),
            lambda: x * sp.log(x + sp.sqrt(1 + x**2)),
            lambda: sp.tanh(x) ** 2,
            lambda: (sp.exp(x) - 1) ** 2,
            lambda: sp.exp(x**2 / a) - 1,
        ]
    )()
    outer = source.choice(
        [
            lambda: inner,
            lambda: inner / 10**45,
            lambda: inner * 10**30,
            lambda: inner / (1 + inner),
            lambda: sp.log(1 + inner),
            lambda: sp.sqrt(1 + inner) - 1,
            lambda: sp.sqrt(inner),
            lambda: inner**2 / 10**20,
            lambda: inner + b * sp.Max(x - sp.sqrt(2), 0),
            lambda: inner + b * (sp.Abs(x - a / 7) + sp.Abs(x + a / 7) - 2 * a / 7),
        ]
    )()
    return str(outer)


def with_removable_zeros(source: random.Random) -> tuple[str, float]:
    """One loss with a quotient in it that is 0/0 at one residual, and that residual."""
    a = sp.Rational(source.randint(1, 9), source.randint(1, 9))
    at = source.choice(
        [sp.S.Zero, sp.Rational(source.randint(-60, 60), 7), sp.sqrt(2), -sp.log(3), sp.Integer(5)]
    )
    u = a * (x - at)
    quotient = source.choice(
        [
            sp.tanh(u) / u,
            sp.atan(u) / u,
            (sp.exp(u) - 1) / u,
            u / sp.sinh(u),
            u**2 / (sp.cosh(u) - 1),
            (1 - sp.exp(-(u**2))) / u**2,
            sp.sinh(u) / u,
            sp.log(1 + u**2) / u**2,
        ]
    )
    outer = source.choice(
        [x**2 * (2 + quotient), x**2 * sp.log(4 + quotient**2), x**2 * (quotient + 3)]
    )
    return str(outer), float(at)


def with_a_kink_between_numbers(source: random.Random) -> tuple[str, float]:
    """One loss with a root, a power or a logarithm of what is 0 where no binary number is, and that
    residual.
    """
    n = source.choice([2, 3, 5, 7])
    p = source.choice(
        [source.randint(0, 8) + sp.Rational(n, 9), sp.log(n), sp.sqrt(n), sp.pi / n]
    ) * source.choice((1, -1))
    return _with_a_kink(source, p), float(p)


def with_a_kink_at_a_number(source: random.Random) -> tuple[str, float]:
    """The same at a binary number, 0 too."""
    p = sp.Rational(source.randint(-32, 32), source.choice([1, 2, 4, 8]))
    return _with_a_kink(source, p), float(p)


def _with_a_kink(source: random.Random, p: sp.Expr) -> str:
    u, c = sp.Abs(x - p), sp.Rational(source.randint(1, 9), source.randint(1, 9))
    power = source.choice(["1/2", "3/2", "5/2", "4/3", "7/3", "8/5"])
    root = c * u ** sp.Rational(power)
    return str(
        source.choice(
            [
                root,
                root,
                root + x**2,
                x**2 * (1 + root),
                x**2 + c * (x - p) ** 2 * sp.log(u),
                x**2 * (1 + c * u * sp.log(u)),
                x**2 + c * u ** sp.Rational(power) * sp.log(u) ** 2,
                c * sp.sign(x - p) * root,
                x**2 + sp.exp(-c / u),
                x**2 * sp.exp(-root),
                sp.log(1 + root) + x**2,
                sp.sqrt(u**3 + c * u**5),
                sp.Max(c * (x - p), 0) ** sp.Rational(power) + x**2,
                sp.Abs(sp.exp(x) - sp.exp(p)) ** sp.Rational(3, 2),
            ]
        )
    )


def residuals(source: random.Random, count: int) -> tuple[list[float], list[float]]:
    """(where accuracy is promised, where the sign is): numbers of single precision, for both
    dtypes.
    """
    inside = [s * 10 ** (-6 + 1.13 * k) for k in range(7) for s in (1, -1)] + [80.0, -80.0]
    inside += [
        source.choice((1, -1)) * 10 ** source.uniform(-5.99, math.log10(80)) for _ in range(count)
    ]
    outside = [s * far for far in (1e-12, 1e-7, 173.0, 720.0, 1000.0) for s in (1, -1)]
    return [torch.tensor(part, dtype=torch.float32).tolist() for part in (inside, outside)]


def faults(
    text: str,
    source: random.Random,
    count: int = 14,
    digits: int = DIGITS,
    near: float | None = None,
) -> list[str]:
    """What is wrong with the torch loss of `text`, next to `near` too; empty where all is as
    promised.
    """
    entry = loss(text)
    function, found = to_torch(entry), []
    inside, outside = residuals(source, count)
    if near:
        apart = (1e-7, -1e-7, 1e-5, -1e-5, 1e-3, -1e-3, 0.1, -0.1)
        inside += torch.tensor([near + d for d in apart], dtype=torch.float32).tolist()
        inside = [point for point in inside if point != near]  # where the reference is 0/0
    beside = {dtype: _beside(near, dtype) if near else [] for dtype in TOLERANCE}
    # where the range of numbers ends, as far as accuracy is promised
    inside += torch.tensor(
        [
            end * near
            for end in function.reach
            for near in (1 - 1e-6, 0.9999, 0.99)
            if abs(end) <= 80
        ],
        dtype=torch.float32,
    ).tolist()
    powers = [int(power) for power in re.findall(r"\*\*(\d+)", str(entry.expression))]
    with mp.workdps(digits + DIGITS_PER_POWER * min(max(powers, default=0), 200)):
        both = entry.pieces, entry.derivative
        shared = list(zip(*(exact_at(pieces, inside + outside) for pieces in both)))
        for dtype, tolerance in TOLERANCE.items():
            finfo, here = torch.finfo(dtype), beside[dtype]
            wanted = shared + list(zip(*(exact_at(pieces, here) for pieces in both)))
            points = torch.tensor(inside + outside + here, dtype=dtype, requires_grad=True)
            values = function(points)
            (slopes,) = torch.autograd.grad(values.sum(), points)
            for k, (point, *got) in enumerate(
                zip(points.tolist(), values.tolist(), slopes.tolist())
            ):
                normal = all(finfo.tiny <= abs(one) <= finfo.max for one in wanted[k])
                for what, one, exact in zip(("g", "g'"), got, wanted[k]):
                    where = (
                        f"{text} {dtype}: {what}({point!r}) = {one!r}, exact {mp.nstr(exact, 12)}"
                    )
                    if not math.isfinite(one):
                        found.append(where + " is not finite")
                    elif (
                        1e-6 <= abs(point) <= 80
                        and normal
                        and abs(one - exact) > tolerance * abs(exact)
                    ):
                        found.append(where)
                    elif abs(exact) >= finfo.tiny and one * exact <= 0:
                        found.append(where + " has the wrong sign")
                    elif exact == 0 and abs(one) > finfo.tiny:
                        found.append(where + " is not 0")
    at_it = [] if near is None else _jumps(text, function, near)
    return found + at_it + not_finite(text, function)


def _jumps(text: str, function, near: float) -> list[str]:
    """A value at `near` that is far from those beside it, and a slope there that is no number."""
    points = torch.tensor([near, *_beside(near, torch.float64)], dtype=torch.float64)
    (value, *others), (slope, *_) = (
        found.tolist() for found in (function.value(points), function.gradient(points))
    )
    smooth = all(abs(value - other) <= 1e-3 * (1 + abs(value)) for other in others)
    return [] if smooth and math.isfinite(slope) else [f"{text} at {near}: {value}, slope {slope}"]


def _beside(near: float, dtype: torch.dtype) -> list[float]:
    """The numbers of the dtype next to `near`, but for itself."""
    found = []
    for way in (math.inf, -math.inf):
        point = torch.tensor(near, dtype=dtype)
        for _ in range(3):
            found.append(point.item())
            point = torch.nextafter(point, torch.tensor(way, dtype=dtype))
    return [point for point in found if point != near]


def not_finite(text: str, function) -> list[str]:
    """The smallest numbers of double precision, and 0."""
    smallest = torch.tensor(
        [s * tiny for tiny in (0.0, 5e-324, 3e-308, 1e-300, 1e-291) for s in (1, -1)],
        dtype=torch.float64,
    )
    both = function.value(smallest), function.gradient(smallest)
    return [
        f"{text}: {one.tolist()} at {smallest.tolist()}"
        for one in both
        if not bool(torch.isfinite(one).all())
    ]


def exact_at(pieces, points: list[float]) -> list:
    reference = [
        (sp.lambdify((), piece.high, "mpmath")(), sp.lambdify(x, piece.expression, "mpmath"))
        for piece in pieces.pieces
    ]
    return [
        next(function for high, function in reference if point < high)(mp.mpf(point))
        for point in points
    ]


def hunt_with_refusals(draw: Callable[..., tuple], seed: int, count: int, allowed: int) -> None:
    """As `hunt`; `allowed` of them may be refused, each counted once. `draw`: a loss and, where its
    formula is 0/0, that residual.
    """
    source, wrong, refused = random.Random(seed), [], set()
    for _ in range(count):
        text, near = draw(source)
        try:
            wrong += faults(text, source, 6, 1000, near)[:2]  # tanh(1000) has 870 nines
        except NotRepresentable as reason:
            refused.add(str(reason))
    print(
        f"{count} losses in torch, seed {seed}: {len(wrong)} faults, {len(refused)} refused of "
        f"{allowed} allowed"
    )
    assert not wrong, "\n".join(wrong[:10])
    assert len(refused) <= allowed, "\n".join(refused)
