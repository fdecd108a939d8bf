"""Values for free parameters, such as their assumptions allow."""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence

import sympy as sp

from divergence_lab.theory.checker.families import ranges
from divergence_lab.theory.expressions import constants, enclosure, ordering
from divergence_lab.theory.expressions.parsing import read_assumptions, read_relations

FIRST = tuple(sp.Rational(n, 17) for n in (6, 11, 23, 40))
# Where a range has no bound on one side, a large value; where on none, values below 0, too.
OTHERS = tuple(sp.Rational(n, 17) for n in (6, 40, 1000, -6, -40, -1000))
MAX_TRIED = 216


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
