"""Formulas in SymPy's writing -> MathML, which browsers draw themselves.

"x**2/2"  ->  <math><mfrac><msup><mi>x</mi><mn>2</mn></msup><mn>2</mn></mfrac></math>
"""

import html
import re
from typing import Any

import sympy as sp
from sympy.printing.mathml import MathMLPresentationPrinter

from divergence_lab.theory.expressions import ExpressionError, parse, t, x

LONGEST = 3000


class _Printer(MathMLPresentationPrinter):
    """SymPy's, with pieces below each other."""

    def _print_Piecewise(self, expression: Any) -> Any:
        table = self.dom.createElement("mtable")
        for value, condition in expression.args:
            row = table.appendChild(self.dom.createElement("mtr"))
            otherwise: Any = self.dom.createElement("mtext")
            otherwise.appendChild(self.dom.createTextNode("otherwise"))
            for cell in (
                self._print(value),
                otherwise if condition == sp.true else self._print(condition),
            ):
                row.appendChild(self.dom.createElement("mtd")).appendChild(cell)
        whole, brace = self.dom.createElement("mrow"), self.dom.createElement("mo")
        brace.appendChild(self.dom.createTextNode("{"))
        whole.appendChild(brace)
        whole.appendChild(table)
        return whole


def mathml(text: str) -> str:
    """The formula as MathML; "" where it is too long or can't be drawn.

    >>> mathml("exp(x) - 1")
    '<math><mrow><msup><mi>e</mi><mi>x</mi></msup><mo>\u2212</mo><mn>1</mn></mrow></math>'
    """
    if len(text) > LONGEST:
        return ""
    try:
        expression = parse(text, t if re.search(r"\bt\b", text) else x)
        written = _written(_Printer()._print(expression))
    except (ExpressionError, AttributeError, RecursionError, NotImplementedError):
        return ""
    return f"<math>{written}</math>"


def _written(node: Any) -> str:
    """An element as text; SymPy leaves the signs in it, such as <, as they are."""
    if node.nodeType == node.TEXT_NODE:
        sign = node.data.replace("&ExponentialE;", "e")
        sign = "\u2212" if sign == "-" else sign
        return html.escape(html.unescape(sign))
    attributes = "".join(
        f' {name}="{html.escape(value)}"' for name, value in node.attributes.items()
    )
    inside = "".join(map(_written, node.childNodes))
    return f"<{node.tagName}{attributes}>{inside}</{node.tagName}>"
