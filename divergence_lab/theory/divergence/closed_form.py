"""From a loss to its f-divergence.

    f(t) = t int_1^t g'(log s)/s^2 ds,   that is   f(e^u) = e^u int_0^u g'(v) e^{-v} dv

(Hu et al., ICLR 2025, Theorem 4.1.) The second form is the one that is integrated: with v = log s
most losses become sums of exponentials times powers. A closed form is shown only after guaranteed
enclosures of the integral agreed with it; without one the integral itself is enclosed at any ratio.
"""

import dataclasses
import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import sympy as sp

from divergence_lab.theory.budget.asking import (
    OutOfTime,
    SearchFailed,
    bounded,
    clock,
    cut_short,
    left_until,
    patient,
    within,
)
from divergence_lab.theory.divergence import domain, integrals, recognition
from divergence_lab.theory.divergence.loss import Loss
from divergence_lab.theory.divergence.reading import as_loss
from divergence_lab.theory.divergence.values import enclose_integral, pieces_at
from divergence_lab.theory.expressions import (
    CannotSplit,
    ExpressionError,
    Pieces,
    digits,
    enclosure,
    pieces,
    split,
    t,
    write,
    write_latex,
    x,
)
from divergence_lab.theory.expressions.parsing import read_assumptions
from divergence_lab.theory.expressions.syntax import syntax_tree

CONFIRMING_DIGITS = 30
# The residuals at which a closed form is held against the enclosed integral, per piece or on the
# whole line.
CONFIRMING_RESIDUALS = tuple(sp.Rational(n, 7) for n in (-140, -31, -16, -5, -1, 2, 6, 17, 29, 140))
# The share of a question's budget that the search for a closed form may take: values need none.
SEARCH_SHARE = 0.25
SIMPLIFY_SECONDS = 3.0
MAX_POWER = 90
# With more pieces than this nothing is simplified: it takes seconds, and f is long either way.
MANY_PIECES = 8
# The swapped loss is a courtesy, not a verdict: its search gets no more than this.
DUAL_SECONDS = 5.0
# Parameters take these values when a closed form with parameters is confirmed.
CONFIRMING_PARAMETERS = tuple(sp.Rational(n, 11) for n in (3, 8, 17, 30))


CLOSED_FORM = "a closed form of f (there may be none)"
NAME = "a name of the divergence (it may have none)"
SWAPPED = "a closed form of the swapped loss (there may be none)"


class NotConfirmed(Exception):
    """A closed form and the enclosed integral disagree."""


@dataclass(frozen=True)
class Divergence:
    """D_f(p_B || p_F) = sum p_F f(p_B/p_F), the divergence whose gradient the loss follows
    on-policy.

    `generator`: f(t), None when no closed form was found (then `values.enclose` still gives f
    anywhere). `name`, `factor`: the named divergence it equals and the positive factor, None when
    it is not a known one. `confirmed`: how many enclosed values agreed with the closed form.
    `late`: what was not found before its time was over.

    Made by `divergence`. Source: Hu et al., ICLR 2025, Theorem 4.1.

        >>> import divergence_lab as dl
        >>> found = dl.divergence(dl.loss("3*x**2"))
        >>> found.name, found.factor, found.generator
        ('reverse KL', 6, 6*t - 6*log(t) - 6)
    """

    loss: Loss
    generator: sp.Expr | None
    name: str | None
    factor: sp.Expr | None
    confirmed: int
    tried: tuple[str, ...] = ()
    late: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.name or "an f-divergence without a common name"

    def _repr_latex_(self) -> str:
        """What a notebook shows, in LaTeX."""
        known = self.generator is not None
        return f"$f(t) = {write_latex(self.generator)}$" if known else ""

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        times = "" if self.factor in (None, 1) else f"${write_latex(self.factor)}$ × "
        closed = html.escape(self._repr_latex_()) or "f has no closed form that was found"
        return f"<p>{html.escape(times)}{html.escape(str(self))}: {closed}</p>"


def divergence(loss: Loss | str, budget: float = 20.0) -> Divergence:
    """The divergence of a loss; the search for a closed form ends with `budget` processor seconds.

    >>> import divergence_lab as dl
    >>> found = dl.divergence("exp(x) - x - 1")
    >>> print(found, found.generator, sep=": ")
    forward KL: t*log(t) - t + 1
    """
    loss = as_loss(loss, budget)
    try:
        found = bounded(budget, search_divergence, loss, budget)
        return dataclasses.replace(found, loss=loss)
    except (OutOfTime, SearchFailed) as failure:
        why = f"closed form of f: {str(failure) or 'the time was over'}"
        return Divergence(loss, None, None, None, 0, (why,), (CLOSED_FORM, NAME))


def unknown(divergence: Divergence) -> tuple[str, ...]:
    """What it lacks, in words."""
    parts = {CLOSED_FORM: divergence.generator, NAME: divergence.name}
    return tuple(what for what, found in parts.items() if found is None)


def search_divergence(loss: Loss, budget: float) -> Divergence:
    """As `divergence`; only the search for a closed form ends by itself."""
    deadline = clock() + budget * SEARCH_SHARE
    tried: list[str] = []
    late: list[str] = []
    generator, confirmed, before = None, 0, cut_short()
    broken = domain.fault(loss)
    if broken is not None:
        return Divergence(loss, None, None, None, 0, (f"nothing was searched: {broken.what}",))
    try:
        candidate = _closed_form(loss, deadline)
        confirmed = confirm(loss, candidate)
        generator = _simplest(loss, candidate, deadline)
        syntax_tree(write(generator))  # what is printed can be read back, by `check` too
    except ExpressionError as failure:
        generator, confirmed = None, 0
        tried.append(f"closed form of f: {failure}")
    except (OutOfTime, SearchFailed, NotConfirmed, enclosure.NotEvaluable, CannotSplit) as failure:
        tried.append(f"closed form of f: {str(failure) or 'the time was over'}")
    late += [CLOSED_FORM] if generator is None and cut_short() > before else []
    before = cut_short()
    name, factor = recognition.recognise(loss)
    late += [NAME] if name is None and cut_short() > before else []
    return Divergence(loss, generator, name, factor, confirmed, tuple(tried), tuple(late))


# --- the closed form


def _closed_form(loss: Loss, deadline: float) -> sp.Expr:
    """f(t) = t F(log t), F(u) = int_0^u g'(v) e^{-v} dv."""
    return _in_ratio(
        integrals.integral_from_zero(
            loss.derivative.map(lambda slope: slope * sp.exp(-x)), deadline
        )
    )


def _in_ratio(integral_in_residual: Pieces) -> sp.Expr:
    """t F(log t) as one expression or a Piecewise in t."""

    def convert(piece: pieces.Piece) -> sp.Expr:
        return sp.expand(
            t * sp.powsimp(sp.expand(piece.expression.rewrite(sp.exp)).subs(x, sp.log(t)))
        )

    *firsts, last = integral_in_residual.pieces
    if not firsts:
        return convert(last)
    return sp.Piecewise(*((convert(p), t < sp.exp(p.high)) for p in firsts), (convert(last), True))


def _simplest(loss: Loss, found: sp.Expr, deadline: float) -> sp.Expr:
    """The shortest of a few equal forms; it is confirmed anew, because simplification may err."""
    if len(found.args) > MANY_PIECES and isinstance(found, sp.Piecewise):
        return found
    try:
        forms = within(min(patient(SIMPLIFY_SECONDS), left_until(deadline)), shorter_forms, found)
    except (OutOfTime, SearchFailed):
        return found  # the unsimplified form stands: it is longer, not wrong
    for form in forms:
        try:
            confirm(loss, form)
            return form
        except (NotConfirmed, enclosure.NotEvaluable, CannotSplit):
            continue
    return found


def shorter_forms(found: sp.Expr) -> list[sp.Expr]:
    """Equal forms (unless SymPy errs) that are shorter than `found`, the shortest first."""
    if any(
        power.exp.is_Rational and max(abs(power.exp.p), power.exp.q) > MAX_POWER
        for power in found.atoms(sp.Pow)
    ):
        return []  # SymPy would factor polynomials of that degree
    simplified = sp.simplify(found)
    # term by term, so that t*log(t) - t + 1 is not folded into t*(log(t) - 1) + 1
    shift_free = sp.Add(*(sp.simplify(term) for term in sp.Add.make_args(sp.expand(simplified))))
    forms = [sp.expand_log(form, force=True) for form in (simplified, sp.factor(found), shift_free)]
    shorter = [
        form
        for form in dict.fromkeys(forms)
        if sp.count_ops(form) < sp.count_ops(found) and not form.has(sp.I)
    ]
    return sorted(shorter, key=sp.count_ops)


def dual_loss(divergence: Divergence, budget: float = 20.0) -> sp.Expr | None:
    """The loss whose divergence is D_f with its arguments swapped: g*'(x) = -f'(e^{-x}), g*''(x) =
    e^x g''(-x).

    Not the mirror g(-x). None when f has no closed form or the integral was not found; confirmed by
    g*'' otherwise.

        >>> import divergence_lab as dl
        >>> dual_loss(dl.divergence(dl.loss("exp(x) - x - 1")))
        x**2/2
    """
    if divergence.generator is None:
        return None
    seconds = min(budget * SEARCH_SHARE, patient(DUAL_SECONDS))
    try:
        found = within(seconds, _search_dual, divergence, seconds)
        syntax_tree(write(found))  # what is printed can be read back
        return found
    except (OutOfTime, SearchFailed, ExpressionError):
        return None


def _search_dual(divergence: Divergence, seconds: float) -> sp.Expr:
    """As `dual_loss`, within `seconds`. Raises SearchFailed, NotConfirmed and the like."""
    assert divergence.generator is not None
    deadline = clock() + seconds
    pieces = integrals.integral_from_zero(dual_slopes(divergence.generator), deadline)
    dual = pieces.as_expression()
    sides = [p.expression for p in pieces.pieces[:2]]
    if sp.cancel(sides[0] - sides[-1]) == 0:  # to simplify is the dearest step here
        sides = [min(sides, key=sp.count_ops)]
    whole = [sp.simplify(side) for side in sides]
    one = len(pieces.pieces) <= 2 and (len(whole) == 1 or sp.simplify(whole[0] - whole[1]) == 0)
    forms = [*([*whole, sp.expand(whole[0]), _gathered(whole[0])] if one else []), dual]
    best = min(forms, key=sp.count_ops)
    _confirm_dual(divergence.loss, best)
    return best


def dual_slopes(generator: sp.Expr) -> Pieces:
    """g*'(x) = -f'(e^{-x}), piece by piece. Raises CannotSplit."""
    slopes = split(generator, t, sp.S.Zero, sp.oo).derivative()
    return Pieces(
        tuple(
            pieces.Piece(
                -sp.oo if p.high == sp.oo else -sp.log(p.high),
                sp.oo if p.low == 0 else -sp.log(p.low),
                -p.expression.subs(t, sp.exp(-x)),
            )
            for p in reversed(slopes.pieces)
        ),
        x,
    )


def _gathered(g: sp.Expr) -> sp.Expr:
    """A sum in x times what does not depend on it."""
    factor, rest = g.as_independent(x, as_Add=False)
    return factor * sp.powsimp(sp.expand(rest))


def _confirm_dual(loss: Loss, dual: sp.Expr) -> None:
    """g*''(x) = e^x g''(-x) and g*(0) = 0, in enclosures."""
    for values in parameter_samples(loss):
        g = (
            (loss.pieces if not values else split(loss.expression.subs(values), x))
            .derivative()
            .derivative()
        )
        curvature = split(dual.subs(values), x).derivative().derivative()
        for point in CONFIRMING_RESIDUALS:
            with digits(CONFIRMING_DIGITS + 10):
                expected = enclosure.exact(point).exp() * pieces_at(g, -point, CONFIRMING_DIGITS)
                difference = pieces_at(curvature, point, CONFIRMING_DIGITS) - expected
            if not difference.contains(0) or not difference.rad() < 1e-15 * (1 + abs(expected)):
                raise NotConfirmed(f"the swapped loss at x = {point}")


# --- confirmation by enclosures


def confirm(loss: Loss, generator: sp.Expr) -> int:
    """Hold the closed form against rigorous enclosures of the defining integral; the number of
    values that agreed.

    Raises NotConfirmed at the first value outside its enclosure.
    """
    pieces_of_f = split(generator, t, sp.S.Zero, sp.oo)
    count = 0
    for values in parameter_samples(loss):
        g = loss.pieces if not values else split(loss.expression.subs(values), x)
        kinks = [kink for kink in g.kinks if kink != 0]
        points = [
            *CONFIRMING_RESIDUALS,
            *(kink + sign * sp.Rational(1, 9) for kink in kinks for sign in (-1, 1)),
        ]
        f = pieces_of_f if not values else split(generator.subs(values), t, sp.S.Zero, sp.oo)
        for point in points:
            with digits(CONFIRMING_DIGITS + 10):
                ratio = enclosure.exact(point).exp()
                closed = pieces_at(f, sp.exp(point), CONFIRMING_DIGITS)
                difference = closed - ratio * enclose_integral(g, point, CONFIRMING_DIGITS)
            if (
                not difference.is_finite()
                or not difference.contains(0)
                or not difference.rad() < 1e-15 * (1 + abs(closed))
            ):
                raise NotConfirmed(
                    f"f(e^({point})) = {closed.str(8)} does not agree with its integral"
                )
            count += 1
    return count


def parameter_samples(loss: Loss) -> list[Mapping[sp.Symbol, sp.Expr]]:
    """Exact values for the parameters that respect their assumptions ([{}] when there are none)."""
    if not loss.parameters:
        return [{}]
    bounds, samples = read_assumptions(loss.assumptions), []
    for shift in range(3):
        values = {}
        for index, symbol in enumerate(loss.parameters):
            share = CONFIRMING_PARAMETERS[(index + shift) % len(CONFIRMING_PARAMETERS)]
            values[symbol] = _inside(bounds.get(symbol.name, ()), share)
        samples.append(values)
    return samples


def _inside(bounds: Sequence[tuple[str, sp.Expr]], share: sp.Expr) -> sp.Expr:
    """A number that the bounds on a parameter allow: share itself where there are none."""
    low = max((bound for relation, bound in bounds if relation[0] == ">"), default=None)
    high = min((bound for relation, bound in bounds if relation[0] == "<"), default=None)
    if low is None:
        return share if high is None else high - share
    return low + share if high is None else low + (high - low) / (1 + share)
