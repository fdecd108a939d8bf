"""The way back: SymPy -> text and LaTeX, a positive term first; text with the signs of "
"mathematics."""

import re
from functools import lru_cache

import sympy as sp
from sympy.printing.latex import LatexPrinter
from sympy.printing.str import StrPrinter

from divergence_lab.theory.expressions.unified import has_many_constants, unified

VARIABLES = {"x", "t"}


class PositiveFirst:
    """Mixed into a SymPy printer: a positive term stands first where there is one, exp(x) - x -
    1, not -x + exp(x) - 1.
    """

    def _as_ordered_terms(self, expr, order=None):
        terms = super()._as_ordered_terms(expr, order=order)
        first = next((i for i, term in enumerate(terms) if not term.could_extract_minus_sign()), 0)
        return [terms[first], *terms[:first], *terms[first + 1 :]]


class _Writer(PositiveFirst, StrPrinter):
    def _print_Or(self, expr):
        return " or ".join(
            f"({self._print(part)})" for part in sorted(expr.args, key=sp.default_sort_key)
        )

    def _print_And(self, expr):
        return " and ".join(
            f"({self._print(part)})" for part in sorted(expr.args, key=sp.default_sort_key)
        )

    def _print_Relational(self, expr):
        """The variable's side first and without its minus, as people write it: SymPy turns a
        relation when it copies, x < -c to -x > c.
        """
        left, right = ({str(symbol) for symbol in side.free_symbols} for side in expr.args)
        if not left & VARIABLES and right & VARIABLES:
            expr = expr.reversed
        if expr.lhs.as_coeff_Mul()[0].is_negative and expr.lhs.free_symbols:
            expr = expr.reversedsign
        return super()._print_Relational(expr)

    def _print_dirichlet_eta(self, expr):
        """What SymPy makes of polylog(3, -1), by what the language has."""
        return f"({self._print(expr.rewrite(sp.zeta))})"


class _LatexWriter(PositiveFirst, LatexPrinter):
    pass


@lru_cache(maxsize=5_000)  # a loss and its slopes are written into every step of every proof
def write(expression: sp.Expr) -> str:
    """The expression as text that `parse` reads back to an equal expression.

    >>> from divergence_lab.theory.expressions import parse, x
    >>> write(parse("-x + exp(x) - 1", x))
    'exp(x) - x - 1'
    """
    return _Writer().doprint(expression)


def write_latex(expression: sp.Expr) -> str:
    """The expression as LaTeX, terms in the same order as `write` has them.

    >>> from divergence_lab.theory.expressions import parse, x
    >>> print(write_latex(parse("x**2", x)))
    x^{2}
    """
    return _LatexWriter().doprint(expression)


_SUPERSCRIPTS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
_GREEK = {
    "alpha": "α",
    "beta": "β",
    "gamma": "γ",
    "delta": "δ",
    "epsilon": "ε",
    "eta": "η",
    "theta": "θ",
    "kappa": "κ",
    "mu": "μ",
    "nu": "ν",
    "rho": "ρ",
    "sigma": "σ",
    "tau": "τ",
    "omega": "ω",
}
_SIGNS = (
    (r"\bint (.+?) (d[a-z])\b", r"∫ \1 \2"),
    (r"\be\^\(-x\)", "e⁻ˣ"),
    (r"\be\^x\b", "eˣ"),
    (r"-oo\b", "−∞"),
    (r"\boo\b", "∞"),
    (r"<=", "≤"),
    (r">=", "≥"),
    (r"!=", "≠"),
    (r"->", "→"),
    (r"\+-", "±"),
    (r"\|\|", "‖"),
    (r"\bsum (?=\|)", "Σ "),
    (r"\bsqrt\(", "√("),
    (r"(?<=[\w)])\*(?=[\w(])", "·"),
    (r"\*\*", "^"),
)


def in_signs(text: str) -> str:
    """A sentence with the signs of mathematics, for a terminal or a page that can show them.

    >>> print(in_signs("f'(oo) = int g'(x) e^(-x) dx = oo, p >= 1, by x**2/2 -> oo"))
    f'(∞) = ∫ g'(x) e⁻ˣ dx = ∞, p ≥ 1, by x²/2 → ∞
    """
    text = re.sub(r"\*\*(\d+)(?!\d|\.\d)", lambda power: power[1].translate(_SUPERSCRIPTS), text)
    for plain, sign in _SIGNS:
        text = re.sub(plain, sign, text)
    return re.sub(rf"\b({'|'.join(_GREEK)})\b(?!\()", lambda name: _GREEK[name[1]], text)


def shortest(c: sp.Expr) -> sp.Expr:
    """An exact number in a short form. SymPy's `simplify` is asked where at most one part of it is
    irrational: of two it may make towers of powers, and take minutes.
    """
    if c.free_symbols or not has_many_constants(c):
        return sp.simplify(c)
    alike = unified(sp.expand(c))
    return min((c, sp.expand(c), alike, sp.expand(alike)), key=sp.count_ops)
