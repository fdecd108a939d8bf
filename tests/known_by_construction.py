"""Losses whose verdicts are known by how they are built, of the kinds that people write: removable
points, breaks, crossings, names, scales, tails.

A part has g(0) = g'(0) = 0 once its constant and slope at 0 are taken off, is convex, and each end
of it is known. Sums and maxima of parts are convex, minima fall and rise; what a break is added to
is no loss.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

from hypothesis import strategies as st


@dataclass(frozen=True)
class Part:
    """A convex function: does f(0+) = oo, f'(oo) = oo, is g' bounded on the left, on the right."""

    text: str
    zero_forcing: bool = False
    zero_avoiding: bool = False
    bounded_left: bool = False
    bounded_right: bool = False
    even: bool = False
    tangent: bool = True  # its slope at 0 is 0 as it is written


@dataclass(frozen=True)
class Known:
    """A loss as text, with those of its verdicts that are known."""

    text: str
    verdicts: dict[str, bool]


def _even(text: str, steep: bool = False, **ends: bool) -> Part:
    return Part(
        text, zero_forcing=steep, bounded_left=not steep, bounded_right=not steep, even=True, **ends
    )


SMOOTH = (
    _even("x**2/2", True),
    _even("x**4", True),
    _even("(cosh(x) - 1)", True, zero_avoiding=True),
    _even("x*asinh(x)", True),
    _even("log(cosh(x))"),
    _even("(sqrt(1 + x**2) - 1)"),
    _even("x*atan(x)"),
    _even("(x*erf(x) + exp(-x**2)/sqrt(pi))"),
    Part("(exp(x) - x - 1)", zero_avoiding=True, bounded_left=True),
    Part("(exp(-x) + x - 1)", zero_forcing=True, bounded_right=True),
    Part("4*(exp(x/2) - x/2 - 1)", bounded_left=True),
    Part("(exp(2*x) - 2*x - 1)/4", zero_avoiding=True, bounded_left=True),
)
# x/tanh(x) = 1 and sinh(x)/x = 1 at 0, by their limits
REMOVABLE = (
    _even("sinh(x)/x", True, zero_avoiding=True),
    _even("x/tanh(x)"),
    _even("log(sinh(x)/x)"),
    _even("x/(exp(x) - 1)", tangent=False),
    Part("(exp(x) - 1)/x", zero_avoiding=True, bounded_left=True, tangent=False),
    Part("(exp(x) - x - 1)/x", zero_avoiding=True, bounded_left=True, tangent=False),
    Part("Piecewise((x**2, x < 0), (x**2*exp(-1/x), True))", zero_forcing=True),
)
LOGARITHMIC = (  # slopes that grow more slowly than every power
    _even("Abs(x)*log(1 + log(1 + Abs(x)))", True),
    _even("Abs(x)*log(1 + Abs(x))", True),
    _even("(x*log(x + sqrt(1 + x**2)) - sqrt(1 + x**2))", True),
)
NAMED = (
    _even("quadratic", True),
    _even("log_cosh"),
    _even("shifted_cosh", True, zero_avoiding=True),
    Part("linex(1)", zero_avoiding=True, bounded_left=True),
    Part("linex(-1)", zero_forcing=True, bounded_right=True),
    Part("linex(1/2)", bounded_left=True),
)
LINES = (
    "(x**2 - 4)/(x - 2)",
    "(x**3 + 1)/(x**2 - x + 1)",
    "(x**2 + x)/x",
    "(4*x**2 - 1)/(2*x + 1)",
)
PLACES = ("1", "(-2)", "1/2", "log(2)", "sqrt(2)", "(-log(3))")
BREAKS = (
    "atan(1/(x - {a}))",
    "tanh(1/(x - {a}))",
    "Abs(x - {a})/(x - {a})",
    "sign(x - {a})",
    "1/(x - {a})",
    "1/(x - {a})**2",
    "log(Abs(x - {a}))",
    "log((x - {a})**2)",
    "exp(1/(x - {a}))",
    "1/sinh(x - {a})",
    "exp(x)/(x - {a})**2",
    "0**Abs(x)",
)
WEIGHTS = st.sampled_from([Fraction(n, d) for n in (1, 2, 3, 7) for d in (1, 2, 5)])


def _verdicts(parts: list[Part], some: Callable = any, every: Callable = all) -> dict[str, bool]:
    """Of a sum or a maximum; of a minimum with `some` and `every` exchanged."""
    known = {
        "valid": True,
        "zero_forcing": some(part.zero_forcing for part in parts),
        "zero_avoiding": some(part.zero_avoiding for part in parts),
        "bounded_gradient": every(part.bounded_left for part in parts)
        and every(part.bounded_right for part in parts),
    }
    if all(part.even for part in parts):
        known["even"] = True
    return known


@st.composite
def sums(draw, parts=(*SMOOTH, *REMOVABLE)) -> Known:
    """A part of the kind that is asked for, a smooth one, perhaps a line in disguise."""
    chosen = [draw(st.sampled_from(parts)), *draw(st.lists(st.sampled_from(SMOOTH), max_size=1))]
    text = " + ".join(f"{draw(WEIGHTS)}*{part.text}" for part in chosen)
    if draw(st.booleans()):
        text += f" + {draw(st.sampled_from(LINES))}"
    return Known(text, {**_verdicts(chosen), "convex": True})


@st.composite
def broken(draw) -> Known:
    """A sum with a pole or a jump."""
    extra = draw(st.sampled_from(BREAKS)).format(a=draw(st.sampled_from(PLACES)))
    part = draw(st.sampled_from(SMOOTH))
    return Known(f"{draw(WEIGHTS)}*{part.text} + {draw(WEIGHTS)}*{extra}", {"valid": False})


@st.composite
def crossings(draw, parts=SMOOTH) -> Known:
    """The maximum or the minimum of two parts, wherever they cross."""
    chosen = draw(st.lists(st.sampled_from(parts), min_size=2, max_size=2, unique=True))
    one, other = (f"{draw(WEIGHTS)}*{part.text}" for part in chosen)
    if draw(st.booleans()):
        return Known(f"Min({one}, {other})", _verdicts(chosen, all, any))
    form = draw(st.sampled_from(("Max({0}, {1})", "Piecewise(({0}, {0} > {1}), ({1}, True))")))
    return Known(form.format(one, other), {**_verdicts(chosen), "convex": True})


@st.composite
def named(draw) -> Known:
    """Names of the catalogue in sums, with parts."""
    chosen = [draw(st.sampled_from(NAMED)), draw(st.sampled_from((*NAMED, *SMOOTH)))]
    text = " + ".join(f"{draw(WEIGHTS)}*{part.text}" for part in chosen)
    return Known(text, {**_verdicts(chosen), "convex": True})


@st.composite
def scaled(draw) -> Known:
    """w g(s x) with powers of ten; a hair more or less than tangent; kinks far out."""
    power = draw(st.sampled_from([-60, -30, -12, 12, 30, 60]))
    weight = f"10**({draw(st.sampled_from([-80, -40, 0, 40, 80]))})"
    kind = draw(st.sampled_from(["even", "tangent", "kink", "bend"]))
    if kind == "even":
        part = draw(st.sampled_from([p for p in SMOOTH if p.even and not p.zero_avoiding]))
        inside = part.text.replace("exp", "EXP").replace("x", f"(10**({power})*x)")
        return Known(
            f"{weight}*{inside.replace('EXP', 'exp')}", {**_verdicts([part]), "convex": True}
        )
    if kind == "tangent":
        holds = draw(st.booleans())
        hair = f"{'-' if holds else '+'} 10**(-{abs(power)})"
        text = f"{weight}*(cosh(x) - 1 - (1/2 {hair})*x**2)"
        ends = {"zero_forcing": True, "zero_avoiding": True, "bounded_gradient": False}
        return Known(text, {"valid": holds, "convex": holds, "even": True, **ends})
    if kind == "kink":
        far = f"(10**{abs(power)})"
        text = f"Piecewise((x**2/2, x < {far}), ({far}*x - {far}**2/2, True))"
        ends = {"zero_forcing": True, "zero_avoiding": False, "bounded_gradient": False}
        return Known(f"{weight}*{text}", {"valid": True, "convex": True, "even": False, **ends})
    ends = {"zero_forcing": False, "zero_avoiding": False, "bounded_gradient": True}
    return Known(
        f"{weight}*log(1 + 10**({power})*x**2)",
        {"valid": True, "convex": False, "even": True, **ends},
    )


# (e^x - x - 1) R(x) right of 0: f'(oo) = oo exactly when the integral of R diverges
FACTORS = (
    ("1/sqrt(1 + x)", True),
    ("1/(1 + x)", True),
    ("(1 + x)**(-1001/1000)", False),
    ("1/(1 + x)**2", False),
    ("log(2 + x)**(-3)", True),
    ("1/((2 + x)*log(2 + x))", True),
    ("1/((2 + x)*log(2 + x)**2)", False),
    ("1/((20 + x)*log(20 + x)*log(log(20 + x)))", True),
    ("exp(-sqrt(log(2 + x)))", True),
    ("exp(-log(2 + x)**(2/3))", True),
    ("exp(-log(2 + x)**2)", False),
    ("exp(-sqrt(1 + x))", False),
)


@st.composite
def tails(draw) -> Known:
    """Parts whose slope grows slowly, and (e^x - x - 1) R(x), which only its end decides."""
    if draw(st.booleans()):
        return draw(sums(parts=LOGARITHMIC))
    factor, diverges = draw(st.sampled_from(FACTORS))
    weight = draw(WEIGHTS)
    left = draw(st.sampled_from([p for p in SMOOTH if p.even and not p.zero_avoiding]))
    at_zero = left.text.replace("x", "0*x").replace("e0*xp", "exp")
    right = f"{weight}*(exp(x) - x - 1)*{factor}"
    text = f"Piecewise(({left.text} - ({at_zero}), x < 0), ({right}, True))"
    return Known(
        text,
        {
            "zero_forcing": left.zero_forcing,
            "zero_avoiding": diverges,
            "even": False,
            "bounded_gradient": False,
        },
    )


KINDS = {
    "removable": sums(parts=REMOVABLE),
    "broken": broken(),
    "crossing": crossings(),
    "named": named(),
    "scaled": scaled(),
    "tails": tails(),
}
