"""Why one loss trains more slowly than another: python benchmarks/why_slower.py

Losses that differ in their left tail alone, trained with gradients cut at three lengths; the steps
until the median total variation is below 0.02. About 10 s of one core. Prints the table of
docs/training.md.
"""

from __future__ import annotations

import numpy as np
import torch

import divergence_lab as dl

LEFT = {
    "exp(x) - x - 1": "Piecewise((exp(x) - x - 1, x < 0), (x**2/2, True))",
    "x**2/2": "x**2/2",
    "cosh(x) - 1": "Piecewise((cosh(x) - 1, x < 0), (x**2/2, True))",
    "10*x**2/2, both sides": "10*x**2/2",
}
CUTS = (None, 10.0, 0.3)
STEPS, BELOW = 2500, 0.02


def main() -> None:
    torch.set_num_threads(1)
    losses = {name: dl.to_torch(dl.loss(text)) for name, text in LEFT.items()}
    found: dict[str, list[str]] = {name: [] for name in losses}
    for cut in CUTS:
        result = dl.train(
            losses,
            dl.hypergrid(2, 8),
            seeds=3,
            steps=STEPS,
            max_grad_norm=cut,
            evaluations=100,
            device="cpu",
        )
        for name, curves in zip(result.losses, result.metrics["tv"], strict=True):
            under = np.median(curves, axis=0) < BELOW
            arrived = int(result.steps[np.argmax(under)]) if under.any() else None
            found[name].append(f"over {STEPS}" if arrived is None else str(arrived))
    print("left of 0, steps with gradients", ", ".join(f"cut at {cut}" for cut in CUTS))
    for name, steps in found.items():
        print(f"{name:24}", *(f"{one:>10}" for one in steps))


if __name__ == "__main__":
    main()
