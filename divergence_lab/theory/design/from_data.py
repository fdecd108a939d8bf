"""From data to the nearest loss of a class: trade-offs between residuals, and residuals themselves.

    trade-offs   g(x_i) = r g(x_j)
    residuals    min_g  E[(g'(r) - s(r))^2],  s = -(log density of r)'

The weight in a trade-off is g, the penalty; s is the maximum-likelihood score. The second is score
matching: by parts E[g' s] = E[g''], so the criterion is E[g'^2] - 2 E[g''] up to a constant, and no
density is estimated (Hyvarinen, J. Mach. Learn. Res. 6, 2005). Both are
convex in the weights of building blocks.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import sympy as sp

from divergence_lab.theory.design import mixtures, proofs, reading, search
from divergence_lab.theory.design.blocks import Block, allowed, blocks, hockey_sticks, needs
from divergence_lab.theory.design.wishes import DesignError, Wishes
from divergence_lab.theory.divergence.loss import Loss
from divergence_lab.theory.expressions import Pieces, write, x

if TYPE_CHECKING:
    import numpy as np

# What a unit of a missed trade-off costs against the length of the formula.
PRICE = 1e4
# The scale is kept, whatever trade-offs are missed for it: else g = 0 would meet them all.
SCALE_FIRST = 1e3
MIN_RESIDUALS = 20
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
    budget: float = 20.0,
    tolerance: object = proofs.TOLERANCE,
    **wishes: object,
) -> proofs.Designed:
    """The loss nearest to g(x_i) = r g(x_j) for every row (x_i, x_j, r), of the class that `wishes`
    asks for.

    (-3, 2, 1): "at log-ratio -3 weigh as much as at +2". The scale is free, so g(x_j of the first
    row) = 1 up to rounding. Nearest: the sum over rows of |g(x_i) - r g(x_j)|/(g at the first x_j)
    is least; `met` states what each row came to. Wishes are those of `design` except penalties and
    curvature. Raises DesignError.

        >>> import divergence_lab as dl
        >>> entry = dl.fit_to_tradeoffs([(-2, 2, 1)])
        >>> entry.loss.expression
        Abs(x)/2
    """
    import numpy as np

    rows = [
        (
            reading.read_number(a, "a residual"),
            reading.read_number(b, "a residual"),
            reading.read_number(r, "a ratio"),
        )
        for a, b, r in table
    ]
    if not rows:
        raise DesignError("the table has no row: give rows (x_i, x_j, ratio)")
    for a, b, r in rows:
        if a == 0 or b == 0 or not r.is_positive:
            raise DesignError(
                f"the row ({write(a)}, {write(b)}, {write(r)}) compares with g(0) = 0 or "
                "has no positive ratio"
            )
    asked = _class_of(wishes)
    points = [point for a, b, _ in rows for point in (a, b)]
    usable = [
        block
        for block in (*blocks(asked, fine=True), *hockey_sticks(points, asked))
        if allowed(block, asked)
    ]
    values = np.array([[float(sp.N(b.expression.subs(x, p), 20)) for p in points] for b in usable])
    equations = [SCALE_FIRST * values[:, points.index(rows[0][1])]]
    equations += [
        values[:, points.index(a)] - float(r) * values[:, points.index(b)] for a, b, r in rows
    ]
    size = np.maximum(np.abs(values).max(axis=1), 1e-12)
    masks = [np.array([bool(test(b)) for b in usable], dtype=bool) for test in needs(asked)]
    found = mixtures.cheapest(
        np.array(equations) / size,
        np.array([SCALE_FIRST, *([0.0] * len(rows))]),
        np.array([b.cost for b in usable]),
        masks,
        slack=PRICE,
    )
    if found is None or found.sum() <= 0:
        raise DesignError(
            "no sum of the losses on offer comes near these trade-offs: leave a wish out"
        )
    found = found / size
    support = [i for i, w in enumerate(found) if w > 0]
    allowance = float(reading.read_tolerance(tolerance))

    def missed(weights: Sequence[float]) -> list[float]:
        g = np.array([float(w) for w in weights]) @ values[support]
        return [abs(g[points.index(a)] / (float(r) * g[points.index(b)]) - 1) for a, b, r in rows]

    best = missed([found[i] for i in support])
    weights = mixtures.readable_weights(
        [found[i] for i in support],
        lambda near: (
            near if all(new <= old + allowance for new, old in zip(missed(near), best)) else None
        ),
    )
    proved = _proved([(w, usable[i]) for w, i in zip(weights or (), support)], asked, budget)
    notes = tuple(
        proofs.Met(
            f"g({write(a)}) = {write(r)}*g({write(b)})",
            "fitted",
            f"missed by a relative {error:.2g}"
            if error > allowance
            else f"met within a relative {allowance:g}",
            f"{error:.3g}",
        )
        for (a, b, r), error in zip(rows, missed(weights))
    )
    return proofs.Designed(proved.loss, proved.derivation, proved.met + notes)


def fit_to_residuals(
    residuals: Sequence[float], budget: float = 20.0, **wishes: object
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
    if len(data) < MIN_RESIDUALS or not np.isfinite(data).all():
        raise DesignError(
            f"the residuals are {len(data)} numbers: give at least {MIN_RESIDUALS}, all finite"
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
    proved = _proved(terms, asked, budget)
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


def _proved(
    terms: Sequence[tuple[sp.Expr, Block]], asked: Wishes, budget: float
) -> proofs.Designed:
    found = (
        proofs.prove(
            search.shortest(sp.Add(*(w * block.expression for w, block in terms))), asked, budget
        )
        if terms
        else None
    )
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
