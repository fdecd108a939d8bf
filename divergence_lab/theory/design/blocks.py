"""The curvatures that designed losses are made of, each with the closed form of its loss.

    g = sum_i w_i b_i,  w_i >= 0:  g'' = sum_i w_i b_i''  and  f = sum_i w_i f_i    (Proposition 2)

What a block says of itself (growth, symmetry, evenness) only guides the search: a loss that is
returned was proved by `derive` afresh.
"""

import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import sympy as sp

from divergence_lab.theory.design.clashes import HALF
from divergence_lab.theory.design.wishes import LINEAR, QUADRATIC, Growth, Wishes
from divergence_lab.theory.expressions import parse, write, x

RATES = (sp.S.One, HALF, sp.Integer(2), sp.Rational(3, 2))
FINE_RATES = (sp.Integer(3), sp.Rational(1, 4), sp.Rational(3, 4), sp.Integer(4))


@dataclass(frozen=True)
class Block:
    """A convex loss, or half of one: flat on a side where it has no growth.

    `smooth`: g' is continuous. `bent`: g'' is not.
    """

    text: str
    left: Growth | None
    right: Growth | None
    symmetric: bool = False
    even: bool = False
    smooth: bool = True
    bent: bool = False

    @cached_property
    def expression(self) -> sp.Expr:
        return parse(self.text, x)

    @cached_property
    def whole(self) -> sp.Expr:
        """A multiple with whole coefficients: 4 of (e^{2x} - 2x - 1)/4."""
        terms = [term for term in sp.Add.make_args(self.expression) if term.has(x)]
        numbers: list[Any] = [term.as_coeff_Mul()[0] for term in terms]
        return sp.expand(sp.ilcm(1, *(number.q for number in numbers)) * self.expression)

    @property
    def cost(self) -> float:
        return float(len(self.text))


def linex(rate: sp.Expr) -> str:
    """(e^{ax} - ax - 1)/a^2 as text, x^2/2 at a = 0."""
    if rate == 0:
        return "x**2/2"
    body = {sp.S.One: "exp(x) - x - 1", -sp.S.One: "exp(-x) + x - 1"}.get(rate)
    return body or write(sp.expand((sp.exp(rate * x) - rate * x - 1) / rate**2))


def exponential_or_linear(rate: sp.Expr, side: int) -> Growth:
    """How linex(rate) grows at oo (side 1) or -oo (side -1)."""
    if rate == 0:
        return QUADRATIC
    return Growth("exponential", abs(rate)) if rate * side > 0 else LINEAR


def _linex_block(rate: sp.Expr) -> Block:
    return Block(
        linex(rate),
        exponential_or_linear(rate, -1),
        exponential_or_linear(rate, 1),
        symmetric=rate == HALF,
        even=rate == 0,
    )


def _glued(left: sp.Expr, right: sp.Expr) -> Block:
    """linex(left) before 0 and linex(right) after it: g'' = e^{left x}, e^{right x}; symmetric
    iff left + right = 1.
    """
    text = f"Piecewise(({linex(left)}, x < 0), ({linex(right)}, True))"
    if left + right == 0:
        text = {1: "exp(Abs(x)) - Abs(x) - 1", -1: "exp(-Abs(x)) + Abs(x) - 1"}.get(right) or write(
            parse(linex(right), x).subs(x, sp.Abs(x))
        )
    return Block(
        text,
        exponential_or_linear(left, -1),
        exponential_or_linear(right, 1),
        symmetric=left + right == 1,
        even=left + right == 0,
    )


def _pair(rate: sp.Expr) -> Block:
    """linex(rate) + linex(1 - rate), g'' = e^{x/2} 2 cosh((rate - 1/2) x): symmetric; for rate
    >= 1 both ZF and ZA.
    """
    text = (
        "x**2/2 + exp(x) - x - 1"
        if rate == 1
        else write(sp.expand(parse(linex(rate), x) + parse(linex(1 - rate), x)))
    )
    left = exponential_or_linear(1 - rate, -1)
    return Block(text, left, Growth("exponential", rate), symmetric=True)


def _cosh(rate: sp.Expr) -> Block:
    inner = "x" if rate == 1 else write(rate * x)
    text = "cosh(x) - 1" if rate == 1 else write(sp.expand((sp.cosh(rate * x) - 1) / rate**2))
    return Block(
        text if rate != 1 else f"cosh({inner}) - 1",
        Growth("exponential", rate),
        Growth("exponential", rate),
        even=True,
    )


def _power(rate: sp.Expr) -> Block:
    growth = Growth("power", rate)
    return Block(
        "x**2/2" if rate == 2 else write(parse(f"Abs(x)**({rate})/({rate})", x)),
        growth,
        growth,
        even=True,
        bent=bool(rate < 2),
    )


def _glued_power(left: Growth, right: Growth) -> Block | None:
    """Two growths glued at 0 where they have no common curvature: a corner of g'' that is not at
    0 of g'.
    """

    def text(growth: Growth, side: int) -> str:
        if growth.kind == "power" and growth.rate != 2:
            return f"({'-' if side < 0 else ''}x)**({growth.rate})/({growth.rate})"
        return _tail(growth, side)

    if "power" not in (left.kind, right.kind):
        return None
    text_of_both = f"Piecewise(({text(left, -1)}, x < 0), ({text(right, 1)}, True))"
    return Block(text_of_both, left, right, bent=True)


def _smooth_powers(left: Growth, right: Growth) -> Iterable[Block]:
    """Growths with the curvature 1 at 0 on both sides: (1 + x^2)^(p/2)/p for |x|^p, linex for
    the others.
    """

    def text(growth: Growth, side: int) -> str:
        if growth.kind == "power" and growth.rate != 2:
            return f"((1 + x**2)**({growth.rate / 2}) - 1)/({growth.rate})"
        return _tail(growth, side)

    if left == right:
        yield Block(text(left, 1), left, right, even=True)
    else:
        yield Block(f"Piecewise(({text(left, -1)}, x < 0), ({text(right, 1)}, True))", left, right)


def _symmetric_power(rate: sp.Expr) -> Block:
    """g'' = x^(p - 2) right of 0, p = 3, 4, ..., and e^x |x|^(p - 2) left of it: symmetric."""
    slope = sp.integrate(sp.exp(x) * (-x) ** (rate - 2), x)
    slope -= slope.subs(x, 0)
    left = sp.integrate(slope, x)
    left = write(sp.expand(left - left.subs(x, 0)))
    return Block(
        f"Piecewise(({left}, x < 0), (x**{rate}/{rate * (rate - 1)}, True))",
        LINEAR,
        Growth("power", rate),
        symmetric=True,
    )


def _tail(growth: Growth, side: int) -> str:
    """A linex, or x^2/2, with this growth on the right (side 1) or the left (side -1)."""
    if growth.kind == "power":
        return "x**2/2"
    return linex((growth.rate if growth.kind == "exponential" else -1) * side)


_PLAIN = (
    Block("Abs(x)", LINEAR, LINEAR, symmetric=True, even=True, smooth=False),
    Block("log(cosh(x))", LINEAR, LINEAR, even=True),
    Block("sqrt(x**2 + 1) - 1", LINEAR, LINEAR, even=True),
    Block("log((1 + exp(x))/2) - x/2", LINEAR, LINEAR, even=True),
    Block(
        "Piecewise((x**2/2, Abs(x) <= 1), (Abs(x) - 1/2, True))",
        LINEAR,
        LINEAR,
        even=True,
        bent=True,
    ),
    Block("-x + 4*log((exp(x) + 1)/2) + 4/(exp(x) + 1) - 2", LINEAR, LINEAR, symmetric=True),
    Block("-polylog(2, -exp(x))/2 - pi**2/24 - x*log(2)/2", LINEAR, QUADRATIC, symmetric=True),
    Block("x**4/4", Growth("power", sp.Integer(4)), Growth("power", sp.Integer(4)), even=True),
)
# g'' = 0 at 0 and only there: cosh(x) - 1, (e^{x/2} - 1)^2, and x right of 0, -x e^x left of it,
# both as far as 1
_FLAT = (
    Block(
        "cosh(x) - x**2/2 - 1",
        Growth("exponential", sp.S.One),
        Growth("exponential", sp.S.One),
        even=True,
    ),
    Block(
        "x**2/2 + 3*x + exp(x) - 8*exp(x/2) + 7",
        QUADRATIC,
        Growth("exponential", sp.S.One),
        symmetric=True,
    ),
    Block(
        "Piecewise(((2*exp(-1) - 1)*x + 5*exp(-1) - 2, x < -1), ((2 - x)*exp(x) - x - 2, x < 0), "
        "(x**3/6, x < 1), (x/2 - 1/3, True))",
        LINEAR,
        LINEAR,
        symmetric=True,
        bent=True,
    ),
)


def _scaled() -> Iterable[Block]:
    """|x| with its corner rounded at other scales."""
    for k in (2, 4):
        yield Block(f"log(cosh({k}*x))", LINEAR, LINEAR, even=True)
        yield Block(
            f"Piecewise((x**2/2, Abs(x) <= {k}), ({k}*Abs(x) - {k * k // 2}, True))",
            LINEAR,
            LINEAR,
            even=True,
            bent=True,
        )


def blocks(wishes: Wishes, fine: bool = False) -> tuple[Block, ...]:
    """All whole blocks, with the rates that the wished growths name, cheapest first; `fine`:
    more rates, to meet numbers.
    """
    asked = [growth for growth in (wishes.left_growth, wishes.right_growth) if growth is not None]
    found = _blocks(tuple(g.rate for g in asked if g.kind == "exponential"), tuple(asked), fine)
    return found + _FLAT if wishes.curvature == 0 else found


@lru_cache(maxsize=64)
def _blocks(
    more_rates: tuple[sp.Expr, ...], asked: tuple[Growth, ...], fine: bool
) -> tuple[Block, ...]:
    rates = tuple(dict.fromkeys((*RATES, *(FINE_RATES if fine else ()), *more_rates)))
    signed = tuple(
        dict.fromkeys(
            (
                sp.S.Zero,
                *(sign * rate for rate in (*rates, *(1 - r for r in rates)) for sign in (1, -1)),
            )
        )
    )
    glued_rates = tuple(
        dict.fromkeys(
            (
                sp.S.Zero,
                sp.S.One,
                -sp.S.One,
                HALF,
                *(s * r for r in more_rates for s in (1, -1)),
                *(1 - r for r in more_rates),
                *(1 + r for r in more_rates),
            )
        )
    )
    powers = [g.rate for g in asked if g.kind == "power" and g.rate != 2]
    both = (
        [_glued_power(a, b) for a in {*asked, LINEAR} for b in {*asked, LINEAR}] if powers else []
    )
    if powers:
        pairs = itertools.product(dict.fromkeys((*asked, LINEAR, QUADRATIC)), repeat=2)
        both += [
            block
            for a, b in pairs
            if {a, b} & set(asked) and "power" in (a.kind, b.kind)
            for block in _smooth_powers(a, b)
        ]
        both += [_symmetric_power(rate) for rate in powers if rate.is_Integer and 3 <= rate <= 6]
    plain = (*_PLAIN, *_scaled()) if fine else _PLAIN
    found = [
        *plain,
        *map(_linex_block, signed),
        *(_pair(rate) for rate in rates if rate != HALF),
        *map(_cosh, rates),
        *(_glued(a, b) for a in glued_rates for b in glued_rates if a != b),
        *map(_power, powers),
        *(block for block in both if block is not None),
    ]
    unique = {block.text: block for block in found}
    return tuple(sorted(unique.values(), key=lambda block: (block.cost, block.text)))


def allowed(block: Block, wishes: Wishes) -> bool:
    """Does nothing in the block contradict the wishes? A sum of allowed blocks does not either."""
    left, right = block.left or LINEAR, block.right or LINEAR
    fast = right.kind == "exponential"
    if (wishes.zero_forcing is False and left != LINEAR) or (
        wishes.zero_avoiding is False and fast and right.rate >= 1
    ):
        return False
    if (wishes.symmetric and not block.symmetric) or (wishes.even and not block.even):
        return False
    if wishes.bounded_gradient and (left != LINEAR or right != LINEAR):
        return False
    if wishes.bounded_second_moment and fast and right.rate > HALF:
        return False
    if (wishes.curvature is not None or wishes.smooth) and not block.smooth:
        return False
    if wishes.smooth and block.bent:
        return False
    return not (
        (wishes.left_growth is not None and wishes.left_growth < left)
        or (wishes.right_growth is not None and wishes.right_growth < right)
    )


def needs(wishes: Wishes) -> list:
    """Tests on a block, each of which one member of the sum at least must pass."""
    found = [lambda b: b.left is not None, lambda b: b.right is not None]
    if wishes.zero_forcing:
        found.append(lambda b: b.left not in (None, LINEAR))
    if wishes.zero_avoiding:
        found.append(
            lambda b: b.right is not None and b.right.kind == "exponential" and b.right.rate >= 1
        )
    if wishes.left_growth is not None:
        found.append(lambda b: b.left == wishes.left_growth)
    if wishes.right_growth is not None:
        found.append(lambda b: b.right == wishes.right_growth)
    return found
