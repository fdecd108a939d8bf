"""Which log Z a loss settles at, by Renyi's divergence, against sampled runs; and which losses keep
the policy's direction when the batch says what log Z is (docs/propositions.md, P13 and P27).

    python paper_checks/log_z.py                       the quick preset: that it runs
    python paper_checks/log_z.py --preset standard     committed; about a minute
    python paper_checks/log_z.py --page                only the page, from the committed results

The policy is that of an untrained table on a tree and never moves; only log Z is learned, by sampled
trajectory balance. The directions are exact: all batches of K draws of four outcomes are counted.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import presets
from log_z_page import write_page
from scipy.stats import multinomial

import divergence_lab as dl
from divergence_lab.gflownet.listed.exact import log_partition, target_distribution
from divergence_lab.graphs.texts import graph_from_text
from divergence_lab.results.storage import write_atomically

CHECK, ENV, HELD = "log_z", "tree:2x4", 1e-30  # at this learning rate nothing moves
ALPHAS = (-1.0, -0.5, 0.0, 0.25, 0.5, 0.75, 1.0, 1.5)
SIZES = {
    "quick": {"seeds": 2, "steps": 30, "batch": 64},
    "standard": {"seeds": 5, "steps": 3_000, "batch": 256},
    "paper": {"seeds": 20, "steps": 10_000, "batch": 256},
}
LAW = np.array([0.55, 0.3, 0.1, 0.05])
TARGET = np.array([0.2, 0.3, 0.1, 0.9])
BATCHES = (2, 3, 4, 6, 8, 16, 32, 64)
SLOPES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "quadratic": lambda x: x,
    "linex(1)": np.expm1,
    "linex(1/2)": lambda x: 2 * np.expm1(x / 2),
    "shifted_cosh": lambda x: 2 * np.sinh(x),
    "log_cosh": np.tanh,
}
WAYS = ("leave-one-out", "with the sample")
LINEX = {"quadratic": 0.0, "linex(1)": 1.0, "linex(1/2)": 0.5}


def renyi_log_z(alpha: float, law: np.ndarray, target: np.ndarray, log_z_true: float) -> float:
    """log Z* + ((alpha-1)/alpha) R_alpha(pi||P), and log Z* - KL(P||pi) at alpha = 0 (P13.2)."""
    if alpha == 0:
        return log_z_true - float((law * np.log(law / target)).sum())
    if alpha == 1:
        return log_z_true
    renyi = np.log((target**alpha * law ** (1 - alpha)).sum()) / (alpha - 1)
    return log_z_true + (alpha - 1) / alpha * float(renyi)


def biases(size: dict[str, int], device: str) -> list[dict[str, float | list[float]]]:
    """Predicted and learned log Z - log Z* for each alpha."""
    graph = graph_from_text(ENV)
    texts = {alpha: "quadratic" if alpha == 0 else f"linex({alpha})" for alpha in ALPHAS}
    result = dl.train(
        {text: dl.to_torch(dl.loss(text)) for text in texts.values()},
        graph,
        learning_rate=HELD,
        learning_rate_log_z=0.02,
        max_grad_norm=None,
        initial_log_z=log_partition(graph),
        evaluations=2,
        device=device,
        **size,
    )
    true, target = log_partition(graph), target_distribution(graph)
    rows = []
    for row, alpha in enumerate(texts):
        law = result.terminal[row, 0].astype(np.float64)
        found = result.metrics["log_z"][row, :, -1] - true
        rows.append(
            {
                "alpha": alpha,
                "predicted": renyi_log_z(alpha, law, target, true) - true,
                "exchanged": renyi_log_z(alpha, target, law, true) - true,
                "learned": [float(f"{value:.6g}") for value in found],
            }
        )
    return rows


def gradient(weights: np.ndarray) -> np.ndarray:
    """-E_P[weight grad log P] in the logits of a softmax."""
    return -(LAW * weights - LAW * (LAW * weights).sum())


def centred(slope: Callable[[np.ndarray], np.ndarray], batch: int, own: bool) -> np.ndarray:
    """The expected gradient, log Z replaced by the mean of log w over the batch's other draws, or
    over all of them (`own`); of the others every count of outcomes, with its chance.
    """
    counts = counts_of(batch - 1, len(LAW))
    chance = multinomial(batch - 1, LAW).pmf(counts)
    log_w = np.log(TARGET / LAW)
    others = (counts @ log_w)[:, None]
    centre = (others + log_w) / batch if own else others / (batch - 1)
    return gradient(chance @ slope(log_w - centre))


def counts_of(draws: int, outcomes: int) -> np.ndarray:
    """[C, outcomes]: all ways in which so many draws fall."""
    if outcomes == 1:
        return np.array([[draws]])
    return np.concatenate(
        [
            np.insert(counts_of(draws - first, outcomes - 1), 0, first, axis=1)
            for first in range(draws + 1)
        ]
    )


def directions() -> dict[str, dict[str, dict[str, list[float]]]]:
    """By loss and way, at each K: degrees between the centred gradient and that at the true log Z;
    and how far it is from the gradient at the mean of log w, in parts of that.
    """
    log_w = np.log(TARGET / LAW)
    true, mean = log_w - np.log(TARGET.sum()), log_w - LAW @ log_w
    return {
        name: {
            way: {
                "degrees": [degrees(one, gradient(slope(true))) for one in found],
                "gap": [apart(one, gradient(slope(mean))) for one in found],
            }
            for way in WAYS
            for found in [[centred(slope, batch, way == WAYS[1]) for batch in BATCHES]]
        }
        for name, slope in SLOPES.items()
    }


def shrunk() -> dict[str, list[float]]:
    """Degrees between Linex(a) with the sample in the mean and Linex(a (1 - 1/K)), at each K."""
    log_w = np.log(TARGET / LAW)
    return {
        name: [
            degrees(
                centred(SLOPES[name], batch, own=True),
                gradient(np.exp((1 - 1 / batch) * alpha * log_w) / alpha),
            )
            for batch in BATCHES
        ]
        for name, alpha in LINEX.items()
        if alpha
    }


def apart(a: np.ndarray, b: np.ndarray) -> float:
    """|a - b| in parts of |b|."""
    return float(np.linalg.norm(a - b) / np.linalg.norm(b))


def degrees(a: np.ndarray, b: np.ndarray) -> float:
    """The angle between two vectors; 2 asin(|u - v|/2) of their unit vectors, exact at 0."""
    u, v = a / np.linalg.norm(a), b / np.linalg.norm(b)
    return float(np.degrees(2 * np.arcsin(min(1.0, np.linalg.norm(u - v) / 2))))


def main(argv: list[str] | None = None) -> int:
    chosen = presets.arguments(__doc__, argv)
    results = presets.folder(CHECK, chosen.preset, chosen.out)
    quick = chosen.preset == "quick" and not chosen.page
    if not (chosen.page or chosen.gather):
        size = SIZES[chosen.preset]
        content = {
            **size,
            "env": ENV,
            "biases": biases(size, chosen.device),
            "batches": BATCHES,
            "directions": directions(),
            "shrunk": shrunk(),
        }
        results.mkdir(parents=True, exist_ok=True)
        write_atomically(results / "log_z.json", (json.dumps(content, indent=1) + "\n").encode())
    committed = results if quick or chosen.out else presets.folder(CHECK, "standard")
    page = results / "log_z.md" if quick or chosen.out else Path(__file__).with_suffix(".md")
    write_page(committed, page, quick or bool(chosen.out))
    print(page)
    return 0


if __name__ == "__main__":
    sys.exit(main())
