"""Parameters of a loss or a generator that are given a value: exact, where all parts have one."""

from collections.abc import Iterable, Mapping

import sympy as sp

from divergence_lab.theory.expressions import ExpressionError, constants, x
from divergence_lab.theory.expressions.parsing import parse_number, read_assumptions


def substituted(expression: sp.Expr, values: Mapping[sp.Symbol, sp.Expr]) -> sp.Expr | None:
    """The expression with its parameters replaced, part by part; None where a part has no value,
    as 1/c at c = 0, which SymPy's `subs` loses in 0*zoo = 0.
    """
    if expression in values:
        return values[expression]
    if not expression.free_symbols & values.keys():
        return expression
    parts = [substituted(part, values) for part in expression.args]
    found = None if None in parts else expression.func(*parts)
    return None if found is None or found.has(sp.zoo, sp.nan, sp.oo) else found


def set_parameters(
    expression: sp.Expr,
    values: Mapping[str, str],
    variable: sp.Symbol = x,
    assumptions: Iterable[str] = (),
) -> sp.Expr:
    """The expression with parameters replaced by exact numbers, which the assumptions allow;
    `variable` is x in a loss, t in a generator.
    """
    bounds, symbols = (
        read_assumptions(assumptions),
        {symbol.name: symbol for symbol in expression.free_symbols - {variable}},
    )
    for name, text in values.items():
        if name not in symbols:
            known = ", ".join(symbols) or "none"
            raise ExpressionError(
                f"can't set {name}: it is not a parameter of the loss (its parameters: {known})"
            )
        value = parse_number(text, f"the value of {name},")
        replaced = symbols[name]
        if (
            (replaced.is_positive and not value.is_positive)
            or (replaced.is_negative and not value.is_negative)
            or not all(_allows(*bound, value) for bound in bounds.get(name, ()))
        ):
            raise ExpressionError(
                f"can't set {name} = {value}: it contradicts what was assumed of {name}"
            )
        expression = substituted(expression, {replaced: value})
        if expression is None:
            raise ExpressionError(
                f"the formula has no value at {name} = {value}: for its limit, name the "
                "loss from the catalogue "
                "(linex(0) is quadratic), or leave the parameter free, which says what "
                "the limit is like"
            )
    return expression


def _allows(relation: str, bound: sp.Expr, value: sp.Expr) -> bool:
    """value > bound, or what the relation says (True where it is not decided)."""
    way = constants.sign_of(value - bound)
    return (
        way is None
        or {">": way > 0, ">=": way >= 0, "<": way < 0, "<=": way <= 0, "!=": way != 0}[relation]
    )
