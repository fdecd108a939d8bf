"""Log-rewards of many molecules at once: the sEH proxy where its weights are at hand, else QED,
named so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from divergence_lab.graphs.molecules import chemistry, weights

BETA = 4.0  # the paper's exponent
CHUNK = 64
SMALLEST_QED = 1e-6


@dataclass(frozen=True, eq=False)
class Reward:
    """R = (max(0.1, raw)/8)^beta of the sEH proxy, or QED^beta; `name` says which.

    `raw(molecules)` -> [N] float64; `log_reward(raw)` -> [N] float64.
    """

    name: str
    raw: Callable[[Sequence[chemistry.Molecule]], np.ndarray]
    log_reward: Callable[[np.ndarray], np.ndarray]


def reward_from(
    data: str | Path | None, beta: float = BETA, dtype: torch.dtype = torch.float64
) -> Reward:
    """By the sEH proxy if the folder `data` holds its weights (their SHA-256 is compared), else
    by QED.
    """
    if data is not None and (Path(data) / weights.WEIGHTS).exists():
        from divergence_lab.graphs.molecules.proxy import NORM, SMALLEST

        return Reward(
            f"sEH proxy, (max({SMALLEST:g}, raw)/{NORM:g})^{beta:g}",
            seh(data, dtype),
            lambda values: beta * np.log(np.maximum(values, SMALLEST) / NORM),
        )
    return Reward(
        f"QED^{beta:g} (not the sEH proxy)",
        qed,
        lambda raw: beta * np.log(np.maximum(raw, SMALLEST_QED)),
    )


def seh(
    data: str | Path, dtype: torch.dtype = torch.float64
) -> Callable[[Sequence[chemistry.Molecule]], np.ndarray]:
    """What the sEH proxy with the weights in the folder `data` says of molecules: [N] float64."""
    from divergence_lab.graphs.molecules.proxy import featurise, proxy, raw_prediction
    from divergence_lab.graphs.molecules.weights import load_weights

    network = proxy(load_weights(data), dtype=dtype)

    def raw(molecules: Sequence[chemistry.Molecule]) -> np.ndarray:
        parts = [molecules[start : start + CHUNK] for start in range(0, len(molecules), CHUNK)]
        found = [raw_prediction(network, featurise(part)).double().numpy() for part in parts]
        return np.concatenate(found) if found else np.zeros(0)

    return raw


def qed(molecules: Sequence[chemistry.Molecule]) -> np.ndarray:
    """QED of molecules (Bickerton et al. 2012, by RDKit), 0 to 1: [N] float64."""
    chemistry.rdkit_chem()
    from rdkit.Chem import QED

    return np.array([QED.qed(molecule.mol) for molecule in molecules], dtype=np.float64)
