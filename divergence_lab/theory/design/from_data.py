"""From data to a loss of a class: trade-offs between residuals, which are met, and residuals, to
which it is the nearest.

    trade-offs   g(x_i) = r g(x_j)
    residuals    min_g  E[(g'(r) - s(r))^2],  s = -(log density of r)'

The weight in a trade-off is g, the penalty; s is the maximum-likelihood score. The second is score
matching: by parts E[g' s] = E[g''], so the criterion is E[g'^2] - 2 E[g''] up to a constant, and no
density is estimated (Hyvarinen, J. Mach. Learn. Res. 6, 2005). Both are
convex in the weights of building blocks.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import sympy as sp

from divergence_lab.inputs import kind_of
from divergence_lab.theory.design import mixtures, proofs, reading, search, tradeoffs
from divergence_lab.theory.design.blocks import allowed, blocks, needs
from divergence_lab.theory.design.wishes import TOLERANCE, DesignError, Wishes
from divergence_lab.theory.divergence.loss import Loss
from divergence_lab.theory.expressions import Pieces, x

if TYPE_CHECKING:
    import numpy as np

MIN_RESIDUALS = 20
SMALLEST = 1e-9
# A block of which one residual makes up more than this share of the sum of g'^2 is not fitted: it
# would be noise.
LEVERAGE = 0.05
# A member that only the class asks for: its g' has this share of the root mean square.
CLASS_SHARE = 0.05
# A residual fit keeps the blocks whose absence would raise the criterion by more than this share of
# what it gained.
WORTH = 0.02
ROUNDING = 0.01


def fit_to_tradeoffs(
    table: Iterable[tuple[object, object, object]],
    budget: float = search.BUDGET,
    tolerance: object = TOLERANCE,
    **wishes: object,
) -> proofs.Designed:
    """A loss with g(x_i) = r g(x_j) for every row (x_i, x_j, r), of the class that `wishes` asks
    for.

    (-3, 2, 1): "at log-ratio -3 weigh as much as at +2". The scale is free, so g(x_j of the first
    row) = 1 where no penalty is wished. `met` states what each row came to. Wishes, `budget` and
    `tolerance` are those of `design`. Raises DesignError, which names the rows that clash where no
    convex loss meets them all.

        >>> import divergence_lab as dl
        >>> entry = dl.fit_to_tradeoffs([(-2, 2, 1)])
        >>> entry.loss.expression
        x**2/4
    """
    rows = [tradeoffs.read_tradeoff(*row) for row in _rows(table)]
    allowed_error = reading.read_tolerance(tolerance)
    asked = reading.read_wishes(**wishes, tolerance=allowed_error)  # type: ignore[arg-type]
    best = _with_values(tradeoffs.values_for(rows, asked), rows, asked, budget, allowed_error)
    notes = tuple(tradeoffs.prove_tradeoff(row, best.loss, allowed_error) for row in rows)
    return proofs.Designed(best.loss, best.derivation, best.met + notes)


def _rows(table: object) -> list[tuple[object, object, object]]:
    """The rows of a table of trade-offs, three things each. DesignError for what is no such
    table.
    """
    rows = list(table) if isinstance(table, Iterable) else []
    if not rows or not all(isinstance(row, list | tuple) and len(row) == 3 for row in rows):
        given = "has no row" if isinstance(table, list | tuple) and not table else "is none"
        raise DesignError(
            f"a table of trade-offs has rows (x_i, x_j, ratio), such as [(-2, 2, 1)]; "
            f"{kind_of(table)} given here {given}"
        )
    return rows


def _with_values(
    values: dict[sp.Expr, sp.Expr],
    rows: Sequence[tradeoffs.Tradeoff],
    asked: Wishes,
    budget: float,
    tolerance: sp.Rational,
) -> proofs.Designed:
    """The shortest of two losses with these values, without the proofs of those not asked for."""
    wishes = dataclasses.replace(asked, penalties=tuple(values.items()))
    try:
        reading.refuse_penalties(wishes, tolerance)
        # two values, each within a third of the tolerance: so is their ratio, within two
        found = search.search_within(budget, wishes, 2, tolerance / 3)[0]
    except DesignError as reason:
        raise DesignError(f"{', '.join(map(str, rows))}: with such values {reason}") from None
    others, penalties = found.met[: -len(values)], found.met[-len(values) :]
    wanted = [met for met, at in zip(penalties, values, strict=True) if at in dict(asked.penalties)]
    return dataclasses.replace(found, met=(*others, *wanted))


def fit_to_residuals(
    residuals: Sequence[float], budget: float = search.BUDGET, **wishes: object
) -> proofs.Designed:
    """The loss of the wished class whose g' is nearest, in L2 of the residuals' law, to their
    maximum-likelihood score.

    residuals (n,), at least 20, in the convention x = log p_B - log p_F and as they are: not
    centred, so a law that is not centred at 0 is fitted by a loss that is. Minimises mean g'(r)^2 -
    2 mean g''(r) over sums of smooth blocks with w >= 0; blocks that earn less than 2% of it are
    left out, weights are rounded to 1%. Normal residuals of variance v give about x^2/(2 v),
    logistic ones 2 log cosh(x/2). Raises DesignError.

        >>> import divergence_lab as dl
        >>> entry = dl.fit_to_residuals([k / 10 for k in range(-20, 21)])
        >>> entry.loss.expression
        11*Abs(x)/10 - 11/10 + 11*exp(-Abs(x))/10
    """
    import numpy as np

    given = np.asarray(residuals)
    if given.dtype.kind not in "iuf":  # truth values, texts and whatever else NumPy turns to floats
        raise DesignError(f"the residuals are of type {given.dtype}: give real numbers")
    data = given.astype(float).ravel()
    for place in np.flatnonzero(~np.isfinite(data))[:1]:
        raise DesignError(
            f"residual {place + 1} of {len(data)} is {data[place]}: give finite numbers"
        )
    if len(data) < MIN_RESIDUALS:
        raise DesignError(f"the residuals are {len(data)} numbers: give at least {MIN_RESIDUALS}")
    if np.abs(data).max() < SMALLEST:
        raise DesignError(
            f"all {len(data)} residuals are 0, or below {SMALLEST:g}: there is no law to fit a "
            "loss to; give those of a model that is not trained to the end"
        )
    asked = _class_of(wishes)
    usable = [block for block in blocks(asked) if allowed(block, asked) and block.smooth]
    losses = [Loss(block.expression) for block in usable if not block.expression.has(sp.polylog)]
    usable = [block for block in usable if not block.expression.has(sp.polylog)]
    with np.errstate(over="ignore", invalid="ignore"):
        slopes = (
            np.array([evaluate(entry.derivative, data) for entry in losses])
            .reshape(len(usable), -1)
            .T
        )
        curves = np.array([evaluate(entry.curvature, data).mean() for entry in losses])
    fine = [
        i
        for i in range(len(usable))
        if np.isfinite(slopes[:, i]).all()
        and np.abs(slopes[:, i]).max() < 1e8
        and np.isfinite(curves[i])
    ]
    if not fine:
        raise DesignError(
            "no loss on offer has these wishes and a smooth, finite g' at these "
            "residuals: leave a wish out"
        )
    squares = slopes[:, fine] ** 2
    steady = [
        j for j in range(len(fine)) if squares[:, j].max() <= LEVERAGE * squares[:, j].sum()
    ] or list(range(len(fine)))
    kept = _select(
        slopes[:, fine].T @ slopes[:, fine] / len(data),
        curves[fine],
        steady,
        [np.array([bool(test(usable[i])) for i in fine], dtype=bool) for test in needs(asked)],
    )
    terms = [
        (mixtures.simplest(w * (1 - ROUNDING), w * (1 + ROUNDING)), usable[fine[i]])
        for i, w in kept
    ]
    if not terms:
        raise DesignError(
            "no loss on offer is nearer to the score of these residuals than g = 0: are they of "
            "one sign, or all alike?"
        )
    whole = search.shortest(sp.Add(*(w * block.expression for w, block in terms)))
    if asked.max_terms is not None and (count := proofs.terms_of(whole)) > asked.max_terms:
        raise DesignError(
            f"the nearest loss has {count} terms, not at most {asked.max_terms}: raise --max-terms"
        )
    proved = _proved(whole, asked, budget)
    exact = [float(w) for w, _ in terms]
    chosen = [fine[i] for i, _ in kept]
    reached = float(np.mean((slopes[:, chosen] @ exact) ** 2) - 2 * curves[chosen] @ exact)
    note = proofs.Met(
        "nearest to the score of the residuals",
        "fitted",
        f"mean g'(r)^2 - 2 mean g''(r) = {reached:.4g} over {len(data)} residuals",
        f"{reached:.4g}",
    )
    return proofs.Designed(proved.loss, proved.derivation, (*proved.met, note))


def _class_of(wishes: dict[str, Any]) -> Wishes:
    if {"penalties", "curvature"} & set(wishes):
        raise DesignError(
            "penalties and curvature fix numbers that the data are to give: use design for them"
        )
    return reading.read_wishes(**wishes)


def _proved(expression: sp.Expr, asked: Wishes, budget: float) -> proofs.Designed:
    found = proofs.prove(expression, asked, budget)
    if found is None:
        raise DesignError(
            "the nearest loss was found but not proved to be of the class: raise the "
            "budget, or leave a wish out"
        )
    return found


def _select(
    gram: np.ndarray, gains: np.ndarray, steady: Sequence[int], masks: Sequence[np.ndarray]
) -> list[tuple[int, float]]:
    """(block, weight): w' gram w - 2 gains' w least over w >= 0, then as few blocks as it takes,
    each need kept.
    """
    import numpy as np
    from scipy.optimize import nnls

    def solve(chosen: Sequence[int]) -> np.ndarray:
        scale = (
            np.sqrt(np.diag(gram)[chosen]) + 1e-300
        )  # blocks of one size, so that the ridge is small for each
        square = gram[np.ix_(chosen, chosen)] / scale[:, None] / scale
        root = np.linalg.cholesky(square + 1e-9 * np.eye(len(chosen)))
        return nnls(root.T, np.linalg.solve(root, gains[chosen] / scale))[0] / scale

    def criterion(chosen: Sequence[int], weights: np.ndarray) -> float:
        return float(weights @ gram[np.ix_(chosen, chosen)] @ weights - 2 * gains[chosen] @ weights)

    first = solve(steady)
    chosen = [i for i, w in zip(steady, first) if w > 0]
    best = criterion(steady, first)
    while len(chosen) > 1:  # leave out what is worth least
        trials = [
            (criterion(rest, solve(rest)), rest)
            for rest in ([j for j in chosen if j != i] for i in chosen)
        ]
        value, rest = min(trials, key=lambda trial: trial[0])
        if value > best * (1 - WORTH):  # both are negative
            break
        chosen = rest
    weights = dict(zip(chosen, solve(chosen)))
    for mask in masks:
        if not any(mask[i] for i in weights):
            options = [i for i in range(len(gains)) if mask[i]]
            if not options:
                raise DesignError(
                    "no smooth loss on offer has this class at these residuals: leave a wish out"
                )
            now = np.array([weights.get(i, 0.0) for i in range(len(gains))])
            size = CLASS_SHARE * np.sqrt(max(now @ gram @ now, 1e-300) / np.diag(gram))
            price = {
                i: gram[i, i] * size[i] ** 2 + 2 * size[i] * (gram[i] @ now - gains[i])
                for i in options
            }
            extra = min(price, key=price.get)
            weights[extra] = size[extra]
    return [(i, float(w)) for i, w in weights.items() if w > 0]


# --- numbers

# by their name in numpy
_NUMPY = {
    sp.exp: "exp",
    sp.log: "log",
    sp.cosh: "cosh",
    sp.sinh: "sinh",
    sp.tanh: "tanh",
    sp.Abs: "abs",
    sp.sign: "sign",
}


def evaluate(function: Pieces, at: np.ndarray) -> np.ndarray:
    """The function at every point of `at`, in double precision, piece by piece."""
    import numpy as np

    answer = np.zeros_like(at)
    for piece in function.pieces:
        here = (at >= float(piece.low)) & (at < float(piece.high))
        answer[here] = _evaluate(piece.expression, at[here])
    return answer


def _evaluate(expression: sp.Expr, at: np.ndarray) -> np.ndarray:
    import numpy as np

    if expression == x:
        return at
    if not expression.has(x):
        return np.full_like(at, float(expression))
    if expression.is_Add:
        return sum(_evaluate(part, at) for part in expression.args)
    if expression.is_Mul:
        return np.prod([_evaluate(part, at) for part in expression.args], axis=0)
    if expression.is_Pow:
        return _evaluate(expression.base, at) ** float(expression.exp)
    if expression.func in _NUMPY:
        return getattr(np, _NUMPY[expression.func])(_evaluate(expression.args[0], at))
    raise DesignError(f"{expression.func.__name__} can't be evaluated on residuals")
