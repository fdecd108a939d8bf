"""What a loss minimises when objects are not weighted by p_F: the on-policy loss with the same
gradient.

With weights mu the gradient of sum mu g(x) is that of an f-divergence whose loss h has, in the
residual,

    power:B      mu = p_F^(1-B) p_B^B           h'(x) = e^{Bx} g'(x)               (Proposition 8)
    mixture:E    mu = (1-E) p_F + E p_B         h'(x) = ((1-E) + E e^x) g'(x)      (Proposition 9)
    powers:A,B   mu = p_F^A p_B^B, k = A + B    h'(y) = g'(y/k) e^{By/k}/k         (Proposition 8)
    learned_backward:B                          h'(x) = e^{Bx} g'(x) - k(e^x)      (Proposition 10)

With TB, trajectories drawn from P_F and p_B/Z* with shares 1-e and e are a mixture with
E = e Z/((1-e) Z* + e Z). `powers` is a divergence between p_B^k and p_F^k. In `learned_backward`
the parameters of p_B learn, mu = p_F^(1-B) p_B^B, and k(t) = int_1^t s^{B-1} g'(log s) ds is the
generator. `on` leaves the loss as it is; `backward` weighs by p_B, that is power:1.

g' is the slope of the loss as it was given: a straight part c x, which on-policy no gradient sees,
is the whole of p_B x, whose gradient is that of forward KL. Only what is constant in h' is h's
gauge.

So verdicts, closed form and name under a weighting are those of h, found and proved by the engine
for plain losses.
"""

import itertools
from collections.abc import Iterable
from dataclasses import dataclass

import sympy as sp

from divergence_lab.inputs import nearest, shown
from divergence_lab.theory.budget.asking import OutOfTime, SearchFailed, clock, patient
from divergence_lab.theory.checker.families import signs
from divergence_lab.theory.divergence import integrals, inversion
from divergence_lab.theory.divergence.loss import Loss, from_expression
from divergence_lab.theory.expressions import (
    ExpressionError,
    Pieces,
    enclosure,
    ordering,
    parse,
    write,
    x,
)
from divergence_lab.theory.expressions.pieces import Piece

FORMS = "on, backward, power:B, mixture:E, powers:A,B, learned_backward:B"
SECONDS = 3.0


@dataclass(frozen=True)
class Weighting:
    """`kind` and its numbers, exact or parameters; `weight` says what objects are weighted by,
    in words of p_F and p_B; `assumptions` are those that the kind makes of its parameters.
    """

    kind: str
    numbers: tuple[sp.Expr, ...]
    weight: str
    assumptions: tuple[str, ...] = ()


def weighting(text: str, assumptions: Iterable[str] = ()) -> Weighting:
    """The weighting that a text names; its numbers may be parameters (power:b).

    Raises ExpressionError, listing the forms.

        >>> weighting("power:1/3").weight
        'p_F^(2/3) p_B^(1/3)'
        >>> weighting("mixture:e").assumptions
        ('e > 0', 'e < 1')
    """
    kind, _, rest = text.strip().partition(":")
    own = ()
    if (
        kind == "mixture"
        and rest.strip().isidentifier()
        and rest.strip() not in ("E", "pi", "EulerGamma")
    ):
        own = (f"{rest.strip()} > 0", f"{rest.strip()} < 1")
    assumptions = (*assumptions, *own)
    numbers = (
        tuple(parse(part, sp.Dummy(), assumptions) for part in rest.split(",")) if rest else ()
    )
    if kind == "on" and not numbers:
        return Weighting("on", (), "p_F")
    if kind == "backward" and not numbers:
        return Weighting("power", (sp.S.One,), "p_B")
    if kind == "power" and len(numbers) == 1:
        return Weighting("power", numbers, _powers(1 - numbers[0], numbers[0]))
    if kind == "learned_backward" and len(numbers) == 1:
        return Weighting(
            "learned_backward", numbers, f"{_powers(1 - numbers[0], numbers[0])}, p_B learning"
        )
    if kind == "mixture" and len(numbers) == 1:
        if not own and (numbers[0].free_symbols or not 0 <= numbers[0] <= 1):
            raise ExpressionError(
                f"sampler {shown(text)}: the share of backward samples lies between 0 and 1"
            )
        return Weighting(
            "mixture", numbers, f"{_factor(1 - numbers[0])} p_F + {_factor(numbers[0])} p_B", own
        )
    if kind == "powers" and len(numbers) == 2:
        if not (numbers[0] + numbers[1]).is_positive:
            raise ExpressionError(f"sampler {shown(text)}: the exponents must have a positive sum")
        return Weighting("powers", numbers, _powers(*numbers))
    raise ExpressionError(f"sampler {shown(text)} is not known; {_advice(kind)}")


def _advice(kind: str) -> str:
    """The form of the kind that is meant, or all of them."""
    forms = {form.partition(":")[0]: form for form in FORMS.split(", ")}
    meant = nearest(kind, forms)
    return f"did you mean {forms[meant]}?" if meant else f"use one of {FORMS}"


def _powers(a: sp.Expr, b: sp.Expr) -> str:
    """p_F^(a) p_B^(b), shortened where a power is 0 or 1."""
    parts = [
        name if power == 1 else f"{name}^({write(power)})"
        for name, power in (("p_F", a), ("p_B", b))
        if power != 0
    ]
    return " ".join(parts)


def _factor(number: sp.Expr) -> str:
    return f"({write(number)})" if number.is_Add else write(number)


def on_policy_equivalent(loss: Loss, weighting: Weighting) -> Loss:
    """The loss h whose on-policy gradient is that of `loss` under the weighting.

    Where h has no closed form that was found it is the integral of its slope h', which is explicit.
    Raises ExpressionError for learned backward parameters when k, and with it h', has none.

        >>> import divergence_lab as dl
        >>> h = on_policy_equivalent(dl.loss("quadratic"), weighting("mixture:1/10"))
        >>> verdicts = dl.decide(h)
        >>> verdicts.zero_forcing.holds, verdicts.zero_avoiding.holds
        (True, True)
        >>> on_policy_equivalent(dl.loss("x"), weighting("backward")).expression
        -x + exp(x) - 1
    """
    if weighting.kind == "on":
        return loss
    given = loss.derivative.map(lambda h: h + loss.gauge[1])
    return acting(given, weighting, loss.assumptions)


def acting(slope: Pieces, weighting: Weighting, assumptions: tuple[str, ...] = ()) -> Loss:
    """The loss that acts on-policy as one of slope g' does under the weighting.

    Raises ExpressionError where its straight part would count: |p_F^k| is 1 for k = 1 alone.
    """
    found = loss_of_slope(weighed(slope, weighting), (*assumptions, *weighting.assumptions))
    if weighting.kind == "powers" and found.gauge[1] != 0 and sum(weighting.numbers) != 1:
        raise ExpressionError(
            f"under weights {weighting.weight} the straight part {write(found.gauge[1] * x)} of "
            "this loss counts, for p_F^(A + B) is not normalised, and no divergence is minimised: "
            "give a loss with g'(0) = 0, or powers:A,B with A + B = 1"
        )
    return found


def loss_of_slope(slope: Pieces, assumptions: tuple[str, ...] = ()) -> Loss:
    """The loss with g' = slope up to a constant, which is its gauge.

    >>> import divergence_lab as dl
    >>> loss_of_slope(dl.loss("quadratic").derivative.map(lambda h: h + 1)).gauge
    (0, 1)
    """
    found = antiderivative(slope)
    if found is not None:
        return from_expression(found, None, assumptions)
    left, right = slope.split_at_zero()
    ends = [side.expression.subs(x, 0) for side in (left.pieces[-1], right.pieces[0])]
    constant = ends[0] if ends[0].is_finite and signs.is_zero(ends[0] - ends[1]) else sp.S.Zero
    bare = slope.map(lambda h: h - constant)
    return Loss(
        inversion.unevaluated(bare),
        None,
        (sp.S.Zero, constant),
        assumptions,
        bare,
        given=inversion.unevaluated(slope),
    )


def antiderivative(slope: Pieces) -> sp.Expr | None:
    """int_0^x of a slope in closed form, held against the slope by enclosures; None where none was
    found.
    """
    try:
        total = integrals.integral_from_zero(slope, clock() + patient(SECONDS))
    except (OutOfTime, SearchFailed):
        return None
    _confirm(total, slope)
    expression = total.as_expression()
    return sp.expand(expression) if len(total.pieces) == 1 else expression


def _confirm(total: Pieces, slope: Pieces) -> None:
    """h' against the derivative of the integral that was found, in enclosures, piece by piece."""
    for piece in total.pieces:
        low = (
            piece.low
            if piece.low.is_finite
            else (piece.high if piece.high.is_finite else sp.S.Zero) - 4
        )
        high = piece.high if piece.high.is_finite else low + 4
        for share in (sp.Rational(1, 7), sp.Rational(3, 5), sp.Rational(8, 9)):
            point = low + share * (high - low)
            home = next(
                p
                for p in slope.pieces
                if ordering.is_less(p.low, point) and ordering.is_less(point, p.high)
            )
            difference = sp.diff(piece.expression, x) - home.expression
            free = sorted(
                difference.free_symbols - {x}, key=str
            )  # parameters: at one value of each, which all weightings allow
            difference = difference.subs({s: sp.Rational(5, 7 + k) for k, s in enumerate(free)})
            if not enclosure.value_at(difference, x, point, 30).contains(0):
                raise ExpressionError(
                    f"the loss that was found for this sampler is wrong at x = {point}: "
                    "please report it"
                )


def weighed(slope: Pieces, weighting: Weighting) -> Pieces:
    """h' of the loss that acts on-policy as one of slope g' does under the weighting.

    Raises ExpressionError for learned backward parameters when k has no closed form.

        >>> import divergence_lab as dl
        >>> weighed(dl.loss("quadratic").derivative, weighting("backward")).as_expression()
        x*exp(x)
    """
    match weighting.kind, weighting.numbers:
        case "on", ():
            return slope
        case "power", (b,):
            return slope.map(lambda h: sp.exp(b * x) * h)
        case "mixture", (e,):
            return slope.map(lambda h: ((1 - e) + e * sp.exp(x)) * h)
        case "powers", (a, b):
            k = a + b
            return Pieces(
                tuple(
                    Piece(
                        k * p.low, k * p.high, p.expression.subs(x, x / k) * sp.exp(b * x / k) / k
                    )
                    for p in slope.pieces
                ),
                x,
            )
        case "learned_backward", (b,):
            grown = slope.map(lambda h: sp.exp(b * x) * h)
            return Pieces(
                tuple(
                    Piece(p.low, p.high, p.expression - q.expression)
                    for p, q in _aligned(grown, _integral(grown))
                ),
                x,
            )
    raise AssertionError(weighting)


def _integral(function: Pieces) -> Pieces:
    try:
        return integrals.integral_from_zero(function, clock() + patient(SECONDS))
    except (OutOfTime, SearchFailed) as reason:
        raise ExpressionError(
            "the generator for learned backward parameters has no closed form that was found "
            f"({reason})"
        ) from None


def _aligned(a: Pieces, b: Pieces) -> list[tuple[Piece, Piece]]:
    """Pieces of a beside the pieces of b that hold there (b may have fewer, or one more break at
    0).
    """
    ends = sorted({-sp.oo, sp.oo, *a.kinks, *b.kinks}, key=lambda end: float(end))
    return [(_on(a, low, high), _on(b, low, high)) for low, high in itertools.pairwise(ends)]


def _on(pieces: Pieces, low: sp.Expr, high: sp.Expr) -> Piece:
    home = next(p for p in pieces.pieces if p.low <= low and high <= p.high)
    return Piece(low, high, home.expression)
