"""What a small GFlowNet learned, as the page draws it."""

from dataclasses import dataclass

import numpy as np

SIDE, BATCH, UNITS = 8, 32, 2


@dataclass(frozen=True, eq=False)
class Learned:
    """Exact laws [SIDE, SIDE] after the last of `steps`, of a table and of a network that is too
    small; their total variation [K] at `steps` [K]; how many modes there are, and how many each of
    the two found.
    """

    target: np.ndarray
    law: np.ndarray
    small_law: np.ndarray
    steps: np.ndarray
    total_variation: np.ndarray
    small_total_variation: np.ndarray
    modes: tuple[int, int]
    small_modes: int
