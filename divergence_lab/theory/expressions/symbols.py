"""The symbols and the words of the language, and the one sign convention of the whole project.

    residual   x = log p_B(o) - log p_F(o), > 0 where the model has too little
    ratio      t = e^x = p_B(o) / p_F(o)
    loss       g(x), with g(0) = 0 its minimum
    generator  f(t), with f(1) = f'(1) = 0, of D_f(p_B || p_F) = sum_o p_F(o) f(p_B(o) / p_F(o))

Everything that needs a sign imports it from here in words: nothing else in the package defines a
residual. Symbols that theory brings in for its own use have a ~ in their names: no parameter of a
loss can be called so.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import mpmath
import sympy as sp
from sympy.core.facts import InconsistentAssumptions

from divergence_lab.theory.expressions.syntax import ExpressionError

Node = Any
"""A SymPy expression of whose parts SymPy's type stubs know little."""

x = sp.Symbol("x", real=True)
"""The residual."""

t = sp.Symbol("t", positive=True)
"""The ratio e^x."""

# --- the words of the language

CONSTANTS: Mapping[str, tuple[sp.Expr, float]] = {
    "pi": (sp.pi, math.pi),
    "E": (sp.E, math.e),
    "EulerGamma": (sp.EulerGamma, 0.5772156649015329),
}


def _tan(u: sp.Expr) -> sp.Expr:
    """tan u = sin u/cos u"""
    return sp.sin(u) / sp.cos(u)


def _clip(u: sp.Expr, low: sp.Expr, high: sp.Expr) -> sp.Expr:
    """u, no lower than low and no higher than high."""
    return sp.Min(sp.Max(u, low), high)


def _acosh(u: sp.Expr) -> sp.Expr:
    """acosh u, and |v| for acosh(cosh v)"""
    return sp.Abs(u.args[0]) if isinstance(u, sp.cosh) else sp.acosh(u)


# name -> (SymPy function, float version used only to see that a constant stays real and below
# MAX_CONSTANT,
#          least and greatest number of arguments)
FUNCTIONS: Mapping[str, tuple[Callable, Callable, int, int]] = {
    "exp": (sp.exp, mpmath.exp, 1, 1),
    "log": (sp.log, lambda v: mpmath.log(v) if v > 0 else math.log(v), 1, 1),
    "sqrt": (sp.sqrt, mpmath.sqrt, 1, 1),
    "Abs": (sp.Abs, abs, 1, 1),
    "sign": (sp.sign, lambda v: math.copysign(1.0, v) if v else 0.0, 1, 1),
    "Max": (sp.Max, max, 1, 20),
    "Min": (sp.Min, min, 1, 20),
    "sinh": (sp.sinh, math.sinh, 1, 1),
    "cosh": (sp.cosh, math.cosh, 1, 1),
    "tanh": (sp.tanh, math.tanh, 1, 1),
    "asinh": (sp.asinh, math.asinh, 1, 1),
    "acosh": (_acosh, math.acosh, 1, 1),
    "atanh": (sp.atanh, math.atanh, 1, 1),
    "atan": (sp.atan, math.atan, 1, 1),
    "erf": (sp.erf, math.erf, 1, 1),
    "erfi": (sp.erfi, lambda v: float(mpmath.erfi(v)), 1, 1),
    "Ei": (sp.Ei, lambda v: float(mpmath.ei(v)), 1, 1),
    "polylog": (sp.polylog, lambda s, z: float(mpmath.polylog(s, z)), 2, 2),
    "gamma": (sp.gamma, math.gamma, 1, 1),
    "polygamma": (sp.polygamma, lambda m, z: float(mpmath.psi(int(m), z)), 2, 2),
    "zeta": (sp.zeta, lambda s: float(mpmath.zeta(s)), 1, 1),
    "sin": (sp.sin, math.sin, 1, 1),
    "cos": (sp.cos, math.cos, 1, 1),
    "erfc": (sp.erfc, math.erfc, 1, 1),
    # other spellings of these
    "abs": (sp.Abs, abs, 1, 1),
    "max": (sp.Max, max, 1, 20),
    "min": (sp.Min, min, 1, 20),
    "tan": (_tan, math.tan, 1, 1),
    "log1p": (lambda u: sp.log(1 + u), math.log1p, 1, 1),
    "log10": (lambda u: sp.log(u) / sp.log(10), math.log10, 1, 1),
    "expm1": (lambda u: sp.exp(u) - 1, math.expm1, 1, 1),
    "sigmoid": (lambda u: 1 / (1 + sp.exp(-u)), lambda v: 1 / (1 + math.exp(-v)), 1, 1),
    "softplus": (lambda u: sp.log(1 + sp.exp(u)), lambda v: math.log1p(math.exp(v)), 1, 1),
    "relu": (lambda u: sp.Max(u, 0), lambda v: max(v, 0.0), 1, 1),
    "clip": (_clip, lambda v, low, high: min(max(v, low), high), 3, 3),
    "Heaviside": (lambda u: (1 + sp.sign(u)) / 2, lambda v: (v > 0) + (v == 0) / 2, 1, 1),
}
PIECEWISE, ROOT = "Piecewise", "Root"

NOT_LISTED = (
    "is not part of the language; it has + - * / **, numbers, parameters and the functions "
    "listed in the docs"
)
# Python that is no expression here, and what to write.
OTHER_SYNTAX = {
    "Attribute": "attributes are not part of the language",
    "Compare": "a comparison may stand only as a condition of Piecewise",
    "BoolOp": "a comparison may stand only as a condition of Piecewise",
    "IfExp": "cases are written Piecewise((x**2, x > 0), (-x, True))",
    "Lambda": "write the expression alone, such as x**2",
    "List": "write the expression alone, without brackets",
    "Tuple": "write one expression, without commas",
}

# What others call a function, and how it is written here.
OTHER_WORDS = {
    "ln": "log(u)",
    "log2": "log(u)/log(2)",
    "arctan": "atan(u)",
    "arcsinh": "asinh(u)",
    "arccosh": "acosh(u)",
    "arctanh": "atanh(u)",
    "fabs": "Abs(u)",
    "norm": "Abs(u)",
    "pow": "u**v",
    "power": "u**v",
    "square": "u**2",
    "cbrt": "u**(1/3)",
    "exp2": "2**u",
    "sgn": "sign(u)",
    "step": "Heaviside(u)",
    "where": "Piecewise((u, x < 0), (v, True))",
    "lgamma": "log(gamma(u))",
    "loggamma": "log(gamma(u))",
    "digamma": "polygamma(0, u)",
    "sech": "1/cosh(u)",
    "csch": "1/sinh(u)",
    "coth": "1/tanh(u)",
    "logistic": "sigmoid(u)",
    "maximum": "Max(u, v)",
    "minimum": "Min(u, v)",
    "clamp": "clip(u, low, high)",
}


# --- parameters

Bounds = dict[str, list[tuple[str, sp.Expr]]]  # {"a": [(">", 0), ("<", 1)]}


def with_implied(bounds: Bounds, related: list[tuple[sp.Expr, str]]) -> Bounds:
    """The bounds with those by numbers that follow from d > 0, and the like, once for each
    parameter of it.
    """
    for _ in related:  # one may follow from another
        for difference, relation in related:
            for symbol in sorted(difference.free_symbols, key=str):
                found = _implied(symbol, difference, relation, bounds)
                if found is not None and found not in bounds.get(str(symbol), ()):
                    bounds.setdefault(str(symbol), []).append(found)
    return bounds


def _implied(
    symbol: Any, difference: Any, relation: str, bounds: Bounds
) -> tuple[str, sp.Expr] | None:
    """The bound on one parameter, by the largest or smallest value that the others may have."""
    slope = difference.coeff(symbol)
    if relation == "!=":
        return None
    above = (relation[0] == ">") is bool(slope.is_positive)
    rest, strict = sp.S.Zero, len(relation) == 1
    for term in sp.Add.make_args(sp.expand(symbol - difference / slope)):
        if term.is_number:
            rest += term
            continue
        factor, other = term.as_coeff_Mul()
        way = ">" if above is bool(factor > 0) else "<"
        ends = [(b, len(r) == 1) for r, b in bounds.get(str(other), ()) if r[0] == way]
        if not ends:
            return None
        end, open_there = (max if way == ">" else min)(ends, key=lambda e: e[0])
        rest, strict = rest + factor * end, strict or open_there
    return (">" if above else "<") + ("" if strict else "="), rest


def parameter(name: str, bounds: Iterable[tuple[str, sp.Expr]] = ()) -> sp.Symbol:
    """A real symbol that carries the sign its bounds imply."""
    known = {"real": True}
    for relation, bound in bounds:
        if relation == ">" and bound >= 0:
            known["positive"] = True
        elif relation == ">=" and bound >= 0:
            known["positive" if bound > 0 else "nonnegative"] = True
        elif relation == "<" and bound <= 0:
            known["negative"] = True
        elif relation == "<=" and bound <= 0:
            known["negative" if bound < 0 else "nonpositive"] = True
        elif relation == "!=" and bound == 0:
            known["nonzero"] = True
    if known.keys() >= {"positive", "negative"} or _is_empty(bounds):
        raise ExpressionError(
            f"the assumptions on {name} contradict one another, or leave a single value: "
            "drop one, or --set the value"
        )
    try:
        return sp.Symbol(name, **known)
    except InconsistentAssumptions:
        raise ExpressionError(
            f"the assumptions on {name} contradict one another: drop one"
        ) from None


def _is_empty(bounds: Iterable[tuple[str, sp.Expr]]) -> bool:
    """No more than one number lies within the bounds."""
    lows = [bound for relation, bound in bounds if relation[0] == ">"]
    highs = [bound for relation, bound in bounds if relation[0] == "<"]
    return any(bool(low >= high) for low in lows for high in highs)
