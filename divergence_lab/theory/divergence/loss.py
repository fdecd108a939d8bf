"""A regression loss g(x) on the residual x, as a frozen record.

L = sum_o mu(o) g(x(o)),   x = log p_B - log p_F        (Hu et al., ICLR 2025, eq. 4.1)
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import sympy as sp

from divergence_lab.inputs import kind_of, one_line, shown
from divergence_lab.theory.budget.asking import OutOfTime, SearchFailed, bounded, patient, within
from divergence_lab.theory.catalogue import named as catalogue
from divergence_lab.theory.catalogue import spelling
from divergence_lab.theory.checker.facts import proofs
from divergence_lab.theory.checker.facts.crossings import split_certified
from divergence_lab.theory.checker.families import by_terms, ranges
from divergence_lab.theory.checker.families import signs as parameter_signs
from divergence_lab.theory.divergence import given_values
from divergence_lab.theory.expressions import (
    CannotSplit,
    ExpressionError,
    Pieces,
    constants,
    identity,
    ordering,
    pieces,
    write,
    write_latex,
    x,
)
from divergence_lab.theory.expressions.parsing import read_assumptions
from divergence_lab.theory.expressions.points import cancelled, undefined_points, value_of
from divergence_lab.theory.expressions.printing import shortest
from divergence_lab.theory.expressions.syntax import refused_where_sympy_fails
from divergence_lab.theory.expressions.unified import unified

LIMIT_SECONDS = 3.0
_ARGUMENT = r"([A-Za-z_]{1,9}|[0-9]{1,6}(/[0-9]{1,6})?)"
PLAIN_NAME = re.compile(rf"[A-Za-z][A-Za-z _-]*(\({_ARGUMENT}(, ?{_ARGUMENT}){{0,3}}\))?", re.ASCII)
STEEP = 50
# What the gauge c x of a loss adds to a gradient: with weights p_F, -c grad |p_F| (Propositions 1
# and 2).
GAUGE_UNSEEN = (
    "no expected on-policy gradient depends on it where |p_F| does not depend on the "
    "parameters moved "
    "(the policy in TB; in DB given its flows)"
)


@dataclass(frozen=True)
class Loss:
    """g(x), with g(0) = 0 and g'(0) = 0 where g has a derivative at 0.

    `expression` is g after the gauge was removed: adding c0 + c1*x to g adds -c1 grad |p_F| to an
    expected on-policy gradient, nothing where |p_F| does not depend on the parameters moved (the
    policy in TB; in DB given its flows). The constant and the slope that the user's text had are
    kept in `gauge` and stated in every answer. `name` is the catalogue's, if it has one; `given` is
    the expression before its gauge was taken off. `slope` is g' where a generator gave it: in a
    shorter form than the derivative of `expression`, which may even be an unevaluated integral of
    it. Raises CannotSplit from `pieces` when a kink can't be located exactly.

    A loss is made by `loss` or `from_expression`; its slopes and pieces are worked out on demand.
    Source: Hu et al., ICLR 2025 (arXiv 2410.02596), Section 4.

        >>> import divergence_lab as dl
        >>> huber = dl.loss("huber(1)")
        >>> huber.derivative.kinks
        (-1, 1)
    """

    expression: sp.Expr
    name: str | None = None
    gauge: tuple[sp.Expr, sp.Expr] = (sp.S.Zero, sp.S.Zero)
    assumptions: tuple[str, ...] = field(default=())
    slope: Pieces | None = field(default=None, compare=False)
    given: sp.Expr | None = field(default=None, compare=False)

    def __str__(self) -> str:
        return str(self.expression)

    def _repr_latex_(self) -> str:
        """What a notebook shows."""
        return f"$g(x) = {write_latex(self.expression)}$"

    @property
    def parameters(self) -> tuple[sp.Symbol, ...]:
        return tuple(sorted(self.expression.free_symbols - {x}, key=str))

    @cached_property
    def pieces(self) -> Pieces:
        """g as smooth pieces."""
        return split_certified(self.expression)

    @cached_property
    def continued(self) -> tuple[sp.Expr, ...]:
        """The points at which the formula has no value: there g is its limit."""
        formula = self.expression if self.given is None else self.given
        if formula.free_symbols != {x} or formula.has(sp.Integral):
            return ()
        points = ordering.in_order([sp.S.Zero, *split_certified(formula).kinks])
        return tuple(point for point in points if value_of(formula, x, point) is None)

    @cached_property
    def derivative(self) -> Pieces:
        """g' inside each piece."""
        return self.slope or self.pieces.derivative().map(identity.elementary)

    @cached_property
    def curvature(self) -> Pieces:
        """g'' inside each piece; at a kink c add the atom `jump(loss, c)`."""
        return self.derivative.derivative()


def loss(
    text: str,
    assumptions: Iterable[str] = (),
    values: Mapping[str, str] | None = None,
    budget: float = 20.0,
) -> Loss:
    """The loss that `text` names (`linex(1/2)`) or writes in x (`exp(x) - x - 1`), read within
    `budget` processor seconds.

    `assumptions` are strings such as "alpha > 0"; `values` sets parameters, {"alpha": "1/3"}. A
    `Loss` is returned as it is.
    Raises ExpressionError (a ValueError) with one line that names the offending part.

        >>> loss("linex(1/2)").expression
        -2*x + 4*exp(x/2) - 4
    """
    if isinstance(text, Loss) and not assumptions and not values:
        return text
    given = _checked(text, assumptions, values or {})
    if PLAIN_NAME.fullmatch(text.strip()):  # no search is needed
        return read_loss(*given)
    try:
        return bounded(budget, read_loss, *given)
    except OutOfTime:
        raise ExpressionError(
            f"{shown(text)} was not read and split at its kinks within {budget:g} s of processor "
            "time: write it more simply, or allow a larger budget"
        ) from None
    except SearchFailed as failure:
        raise ExpressionError(f"{shown(text)} can't be read: {one_line(str(failure))}") from None


def _checked(
    text: str, assumptions: Iterable[str], values: Mapping[str, str]
) -> tuple[str, tuple[str, ...], dict[str, str]]:
    """What `loss` was given. ExpressionError for what is of another kind."""
    if not isinstance(text, str):
        raise ExpressionError(
            f"a loss is a text, such as 'linex(1)' or 'exp(x) - x - 1'; this is {kind_of(text)}"
        )
    if isinstance(assumptions, str):
        assumptions = (assumptions,)
    if not isinstance(assumptions, Iterable) or not all(isinstance(a, str) for a in assumptions):
        raise ExpressionError("assumptions are texts: write them as ['alpha > 0']")
    if not isinstance(values, Mapping) or not all(isinstance(name, str) for name in values):
        raise ExpressionError("values of parameters are written as {'alpha': '1/3'}")
    return text, tuple(assumptions), {name: str(value) for name, value in values.items()}


def read_loss(text: str, assumptions: tuple[str, ...], values: Mapping[str, str]) -> Loss:
    """As `loss`, for as long as it takes."""
    name, expression, implied = _read(text, assumptions)
    with refused_where_sympy_fails(text):
        expression = given_values.set_parameters(expression, values, x, assumptions)
        if not expression.has(x):
            raise ExpressionError(spelling.not_a_loss(text))
        found = from_expression(expression, name, assumptions + implied)
        write(found.expression)  # the value at 0 may be too long: Abs(x - 2000)**Abs(x - 2000)
    return found


def parameters_of(text: str, assumptions: Iterable[str] = ()) -> tuple[str, ...]:
    """The names of the parameters in `text`, which need not be a loss before they have values
    (Abs(x)**p at p = 0).
    """
    _, expression, _ = _read(text, tuple(assumptions))
    return tuple(sorted(symbol.name for symbol in expression.free_symbols - {x}))


def _read(text: str, assumptions: tuple[str, ...]) -> tuple[str | None, sp.Expr, tuple[str, ...]]:
    """(the catalogue's name, the expression, what the catalogue assumes of its parameters)."""
    read_assumptions(assumptions)  # refuses malformed ones, used or not
    return catalogue.lookup(text, assumptions) or (
        None,
        *catalogue.parse_with_names(text, assumptions),
    )


def from_expression(
    expression: sp.Expr, name: str | None = None, assumptions: tuple[str, ...] = ()
) -> Loss:
    """A loss from a SymPy expression in x; removes g(0) and, where it exists, g'(0) (the gauge)."""
    for e in expression.atoms(sp.acosh):  # one kink at 0, and no root that hides it
        if isinstance(e.args[0], sp.cosh):
            expression = expression.xreplace({e: sp.Abs(e.args[0].args[0])})
    # of acosh(1 + x^2) no enclosure near 0 is finite, of 2 asinh(|x|/sqrt(2)) all are
    expression = expression.replace(sp.acosh, lambda u: 2 * sp.asinh(sp.sqrt((u - 1) / 2)))
    given = expression
    try:
        expression = cancelled(expression, split_certified(expression).kinks)
    except CannotSplit as reason:
        raise ExpressionError(f"{write(expression)}: {reason}") from None
    constant = _value_at_zero(expression)
    if constant is None:
        return Loss(expression, name, assumptions=assumptions, given=given)
    constant = constant.rewrite(sp.zeta) if constant.has(sp.dirichlet_eta) else constant
    try:
        slope = _slope_at_zero(expression, assumptions)
    except CannotSplit as reason:
        raise ExpressionError(f"{write(expression)}: {reason}") from None
    if constant != 0 or slope != 0:
        expression = expression - constant - slope * x
        expression = expression if expression.has(sp.Piecewise) else _expanded(expression)
    return Loss(
        expression,
        name or catalogue.name_of(expression),
        (constant, slope),
        assumptions,
        given=given,
    )


def _value_at_zero(expression: sp.Expr) -> sp.Expr | None:
    """g(0) as it is written, or its limit where the formula has no value; None where it has no
    finite limit either, and so is no loss.
    """
    if expression.free_symbols != {x}:
        return _value_with_parameters(expression)
    value = value_of(unified(expression), x, sp.S.Zero)
    if value is not None:
        return value
    left, right = split_certified(expression).split_at_zero()
    below, above = _limit(left.pieces[-1], -1), _limit(right.pieces[0], 1)
    known = [side for side in (below, above) if side is not None]
    if len(known) < 2 and not any(side.is_infinite for side in known):
        raise ExpressionError(
            f"{shown(write(expression))} has no value at x = 0, where a loss is 0, and no limit of "
            "it was found there"
        )
    is_limit = len(known) == 2 and known[0].is_finite and constants.equal(*known) is True
    return known[0] if is_limit else None


def _limit(piece: pieces.Piece, side: int) -> sp.Expr | None:
    try:
        return proofs.limit_of(piece.expression, x, sp.S.Zero, side)
    except proofs.Rejected:
        return None


def _value_with_parameters(expression: sp.Expr) -> sp.Expr:
    constant = unified(expression).subs(x, 0)
    if constant.has(
        sp.Piecewise
    ):  # which branch holds at 0 is seen from beside it: b > 0 is not known of b >= 0
        constant = split_certified(expression).split_at_zero()[1].pieces[0].expression.subs(x, 0)
    constant = constant.replace(
        lambda e: e.is_Pow and e.base == 0 and e.exp.is_nonnegative, lambda e: sp.S.Zero
    )  # 0^p, p >= 0: off p = 0
    if not ordering.is_finite(constant):
        seen = "or is not seen to have one"
        if constant.free_symbols and not constant.has(sp.zoo, sp.nan, sp.oo, sp.I):
            seen = f"for all parameters: it is {write(constant)} there, and --assume says more"
        raise ExpressionError(
            f"{shown(write(expression))} has no finite value at x = 0, where a loss is 0, {seen}"
        )
    return constant


def _expanded(expression: sp.Expr) -> sp.Expr:
    """The expression as a sum; exponentials e^{u(x)} of which u(0) is large stay whole, as
    e^{-1000 (x-3)^2} does: its factor e^{-9000} alone could not be held, and a square is
    enclosed far better than the sum that it is. So do powers that have no value somewhere.
    """
    whole = {
        power: sp.Dummy()
        for power in expression.atoms(sp.exp, sp.Pow)
        if _is_steep(power) or undefined_points(power, x, -sp.oo, sp.oo)
    }
    return sp.expand(expression.xreplace(whole)).xreplace(
        {dummy: power for power, dummy in whole.items()}
    )


def _is_steep(power: sp.Expr) -> bool:
    constant = power.args[0].subs(x, 0)
    return bool(
        isinstance(power, sp.exp)
        and power.has(x)
        and constant.is_number
        and constant.is_finite
        and abs(constant) > STEEP
    )


def _slope_at_zero(expression: sp.Expr, assumptions: tuple[str, ...]) -> sp.Expr:
    """g'(0) where the left and right derivatives agree for all parameters, else 0 (a kink at 0
    is part of the loss).

    Where they are not known as it is written, the parameters are written as positive numbers.
    """
    forms = {
        s: ranges.over_range(s, *given_values.range_of(s, assumptions))
        for s in expression.free_symbols - {x}
    }
    slope = _common_slope(expression)
    if slope is None and forms:
        slope = _common_slope(expression.subs({s: form for s, (form, _, _) in forms.items()}))
        back = {z: as_given for _, z, as_given in forms.values()}
        slope = None if slope is None else slope.subs(back)
    # x + |x|^p, p > 0, for one, where p - 1 has no sign: all is then said of the loss as it is
    # shown
    slope = sp.S.Zero if slope is None else shortest(slope)
    if slope != 0:
        _need_one_gauge(expression, slope, assumptions)
    return slope


def _need_one_gauge(expression: sp.Expr, slope: sp.Expr, assumptions: tuple[str, ...]) -> None:
    """Raises ExpressionError for |x + c^2|: at c = 0, |x|, no x is left out as it is elsewhere."""
    left, right = split_certified(expression).split_at_zero()
    for length in (-left.pieces[-1].low, right.pieces[0].high):
        for symbol, value in given_values.zeros_of(length, expression, assumptions):
            member = given_values.substituted(expression, {symbol: value})
            there = None if member is None else _common_slope(member)
            if there is not None and not parameter_signs.is_zero(there - slope.subs(symbol, value)):
                raise ExpressionError(
                    f"{shown(write(expression))}: at {symbol} = {write(value)} a kink comes to 0, "
                    f"and {write(slope * x)} is not left out as it is elsewhere: set {symbol} with "
                    f"--set, or state --assume '{symbol} > {write(value)}'"
                )


def _common_slope(expression: sp.Expr) -> sp.Expr | None:
    """The slope at 0 from both sides, 0 where they differ; None where one is not known."""
    left, right = split_certified(expression).split_at_zero()
    below, above = _beside_zero(left.pieces[-1], -1), _beside_zero(right.pieces[0], 1)
    if below is None or above is None:
        return None
    agree = (
        ordering.is_finite(below)
        and ordering.is_finite(above)
        and parameter_signs.is_zero(below - above)
    )
    return sp.S.Zero if not agree or parameter_signs.is_zero(above) else above


def _beside_zero(piece: pieces.Piece, side: int) -> sp.Expr | None:
    """g'(0+) or g'(0-): by substitution or, where that is not defined, as in x^p/x, by the
    checker's limit; None: not known.
    """
    slope = identity.elementary(sp.diff(piece.expression, x))
    if parameter_signs.is_finite(slope, at=(x, sp.S.Zero)):
        return slope.subs(x, 0)
    slope = pieces.with_signed(slope, x, piece)
    try:
        return (by_terms if slope.free_symbols - {x} else proofs).limit_of(
            slope, x, sp.S.Zero, side
        )
    except proofs.Rejected:
        return None


def jump(loss: Loss, kink: sp.Expr) -> sp.Expr:
    """g'(kink+) - g'(kink-): the atom of g'' at a kink (oo where a slope is infinite, 0 where
    both are shown to be equal).
    """
    pieces = loss.derivative.pieces
    index = loss.derivative.kinks.index(kink)
    before, after = (_one_sided(pieces[index + after].expression, kink, after) for after in (0, 1))
    difference = after - before
    return (
        sp.S.Zero
        if difference.is_finite is not False
        and difference is not sp.nan
        and parameter_signs.is_zero(difference)
        else shortest(difference)
    )


def _one_sided(slope: sp.Expr, kink: sp.Expr, after: int) -> sp.Expr:
    if parameter_signs.is_finite(slope, at=(x, kink)):  # every part of it is: 0*zoo is no 0
        return slope.subs(x, kink)
    try:
        found = (by_terms if slope.free_symbols - {x} else proofs).limit_of(
            slope, x, kink, 1 if after else -1
        )
    except proofs.Rejected:
        found = None
    return (
        within(patient(LIMIT_SECONDS), sp.limit, slope, x, kink, "+" if after else "-")
        if found is None
        else found
    )
