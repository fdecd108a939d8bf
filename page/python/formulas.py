"""Formulas in SymPy's writing -> MathML, which browsers draw themselves.

"x**2/2"  ->  <math><mfrac><msup><mi>x</mi><mn>2</mn></msup><mn>2</mn></mfrac></math>
"""

import re

from divergence_lab.theory.expressions import ExpressionError, parse, t, x
from divergence_lab.theory.expressions.printing import write_mathml

LONGEST = 3000


def mathml(text: str) -> str:
    """The formula as MathML; "" where it is too long or can't be drawn.

    >>> mathml("exp(x) - 1")
    '<math><mrow><msup><mi>e</mi><mi>x</mi></msup><mo>\u2212</mo><mn>1</mn></mrow></math>'
    """
    if len(text) > LONGEST:
        return ""
    variable = t if re.search(r"\bt\b", text) else x
    try:
        return f"<math>{write_mathml(parse(text, variable))}</math>"
    except (ExpressionError, AttributeError, RecursionError, NotImplementedError):
        return ""
