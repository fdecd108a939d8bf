"""Where to cut the ranges of parameters: proposals only, which the checker must bear out.

Cuts are values, or expressions in the parameters that come before in the order: then the cells are
a > b, a = b, a < b. The parameters are cut where a sign depends on them, until all is decided.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import sympy as sp

from divergence_lab.theory.budget.asking import OutOfTime, SearchFailed, patient, within
from divergence_lab.theory.checker.facts.proofs import Rejected
from divergence_lab.theory.checker.families import cell_forms, forms, ranges, signs
from divergence_lab.theory.divergence.loss import Loss
from divergence_lab.theory.expressions import x

SOLVE_SECONDS = 2.0
GUESSES = tuple(
    sp.Rational(n, 2) for n in (0, 2, -2, 1, -1, 4, -4)
)  # where equations that are not solved often hold


def singular_values(loss: sp.Expr, parameter: sp.Symbol) -> list[sp.Expr]:
    """Where a denominator, a logarithm, an absolute value or the base of a power of parameters
    alone is 0.
    """
    found: set[sp.Expr] = set()
    for e in loss.atoms(sp.Pow, sp.log, sp.Abs, sp.sign):
        base = e.base if e.is_Pow else e.args[0]
        if (
            base.has(x)
            or not base.has(parameter)
            or (e.is_Pow and e.exp.is_nonnegative and e.exp.is_Integer)
        ):
            continue
        found |= _zeros_in(base, parameter)
    return list(found)


def _singular_lines(loss: Loss) -> list[tuple[str, sp.Expr]]:
    """(parameter, value in those before it), ... where a denominator, or what a logarithm is taken
    of, is 0 on a line of parameters: b = a.
    """
    names, found = [p.name for p in loss.parameters], []
    parts: set[Any] = loss.expression.atoms(sp.Pow, sp.log)
    for e in parts:
        base: Any = sp.factor(e.args[0])
        if not base.has(x) and not (e.is_Pow and e.exp.is_nonnegative):
            found += _related_zeros(base, names, {})
    return list(dict.fromkeys(found))


def critical_values(
    unknown: sp.Expr, loss: sp.Expr, ranges: ranges.Ranges
) -> list[tuple[str, sp.Expr]]:
    """(parameter, value), ... inside the ranges at which a sign that the checker did not know
    may change.
    """
    written = cell_forms.positive_form(loss, ranges)
    real = {symbol: sp.Symbol(symbol.name, real=True) for symbol in written}
    original = {
        z: back.xreplace(real) for z, back in cell_forms.in_parameters(written, ranges).items()
    }
    unknown = forms.without_powers(unknown)
    inner = unknown.free_symbols - set(original)
    given = {symbol: s for s, symbol in real.items()}
    found, related = [], []
    at_end = unknown.subs(
        dict.fromkeys(inner, 0)
    )  # a sign that is one up to an end of the piece changes there first
    ends = [at_end] if inner and at_end.is_finite else []
    for coefficient in (
        *_coefficients(unknown, inner),
        *(_coefficients(sp.simplify(unknown), inner) if inner else ()),
        *ends,
    ):
        e = sp.factor(sp.together(coefficient.subs(original)))
        found += [
            (symbol.name, value)
            for symbol in sorted(e.free_symbols & set(real.values()), key=str)
            for value in _zeros_in(e, symbol)
        ]
        related += _related_zeros(e.xreplace(given), list(ranges), written)
    for values in (found, related):
        inside = [
            (name, value.xreplace(given))
            for name, value in dict.fromkeys(values)
            if _may_be_inside(value.xreplace(given), name, ranges, written)
        ]
        if inside:
            return inside
    return []


def _related_zeros(
    e: sp.Expr, names: list[str], written: Mapping[sp.Symbol, sp.Expr]
) -> list[tuple[str, sp.Expr]]:
    """Where a factor with several parameters is 0: it is linear in the last of them, times what
    is not 0 on the cell.
    """
    found = []
    for factor in sp.Mul.make_args(sp.numer(e)) + sp.Mul.make_args(sp.denom(e)):
        factor = factor.base if factor.is_Pow else factor
        if not {str(s) for s in factor.free_symbols} <= set(names):
            continue  # the variable of an integral
        here = sorted(factor.free_symbols, key=lambda s: names.index(s.name))
        slope = sp.diff(factor, here[-1]) if len(here) > 1 else sp.S.Zero
        if not slope.has(*here[-1:]) and _is_never_zero(slope.xreplace(dict(written))):
            place = sp.expand(here[-1] - factor / slope)
            found.append((here[-1].name, min((place, sp.factor(place)), key=sp.count_ops)))
    return found


def _is_never_zero(e: sp.Expr) -> bool:
    try:
        return signs.sign(e) != 0
    except Rejected:
        return False


def _may_be_inside(value: sp.Expr, name: str, ranges: ranges.Ranges, written: Mapping) -> bool:
    """The value is not shown to lie outside the range."""
    low, high = ranges[name]
    for a, b in ((low, value), (value, high)):
        try:
            if (
                not a.is_infinite
                and not b.is_infinite
                and signs.sign((b - a).xreplace(dict(written))) < 1
            ):
                return False
        except Rejected:
            continue
    return True


def _coefficients(e: sp.Expr, inner: set[sp.Symbol]) -> list[sp.Expr]:
    """e itself, or, where it has x in it, what its terms in x are multiplied by, and their
    rates.
    """
    if not inner:
        return [e]
    total: dict[sp.Expr, sp.Expr] = {}
    numerator, _ = sp.fraction(sp.together(e))
    rates = []
    for term in sp.Add.make_args(sp.expand(sp.powsimp(sp.expand(numerator)))):
        coefficient, rest = term.as_independent(*inner, as_Add=False)
        total[rest] = total.get(rest, sp.S.Zero) + coefficient
        rates += [sp.diff(p.args[0], y) for p in rest.atoms(sp.exp) for y in inner]
        rates += [p.exp for p in rest.atoms(sp.Pow) if p.exp.free_symbols - inner]
    return [*total.values(), *(rate for rate in rates if not rate.free_symbols & inner)]


def _zeros_in(e: sp.Expr, parameter: sp.Symbol) -> set[sp.Expr]:
    """Real zeros of e in the parameter that can be found; factors with another symbol are left
    aside.
    """
    real = sp.Symbol(parameter.name, real=True)
    e = e.subs(parameter, real)
    numerator, denominator = sp.fraction(sp.together(e))
    found = {value for value in GUESSES if e.free_symbols == {real} and e.subs(real, value) == 0}
    for part in (
        *sp.Mul.make_args(sp.factor(numerator)),
        *sp.Mul.make_args(sp.factor(denominator)),
    ):
        part = part.base if part.is_Pow and not part.exp.has(real) else part
        if part.free_symbols != {real}:
            continue
        if part.is_polynomial(real):
            found |= set(_roots(sp.Poly(part, real)))
            continue
        try:
            solved = within(patient(SOLVE_SECONDS), sp.solveset, part, real, sp.S.Reals)
        except (OutOfTime, SearchFailed):
            continue
        found |= set(solved) if isinstance(solved, sp.FiniteSet) else set()
    # a root without a formula can be written, but not read back
    return {
        value
        for value in found
        if value.is_finite and not value.free_symbols and not value.has(sp.ComplexRootOf)
    }


def _roots(polynomial: sp.Poly) -> list[sp.Expr]:
    if polynomial.degree() < 1:
        return []
    if polynomial.domain.is_QQ or polynomial.domain.is_ZZ:
        return sp.real_roots(polynomial)
    return (
        [r for r in sp.roots(polynomial, multiple=True) if r.is_real]
        if polynomial.degree() < 3
        else []
    )


# --- cell by cell, for verdicts and for numbers

ROUNDS = 24
T = TypeVar("T")
Cell = dict[str, ranges.Range]


def decide_cells(
    loss: Loss, names: Sequence[str], decide: Callable[[ranges.Ranges], T], most: int
) -> list[tuple[Cell, T]]:
    """What `decide` says of each cell, in order; where it raises Unsigned the cells are cut.

    Raises SearchFailed, and Unsigned where no cut is known.
    """
    assumed = ranges.read_assumed(loss.expression, loss.assumptions)
    cuts = {p.name: singular_values(loss.expression, p) for p in loss.parameters}
    for name, value in _singular_lines(loss):
        cuts[name].append(value)
    known: dict[str, T] = {}
    for _ in range(ROUNDS):
        try:
            cells = ranges.grid(names, cuts, assumed)
            if len(cells) > most:
                raise SearchFailed("the parameters have too many cases")
            for cell in cells:
                if str(cell) not in known:
                    known[str(cell)] = _decided(decide, cell)
            return [(cell, known[str(cell)]) for cell in cells]
        except ranges.Unordered as unknown:
            _cut(cuts, unknown, loss, unknown.ranges)
    raise SearchFailed("the parameters have too many cases")


def _decided(decide: Callable[[ranges.Ranges], T], cell: Cell) -> T:
    try:
        return decide(cell)
    except signs.Unsigned as unknown:
        raise ranges.Unordered(unknown.expression, cell) from None


def _cut(
    cuts: dict[str, list[sp.Expr]], unknown: signs.Unsigned, loss: Loss, cell: ranges.Ranges
) -> None:
    new = critical_values(unknown.expression, loss.expression, cell) or [
        (name, sp.S.Zero)  # a number that may be positive or negative hides many a sign
        for name, ends in cell.items()
        if ends == (-sp.oo, sp.oo)
    ]
    if not new:
        raise SearchFailed(f"at {shown(cell)}: {unknown}") from None
    for name, value in new:
        cuts[name].append(value)


def shown(ranges: ranges.Ranges) -> str:
    """0 < a < oo, b = 2"""
    return ", ".join(
        f"{name} = {a}" if a == b else f"{a} < {name} < {b}" for name, (a, b) in ranges.items()
    )


def is_cut(cells: Sequence[ranges.Ranges], name: str) -> bool:
    """The parameter has not the same range in all cells."""
    return len({cell[name] for cell in cells}) > 1


def depends_on_parameters(cells: Sequence[ranges.Ranges]) -> bool:
    """Some end of a cell depends on other parameters."""
    return any(end.free_symbols for cell in cells for ends in cell.values() for end in ends)
