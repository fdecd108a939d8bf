"""What a small GFlowNet learned, as the page draws it."""

from dataclasses import dataclass

import numpy as np

SIDE, BATCH = 8, 32


@dataclass(frozen=True, eq=False)
class Learned:
    """Exact laws [SIDE, SIDE] after the last of `steps`; total variation [K] at `steps` [K]; modes
    found of all.
    """

    target: np.ndarray
    law: np.ndarray
    steps: np.ndarray
    total_variation: np.ndarray
    modes: tuple[int, int]
