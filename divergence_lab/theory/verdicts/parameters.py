"""Verdicts on a loss with parameters: the exact condition under which each holds.

The range of each parameter is cut where the checker met a sign that depends on it; in between a
verdict does not change (Propositions 17 and 20). A sample of a cell, decided as a plain loss, says
what to expect and why; the checker then proves the cell for all its parameters, or says which sign
it does not know, and the search cuts there.
"""

import contextlib
import itertools
from collections.abc import Iterator, Mapping, Sequence

import sympy as sp
from flint import arb

from divergence_lab.theory.budget.asking import OutOfTime, SearchFailed, clock, within
from divergence_lab.theory.checker import certificate, conditions, parametric
from divergence_lab.theory.checker.facts.proofs import Rejected
from divergence_lab.theory.checker.families import cell_forms, cells, continuation, signs
from divergence_lab.theory.checker.families.ranges import Ranges, read_assumed, sides_of
from divergence_lab.theory.checker.kinds import in_cells, table
from divergence_lab.theory.checker.kinds.identities import identities
from divergence_lab.theory.divergence.given_values import substituted
from divergence_lab.theory.divergence.loss import Loss
from divergence_lab.theory.expressions import (
    CannotSplit,
    ExpressionError,
    enclosure,
    ordering,
    split,
    write,
    x,
)
from divergence_lab.theory.verdicts import (
    candidates,
    family_proofs,
    parameter_numbers,
    plain,
    proposals,
    searches,
    verdict,
)

MAX_CELLS = 80
CLOSE, TOLERANCE = (
    sp.Rational(1, 10**40),
    0.05,
)  # where a limit is looked at, and how near the loss must be there


def decide_for_parameters(
    loss: Loss, generator: sp.Expr | None = None, budget: float = 20.0
) -> verdict.Verdicts:
    """Every verdict on a loss with free parameters, each within `budget` processor seconds: true
    or false for all of them, or the condition.
    """
    found = {kind: ask_for_parameters(kind, loss, budget) for kind in searches.SEARCHES}
    ends = parameter_numbers.numbers_for_parameters(loss, generator)
    return verdict.gather(found, ends, ())


def ask_for_parameters(kind: str, loss: Loss, seconds: float) -> verdict.Verdict:
    """One verdict (of KINDS) on a loss with free parameters, undecided after so many processor
    seconds.
    """
    try:
        return within(seconds, search, kind, loss, seconds)
    except OutOfTime:
        reason = "the processor time for cutting the range of the parameters was over"
    except SearchFailed as failure:
        reason = _in_words(str(failure).removeprefix("SearchFailed: "))
    return verdict.Verdict(
        None,
        verdict.UNDECIDED,
        f"not decided for all parameters ({reason}); raise --budget, or give them values "
        "with --set",
    )


def _in_words(reason: str) -> str:
    """The reason, or what it comes to where it speaks of symbols that the user did not write."""
    return reason if "~" not in reason else "a sign that depends on the parameters was not seen"


def search(kind: str, loss: Loss, budget: float) -> verdict.Verdict:
    """The verdict, which the checker has accepted: a stored proof, where there is one.

    Raises SearchFailed.
    """
    known = family_proofs.stored(kind, loss)
    if known is not None:
        with contextlib.suppress(LookupError, ValueError, Rejected):
            return _checked(kind, loss, known)
    return searched(kind, loss, budget)


def searched(kind: str, loss: Loss, budget: float) -> verdict.Verdict:
    """As `search`, with nothing known beforehand."""
    try:
        found = _on_line(kind, loss)
        return _checked(
            kind, loss, _by_cells(kind, loss, clock() + budget) if found is None else found
        )
    except (CannotSplit, ExpressionError, Rejected) as reason:
        raise SearchFailed(str(reason)) from None


def _checked(kind: str, loss: Loss, found: verdict.Verdict) -> verdict.Verdict:
    found = verdict.in_words(kind, found)
    parametric.check_parametric(
        kind, verdict.verdict_to_json(found, kind), write(loss.expression), loss.assumptions
    )
    return found


# --- cell by cell


def _by_cells(kind: str, loss: Loss, deadline: float) -> verdict.Verdict:
    def decide(ranges: Ranges) -> tuple[bool | None, dict[str, str]]:  # None: left out
        try:
            return _decided(kind, loss, ranges, deadline)
        except continuation.NoValue:
            return None, {}

    order = [p.name for p in loss.parameters]
    decided = proposals.decide_cells(loss, order, decide, MAX_CELLS)
    cells = [cell for cell, _ in decided]
    names = (
        order
        if proposals.depends_on_parameters(cells)
        else [name for name in order if proposals.is_cut(cells, name)] or order[:1]
    )
    return _verdict(names, cells, [answer for _, answer in decided])


def _decided(kind: str, loss: Loss, ranges: Ranges, deadline: float) -> tuple[bool, dict[str, str]]:
    """Whether it holds in the cell, and what the certificate must say besides.

    Raises Unsigned, NoValue, Rejected.
    """
    sides = sides_of(ranges, read_assumed(loss.expression, loss.assumptions))
    sample = _sample(kind, loss, ranges, sides)
    reasons_against: list[tuple[bool, bool, Rejected]] = []
    for hints in _hints(kind, loss, ranges, sample):
        if clock() > deadline:
            raise OutOfTime
        try:
            holds = in_cells.holds_in_cell(kind, loss.expression, ranges, **hints, sides=sides)
        except continuation.NoValue:
            raise
        except Rejected as failure:
            if (
                not hints
                and kind in ("even", "symmetric")
                and _is_cut_at_once(failure, loss, ranges)
            ):
                raise
            # cuts come from an unknown sign, and rather from one in the loss itself than from one
            # at a chosen point
            reasons_against.append((isinstance(failure, signs.Unsigned), not hints, failure))
            continue
        if sample is not None and sample.holds is not None and sample.holds is not holds:
            raise SearchFailed(
                f"the sample of {proposals.shown(ranges)} contradicts its cell: please report this"
            )
        return holds, {key: write(value) for key, value in hints.items()}
    raise max(reasons_against, key=lambda against: against[:2])[2]


def _is_cut_at_once(failure: Rejected, loss: Loss, ranges: Ranges) -> bool:
    """Identities hold at single values of a parameter: a polynomial that is 0 there says where,
    sooner than any sample.
    """
    if not isinstance(failure, signs.Unsigned) or len(failure.expression.free_symbols) != 1:
        return False
    (symbol,) = failure.expression.free_symbols
    return failure.expression.is_polynomial(symbol) and bool(
        proposals.critical_values(failure.expression, loss.expression, ranges)
    )


def _hints(
    kind: str, loss: Loss, ranges: Ranges, sample: verdict.Verdict | None
) -> Iterator[Mapping[str, sp.Expr]]:
    """What the checker may be told: nothing, a point where a sign is wrong or an identity fails,
    a scale.
    """
    expects_no = sample is not None and sample.holds is False
    yield {}
    if kind in ("convex", "validity") and expects_no:
        yield from ({"at": point} for point in candidates.wrong_signs(kind, loss, ranges, sample))
    if kind in ("even", "symmetric") and expects_no:
        yield from ({"at": point} for point in candidates.points_of_difference(kind, loss, ranges))
    if table.KINDS[kind].scale_free and not expects_no:
        yield from ({"scale": scale} for scale in candidates.scales(loss, ranges))


def _sample(kind: str, loss: Loss, ranges: Ranges, sides: Mapping) -> verdict.Verdict | None:
    """The plain verdict at one point of the cell, with the gauge of the family; None where the
    loss vanishes there, or has no value.
    """
    values = sample_of(loss, ranges)
    expression = substituted(loss.expression, values)
    if expression is None:
        points = {s: v for s, v in values.items() if ranges[s.name][0] == ranges[s.name][1]}
        inside = {s: v for s, v in values.items() if s not in points}
        moved = substituted(loss.expression, inside)  # first: only the others come to their values
        if moved is None:  # the sample lies where the formula has no value, and the cell may not
            return None
        expression = cell_forms.at_points(
            moved, points, {symbol.name: (value, value) for symbol, value in values.items()}, sides
        )
        _compare_close_by(loss, expression, ranges, sides)
    if not expression.has(x):
        return None
    return plain.expected(kind, Loss(expression))


def _compare_close_by(loss: Loss, limit: sp.Expr, ranges: Ranges, sides: Mapping) -> None:
    """Enclosures of the loss very near to where its formula has no value do not contradict the
    limit that the checker took there.
    """
    for side in set().union(*sides.values()):
        near = {
            symbol: value + side * CLOSE if side in sides.get(symbol.name, ()) else value
            for symbol, value in sample_of(loss, ranges).items()
        }
        moved = substituted(loss.expression, near)
        for at in (sp.Rational(-9, 4), sp.Rational(1, 3), sp.Rational(7, 4)):
            # x is put in by balls: of a power of such a number SymPy would look for roots without
            # end
            try:
                seen, expected = (
                    enclosure.value_at(_piece_at(f, at), x, at, 120) for f in (moved, limit)
                )
            except (enclosure.NotEvaluable, CannotSplit, AttributeError, StopIteration):
                continue
            if (
                seen.is_finite()
                and expected.is_finite()
                and abs(seen - expected) > arb(TOLERANCE) * (1 + abs(expected))
            ):
                raise SearchFailed(
                    f"close to {proposals.shown(ranges)} the loss is not near its limit: "
                    "please report this"
                )


def _piece_at(f: sp.Expr, at: sp.Expr) -> sp.Expr:
    """The formula that holds at this point."""
    return next(
        p.expression
        for p in split(f, x).pieces
        if ordering.is_less(p.low, at) and ordering.is_less(at, p.high)
    )


def sample_of(loss: Loss, ranges: Ranges) -> dict[sp.Symbol, sp.Expr]:
    """One exact value for each parameter, inside its range."""
    return candidates.values_across(
        ranges, {symbol.name: symbol for symbol in loss.parameters}, itertools.repeat(_inside)
    )


def _inside(low: sp.Expr, high: sp.Expr) -> sp.Expr:
    if low == high:
        return low
    if low == -sp.oo:
        return sp.Rational(1, 3) if high == sp.oo else sp.floor(high) - 1
    return sp.floor(low) + 1 if high == sp.oo else (low + high) / 2


def _verdict(
    names: Sequence[str],
    cells: Sequence[Ranges],
    known: Sequence[tuple[bool | None, Mapping[str, str]]],
) -> verdict.Verdict:
    steps, in_texts, answers = [], [], []
    for ranges, (holds, hints) in zip(cells, known):
        texts = {name: (write(ranges[name][0]), write(ranges[name][1])) for name in names}
        if holds is None:
            steps.append(certificate.step("undefined", **conditions.write_left_out(texts)))
        else:
            data = conditions.write_ranges(texts)
            if len(names) == 1:
                data["sample"] = write(_inside(*ranges[names[0]]))
            steps.append(
                certificate.step("cell", **data, holds="true" if holds else "false", **hints)
            )
        in_texts.append(texts)
        answers.append(holds)
    if set(answers) == {None}:
        raise SearchFailed("the formula has no value at any of them")
    if len(set(answers) - {None}) == 1:
        return verdict.Verdict(True in answers, verdict.PROVED, "", steps=tuple(steps))
    return verdict.Verdict(
        None,
        verdict.PROVED,
        "",
        conditions.condition_of(in_texts, [holds is True for holds in answers]),
        tuple(steps),
    )


# --- a line of parameters


def _on_line(kind: str, loss: Loss) -> verdict.Verdict | None:
    """An identity of two sides with a rate each, such as split-Linex: where one equation between
    the rates holds.
    """
    if not table.KINDS[kind].compares_sides or len(loss.parameters) < 2:
        return None
    for equation, solved in _lines(kind, loss):
        found = verdict.Verdict(
            None,
            verdict.PROVED,
            "",
            f"{write(equation)} = 0",
            (certificate.step("line", equation=write(equation), parameter=solved.name),),
        )
        try:
            found = verdict.in_words(kind, found)
            parametric.check_parametric(
                kind, verdict.verdict_to_json(found, kind), write(loss.expression), loss.assumptions
            )
            return found
        except (Rejected, ExpressionError):
            continue
    return None


def _lines(kind: str, loss: Loss) -> Iterator[tuple[sp.Expr, sp.Symbol]]:
    """Equations between parameters: a factor of what has to vanish, or where a rate of g'' right
    of 0 meets the mirrored rate on the left.
    """
    try:
        numbers, functions = identities(kind, loss.expression)
    except Rejected:
        numbers, functions = [], []
    for part in [*numbers, *(f.subs(x, cells.inner_point_of(piece)) for piece, f in functions)]:
        numerator = sp.fraction(sp.factor(sp.together(sp.simplify(part))))[0]
        for factor in sp.Mul.make_args(numerator):
            for symbol in (
                sorted(factor.free_symbols, key=str)[:1] if len(factor.free_symbols) > 1 else ()
            ):
                slope = sp.diff(factor, symbol)
                if slope != 0 and not slope.free_symbols:
                    yield sp.expand(factor / slope), symbol
    pieces = loss.derivative.derivative().pieces
    if len(pieces) > 2:
        return
    rates = [
        {
            sp.diff(e.args[0], x)
            for e in sp.powsimp(sp.expand(p.expression)).atoms(sp.exp)
            if e.has(x)
        }
        for p in pieces
    ]
    for left, right in itertools.product(rates[0], rates[-1]):
        equation = sp.expand(right + left - (1 if kind == "symmetric" else 0))
        symbols = sorted(equation.free_symbols - {x}, key=str)
        if len(symbols) > 1:  # a single parameter has its value in the cells
            yield equation, symbols[0]
