"""Where a term stands decides what it minimises: the loss that k(x) acts as in its place.

q = p_F, the model, from which is drawn; x = log(p/q); s = grad log q, E_q[s] = 0.

    loss        grad E_sg(q)[k]              = -E_q[k' s]          g' = k'
    reward      E_q[k s], a penalty, held    = -E_q[(-k) s]        g' = -k
    weighted    grad E_sg(q)[(q/sg q) k]     = -E_q[(k' - k) s]    g' = k' - k

A constant part of g' has no effect where q is normalised: it is the gauge. Draws from another law
mu multiply g' by mu/q, before the gauge is taken off (Proposition 29).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sympy as sp

from divergence_lab.inputs import did_you_mean, shown
from divergence_lab.theory.answers.derivation import Derivation, derive
from divergence_lab.theory.budget.asking import bounded, check_budget, clock
from divergence_lab.theory.catalogue import named as catalogue
from divergence_lab.theory.checker.facts import proofs
from divergence_lab.theory.checker.facts.crossings import split_certified
from divergence_lab.theory.checker.fields.placements import LEADS, why
from divergence_lab.theory.divergence import weightings
from divergence_lab.theory.divergence.given_values import set_parameters
from divergence_lab.theory.divergence.loss import Loss, from_expression
from divergence_lab.theory.expressions import ExpressionError, Pieces, enclosure, write, x
from divergence_lab.theory.expressions.parsing import read_assumptions
from divergence_lab.theory.expressions.pieces import Piece
from divergence_lab.theory.expressions.points import cancelled

PLACEMENTS = tuple(LEADS)
# The estimators of KL(p_F || p_B) by the names that language-model training gives them.
TERMS = {"k1": -x, "k2": x**2 / 2, "k3": sp.exp(x) - x - 1}
WHERE = {
    "loss": " in the loss",
    "reward": " as a penalty held in the reward",
    "weighted": " times p_F/sg(p_F)",
}
# Where a slope is looked at, to see that it is not 0 everywhere.
SAMPLES = (sp.Rational(-7, 5), sp.Rational(-3, 7), sp.Rational(3, 7), sp.Rational(9, 5))


@dataclass(frozen=True)
class Term:
    """k(x) with the place where it stands; `name` is what it is called, `parameters` those that
    --set may give values, `seconds` the processor time that reading took.

        >>> read_term("k3", "reward").expression
        -x + exp(x) - 1
    """

    text: str
    placement: str
    expression: sp.Expr
    name: str
    parameters: tuple[str, ...] = ()
    assumptions: tuple[str, ...] = ()
    seconds: float = field(default=0.0, compare=False)


def read_term(
    text: str,
    placement: str,
    assumptions: Sequence[str] = (),
    values: Mapping[str, str] | None = None,
) -> Term:
    """The term that a text names (k1, k2, k3, or a loss of the catalogue) or writes in x.

    placement: where it stands, "loss", "reward" or "weighted". Nothing is taken off it: where it
    stands in a reward its constant and its straight part count. Raises ExpressionError.

        >>> read_term("a*x**2", "loss", values={"a": "3"}).expression
        3*x**2
    """
    if placement not in PLACEMENTS:
        near = did_you_mean(str(placement), PLACEMENTS)
        raise ExpressionError(
            f"placement {shown(str(placement))} is none of {', '.join(PLACEMENTS)}{near}"
        )
    read_assumptions(assumptions)
    name, expression, implied = (
        (text.strip(), TERMS[text.strip()], ())
        if text.strip() in TERMS
        else catalogue.lookup(text, assumptions)
        or (text.strip(), *catalogue.parse_with_names(text, assumptions))
    )
    parameters = tuple(sorted(str(symbol) for symbol in expression.free_symbols - {x}))
    if parameters and not expression.has(x):
        near = did_you_mean(text.strip(), TERMS)
        raise ExpressionError(
            f"{shown(text)} does not depend on x: a term is {', '.join(TERMS)}, a loss of the "
            f"catalogue, or an expression in x{near}"
        )
    given = {key: value for key, value in (values or {}).items() if key in parameters}
    expression = set_parameters(expression, given, x, assumptions)
    return Term(text, placement, expression, name, parameters, (*assumptions, *implied))


def slope_in_place(expression: sp.Expr, placement: str, share: sp.Expr | int = 1) -> Pieces:
    """g' of the loss that k acts as: k', -k, or k' - share k.

    `share` is 1, or 1 - 1/K where the mean over a batch of K, the draw itself included, is
    subtracted from a weighted term. At a jump of k the slope is the one that autograd takes.

        >>> slope_in_place(sp.exp(x) - x - 1, "weighted").as_expression()
        x
    """
    whole = cancelled(expression, split_certified(expression).kinks)
    values = split_certified(whole)
    slopes = values.derivative()
    parts = {"loss": (1, 0), "reward": (0, -1), "weighted": (1, -share)}[placement]
    return Pieces(
        tuple(
            Piece(v.low, v.high, parts[0] * s.expression + parts[1] * v.expression)
            for v, s in zip(values.pieces, slopes.pieces)
        ),
        x,
    ).map(sp.expand)


def place(
    term: Term, weighting: weightings.Weighting | None = None, share: sp.Expr | int = 1
) -> Loss:
    """The loss as which the term acts, on-policy, where it stands; its gauge is kept in `gauge`.

    weighting: what objects are drawn by, p_F where none is given. share: see `slope_in_place`.
    Raises ExpressionError.

        >>> place(read_term("k1", "reward")).expression
        x**2/2
        >>> place(read_term("k3", "weighted")).expression
        x**2/2
    """
    weighting = weighting or weightings.weighting("on")
    if weighting.kind == "learned_backward":
        raise ExpressionError(
            "a term is placed where p_F learns: sampler learned_backward does not"
        )
    assumptions = (*term.assumptions, *weighting.assumptions)
    if term.placement == "loss" and weighting.kind == "on" and not _may_jump(term.expression):
        return from_expression(term.expression, None, assumptions)
    slope = slope_in_place(term.expression, term.placement, share)
    return weightings.acting(slope, weighting, term.assumptions)


def _may_jump(expression: sp.Expr) -> bool:
    return expression.has(sp.sign, sp.Piecewise)


def has_zero_gradient(loss: Loss) -> bool | None:
    """Is g' = 0 everywhere, for all parameters? None where neither is shown.

    >>> has_zero_gradient(place(read_term("k1", "loss")))
    True
    """
    slopes = [piece.expression for piece in loss.derivative.pieces]
    if all(proofs.is_identity(slope, x) for slope in slopes):
        return True
    return False if any(map(_is_seen, loss.derivative.pieces)) else None


def _is_seen(piece: Piece) -> bool:
    """Is the slope enclosed away from 0 at a sample inside the piece?"""
    free = sorted(piece.expression.free_symbols - {x}, key=str)
    slope = piece.expression.subs({s: sp.Rational(5, 7 + k) for k, s in enumerate(free)})
    for sample in SAMPLES:
        if (sample > piece.low) == True and (sample < piece.high) == True:  # noqa: E712
            ball = enclosure.value_at(slope, x, sample, 30)
            if not ball.contains(0):
                return True
    return False


def because(term: Term, weight: str, derivation: Derivation, zero: bool | None) -> str | None:
    """Why the term minimises no f-divergence where it stands, in one sentence; None where it does,
    or where that is not known. `weight`: what objects are drawn by, as `Weighting.weight`.
    """
    verdicts = derivation.verdicts
    return why(
        term.placement,
        weight,
        bool(zero),
        verdicts.valid.holds,
        verdicts.convex.holds,
        verdicts.valid.because,
    )


@dataclass(frozen=True)
class Placed:
    """A term where it stands: the derivation of the loss as which it acts; does its expected
    gradient vanish (None: not known), and in one sentence why it minimises no f-divergence.

        >>> derive_placed("k1", "loss").zero_gradient
        True
    """

    term: Term
    derivation: Derivation
    zero_gradient: bool | None
    because: str | None


def derive_placed(
    term: str,
    placement: str,
    sampler: str = "on",
    assumptions: Sequence[str] = (),
    values: Mapping[str, str] | None = None,
    budget: float = 20.0,
) -> Placed:
    """What a term k(x) minimises where it stands: g' = k' in the loss, -k in the reward, k' - k
    weighted by p_F/sg(p_F).

    term: k1, k2, k3, a loss's name, or an expression in x = log(p_B/p_F). placement: "loss",
    "reward" or "weighted". sampler: who draws, as in `derive --sampler`. budget: processor seconds.
    Raises ExpressionError. Source: Schulman, Approximating KL divergence (2020), for k1 to k3.

        >>> derive_placed("k3", "loss").derivation.divergence.name
        'forward KL'
        >>> derive_placed("k3", "weighted").derivation.divergence.name
        'reverse KL'
    """
    check_budget(budget)
    started = clock()
    drawn = weightings.weighting(sampler, assumptions)
    found = bounded(budget, read_term, term, placement, tuple(assumptions), values)
    acts = bounded(budget, place, found, drawn)
    derivation = derive(acts, budget=budget, spent=clock() - started)
    zero = has_zero_gradient(acts)
    return Placed(found, derivation, zero, because(found, drawn.weight, derivation, zero))


def to_json(term: Term, weight: str, derivation: Derivation | None) -> dict[str, Any]:
    """What `derive --placement --json` says beside the loss: placement, term, zero_gradient,
    because. `derivation` is None where the budget ended it.
    """
    zero = None if derivation is None else has_zero_gradient(derivation.loss)
    return {
        "placement": term.placement,
        "term": write(term.expression),
        "zero_gradient": zero,
        "because": None if derivation is None else because(term, weight, derivation, zero),
    }
