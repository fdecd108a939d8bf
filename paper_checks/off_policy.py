"""Where training ends under a sampler when the policy cannot reach the target (docs/propositions.md,
P33).

    python paper_checks/off_policy.py                       the quick preset: that it runs
    python paper_checks/off_policy.py --preset standard     committed; some minutes
    python paper_checks/off_policy.py --page                only the page, from the committed results

Expected gradients on two enumerated environments (off_policy_model.py), beside a direct search for the
least value of the f-divergence that theory gives for the loss under its sampler; and what a buffer does.
"""

from __future__ import annotations

import json
import sys
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import presets
import torch
from off_policy_model import (
    SAMPLERS,
    WEIGHTED,
    Environment,
    Law,
    field,
    line,
    total_variation,
    tree,
)
from off_policy_page import write_page
from scipy.optimize import minimize
from torch import Tensor

import divergence_lab as dl
from divergence_lab.report.free_loss import FreeLoss
from divergence_lab.results.storage import write_atomically
from divergence_lab.theory.divergence.weightings import on_policy_equivalent, weighting

CHECK = "off_policy"
LOSSES = ("quadratic", "linex(1/2)", "linex(1)", "shifted_cosh")
SIZES = {
    "quick": {"steps": 60, "grid": 15},
    "standard": {"steps": 2_000, "grid": 121},
    "paper": {"steps": 20_000, "grid": 121},
}
BUFFERS = (1, 10, 100, 1_000)  # batches
REPLAYED, RATE = 0.5, 0.05
# a short memory: with 0.999 a steep loss's first gradients freeze Adam for thousands of steps (P32)
BETAS = (0.9, 0.9)
# one tempered step is the policy to a power; that several are not is a control
AGAINST = {name: name for name in WEIGHTED} | {"tempered:2": "powers:1/2,0"}
Slope = Callable[[Tensor], Tensor]
Drawn = Callable[[int, Tensor, Tensor], Tensor]


def slope_of(text: str) -> Slope:
    """g', by automatic differentiation of what training would run."""
    g = dl.to_torch(dl.loss(text))

    def slope(x: Tensor) -> Tensor:
        x = x.detach().requires_grad_()
        return torch.autograd.grad(g(x).sum(), x)[0]

    return slope


def effective(loss: str, sampler: str) -> tuple[Callable[[np.ndarray], np.ndarray], float]:
    """(I, k): training descends sum p^k I(k x), the f-divergence of p^k and q^k of the loss that acts
    on-policy as this one does under the sampler.
    """
    how = weighting(sampler)
    acting = on_policy_equivalent(dl.loss(loss), how)
    power = float(sum(how.numbers)) if how.kind == "powers" else 1.0
    return FreeLoss(str(acting.expression), acting).integral, power


def minimisers(env: Environment, loss: str, sampler: str, points: int) -> np.ndarray:
    """The local minimisers [n, 2] of that divergence that a grid over the box leads to, the least first.
    No gradient and no training is used.
    """
    integral, power = effective(loss, sampler)
    log_p = env.log_p.numpy()

    def value(theta: np.ndarray) -> np.ndarray:
        x = log_p - env.log_q(torch.as_tensor(theta)).numpy()
        return (np.exp(power * log_p) * integral(power * x)).sum(axis=-1)

    axes = [np.linspace(low, high, points) for low, high in env.box]
    where = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    starts = where[lowest(value(where))]
    options = {"xatol": 1e-9, "fatol": 1e-15, "maxiter": 2_000}
    ends = [minimize(value, start, method="Nelder-Mead", options=options) for start in starts]
    found = [end.x for end in sorted(ends, key=lambda end: end.fun)]
    apart = [a for k, a in enumerate(found) if all(abs(a - b).max() > 1e-4 for b in found[:k])]
    return np.array(apart)


def lowest(values: np.ndarray) -> np.ndarray:
    """Where a table [n, n] is below its eight neighbours."""
    n = len(values)
    padded = np.pad(values, 1, constant_values=np.inf)
    around = [padded[i : n + i, j : n + j] for i in range(3) for j in range(3) if (i, j) != (1, 1)]
    return values < np.min(around, axis=0)


def descend(env: Environment, draws: Mapping[str, Drawn], steps: int) -> tuple[Tensor, Tensor]:
    """Adam on the expected gradients under all draws, of all losses, from all starts: theta
    [D, L, N, 2] at the end, and log q [21, D, L, N, X] on the way.
    """
    shape = (len(draws), len(LOSSES), *env.starts.shape)
    theta = env.starts.expand(shape).clone().requires_grad_()
    adam = torch.optim.Adam([theta], lr=RATE, betas=BETAS, eps=1e-30)
    moments, kept = set(np.linspace(0, steps, 21).astype(int).tolist()), []
    slopes = [slope_of(text) for text in LOSSES]
    for step in range(steps + 1):
        log_q = env.log_q(theta)
        if step in moments:
            kept.append(log_q.detach())
        held = zip(draws.values(), theta.detach(), log_q.detach(), strict=True)
        mu = torch.stack([draw(step, *of) for draw, *of in held])
        x = (env.log_p - log_q).detach()
        pull = torch.stack([slope(x[:, k]) for k, slope in enumerate(slopes)], dim=1)
        adam.zero_grad()
        (-(mu * pull * log_q).sum()).backward()
        adam.param_groups[0]["lr"] = RATE * (1 - step / (steps + 1))
        adam.step()
    return theta.detach(), torch.stack(kept)


def sampled_by(env: Environment, law: Law) -> Drawn:
    """What a sampler draws, at any step."""
    return lambda step, theta, log_q: law(env, theta, log_q)


def buffered(batches: int) -> Drawn:
    """Half from the policy, half from the laws of the last `batches` steps, each as likely."""
    past: deque[Tensor] = deque()
    total = torch.zeros(())

    def law(step: int, theta: Tensor, log_q: Tensor) -> Tensor:
        nonlocal total
        q = log_q.exp()
        old = total / len(past) if past else q
        past.append(q)
        total = total + q
        if len(past) > batches:
            total = total - past.popleft()
        return (1 - REPLAYED) * q + REPLAYED * old

    return law


def never_renewed(env: Environment) -> Drawn:
    """Half from the policy, half from the laws of the starts."""
    first = env.log_q(env.starts).exp()
    return lambda step, theta, log_q: (1 - REPLAYED) * log_q.exp() + REPLAYED * first


def rows_of(env: Environment, size: Mapping[str, int]) -> dict[str, list[dict[str, Any]]]:
    """ends: a row a sampler and loss, how far the learned laws are from the minimisers. replay: a row a
    buffer and loss, how far the path leaves the on-policy one, and where it ends.
    """
    buffers = {str(n): buffered(n) for n in BUFFERS} | {"never renewed": never_renewed(env)}
    samplers = {name: sampled_by(env, law) for name, law in SAMPLERS.items()}
    theta, path = descend(env, samplers | buffers, size["steps"])
    least = {
        (loss, name): minimisers(env, loss, name, size["grid"])
        for loss in LOSSES
        for name in WEIGHTED
    }
    ends, replay = [], []
    for k, name in enumerate([*samplers, *buffers]):
        for row, loss in enumerate(LOSSES):
            learned = theta[k, row]
            about = {
                "environment": env.name,
                "loss": loss,
                "to_on_policy": nearest(env, learned, least[loss, "on"]),
            }
            if name in buffers:
                gap = total_variation(path[:, k, row].exp(), path[:, 0, row].exp())
                replay.append({"buffer": name, **about, "on_the_way": figures(gap.max())})
                continue
            own = least.get((loss, AGAINST.get(name, "")))
            ends.append(
                {
                    "sampler": name,
                    **about,
                    "to_own": None if own is None else nearest(env, learned, own),
                    "to_the_least": None if own is None else nearest(env, learned, own[:1]),
                    "minimisers": None if own is None else len(own),
                    "curl": curl(env, SAMPLERS[name], slope_of(loss)),
                    "to_target": figures(
                        total_variation(path[-1, k, row].exp(), env.log_p.exp()).min()
                    ),
                }
            )
    return {"ends": ends, "replay": replay}


def nearest(env: Environment, learned: Tensor, candidates: np.ndarray) -> list[float]:
    """The total variation from each learned law to the nearest of these."""
    laws = env.log_q(learned).exp()[:, None], env.log_q(torch.as_tensor(candidates)).exp()
    return [figures(value) for value in total_variation(*laws).amin(dim=1)]


def figures(value: Tensor) -> float:
    """Three significant figures; below 1e-7 rounding rules."""
    return float(f"{float(value):.3g}") if value > 1e-7 else 0.0


def curl(env: Environment, law: Law, slope: Slope) -> float:
    """|dF_1/dtheta_2 - dF_2/dtheta_1| over the size of F's derivative, the largest over the starts: 0 if
    the expected gradient F is that of some function.
    """
    h, worst = 1e-5, torch.zeros(())
    for start in env.starts:
        shifts = h * torch.eye(2, dtype=torch.float64)
        up, down = (
            torch.stack([field(env, (start + s).requires_grad_(), law, slope) for s in signed])
            for signed in (shifts, -shifts)
        )
        slopes = (up - down) / (2 * h)  # [of theta_k, component]
        worst = max(worst, (slopes[0, 1] - slopes[1, 0]).abs() / slopes.norm())
    return figures(worst)


def main(argv: list[str] | None = None) -> int:
    chosen = presets.arguments(__doc__, argv)
    results = presets.folder(CHECK, chosen.preset, chosen.out)
    if not (chosen.page or chosen.gather):
        size = SIZES[chosen.preset]
        found = [rows_of(env, size) for env in (line(), tree())]
        content = {**size, **{key: [r for of in found for r in of[key]] for key in found[0]}}
        results.mkdir(parents=True, exist_ok=True)
        text = json.dumps(content).replace("}, {", "},\n{") + "\n"
        write_atomically(results / "off_policy.json", text.encode())
    quick = chosen.preset == "quick" and not chosen.page
    committed = results if quick or chosen.out else presets.folder(CHECK, "standard")
    page = results / "off_policy.md" if quick or chosen.out else Path(__file__).with_suffix(".md")
    write_page(committed, page, quick or bool(chosen.out))
    print(page)
    return 0


if __name__ == "__main__":
    sys.exit(main())
