"""Values of parameters: those that are given, exact where all parts have one, samples of what
assumptions allow, and those at which an expression is 0.
"""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import sympy as sp

from divergence_lab.theory.budget.asking import OutOfTime, SearchFailed, patient, within
from divergence_lab.theory.checker.facts import proofs
from divergence_lab.theory.checker.families import ranges
from divergence_lab.theory.expressions import ExpressionError, constants, enclosure, ordering, x
from divergence_lab.theory.expressions.parsing import parse_number, read_assumptions, read_relations

FIRST = tuple(sp.Rational(n, 17) for n in (6, 11, 23, 40))
# Where a range has no bound on one side, a large value; where on none, values below 0, too.
OTHERS = tuple(sp.Rational(n, 17) for n in (6, 40, 1000, -6, -40, -1000))
MAX_TRIED = 216
SECONDS = 2.0  # to solve for where a kink comes to 0


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


def sampled(
    parameters: Iterable[sp.Symbol], assumptions: Sequence[str]
) -> Mapping[sp.Symbol, sp.Expr]:
    """One value for each parameter, inside what bounds it by numbers, all of them different."""
    ordered = sorted(parameters, key=str)
    if len(ordered) > len(FIRST):
        raise enclosure.NotEvaluable("more parameters than sample values")
    forms = [_range_of(symbol, assumptions) for symbol in ordered]
    return {symbol: form.subs(z, value) for symbol, (form, z), value in zip(ordered, forms, FIRST)}


def is_positive_somewhere(factor: sp.Expr, assumptions: Sequence[str]) -> bool:
    """factor > 0 at some values of its parameters that the assumptions allow."""
    return any(
        constants.sign_of(factor.subs(chosen)) == 1
        for chosen in _allowed(sorted(factor.free_symbols, key=str), assumptions)
    )


def _allowed(
    parameters: Sequence[sp.Symbol], assumptions: Sequence[str]
) -> Iterator[Mapping[sp.Symbol, sp.Expr]]:
    forms = [_range_of(symbol, assumptions) for symbol in parameters]
    choices = [
        [form.subs(z, value) for value in OTHERS if not z.is_positive or value > 0]
        for form, z in forms
    ]
    related = read_relations(assumptions, {symbol.name: symbol for symbol in parameters})
    for values in itertools.islice(itertools.product(*choices), MAX_TRIED):
        chosen = dict(zip(parameters, values))
        if all(_holds(difference.subs(chosen), relation) for difference, relation in related):
            yield chosen


def _holds(difference: sp.Expr, relation: str) -> bool:
    """difference > 0 (or < 0, or not 0), strictly."""
    way = constants.sign_of(difference)
    return way in {">": (1,), "<": (-1,), "!": (1, -1)}[relation[0]]


def _range_of(symbol: sp.Symbol, assumptions: Sequence[str]) -> tuple[sp.Expr, sp.Symbol]:
    """The parameter by a symbol over all of its range, and that symbol."""
    bounds = read_assumptions(assumptions).get(symbol.name, ())
    low = sp.S.Zero if symbol.is_nonnegative else -sp.oo
    high = sp.S.Zero if symbol.is_nonpositive else sp.oo
    low = ordering.in_order([low, *(end for relation, end in bounds if relation[0] == ">")])[-1]
    high = ordering.in_order([high, *(end for relation, end in bounds if relation[0] == "<")])[0]
    return ranges.over_range(symbol, low, high)[:2]


def range_of(symbol: sp.Symbol, assumptions: tuple[str, ...]) -> tuple[sp.Expr, sp.Expr]:
    """(low, high) of a parameter by its assumptions."""
    bounds = read_assumptions(assumptions).get(symbol.name, ())
    low, high = (
        ordering.in_order([bound for relation, bound in bounds if relation[0] == way])
        for way in "><"
    )
    return low[-1] if low else -sp.oo, high[0] if high else sp.oo


def zeros_of(
    e: Any, expression: sp.Expr, assumptions: tuple[str, ...]
) -> Iterator[tuple[sp.Symbol, sp.Expr]]:
    """(c, value) where a factor of e, of one parameter or linear in one, begins to be 0, at a
    value that the assumptions allow.
    """
    assumed = ranges.read_assumed(expression, assumptions)
    factored: Any = sp.factor(e)
    for factor in sp.Mul.make_args(factored):
        symbols: list[Any] = sorted(factor.free_symbols, key=str)
        for value in _values_of(factor, symbols[-1]) if symbols else ():
            if _is_allowed([s.name for s in symbols], value, assumed):
                yield symbols[-1], value


def _values_of(factor: Any, symbol: Any) -> list[Any]:
    if len(factor.free_symbols) > 1:
        slope = sp.diff(factor, symbol)
        return [] if slope.free_symbols or slope == 0 else [sp.expand(symbol - factor / slope)]
    zero = sp.Symbol(symbol.name, real=True)
    try:
        found = within(
            patient(SECONDS), sp.solveset, factor.xreplace({symbol: zero}), zero, sp.S.Reals
        )
    except (OutOfTime, SearchFailed):
        return []
    known = isinstance(found, sp.FiniteSet | sp.Interval | sp.Union)
    ends = found.boundary if known else sp.S.EmptySet
    return list(ends) if isinstance(ends, sp.FiniteSet) else []


def _is_allowed(names: list[str], value: sp.Expr, assumed: ranges.Assumed) -> bool:
    """The last parameter can have this value."""
    try:
        cells = ranges.grid(names, {names[-1]: [value]}, assumed)
    except proofs.Rejected:  # low < b < a is not in order where a comes first
        return False
    return any(cell[names[-1]] == (value, value) for cell in cells)
