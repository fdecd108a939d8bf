"""Text -> Python's own syntax tree, refused by name where it is too long, too deep or not plain,
and where what it writes would be too large a sum.
"""

import ast
import functools
import keyword
import math
import operator
import re
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import sympy as sp

from divergence_lab.inputs import SEARCH_MEMORY, InputError, one_line, refuse_if_too_large, shown

MAX_CHARACTERS = 10_000
MAX_NODES = 600
MAX_DEPTH = 60
BYTES_OF_A_TERM = 1000  # of a sum in SymPy
MAX_CALLS_DEEP = 15  # SymPy takes exponentially long over functions within functions


class ExpressionError(InputError):
    """The text is not an expression of the language; the message names the part and says what to
    do.

        >>> from divergence_lab.theory.expressions import parse, x
        >>> try:
        ...     parse("x^2", x)
        ... except ExpressionError as error:
        ...     print(error)
        '^' in 'x^2' is not a power here: write ** instead
    """


# What SymPy raises over a formula that it can't handle.
SYMPY_FAILS = (
    ArithmeticError,
    AttributeError,
    LookupError,
    NotImplementedError,
    RecursionError,
    TypeError,
    ValueError,
)


@contextmanager
def refused_where_sympy_fails(text: str) -> Iterator[None]:
    """ExpressionError in place of whatever SymPy raises over what a text writes."""
    try:
        yield
    except InputError:
        raise
    except SYMPY_FAILS as error:
        why = f"{type(error).__name__}: {one_line(str(error), 200)}"
        raise ExpressionError(f"{shown(text)} can't be read: {why}") from error


_RELATION = r"(<=|>=|!=|==|=|<|>)"
_TURNED = str.maketrans("<>", "><")


def comparisons(text: str) -> list[str]:
    """ "0 < a < 1" as "a > 0", "a < 1": each with a parameter on its left.

    >>> comparisons("0 < a <= b and b != 2")
    ['a > 0', 'a <= b', 'b != 2']
    """
    found = []
    for part in re.split(r"\band\b|&+|,", text):
        sides = [side.strip() for side in re.split(_RELATION, part)]
        if len(sides) not in (3, 5) or "" in sides:
            return [text]
        for left, relation, right in zip(sides[::2], sides[1::2], sides[2::2]):
            turned = not re.fullmatch(r"[A-Za-z]\w*", left) or left in ("E", "pi")
            both = (right, relation.translate(_TURNED), left) if turned else (left, relation, right)
            found.append(" ".join(both))
    return found


def with_bars_read(text: str) -> str:
    """|x| as Abs(x): a bar opens where an operand may begin, and closes where one has ended.

    >>> with_bars_read("|x|**3 + |x - |x||/2")
    'Abs(x)**3 + Abs(x - Abs(x))/2'
    """
    if not isinstance(text, str) or "|" not in text:
        return text
    read, before = [], ""
    for c in text:
        opens = before == "" or before in "+-*/(,<>="
        read.append(("Abs(" if opens else ")") if c == "|" else c)
        before = ("(" if opens else ")") if c == "|" else c if c.strip() else before
    return "".join(read)


def syntax_tree(text: str) -> ast.Expression:
    """The tree of one line of plain text; nothing of it runs. Raises ExpressionError."""
    if not isinstance(text, str):
        raise ExpressionError(f"an expression is text, not {type(text).__name__}")
    if len(text) > MAX_CHARACTERS:
        raise ExpressionError(
            f"the expression has {len(text)} characters, more than {MAX_CHARACTERS}: shorten it"
        )
    if not text.strip():
        raise ExpressionError("the expression is empty: write one such as 'exp(x) - x - 1'")
    if not text.isascii() or not all(c.isprintable() or c in " \t" for c in text):
        bad = next(c for c in text if not c.isascii() or not (c.isprintable() or c in " \t"))
        meant = f"{MEANT[bad]} for {bad}" if bad in MEANT else "one line of plain ASCII"
        raise ExpressionError(
            f"character U+{ord(bad):04X} in {shown(text)} is not allowed: write {meant}"
        )
    depth = deepest = 0
    for c in text:
        depth += (c in "([{") - (c in ")]}")
        deepest = max(deepest, depth)
    if deepest > MAX_DEPTH:
        raise ExpressionError(
            f"parentheses nest {deepest} deep, more than {MAX_DEPTH}: simplify the expression"
        )
    for mark, why in (
        ("^", "is not a power here: write ** instead"),
        ("#", "begins no comment here: write the expression alone"),
    ):
        if (
            mark in text
        ):  # what stands in a comment would be shown with the expression, and read by nobody
            raise ExpressionError(f"'{mark}' in {shown(text)} {why}")
    try:
        # Python warns on text such as "1(2)"; the walk below refuses it with a better message.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(text.strip(), mode="eval")
    except SyntaxError as error:
        raise ExpressionError(f"{shown(text)} is not an expression: {_why(text, error)}") from None
    except (ValueError, RecursionError, MemoryError, OverflowError):
        raise ExpressionError(
            f"{shown(text)} can't be read: too long a number or too deeply nested"
        ) from None
    nodes, level, count = [tree], 0, 0
    while nodes:  # breadth first: no recursion before the depth is known
        level += 1
        count += len(nodes)
        if level > 2 * MAX_DEPTH or count > MAX_NODES * 3:
            raise ExpressionError(
                f"{shown(text)} is too large: more than {MAX_NODES} operations or nested too deeply"
            )
        nodes = [child for node in nodes for child in ast.iter_child_nodes(node)]
    _check_calls(text, tree, ())
    return tree


# Characters that are copied from papers, and how they are written here.
MEANT = {
    "\u00b2": "**2",
    "\u00b3": "**3",
    "\u00b7": "*",
    "\u00d7": "*",
    "\u00f7": "/",
    "\u2212": "-",
    "\u2013": "-",
    "\u221a": "sqrt(...)",
    "\u2264": "<=",
    "\u2265": ">=",
    "\u03c0": "pi",
    "\u03b1": "alpha",
    "\u03b2": "beta",
    "\u03b4": "delta",
    "\u03b5": "epsilon",
    "\u03bb": "lam",
    "\u03c4": "tau",
}


def _why(text: str, error: SyntaxError) -> str:
    """What is wrong with the text, in words rather than Python's where there are better ones."""
    words = [word for word in re.findall(r"[A-Za-z_]\w*", text) if keyword.iskeyword(word)]
    if taken := [word for word in words if word not in ("True", "and", "or", "if", "else")]:
        return f"the word {taken[0]} is taken: call a parameter otherwise, such as lam for lambda"
    product = re.search(r"(?<![\w.])(\d+)\s*([A-DF-Za-df-z(])", text)
    if product:
        return f"write {product[1]}*{product[2]} for {product[0]}"
    if re.search(r"(?<![<>=!])=(?!=)", text):
        return "an equation has no place in it: a parameter gets its value by --set"
    if text.rstrip()[-1:] in "+-*/(,":
        return f"something is missing after its last {text.rstrip()[-1]}"
    return f"{error.msg} (column {error.offset})"


def _check_calls(text: str, node: ast.AST, above: tuple[str, ...]) -> None:
    """Functions nest no deeper than a loss needs, and a polylog stands in no other."""
    if isinstance(node, ast.Call):
        name = getattr(node.func, "id", "")
        if len(above) == MAX_CALLS_DEEP or name == "polylog" in above:
            raise ExpressionError(
                f"{shown(text)}: functions nest over {MAX_CALLS_DEEP} deep, or a polylog "
                "stands within another"
            )
        above = (*above, name)
    for child in ast.iter_child_nodes(node):
        _check_calls(text, child, above)


def refuse_large_sums(expression: sp.Expr, text: str) -> None:
    """ExpressionError where the expression, written out as a sum, could not be held: analysis does
    that.
    """
    try:
        refuse_if_too_large(
            BYTES_OF_A_TERM * terms_written_out(expression),
            f"{shown(text)}, written out as a sum,",
            "take a smaller power",
            SEARCH_MEMORY,
        )
    except InputError as error:
        raise ExpressionError(str(error)) from None


def terms_written_out(expression: sp.Expr) -> int:
    """At most so many terms `expand` would make of the largest part: one for each choice of a term
    of every factor, and one for each product of powers that there can be.

    >>> from divergence_lab.theory.expressions import parse, x
    >>> terms_written_out(parse("(1 + x + a)**9", x)), terms_written_out(parse("(x + 1)**40*x", x))
    (55, 41)
    """
    largest, counts, degrees = 1, {}, {}
    for node in sp.postorder_traversal(expression):
        inner = [counts.get(part, 1) for part in node.args]
        power = node.args[1] if isinstance(node, sp.Pow) else None
        if isinstance(node, sp.Add):
            counts[node] = sum(inner)
        elif isinstance(node, sp.Mul):
            counts[node] = math.prod(inner)
        elif isinstance(power, sp.Integer) and power > 1:
            counts[node] = math.comb(inner[0] + int(power) - 1, int(power))
        else:
            counts[node] = 1
        degrees[node] = _degrees(node, degrees)
        products = math.prod(2 * degree + 1 for degree in degrees[node].values())
        counts[node] = min(counts[node], products)
        largest = max(largest, counts[node])
    return largest


def _degrees(node: Any, known: Mapping[sp.Basic, Counter]) -> Counter:
    """How high the powers are in which the parts of a sum of products stand: e^{3x/2} is the third
    of e^{x/2}, and e^{-x} counts as e^x.
    """
    if isinstance(node, sp.Add):
        return functools.reduce(operator.or_, (known[part] for part in node.args))
    if isinstance(node, sp.Mul):
        return functools.reduce(operator.add, (known[part] for part in node.args))
    if isinstance(node, sp.Pow) and node.exp.is_Integer and node.exp > 1:
        return Counter({key: n * int(node.exp) for key, n in known[node.base].items()})
    if isinstance(node, sp.exp):
        exponent: Any = node.args[0]
        rate, rest = exponent.as_coeff_Mul()
        if rate.is_Rational:
            return Counter({sp.exp(rest / rate.q): abs(rate.p)})
    return Counter() if isinstance(node, sp.Number) else Counter({node: 1})
