"""The way back: SymPy -> text, LaTeX and MathML, a positive term first; text with the signs of
mathematics.
"""

import re
from functools import lru_cache
from html import escape, unescape
from typing import Any

import sympy as sp
from sympy.printing.latex import LatexPrinter
from sympy.printing.mathml import MathMLPresentationPrinter
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


class _MathWriter(PositiveFirst, MathMLPresentationPrinter):
    """What MathML Core lacks is done by hand: a brace that stretches in any font (cases stand in a
    table, for the page to rule), and fractions that lie on the line of an exponent, e^(x/2).
    """

    def _print_Piecewise(self, expr):
        table = self.dom.createElement("mtable")
        for value, condition in expr.args:
            row = table.appendChild(self.dom.createElement("mtr"))
            where = self._held("mtext", "otherwise") if condition == sp.true else None
            cells: tuple[Any, Any] = (self._print(value), where or self._print(condition))
            for content in cells:
                row.appendChild(self.dom.createElement("mtd")).appendChild(content)
        return table

    def _print_Pow(self, e):
        return self._on_one_line(super()._print_Pow(e))

    def _print_exp(self, expr):
        return self._on_one_line(super()._print_exp(expr))

    def _on_one_line(self, power: Any) -> Any:
        for raised in [power, *power.getElementsByTagName("msup")]:
            above = [raised.lastChild] if raised.tagName == "msup" else []
            above += [inner for one in above for inner in one.getElementsByTagName("mfrac")]
            for node in above:
                if node.tagName == "mfrac" and all(_is_short(part) for part in node.childNodes):
                    node.tagName = "mrow"
                    slash = self._held("mo", "/", lspace="0", rspace="0")
                    node.insertBefore(slash, node.lastChild)
        return power

    def _held(self, tag: str, text: str, **attributes: str) -> Any:
        node = self.dom.createElement(tag)
        node.appendChild(self.dom.createTextNode(text))
        for name, value in attributes.items():
            node.setAttribute(name, value)
        return node


def _is_short(node: Any) -> bool:
    """A number, a letter, or a product of two: 2, x, 3 x"""
    inner = node.getElementsByTagName("*")
    plain = {one.tagName for one in [node, *inner]} <= {"mi", "mn", "mrow", "mo"}
    text = re.sub("<[^>]+>", "", _as_text(node)).replace("\N{INVISIBLE TIMES}", "")
    return plain and len(text) <= 3 and text.isalnum()


def _as_text(node: Any) -> str:
    """An element as text; SymPy leaves the signs in it, such as <, as they are."""
    if node.nodeType == node.TEXT_NODE:
        sign = node.data.replace("&ExponentialE;", "e")
        return escape("\N{MINUS SIGN}" if sign == "-" else unescape(sign))
    attributes = "".join(f' {name}="{escape(value)}"' for name, value in node.attributes.items())
    inside = "".join(map(_as_text, node.childNodes))
    return f"<{node.tagName}{attributes}>{inside}</{node.tagName}>"


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


# brackets around what is not high need not stretch, and a called name stands off its factor
_BRACKETS = re.compile(r"<mo>\(</mo>((?:(?!<mo>[()]|<mfrac|<mtable|<msup).)*)<mo>\)</mo>")
_CALLED = re.compile(r"<mo>\N{INVISIBLE TIMES}</mo>(?=(?:<mrow>)?<mi>\w\w)")


def write_mathml(expression: sp.Expr) -> str:
    """The expression as presentation MathML, without the `math` around it.

    >>> from divergence_lab.theory.expressions import parse, x
    >>> print(write_mathml(parse("exp(x)", x)))
    <msup><mi>e</mi><mi>x</mi></msup>
    """
    text, found = _as_text(_MathWriter()._print(expression)), 1
    while found:
        text, found = _BRACKETS.subn(
            r'<mo stretchy="false">(</mo>\1<mo stretchy="false">)</mo>', text
        )
    return _CALLED.sub('<mo rspace="0.17em">\N{INVISIBLE TIMES}</mo>', text)


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
