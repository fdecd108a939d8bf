"""Models that are too small: the exact minimiser of each divergence, and what training finds
(docs/propositions.md, P34).

    python paper_checks/small_models.py                       the quick preset: that it runs
    python paper_checks/small_models.py --preset standard     committed; a few minutes
    python paper_checks/small_models.py --page                only the page, from committed results

Every valid loss of the catalogue. D_f is minimised by L-BFGS (SciPy) from many starts,
and the least value is kept; the gradient is that of P1, and the value an integral of g alone.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import presets
import torch
from scipy.optimize import OptimizeResult, minimize
from small_families import Problem, problems
from small_models_page import write_page
from torch import Tensor

import divergence_lab as dl
from divergence_lab.bridge.generators import integral_to_torch
from divergence_lab.results.storage import write_atomically
from divergence_lab.theorem.variance import weighted_noise
from divergence_lab.theory.catalogue.named import LOSSES, holds_at

CHECK = "small_models"
COVERS = (0.1, 0.25, 0.5)  # shares of a mode's own mass at which it counts as covered
TRAINED = ("quadratic", "log_cosh", "linex(1/2)", "linex(1)", "shifted_cosh")
SAME = 1e-5  # relative: two minima that are one
EXAMPLES = {"linex": 5, "cosh_rate": 2, "split_linex": 4, "power": 2, "barron": 3}  # others: one
HUGE = 1e300  # in place of what is not finite
LBFGS = {"maxiter": 200, "ftol": 1e-12, "gtol": 1e-9}
SIZES: dict[str, dict[str, Any]] = {
    "quick": {"starts": 1, "steps": 30, "seeds": 2, "losses": TRAINED},
    "standard": {"starts": 2, "steps": 400, "seeds": 5, "losses": None},
    "paper": {"starts": 40, "steps": 10_000, "seeds": 20, "losses": None},
}
BATCH, RATE = 64, 0.1


@dataclass(frozen=True)
class Entry:
    """A loss without parameters, and what the catalogue says of its tails."""

    text: str
    tails: str
    convex: bool


def entries() -> Iterator[Entry]:
    """All valid losses of the catalogue, each family at its first examples."""
    for named in LOSSES:
        defaults = [value for value in named.parameters.values() if value is not None]
        for given in named.examples[: EXAMPLES.get(named.name, 1)] or (", ".join(defaults),):
            values = dict(zip(named.parameters, map(str.strip, given.split(",")), strict=False))
            holds = {
                word: holds_at(getattr(named.expected, word), values)
                for word in ("valid", "convex", "zero_forcing", "zero_avoiding")
            }
            if holds["valid"]:
                text = named.name + (f"({given})" if named.parameters else "")
                yield Entry(
                    text, tails(holds["zero_forcing"], holds["zero_avoiding"]), holds["convex"]
                )


def distinct(found: Iterator[Entry]) -> list[Entry]:
    """One entry of those that are the same loss up to a factor."""
    at = torch.tensor([-6.0, -2.5, -0.7, 0.4, 1.0, 2.5, 6.0], dtype=torch.float64)
    kept: dict[tuple[float, ...], Entry] = {}
    for entry in found:
        slope = torched(entry.text).slope(at)
        shape = tuple(float(f"{value:.8g}") for value in slope / slope[4])
        kept.setdefault(shape, entry)
    return list(kept.values())


def tails(forcing: bool, avoiding: bool) -> str:
    """The class by both tails."""
    if forcing and avoiding:
        return "both"
    return "zero-forcing" if forcing else "zero-avoiding" if avoiding else "neither"


@dataclass(frozen=True, eq=False)
class Torched:
    """g' and I(u) = f(e^u) e^-u in torch, float64."""

    slope: Callable[[Tensor], Tensor]
    integral: Callable[[Tensor], Tensor]


@cache
def torched(text: str) -> Torched:
    """From the package's loss."""
    loss = dl.loss(text)
    value = dl.to_torch(loss)

    def slope(x: Tensor) -> Tensor:
        leaf = x.detach().requires_grad_()
        return torch.autograd.grad(value(leaf).sum(), leaf)[0]

    return Torched(slope, integral_to_torch(loss, 1.0))


def divergence(problem: Problem, loss: Torched, parameters: Tensor) -> tuple[Tensor, Tensor]:
    """D_f(p||q) [M] and its gradient [M, D] in the parameters."""
    leaf = parameters.detach().requires_grad_()
    log_q = problem.log_model(leaf)
    x = problem.log_target - log_q.detach()
    value = (problem.log_target.exp() * loss.integral(x)).sum(dim=-1)
    (gradient,) = torch.autograd.grad(log_q, leaf, -log_q.detach().exp() * loss.slope(x))
    return value, gradient


@dataclass(frozen=True, eq=False)
class Minimum:
    """`value` of D_f, its parameters [D], the model's law [N], and how many starts ended there."""

    value: float
    parameters: np.ndarray
    law: np.ndarray
    reached: int


def minimum(problem: Problem, loss: Torched, starts: int) -> Minimum | None:
    """The least D_f that L-BFGS finds from `starts` random points and from the best models, by
    forward KL, of the target without some of its modes; None where no number stays finite.
    """
    found = [
        descend(problem, loss, start) for start in (*problem.starts(starts), *informed(problem))
    ]
    best = min(found, key=lambda one: one.fun)
    if not best.fun < HUGE:
        return None
    near = sum(one.fun <= best.fun * (1 + SAME) + 1e-12 for one in found)
    law = problem.log_model(torch.from_numpy(best.x)[None])[0].exp().numpy()
    return Minimum(float(best.fun), best.x, law, near)


def descend(problem: Problem, loss: Torched, start: Tensor) -> OptimizeResult:
    """One run of L-BFGS."""

    def both(at: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient = divergence(problem, loss, torch.from_numpy(at)[None])
        finite = bool(torch.isfinite(value).all() and torch.isfinite(gradient).all())
        return (float(value[0]), gradient[0].numpy()) if finite else (HUGE, np.zeros_like(at))

    return minimize(both, start.numpy(), jac=True, method="L-BFGS-B", options=LBFGS)


@cache
def informed(problem: Problem) -> tuple[Tensor, ...]:
    """Models [D] of the target without some of its modes, by forward KL, which is smooth."""
    loss = torched("linex(1)")
    ends = []
    for part in problem.of_some_modes():
        found = [descend(part, loss, start) for start in problem.starts(3)]
        ends.append(torch.from_numpy(min(found, key=lambda one: one.fun).x))
    return tuple(ends)


def covered(problem: Problem, law: np.ndarray) -> dict[str, int]:
    """How many modes have at least each share of their own mass."""
    own = problem.modes.numpy() @ problem.log_target.exp().numpy()
    has = problem.modes.numpy() @ law
    return {str(share): int((has >= share * own).sum()) for share in COVERS}


def critical_batch(problem: Problem, loss: Torched, at: Tensor) -> float:
    """trace(C)/|G|^2 of one draw from the model (P31)."""
    log_q = problem.log_model(at[None])[0]
    scores = torch.func.jacrev(lambda one: problem.log_model(one[None])[0])(at)
    pulls = -loss.slope(problem.log_target - log_q)[:, None] * scores
    return weighted_noise(pulls, log_q.exp()).critical_batch


def trained(problem: Problem, loss: Torched, size: dict[str, Any], sampled: bool) -> Tensor:
    """Parameters [M, D] after Adam from a nearly uniform model, gradients clipped at 10: expected
    ones, or those of BATCH draws of each member.
    """
    draws = torch.Generator().manual_seed(7)
    at = 0.1 * torch.randn(size["seeds"], problem.size, generator=draws, dtype=torch.float64)
    leaf = (problem.centre + at).requires_grad_()
    first, second = torch.zeros_like(at), torch.zeros_like(at)
    for step in range(1, size["steps"] + 1):
        log_q = problem.log_model(leaf)
        law = log_q.detach().exp()
        if sampled:
            drawn = torch.multinomial(law, BATCH, replacement=True, generator=draws)
            ones = torch.full(drawn.shape, 1 / BATCH, dtype=torch.float64)
            law = torch.zeros_like(law).scatter_add_(1, drawn, ones)
        slope = loss.slope(problem.log_target - log_q.detach())
        (gradient,) = torch.autograd.grad(log_q, leaf, -torch.where(law > 0, law * slope, 0.0))
        norm = gradient.norm(dim=1, keepdim=True)
        gradient = gradient * (10 / norm.clamp(min=10))
        first = 0.9 * first + 0.1 * gradient
        second = 0.999 * second + 0.001 * gradient.square()
        sizes = (second / (1 - 0.999**step)).sqrt() + 1e-8
        leaf = (leaf - RATE * first / (1 - 0.9**step) / sizes).detach().requires_grad_()
    return leaf.detach()


def row(problem: Problem, entry: Entry, size: dict[str, Any]) -> dict[str, Any]:
    """One loss on one problem."""
    loss = torched(entry.text)
    best = minimum(problem, loss, size["starts"])
    h = torch.tensor(problem.height, dtype=torch.float64)
    known = {
        "problem": problem.name,
        "loss": entry.text,
        "tails": entry.tails,
        "convex": entry.convex,
        "price_of_a_valley": float((-h).exp() * loss.integral(-h)),  # f(e^-h)
        "price_of_a_mode": float(loss.integral(h)),  # f(e^h)/e^h
    }
    if best is None:
        return {**known, "covered": None}
    p = problem.log_target.exp().numpy()
    found = {
        **known,
        "critical_start": critical_batch(problem, loss, problem.centre),
        "value": best.value,
        "reached": best.reached,
        "tv": float(np.abs(best.law - p).sum() / 2),
        "on_modes": (problem.modes.numpy() @ best.law).round(6).tolist(),
        "covered": covered(problem, best.law),
    }
    if entry.text in TRAINED:
        for way in ("expected", "sampled"):
            at = trained(problem, loss, size, way == "sampled")
            laws = problem.log_model(at).exp().numpy()
            found[way] = {
                "excess": (divergence(problem, loss, at)[0].numpy() - best.value).tolist(),
                "covered": [covered(problem, law)["0.25"] for law in laws],
            }
    return found


def rounded(value: Any) -> Any:
    """Six digits of every number."""
    if isinstance(value, dict):
        return {key: rounded(one) for key, one in value.items()}
    if isinstance(value, list):
        return [rounded(one) for one in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value


def computed(size: dict[str, Any], keep: Callable[[dict[str, Any]], None]) -> None:
    """All rows, and what the problems are; `keep` is given what there is after each loss."""
    chosen = problems()
    some = (e for e in entries() if size["losses"] is None or e.text in size["losses"])
    content = {
        **{key: size[key] for key in ("starts", "steps", "seeds")},
        "batch": BATCH,
        "rate": RATE,
        "problems": rounded([about(problem) for problem in chosen]),
        "rows": [],
    }
    for entry in sorted(distinct(some), key=lambda one: one.text not in TRAINED):
        content["rows"] += [
            rounded(row(problem, entry, size))
            for problem in chosen
            if entry.text in TRAINED or not problem.slow
        ]
        keep(content)


def about(problem: Problem) -> dict[str, Any]:
    """What the page says of a problem."""
    return {
        "name": problem.name,
        "capacity": problem.capacity,
        "modes": len(problem.modes),
        "masses": (problem.modes @ problem.log_target.exp()).tolist(),
        "height": problem.height,
    }


def main(argv: list[str] | None = None) -> int:
    chosen = presets.arguments(__doc__ or "", argv)
    results = presets.folder(CHECK, chosen.preset, chosen.out)
    quick = chosen.preset == "quick" and not chosen.page
    if not (chosen.page or chosen.gather):
        results.mkdir(parents=True, exist_ok=True)
        path = results / "small_models.json"
        computed(
            SIZES[chosen.preset],
            lambda found: write_atomically(path, (json.dumps(found, indent=0) + "\n").encode()),
        )
    committed = results if quick or chosen.out else presets.folder(CHECK, "standard")
    page = results / "small_models.md" if quick or chosen.out else Path(__file__).with_suffix(".md")
    write_page(committed, page, quick or bool(chosen.out))
    print(page)
    return 0


if __name__ == "__main__":
    sys.exit(main())
