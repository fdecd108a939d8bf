"""Computes what the figures of theory draw, into figures/NAME/data.json: python
figures/computing/save.py [NAME ...]

Drawing is apart, so that a figure can be restyled without computing. Everything comes from the
package: verdicts with proofs, values of g and f, weights, the theorem's errors. No random numbers
but the point of `verify`, which is seeded.
"""

from __future__ import annotations

import json
import math
import re
import sys
from pathlib import Path

import mpmath
import numpy as np
import sympy as sp
from scipy.optimize import minimize
from scipy.special import logsumexp

from divergence_lab.results.storage import write_atomically
from divergence_lab.theorem.verification import verify
from divergence_lab.theory.answers.derivation import derive
from divergence_lab.theory.answers.placements import (
    PLACEMENTS,
    TERMS,
    has_zero_gradient,
    place,
    read_term,
)
from divergence_lab.theory.catalogue import named as catalogue
from divergence_lab.theory.divergence.loss import Loss, loss
from divergence_lab.theory.divergence.weightings import on_policy_equivalent, weighting
from divergence_lab.theory.expressions.symbols import t, x
from divergence_lab.theory.inequalities.hockey_stick import hockey_stick_weights
from divergence_lab.theory.verdicts.decision import decide

FIGURES = Path(__file__).resolve().parents[1]
# one of each character, for the curves, the weights and the best fits
CHOSEN = (
    "quadratic",
    "linex(1)",
    "linex(1/2)",
    "shifted_cosh",
    "jeffreys",
    "jsd",
    "absolute",
    "log_cosh",
    "neyman",
    "pearson",
)
SAMPLERS = ("on", "mixture:1/10", "power:1/2", "backward", "power:-1/2")
BIG = 600  # |x| at which the growth of g' is read off; compared with that at twice the distance


def main() -> None:
    chosen = sys.argv[1:]
    for name, compute in {
        "map_of_losses": tails,
        "catalogue_curves": curves,
        "hockey_sticks": weights,
        "mode_seeking": fits,
        "two_modes": fits_of_the_paper,
        "theorem_table": theorem,
        "sampler_chart": samplers,
        "kl_terms": placements,
    }.items():
        if chosen and name not in chosen:
            continue
        (FIGURES / name).mkdir(exist_ok=True)
        write_atomically(FIGURES / name / "data.json", written(compute()).encode())
        print(name)


def written(content: dict | list) -> str:
    """As JSON, a list of numbers on one line."""
    text = json.dumps(content, indent=1)
    return re.sub(r"\[[-+.,\deE\s]+\]", lambda numbers: " ".join(numbers[0].split()), text)


def names() -> list[str]:
    return [
        f"{family.name}({example})" if example else family.name
        for family in catalogue.LOSSES
        for example in (
            family.examples or (", ".join(value or "" for value in family.parameters.values()),)
        )
    ]


def growth(entry: Loss, side: int) -> str:
    """The class of |g'| far out: falls, bounded, slow (unbounded below exponential) the rate a
    of e^(a|x|), or below 1: under e^|x|/|x|.
    """
    mpmath.mp.dps = 30
    slope = [sp.lambdify(x, piece.expression, "mpmath") for piece in entry.derivative.pieces][
        0 if side < 0 else -1
    ]
    near, far = (abs(slope(mpmath.mpf(side * at))) for at in (BIG, 2 * BIG))
    rate = float((mpmath.log(far) - mpmath.log(near)) / BIG) if near and far else -1.0
    if abs(rate - 1) < 0.02:  # e^x/x is where the integral of g' e^(-x) begins to diverge
        faster = 2 * far / near * mpmath.exp(-BIG)
        return "1.00" if faster > 0.75 else "below 1"
    if rate > 0.02:
        return f"{rate:.2f}"
    ratio = float(far / near) if near else 0.0
    return "slow" if ratio > 1.02 else "bounded" if ratio > 0.9 else "falls"


def tails() -> list[dict]:
    found = []
    for name in names():
        entry = loss(name)
        if entry.parameters:
            continue
        verdicts = decide(entry)
        found.append(
            {
                "loss": name,
                "left": growth(entry, -1),
                "right": growth(entry, 1),
                "valid": bool(verdicts.valid),
                "zero_forcing": bool(verdicts.zero_forcing),
                "zero_avoiding": bool(verdicts.zero_avoiding),
                "convex": bool(verdicts.convex),
            }
        )
    return found


def slope_of(entry: Loss, xs: np.ndarray) -> np.ndarray:
    """g' at residuals, piece by piece; what overflows is infinite."""
    found = np.zeros_like(xs)
    with np.errstate(all="ignore"):
        for piece in entry.derivative.pieces:
            here = (xs >= float(piece.low)) & (xs <= float(piece.high))
            found[here] = (
                sp.lambdify(x, piece.expression, ["scipy", "numpy"])(xs) * np.ones_like(xs)
            )[here]
    return found


def integral(values: np.ndarray, xs: np.ndarray) -> np.ndarray:
    """The integral from 0 at xs, from values between neighbours: no kink at 0 is averaged over.

    Summed outwards from 0, where it is small: from one end the other would drown in the rounding of
    its large values.
    """
    parts = values * np.diff(xs)
    middle = int(np.argmin(np.abs(xs)))
    return np.concatenate([-np.cumsum(parts[:middle][::-1])[::-1], [0], np.cumsum(parts[middle:])])


def numbers(entry: Loss, xs: np.ndarray) -> tuple[list[float], list[float]]:
    """g at residuals and f at e^x, from g' by quadrature: f(e^u) = e^u int_0^u g'(v) e^(-v) dv."""
    kinks = [float(kink) for kink in entry.pieces.kinks]
    fine = np.unique(
        [*np.linspace(xs[0], xs[-1], 40_001), *(kink for kink in kinks if xs[0] < kink < xs[-1])]
    )
    between = (fine[1:] + fine[:-1]) / 2
    slope = slope_of(entry, between)
    area = integral(slope * np.exp(-between), fine)
    return np.interp(xs, fine, integral(slope, fine)).tolist(), (
        np.exp(xs) * np.interp(xs, fine, area)
    ).tolist()


def curves() -> dict:
    """g and f of every named loss, each at the first of its examples, and of the others that
    figures draw.
    """

    def example(family: catalogue.NamedLoss) -> str:
        values = ", ".join(filter(None, family.parameters.values()))
        return next(iter(family.examples), values)

    first = [
        f"{family.name}({example(family)})" if family.parameters else family.name
        for family in catalogue.LOSSES
    ]
    xs = np.linspace(-3, 3, 121)
    content = {"x": xs.round(4).tolist(), "losses": []}
    for name in dict.fromkeys([*first, *CHOSEN]):
        derivation = derive(loss(name))
        g, f = numbers(loss(name), xs)
        closed = derivation.divergence.generator
        if closed is not None:  # the closed form and the quadrature agree, or nothing is drawn
            at = np.array(
                [float(sp.N(closed.subs(t, sp.Float(math.exp(v), 30)))) for v in xs[::20]]
            )
            assert np.allclose(at, f[::20], atol=1e-5, rtol=1e-5), name
        verdicts = {
            key: bool(getattr(derivation.verdicts, key))
            for key in ("valid", "zero_forcing", "zero_avoiding", "convex")
        }
        content["losses"].append(
            {
                "loss": name,
                "of_the_sheet": name in first,
                "divergence": str(derivation.divergence),
                "factor": str(derivation.divergence.factor or 1),
                **verdicts,
                "g": [float(f"{value:.6g}") for value in g],
                "f": [float(f"{value:.6g}") for value in f],
            }
        )
    return content


def weights() -> dict:
    us = np.linspace(0, 4, 161)
    content = {"u": us.tolist(), "losses": []}
    for name in ("quadratic", "linex(1)", "linex(1/2)", "shifted_cosh", "jsd", "absolute"):
        found = hockey_stick_weights(loss(name))
        sides = {}
        for side, pieces, atoms in (
            ("target_exceeds", found.target_exceeds, found.target_atoms),
            ("model_exceeds", found.model_exceeds, found.model_atoms),
        ):
            f = sp.lambdify(x, pieces.pieces[0].expression, "numpy")
            sides[side] = (f(us) * np.ones_like(us)).tolist()
            sides[side + "_atoms"] = [[float(atom.u), float(atom.weight)] for atom in atoms]
        content["losses"].append({"loss": name, **sides})
    return content


def fits() -> dict:
    """The single bell q that minimises D_f(p||q) to a two-bump law p on a grid of points, by
    search from four starts.
    """
    grid = np.linspace(-6, 6, 241)

    def bump(centre, width):
        return -(((grid - centre) / width) ** 2) / 2

    target = 0.65 * np.exp(bump(-2, 0.7)) + 0.35 * np.exp(bump(2.2, 0.7))
    target /= target.sum()
    content = {"grid": grid.tolist(), "target": target.tolist(), "losses": []}
    for name in CHOSEN:
        entry = loss(name)
        xs = np.linspace(-120, 120, 480_001)
        between = (xs[1:] + xs[:-1]) / 2
        area = integral(slope_of(entry, between) * np.exp(-between), xs)

        def divergence(parameters: np.ndarray) -> float:
            log_q = bump(parameters[0], math.exp(parameters[1]))
            log_q = log_q - logsumexp(log_q)
            # q f(p/q) = p * area(log p/q)
            return float(np.sum(target * np.interp(np.log(target) - log_q, xs, area)))

        starts = [(-2, -0.3), (2.2, -0.3), (0, 0.7), (-1, 0.3)]
        best = min(
            (
                minimize(
                    divergence, start, method="Nelder-Mead", options={"xatol": 1e-6, "fatol": 1e-10}
                )
                for start in starts
            ),
            key=lambda one: one.fun,
        )
        verdicts = decide(entry)
        content["losses"].append(
            {
                "loss": name,
                "centre": float(best.x[0]),
                "width": float(math.exp(best.x[1])),
                "divergence": float(best.fun),
                "zero_forcing": bool(verdicts.zero_forcing),
                "zero_avoiding": bool(verdicts.zero_avoiding),
            }
        )
    return content


def fits_of_the_paper() -> dict:
    """Of the fits above, those of the paper's four losses, with the names of their divergences."""
    content = json.loads((FIGURES / "mode_seeking" / "data.json").read_text())
    by_name = {one["loss"]: one for one in content["losses"]}
    order = ("quadratic", "shifted_cosh", "linex(1/2)", "linex(1)")
    named = {name: derive(loss(name)).divergence.name for name in order}
    losses = [{**by_name[name], "divergence_name": named[name]} for name in order]
    return {**content, "losses": losses}


def theorem() -> list[dict]:
    found = verify(
        {"linex(1)": loss("linex(1)")},
        "hypergrid:2x3",
        objectives=("tb", "db", "subtb(0.9)", "fl-db", "modified-db", "fm"),
    )
    keys = (
        "parameters",
        "statement",
        "max_gradient_error",
        "divergence_alone_error",
        "flipped_sign_error",
        "live_weights_error",
    )
    return [
        {"objective": row["objective"], **{key: group.get(key) for key in keys}}
        for row in found
        for group in row["groups"]
    ]


def samplers() -> list[dict]:
    found = []
    for name in (
        "quadratic",
        "linex(1)",
        "linex(1/2)",
        "linex(-1)",
        "linex(2)",
        "shifted_cosh",
        "jeffreys",
        "absolute",
        "jsd",
    ):
        for text in SAMPLERS:
            same = on_policy_equivalent(loss(name), weighting(text))
            verdicts = decide(same)
            found.append(
                {
                    "loss": name,
                    "sampler": text,
                    **{
                        key: (None if verdict.status == "undecided" else bool(verdict))
                        for key in ("zero_forcing", "zero_avoiding", "convex")
                        for verdict in (getattr(verdicts, key),)
                    },
                }
            )
    return found


def placements() -> list[dict]:
    """The nine cells: g' of the loss as which a term acts where it stands, and what that is."""
    xs = np.linspace(-3, 3, 121)
    found = []
    for term in TERMS:
        for where in PLACEMENTS:
            acts = place(read_term(term, where))
            found.append(
                {
                    "term": term,
                    "placement": where,
                    "divergence": derive(acts).divergence.name,
                    "zero_gradient": has_zero_gradient(acts),
                    "x": xs.round(4).tolist(),
                    "slope": [float(f"{value:.6g}") for value in slope_of(acts, xs)],
                }
            )
    return found


if __name__ == "__main__":
    main()
