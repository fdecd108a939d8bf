"""Text -> SymPy, through an allow-list over Python's own syntax tree.

User text is never evaluated: it is parsed by `ast.parse`, walked node by node, and every node that
is not on the list below is refused by name. Constants are kept exact (0.1 is 1/10) and must stay
below 1e1000 in magnitude, so no power tower is ever built. Nothing here simplifies, solves or
integrates.
"""

import ast
import builtins
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal

import mpmath
import sympy as sp

from divergence_lab.inputs import nearest
from divergence_lab.theory.expressions.balls import Root
from divergence_lab.theory.expressions.symbols import (
    CONSTANTS,
    FUNCTIONS,
    NOT_LISTED,
    OTHER_SYNTAX,
    OTHER_WORDS,
    PIECEWISE,
    ROOT,
    Bounds,
    parameter,
    with_implied,
    x,
)
from divergence_lab.theory.expressions.syntax import (
    ExpressionError,
    comparisons,
    refuse_large_sums,
    refused_where_sympy_fails,
    shown,
    syntax_tree,
    with_bars_read,
)

MAX_EXPONENT, MAX_DIGITS, MAX_CONSTANT = 1000, 1000, mpmath.mpf("1e1000")
MAX_OF_POLYGAMMA, MAX_OF_ZETA = 1000, 100  # SymPy adds up or multiplies as many terms at integers

COMPARISONS = {ast.Lt: sp.Lt, ast.LtE: sp.Le, ast.Gt: sp.Gt, ast.GtE: sp.Ge}
RESERVED = {"I", "oo", "zoo", "nan", "inf", "infinity", "x", "t", "True", "False", "None"}
DECIMALS = re.compile(r"[0-9.]+([eE][+-]?[0-9]+)?", re.ASCII)
PARAMETER = re.compile(r"[A-Za-z][A-Za-z0-9_]*\Z", re.ASCII)


def parse(
    text: str,
    variable: sp.Symbol,
    assumptions: Iterable[str] = (),
    named: Callable[[str], sp.Expr | None] = lambda text: None,
) -> sp.Expr:
    """The expression that `text` writes in `variable` (x for a loss, t for a generator).

    Names that are neither the variable, a function nor a constant become real parameters;
    `assumptions` such as "alpha > 0" give them a sign; `named` says what "quadratic" or "linex(1)"
    stands for within the text, None where that is no name. Raises ExpressionError, and runs nothing
    of the text, for everything else.

        >>> from divergence_lab.theory.expressions import x
        >>> parse("0.5*x**2", x)
        x**2/2
    """
    parameters = {
        name: parameter(name, bounds) for name, bounds in read_assumptions(assumptions).items()
    }
    text = with_bars_read(text)
    with refused_where_sympy_fails(text):
        expression, _ = _Walker(text, variable, parameters, named).number(syntax_tree(text).body)
    if expression.has(sp.zoo, sp.nan, sp.oo, -sp.oo, sp.I):
        raise ExpressionError(
            f"{shown(text)} is not a finite real expression: look for a division by zero or a "
            "logarithm or root of a negative number"
        )
    if any(max(abs(number.p), number.q) > MAX_CONSTANT for number in expression.atoms(sp.Rational)):
        raise ExpressionError(
            f"{shown(text)} has a constant that grows too large or too small to hold "
            "(over 1e1000): rescale it"
        )
    refuse_large_sums(expression, text)
    return expression


def parse_number(text: str, what: str = "number") -> sp.Expr:
    """An exact constant such as 1/3, sqrt(2) or 0.25."""
    expression = parse(text, sp.Dummy())
    if expression.free_symbols:
        raise ExpressionError(
            f"{what} {shown(text)} is not a constant: write a number such as 1/3, 0.25 or sqrt(2)"
        )
    return expression


# --- assumptions on parameters


def read_assumptions(assumptions: Iterable[str]) -> Bounds:
    """["alpha > 0", "alpha < 1"] -> {"alpha": [(">", 0), ("<", 1)]}; of "a > b" and "b > 0"
    what they say of each parameter alone: {"a": [(">", 0)], "b": [(">", 0)]}.
    """
    bounds: Bounds = {}
    related = []
    for name, relation, end in _each(assumptions):
        if end.free_symbols:
            related.append((sp.Symbol(name) - end, relation))
        else:
            bounds.setdefault(name, []).append((relation, end))
    return with_implied(bounds, related)


def read_relations(
    assumptions: Iterable[str], symbols: Mapping[str, sp.Symbol]
) -> list[tuple[sp.Expr, str]]:
    """["a > b"] -> [(a - b, ">")]: the assumptions on several parameters, in these symbols."""
    return [
        ((sp.Symbol(name) - end).xreplace({sp.Symbol(n): s for n, s in symbols.items()}), relation)
        for name, relation, end in _each(assumptions)
        if end.free_symbols
    ]


def _each(assumptions: Iterable[str]) -> Iterator[tuple[str, str, sp.Expr]]:
    return (_read_assumption(part) for text in assumptions for part in comparisons(text))


def _read_assumption(text: str) -> tuple[str, str, sp.Expr]:
    """("a", ">", b): the end is a number, or linear in other parameters, as plain symbols."""
    match = re.fullmatch(r"\s*([A-Za-z]\w*)\s*(<=|>=|!=|<|>)\s*(.+?)\s*", text, re.ASCII)
    if not match:
        raise ExpressionError(
            f"assumption {shown(text)} is not of the form 'alpha > 0', 'a > b' or "
            "'0 < alpha < 1' (a value is given by --set alpha=1)"
        )
    name, relation, right = match.groups()
    _check_parameter_name(name, f"assumption {shown(text)}")
    end = parse(right, sp.Dummy())
    end = sp.expand(end.xreplace({s: sp.Symbol(s.name) for s in end.free_symbols}))
    if any(sp.diff(end, s).free_symbols for s in end.free_symbols) or end.has(sp.Symbol(name)):
        raise ExpressionError(
            f"assumption {shown(text)}: the bound is a number, another parameter, or a sum of "
            "such with numbers before them"
        )
    return name, relation, end


def _check_parameter_name(name: str, where: str) -> None:
    if (
        name in RESERVED
        or name in FUNCTIONS
        or name in CONSTANTS
        or name == PIECEWISE
        or hasattr(builtins, name)
    ):
        raise ExpressionError(
            f"{where}: {name} is a reserved word, not a parameter: choose another name"
        )
    if not PARAMETER.match(name) or "__" in name or len(name) > 40:
        raise ExpressionError(
            f"{where}: {shown(name)} can't name a parameter: use letters, digits and single "
            "underscores, a letter first"
        )


# --- the walk


class _Walker:
    """Builds the SymPy expression; every constant part is shadowed by a float that must stay
    below MAX_CONSTANT.
    """

    def __init__(
        self,
        text: str,
        variable: sp.Symbol,
        parameters: Mapping[str, sp.Symbol],
        named: Callable[[str], sp.Expr | None],
    ):
        self.text, self.variable, self.parameters = text, variable, dict(parameters)
        self.named = named

    def source(self, node: ast.AST) -> str:
        return ast.get_source_segment(self.text.strip(), node) or self.text

    def refuse(self, node: ast.AST, why: str) -> ExpressionError:
        return ExpressionError(f"{shown(self.source(node))}: {why}")

    def bounded(self, node: ast.AST, compute: Callable[[], float]) -> float:
        try:
            value = compute()
        except ZeroDivisionError:
            raise self.refuse(node, "divides by zero") from None
        except OverflowError:
            raise self.refuse(node, "is a constant too large to hold (over 1e1000)") from None
        except (ValueError, TypeError, mpmath.libmp.NoConvergence):
            raise self.refuse(node, "is not a real number") from None
        if isinstance(value, complex | mpmath.mpc) or mpmath.isnan(value):
            raise self.refuse(node, "is not a real number")
        if abs(value) > MAX_CONSTANT:
            raise self.refuse(node, "is a constant too large to hold (over 1e1000)")
        return value

    def number(self, node: ast.AST) -> tuple[sp.Expr, float | None]:
        match node:
            case ast.Constant(value=bool() | str() | bytes()):
                raise self.refuse(node, "is not a number")
            case ast.Constant(value=int() | float()):
                return self.decimal(node)
            case ast.Name(id=name):
                return self.name(node, name)
            case ast.UnaryOp(op=ast.USub() | ast.UAdd(), operand=operand):
                expression, value = self.number(operand)
                sign = -1 if isinstance(node.op, ast.USub) else 1
                return sign * expression, None if value is None else sign * value
            case ast.BinOp():
                return self.operation(node)
            case ast.Call():
                return self.call(node)
        raise self.refuse(node, OTHER_SYNTAX.get(type(node).__name__, NOT_LISTED))

    def decimal(self, node: ast.Constant) -> tuple[sp.Expr, float]:
        source = self.source(node)
        if not DECIMALS.fullmatch(source):  # Python reads 0x10 and 1_0 as numbers too
            raise self.refuse(node, "is no decimal number: write its digits alone, such as 1000")
        exact = Decimal(source)
        if exact and not -1000 <= exact.adjusted() <= 1000:
            raise self.refuse(node, "is a constant too large or too small to hold")
        return (n := sp.Rational(source)), mpmath.mpf(n.p) / n.q

    def name(self, node: ast.Name, name: str) -> tuple[sp.Expr, float | None]:
        if name == self.variable.name:
            return self.variable, None
        if name in CONSTANTS:
            return CONSTANTS[name]
        if name in FUNCTIONS or name == PIECEWISE:
            raise self.refuse(
                node, f"{name} is a function: give it an argument, {name}({self.variable.name})"
            )
        if name in ("x", "t") and self.variable.name not in ("x", "t"):
            raise self.refuse(node, "is a variable: there has to be a number here, or a parameter")
        if name in ("x", "t"):
            other = {
                "x": "a loss is written in x (derive), a generator in t (invert)",
                "t": "a generator is written in t (invert), a loss in x (derive)",
            }[name]
            raise self.refuse(
                node, f"unknown variable here, the expression is in {self.variable.name}: {other}"
            )
        if name in RESERVED:
            raise self.refuse(node, "is reserved and not a finite real number")
        if name not in self.parameters and (meaning := self.named(name)) is not None:
            return meaning, None
        if name not in self.parameters:
            _check_parameter_name(name, f"in {shown(self.text)}")
            self.parameters[name] = parameter(name)
        return self.parameters[name], None

    def operation(self, node: ast.BinOp) -> tuple[sp.Expr, float | None]:
        (a, va), (b, vb) = self.number(node.left), self.number(node.right)
        both = va is not None and vb is not None
        match node.op:
            case ast.Add():
                return a + b, self.bounded(node, lambda: va + vb) if both else None
            case ast.Sub():
                return a - b, self.bounded(node, lambda: va - vb) if both else None
            case ast.Mult():
                return a * b, self.bounded(node, lambda: va * vb) if both else None
            case ast.Div():
                if b == 0:
                    raise self.refuse(node, "divides by zero")
                return a / b, self.bounded(node, lambda: va / vb) if both else None
            case ast.Pow():
                return self.power(node, a, va, b, vb)
        raise self.refuse(node, NOT_LISTED)

    def power(self, node, a, va, b, vb):
        value = None
        if isinstance(node.left, ast.Name) and node.left.id == "e":
            raise self.refuse(
                node, "e is no constant of the language: write exp(...), or E for Euler's number"
            )
        if va is not None and vb is not None:
            if a == 0 and vb < 0:
                raise self.refuse(node, "divides by zero")
            value = self.bounded(node, lambda: va**vb)
            # 0.1**1e1000 is small, but long; SymPy joins the exponents of (0.1**0.001)**1e1000
            size = max((max(abs(n.p), n.q) for n in a.atoms(sp.Rational)), default=1)
            if abs(vb) * math.log10(size) > MAX_DIGITS or (
                a != 0 and abs(value) < 1 / MAX_CONSTANT
            ):
                raise self.refuse(
                    node, f"is a constant too small or too long to hold (over {MAX_DIGITS} digits)"
                )
        elif vb is not None and abs(vb) > MAX_EXPONENT:
            raise self.refuse(node, f"has an exponent over {MAX_EXPONENT}, too large to handle")
        return a**b, value

    def call(self, node: ast.Call) -> tuple[sp.Expr, float | None]:
        if not isinstance(node.func, ast.Name):
            raise self.refuse(node, "a product needs its *, and only listed functions are called")
        name = node.func.id
        if node.keywords or any(isinstance(argument, ast.Starred) for argument in node.args):
            raise self.refuse(node, "functions take plain arguments only")
        if name == PIECEWISE:
            return self.piecewise(node), None
        if name == ROOT:
            return self.root(node)
        if name not in FUNCTIONS and (meaning := self.named(self.source(node))) is not None:
            return meaning, None
        if name not in FUNCTIONS:
            raise self.refuse(node, f"{name} is not a function of the language; {_advice(name)}")
        function, float_version, least, most = FUNCTIONS[name]
        if not least <= len(node.args) <= most:
            raise self.refuse(
                node,
                f"{name} takes {least if least == most else f'{least} to {most}'} "
                f"argument{'s' * (most > 1)}",
            )
        arguments = [self.number(argument) for argument in node.args]
        values = [value for _, value in arguments]
        if name == "polylog" and (values[0] is None or abs(values[0]) > 20):
            raise self.refuse(node, "the order of polylog must be a number between -20 and 20")
        if name == "polygamma" and values[0] not in range(21):
            raise self.refuse(node, "the order of polygamma must be 0, 1, ... or 20")
        if name == "polygamma" and abs(values[1] or 0) > MAX_OF_POLYGAMMA:
            raise self.refuse(node, f"is asked for a number over {MAX_OF_POLYGAMMA}")
        if name == "zeta" and (values[0] is None or not 1 < values[0] <= MAX_OF_ZETA):
            raise self.refuse(node, f"zeta takes a number above 1, up to {MAX_OF_ZETA}")
        value = self.bounded(node, lambda: float_version(*values)) if None not in values else None
        return function(*(expression for expression, _ in arguments)), value

    def root(self, node: ast.Call) -> tuple[sp.Expr, float]:
        if len(node.args) != 3:
            raise self.refuse(node, "Root takes a function of x and two numbers around its zero")
        inner = _Walker(self.text, x, {}, lambda text: None)
        function, low, high = (inner.number(argument)[0] for argument in node.args)
        try:
            root = Root(function, low, high)
        except ValueError as reason:
            raise self.refuse(node, f"is no number: {reason}") from None
        return root, float(root)

    def piecewise(self, node: ast.Call) -> sp.Expr:
        pieces = []
        if not node.args:
            raise self.refuse(node, "Piecewise needs pairs (expression, condition)")
        for pair in node.args:
            if not isinstance(pair, ast.Tuple) or len(pair.elts) != 2:
                raise self.refuse(pair, "a piece is a pair (expression, condition)")
            pieces.append((self.number(pair.elts[0])[0], self.condition(pair.elts[1])))
        if pieces[-1][1] != sp.true:
            raise self.refuse(
                node, "the last condition must be True, so that every case is covered"
            )
        return sp.Piecewise(*pieces, evaluate=False)

    def condition(self, node: ast.AST) -> sp.logic.boolalg.Boolean:
        match node:
            case ast.Constant(value=True):
                return sp.true
            case ast.Compare(left=left, ops=operators, comparators=rest):
                sides = [self.number(side)[0] for side in [left, *rest]]
                if len(sides) == 2 and isinstance(operators[0], ast.Eq):
                    return self.equality(node, *sides)
                if any(type(operator) not in COMPARISONS for operator in operators):
                    raise self.refuse(node, "a condition uses < <= > >= only")
                if not any(side.has(self.variable) for side in sides):
                    raise self.refuse(node, f"a condition must depend on {self.variable.name}")
                return sp.And(
                    *(COMPARISONS[type(op)](a, b) for op, a, b in zip(operators, sides, sides[1:]))
                )
            case ast.Call(func=ast.Name(id="Eq"), args=[left, right], keywords=[]):
                return self.equality(node, self.number(left)[0], self.number(right)[0])
            case ast.BoolOp(op=ast.And(), values=values):
                return sp.And(*(self.condition(value) for value in values))
            case ast.BoolOp(op=ast.Or(), values=values):
                return sp.Or(*(self.condition(value) for value in values))
        raise self.refuse(node, "a condition is a comparison such as x < 0, or True")

    def equality(self, node: ast.AST, left: sp.Expr, right: sp.Expr) -> sp.logic.boolalg.Boolean:
        """left = right, written |left - right| <= 0."""
        if not (left - right).has(self.variable):
            raise self.refuse(node, f"a condition must depend on {self.variable.name}")
        return sp.LessThan(sp.Abs(left - right), 0, evaluate=False)


def _advice(name: str) -> str:
    if name.lower() in OTHER_WORDS:
        return f"write {OTHER_WORDS[name.lower()]}"
    meant = nearest(name, [*FUNCTIONS, PIECEWISE])
    return f"did you mean {meant!r}?" if meant else "it has " + " ".join([*FUNCTIONS, PIECEWISE])
