"""From a generator to its loss: the converse of Theorem 4.1 of Hu et al. (ICLR 2025), Remark 4.3.

    g'(x) = t f'(t) - f(t) at t = e^x,  g(0) = 0,   that is   g(x) = f(e^x) - int_0^x f(e^v) dv

for f normalised to f(1) = f'(1) = 0. What normalising takes off, f(1) + b (t - 1), adds b (sum p -
sum q) + f(1) sum q to the divergence: constants where both laws are normalised.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import sympy as sp

from divergence_lab.inputs import one_line, shown
from divergence_lab.theory.budget.asking import (
    OutOfTime,
    SearchFailed,
    bounded,
    clock,
    patient,
    within,
)
from divergence_lab.theory.catalogue import named as catalogue
from divergence_lab.theory.catalogue import spelling
from divergence_lab.theory.checker.families import signs as parameter_signs
from divergence_lab.theory.checker.rules.of_no_loss import complex_ball
from divergence_lab.theory.divergence import closed_form, integrals, recognition, values
from divergence_lab.theory.divergence.given_values import set_parameters
from divergence_lab.theory.divergence.loss import Loss
from divergence_lab.theory.expressions import (
    CannotSplit,
    ExpressionError,
    Pieces,
    digits,
    enclosure,
    identity,
    ordering,
    split,
    t,
    write,
    x,
)
from divergence_lab.theory.expressions.parsing import read_assumptions
from divergence_lab.theory.expressions.pieces import Piece, inside
from divergence_lab.theory.expressions.syntax import refused_where_sympy_fails

LIMIT_SECONDS = 3.0
# The search for a closed form of g may take this share of the budget; without one, g stays an
# integral of g'.
SEARCH_SHARE = 0.3
RATIOS = tuple(sp.Rational(n, 7) for n in (1, 5, 13, 50))  # where it must be a real number
_OF_PARAMETERS = "--assume says what its parameters may be, --set gives them a value"
_ASKED = "a generator is finite, real and continuous for every t > 0"
SECOND_WAY_SECONDS = 1.5  # after that, for the second way to a closed form of g


# Where a generator grows like e^t, its values at e^20 can't be enclosed; then it is held against
# its loss at these.
NEAR = tuple(sp.Rational(n, 11) for n in (-40, -23, -12, -5, -1, 2, 4, 9, 16, 25))
NEAR_DIGITS = 25


@dataclass(frozen=True)
class Inversion:
    """The loss of a generator.

    `given` = `generator` + gauge[0] + gauge[1]*(t - 1), with `generator` normalised: f(1) = f'(1) =
    0, or at a kink 0 between the one-sided slopes. `closed` tells whether g was found in closed
    form; otherwise `loss.expression` is the unevaluated integral of g', which is always known.
    `confirmed`: values of int g' e^{-v} that agreed with f.
    """

    loss: Loss
    given: sp.Expr
    generator: sp.Expr
    gauge: tuple[sp.Expr, sp.Expr]
    closed: bool
    confirmed: int


def invert(
    text: str,
    assumptions: Iterable[str] = (),
    values: Mapping[str, str] | None = None,
    budget: float = 20.0,
) -> Inversion:
    """The loss whose divergence has the generator that `text` names (`Jeffreys`) or writes in t
    (`t*log(t)`).

    Raises ExpressionError with one line that names the offending part.

        >>> invert("t*log(t)").loss.name
        'linex(1)'
    """
    try:
        return bounded(budget, read_inversion, text, tuple(assumptions), dict(values or {}), budget)
    except (OutOfTime, SearchFailed) as failure:
        why = str(failure) or f"not within {budget:g} s of processor time: allow a larger budget"
        raise ExpressionError(f"{shown(text)} can't be inverted: {one_line(why)}") from None


def read_inversion(
    text: str, assumptions: tuple[str, ...], values: Mapping[str, str], budget: float
) -> Inversion:
    """As `invert`, for as long as reading takes."""
    with refused_where_sympy_fails(text):
        given, assumptions = read_generator(text, assumptions)
        found = invert_expression(
            set_parameters(given, values, t, assumptions), assumptions, budget
        )
    return found  # noqa: RET504  (types: a context may swallow what is raised in it)


def read_generator(text: str, assumptions: Iterable[str] = ()) -> tuple[sp.Expr, tuple[str, ...]]:
    """f(t) from the name of a divergence or an expression in t, as written: nothing is
    normalised; and what is assumed of its parameters, by the user and, for a named family, by
    its definition.
    """
    read_assumptions(assumptions)
    given, own = catalogue.parse_generator(text, assumptions)
    if not given.has(t):
        raise ExpressionError(spelling.not_a_generator(text))
    return given, (*assumptions, *own)


def invert_expression(
    given: sp.Expr, assumptions: tuple[str, ...] = (), budget: float = 20.0
) -> Inversion:
    """The loss of a generator that is a SymPy expression in t."""
    _need_real(given)
    try:
        generator, gauge = normalise(given)
        slopes = _slopes(generator)
    except CannotSplit as reason:
        raise ExpressionError(f"{write(given)}: {reason}") from None
    if all(piece.expression == 0 for piece in slopes.pieces):
        raise ExpressionError(
            f"{write(given)} is a constant plus a multiple of t - 1: its divergence is always 0"
        )
    try:
        expression = _closed_form(slopes, generator, assumptions, clock() + budget * SEARCH_SHARE)
        found = Loss(
            expression, catalogue.name_of(expression), (sp.S.Zero, sp.S.Zero), assumptions, slopes
        )
        return Inversion(found, given, generator, gauge, True, _confirm(found, generator))
    except (OutOfTime, SearchFailed, closed_form.NotConfirmed, enclosure.NotEvaluable, CannotSplit):
        pass  # g stays an integral; f and g' are in closed form all the same
    integrated = Loss(unevaluated(slopes), None, (sp.S.Zero, sp.S.Zero), assumptions, slopes)
    try:
        return Inversion(
            integrated, given, generator, gauge, False, _confirm(integrated, generator)
        )
    except (closed_form.NotConfirmed, enclosure.NotEvaluable, CannotSplit) as reason:
        hint = _OF_PARAMETERS if given.free_symbols - {t} else _ASKED
        raise ExpressionError(
            f"{write(given)}: no loss was confirmed: {reason or 'not finite'}; {hint}"
        ) from None


def _need_real(given: sp.Expr) -> None:
    """No ball of f is off the real line: what is not real needs no search."""
    for ratio in () if given.free_symbols - {t} else RATIOS:
        value = complex_ball(given.xreplace({t: x}), enclosure.exact(ratio))
        if value.is_finite() and not value.imag.contains(0):
            raise ExpressionError(f"{write(given)} is not a real number at t = {ratio}; {_ASKED}")


# --- normalising


def normalise(given: sp.Expr) -> tuple[sp.Expr, tuple[sp.Expr, sp.Expr]]:
    """(f, (c, b)) with given = f + c + b (t - 1) and f(1) = f'(1) = 0.

    Raises ExpressionError, CannotSplit.
    """
    pieces = split(given, t, sp.S.Zero, sp.oo)
    gauge = _gauge(pieces)
    removed = sp.expand(gauge[0] + gauge[1] * (t - 1))
    if removed == 0:
        return given, gauge
    return pieces.map(
        lambda f: min((f - removed, sp.expand(f - removed)), key=sp.count_ops)
    ).as_expression(), gauge


def _gauge(pieces: Pieces) -> tuple[sp.Expr, sp.Expr]:
    """(f(1), b): at a kink at 1, b = 0 if 0 lies strictly between the slopes, else their mean.

    A convex f with 0 between its slopes at 1 is not negative already; (t - 1)_+, say, is not, as
    its loss would be flat on one side: half of |t - 1| is the same divergence.
    """
    left = next(p for p in pieces.pieces if p.high == sp.oo or not _before(p.high, sp.S.One))
    right = next(p for p in pieces.pieces if p.high == sp.oo or _before(sp.S.One, p.high))
    constant = sp.simplify(_at_one(left.expression, "-"))
    if constant.has(sp.I) or not ordering.is_finite(constant):
        raise ExpressionError(_no_value_at_one(constant))
    if left is not right and not parameter_signs.is_zero(_at_one(right.expression, "+") - constant):
        raise ExpressionError(
            "the generator jumps at t = 1, where both laws agree, or is not seen to be "
            "continuous there"
        )
    below, above = (
        _at_one(sp.diff(p.expression, t), side) for p, side in ((left, "-"), (right, "+"))
    )
    if not ordering.is_finite(below) or not ordering.is_finite(above):
        return constant, sp.S.Zero
    below, above = sp.simplify(below), sp.simplify(above)
    if not parameter_signs.is_zero(above - below) and below.is_negative and above.is_positive:
        return constant, sp.S.Zero
    return constant, sp.simplify((below + above) / 2)


def _no_value_at_one(value: sp.Expr) -> str:
    if value.free_symbols:
        return (
            f"whether the generator is finite at t = 1, where it is {value}, depends on the "
            "parameters: --assume says what they may be, as in --assume 'p > 0'"
        )
    what = f"it tends to {value}" if value.is_infinite else "it has no real value"
    return f"a generator is a finite real number at t = 1, where both laws agree: {what} there"


def _before(a: sp.Expr, b: sp.Expr) -> bool:
    if sp.Lt(a, b) not in (sp.true, sp.false):
        raise CannotSplit(f"whether {a} < {b} depends on the parameters: --set gives them a value")
    return bool(sp.Lt(a, b))


def _at_one(expression: sp.Expr, side: str) -> sp.Expr:
    value = expression.subs(t, 1)
    if ordering.is_finite(
        value
        # by looks: f is held against the integral of what comes out of it, so a power of a hidden 0
        # refuses f
    ):
        return value
    try:
        return within(patient(LIMIT_SECONDS), sp.limit, expression, t, 1, side)
    except (OutOfTime, SearchFailed):
        return sp.nan


# --- g' and g


def _slopes(generator: sp.Expr) -> Pieces:
    """g', each piece in its shortest form."""
    slopes = recognition.derivative_of_generator(generator)
    return Pieces(tuple(Piece(p.low, p.high, _short_slope(p)) for p in slopes.pieces), x).merged()


def _short_slope(piece: Piece) -> sp.Expr:
    """The slope in short, powers u^p/u as u^(p-1): u may be 0 at an end."""
    short = identity.simplified(piece.expression, inside(piece))
    rooted = {power.base for power in short.atoms(sp.Pow) if not power.exp.is_Integer}
    if not any(
        power.exp.is_Integer and power.exp < 0 and {power.base, -power.base} & rooted
        for power in short.atoms(sp.Pow)
    ):
        return short
    return sp.powsimp(sp.expand_mul(piece.expression), combine="exp")


def _closed_form(
    slopes: Pieces, generator: sp.Expr, assumptions: tuple[str, ...], deadline: float
) -> sp.Expr:
    """g = int_0^x g', or as the catalogue writes it, or f(e^x) - int_1^{e^x} f(s)/s ds
    (Proposition 2): the shorter of the found form and its expansion.
    """
    try:
        found = integrals.integral_from_zero(slopes, deadline)
    except (OutOfTime, SearchFailed):
        if (known := recognition.as_catalogued(slopes, assumptions)) is not None:
            return known
        found = within(patient(SECOND_WAY_SECONDS), _by_parts, generator)
    return (
        Pieces(tuple(Piece(p.low, p.high, _shortest(p)) for p in found.pieces), x)
        .merged()
        .as_expression()
    )


def _by_parts(generator: sp.Expr) -> Pieces:
    """g = f(e^x) - int_1^{e^x} f(s)/s ds for an f without pieces. Raises SearchFailed."""
    s = sp.Symbol("~s", positive=True)
    if len(split(generator, t, sp.S.Zero, sp.oo).pieces) > 1:
        raise SearchFailed("f has pieces")
    terms = sp.Add.make_args(sp.expand(generator.subs(t, s) / s))
    total = sp.Add(*(sp.integrate(term, s) for term in terms)).rewrite(sp.Ei)
    if total.has(sp.Integral, sp.I) or not set(map(type, total.atoms(sp.Function))) <= set(
        _WRITTEN
    ):
        raise SearchFailed("the integral of f(s)/s has no closed form that was found")
    g = (generator.subs(t, s) - total + total.subs(s, 1)).subs(s, sp.exp(x))
    return Pieces((Piece(-sp.oo, sp.oo, sp.simplify(g)),), x)


_WRITTEN = (
    sp.exp,
    sp.log,
    sp.Ei,
    sp.erf,
    sp.erfi,
    sp.atan,
    sp.asinh,
    sp.sinh,
    sp.cosh,
    sp.tanh,
    sp.polylog,
)


def _shortest(piece: Piece) -> sp.Expr:
    """The shortest of equal forms; `simplified` also merges the logarithms that integration by
    parts scatters.
    """
    forms = (
        piece.expression,
        sp.expand(piece.expression),
        identity.simplified(piece.expression, inside(piece)),
    )
    return sp.powsimp(min(forms, key=sp.count_ops))


def _confirm(loss: Loss, generator: sp.Expr) -> int:
    """How many enclosed values of int g' e^{-v} agree with f.

    Raises NotConfirmed at the first that does not.
    """
    try:
        return closed_form.confirm(loss, generator)
    except closed_form.NotConfirmed:
        samples = closed_form.parameter_samples(loss)
    reason = closed_form.NotConfirmed("")
    for sample in reversed(samples):  # one is enough, of a family that is hard to enclose
        try:
            slopes = loss.derivative.map(lambda e, s=sample: e.subs(s)) if sample else None
            g = Loss(loss.expression.subs(sample), slope=slopes) if sample else loss
            return _confirm_near(g, generator.subs(sample))
        except NotEnclosed as unknown:
            reason = unknown
    raise reason


class NotEnclosed(closed_form.NotConfirmed):
    """A value of f or of its integral could not be enclosed, which contradicts nothing."""


def _confirm_near(loss: Loss, generator: sp.Expr) -> int:
    """As `_confirm`, nearer to t = 1 and to fewer digits."""
    f = split(generator, t, sp.S.Zero, sp.oo)
    kinks = [kink for kink in loss.pieces.kinks if kink != 0]
    points = [*NEAR, *(kink + sign * sp.Rational(1, 9) for kink in kinks for sign in (-1, 1))]
    for point in points:
        with digits(NEAR_DIGITS + 10):
            given = values.pieces_at(f, sp.exp(point), NEAR_DIGITS)
            difference = given - enclosure.exact(point).exp() * values.enclose_integral(
                loss.pieces, point, NEAR_DIGITS
            )
        if not difference.is_finite() or not difference.rad() < 10**-NEAR_DIGITS * (1 + abs(given)):
            raise NotEnclosed(
                f"f(e^({point})) = {given.str(8)} or its integral could not be enclosed well enough"
            )
        if not difference.contains(0):
            raise closed_form.NotConfirmed(
                f"f(e^({point})) = {given.str(8)} does not agree with its integral"
            )
    return len(points)


def unevaluated(slopes: Pieces) -> sp.Expr:
    """g = int_0^x g' as integrals; derivatives and enclosures of these are g' and its
    quadrature.
    """
    v = sp.Symbol("v", real=True)
    if any("v" in map(str, piece.expression.free_symbols) for piece in slopes.pieces):
        raise ExpressionError(
            "g has no closed form and is an integral over v: give the parameter v another name"
        )
    left, right = slopes.split_at_zero()
    pieces = []
    for side, outwards in ((left, reversed(left.pieces)), (right, iter(right.pieces))):
        reached = sp.S.Zero
        for piece in outwards:
            inner, outer = (piece.high, piece.low) if side is left else (piece.low, piece.high)
            integrand = piece.expression.subs(x, v)
            pieces.append(
                Piece(piece.low, piece.high, reached + sp.Integral(integrand, (v, inner, x)))
            )
            if outer.is_finite:
                reached += sp.Integral(integrand, (v, inner, outer))
    ordered = sorted(pieces, key=lambda p: -float("inf") if p.low == -sp.oo else float(p.low))
    return Pieces(tuple(ordered), x).merged().as_expression()
