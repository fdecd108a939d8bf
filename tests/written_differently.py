"""Equal expressions that look different: a seeded grammar of losses, each written twice."""

import random

# One number in two forms each: denested roots, rationalised fractions, combined logarithms, merged
# exponentials.
NUMBERS = [
    ("sqrt(2)-1", "1/(1+sqrt(2))"),
    ("sqrt(3)-1", "2/(1+sqrt(3))"),
    ("sqrt(3+2*sqrt(2))", "1+sqrt(2)"),
    ("sqrt(5+2*sqrt(6))-2", "sqrt(2)+sqrt(3)-2"),
    ("(2+sqrt(5))**(1/3)", "(1+sqrt(5))/2"),
    ("sqrt(8)/3", "2*sqrt(2)/3"),
    ("sqrt(6)/2", "sqrt(3)/sqrt(2)"),
    ("log(6)", "log(2)+log(3)"),
    ("log(8)/2", "3*log(2)/2"),
    ("log(3+2*sqrt(2))", "2*log(1+sqrt(2))"),
    ("log(12)-log(4)", "log(3)"),
    ("exp(sqrt(2)-1)", "exp(1/(1+sqrt(2)))"),
    ("exp(1+sqrt(2))/8", "exp(1)*exp(sqrt(2))/8"),
    ("(sqrt(5)-1)*(sqrt(5)+1)/4", "1"),
    ("sqrt(2)*sqrt(8)/2", "2"),
    ("1/(1+sqrt(2)+sqrt(3))", "(2+sqrt(2)-sqrt(6))/4"),
    ("3/2", "1+1/(3-1)"),
    ("exp(log(3)/2)", "sqrt(3)"),
    ("2", "6/3"),
    ("1/(3-2*sqrt(2))", "3+2*sqrt(2)"),
    ("tanh(1)", "(exp(2)-1)/(exp(2)+1)"),
    ("asinh(1)", "log(1+sqrt(2))"),
]


def number(draw: random.Random) -> tuple[str, str]:
    """A positive number in two forms, in either order."""
    pair = draw.choice(NUMBERS)
    return pair if draw.random() < 0.5 else pair[::-1]


def _powers(draw: random.Random, u: str) -> tuple[str, str]:
    """u^a u^b, split or merged."""
    (a, a2), (b, b2) = number(draw), number(draw)
    return draw.choice(
        [
            (f"({u})**({a})*({u})**({b})", f"({u})**(({b2})+({a2}))"),
            (f"({u})**(({a})+({b}))/({u})**({b})", f"({u})**({a2})"),
            (f"(({u})**({a})+1)**2", f"({u})**(2*({a2}))+2*({u})**({a2})+1"),
        ]
    )


def _nothing(draw: random.Random, u: str) -> str:
    """1, in disguise."""
    (a, a2), (b, b2) = number(draw), number(draw)
    return draw.choice(
        [
            f"exp(({u})**({a})-({u})**({a2}))",
            f"(({u})**(({a})-({a2})))",
            f"(1+(({a})-({a2}))*({u})**({b}))",
            f"(({a})*({b})/(({b2})*({a2})))",
            f"exp(log(1+({u}))*(({a})-({a2})))",
            f"(({a})/(({b})/(({b2})/({a2}))))",
        ]
    )


def _block(draw: random.Random) -> tuple[str, str]:
    """A loss, mostly, in two forms."""
    (c, c2), (d, d2) = number(draw), number(draw)
    return draw.choice(
        [
            (f"exp(({c})*x)-({c})*x-1", f"exp(x/(1/({c2})))-1-x*({c2})"),
            (
                f"exp(({c})*x)*exp(({d})*x)-(({c})+({d}))*x-1",
                f"exp(x*(({d2})+({c2})))-({c2})*x-({d2})*x-1",
            ),
            (f"log(cosh(({c})*x))", f"log((exp(({c2})*x)+exp(-({c2})*x))/2)"),
            (f"sqrt(1+({c})*x**2)-1", f"sqrt(x**2+1/({c2}))*sqrt({c2})-1"),
            (f"log(1+({c})*x**2)", f"log(1/({c2})+x**2)+log({c2})"),
            (
                f"Piecewise((x**2/2, Abs(x)<({c})), (({c})*(Abs(x)-({c})/2), True))",
                f"Piecewise((x**2/2, Abs(x)<({c2})), (({c2})*Abs(x)-({c2})**2/2, True))",
            ),
            (f"Max(0, x-({c}))+Max(0, -x-({c}))", f"Max({c2}, Abs(x))-({c2})"),
            (f"Max(0, ({c})*x-({d}))", f"({c2})*Max(0, x-({d2})/({c2}))"),
            (f"Abs(x)**(1+({c}))", f"Abs(x)*Abs(x)**({c2})"),
            (f"x**2*Abs(x)**({c})", f"Abs(x)**(2+({c2}))"),
            (f"1-exp(-({c})*x**2)", f"1-exp(-x**2/(1/({c2})))"),
            (f"(x+({c}))**2", f"x**2+2*({c2})*x+({c2})**2"),
            (f"x**2*{_nothing(draw, 'Abs(x)')}", "x**2"),
            (f"cosh(({c})*x)-1", f"(exp(({c2})*x)+exp(-({c2})*x))/2-1"),
        ]
    )


def losses(seed: int) -> tuple[str, str]:
    """One loss in two forms: a block, or a sum of two with weights."""
    draw = random.Random(seed)
    a, a2 = _block(draw)
    if draw.random() < 0.5:
        return (f"({a})*{_nothing(draw, '1+x**2')}", a2) if draw.random() < 0.3 else (a, a2)
    (b, b2), (k, k2) = _block(draw), number(draw)
    return f"({a})+({k})*({b})", f"({k2})*({b2})+({a2})"


def functions(seed: int) -> tuple[str, str]:
    """A function of large x in two forms: products and sums of powers, exponentials and
    logarithms.
    """
    draw = random.Random(seed)

    def part() -> tuple[str, str]:
        (c, c2), kind = number(draw), draw.randrange(7)
        if kind == 0:
            return _powers(draw, draw.choice(["x", "log(x)", "1+x"]))
        if kind == 1:
            inner, inner2 = _powers(draw, "x")
            return f"exp(-({inner}))", f"1/exp({inner2})"
        if kind == 2:
            return f"exp(({c})*x)*x", f"x/exp(-x*({c2}))"
        if kind == 3:
            return f"log(({c})*x**({c}))", f"log({c2})+({c2})*log(x)"
        if kind == 4:
            return f"x**({c})*{_nothing(draw, 'x')}", f"x**({c2})"
        return f"({c})*{_nothing(draw, draw.choice(['x', 'log(x)']))}", f"({c2})"

    (a, a2), (b, b2) = part(), part()
    operator = draw.choice("+-*/")
    return f"({a}){operator}({b})", f"({a2}){operator}({b2})"
