"""Losses compared seed by seed: runs of one seed share their random numbers, so differences within a
seed are what counts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

ROUNDING = 1e-9  # differences that are one number in all seeds have no t
MARGIN = 0.01  # two numbers of which one is within 1 % of the other are a tie


@dataclass(frozen=True, eq=False)
class Paired:
    """a against b, one number a seed each: in how many seeds a is `smaller`, `larger` or a `tie`;
    in `neither` of the two was anything learned, and which of them is smaller says nothing.

    `mean`, `deviation`: of a - b over all seeds.  `p_sign`: of the two-sided sign test on the seeds
    that are smaller or larger, 2^(1-n) where n agree.  `p_t`: of the paired t-test on all seeds.
    """

    smaller: int
    larger: int
    ties: int
    neither: int
    mean: float
    deviation: float
    p_sign: float
    p_t: float

    @property
    def seeds(self) -> int:
        return self.smaller + self.larger + self.ties + self.neither


def paired(a: np.ndarray, b: np.ndarray, learned: np.ndarray | None = None) -> Paired:
    """Compare two rows of numbers [N]; `learned` [N]: did either of the two runs learn anything?

    >>> found = paired(np.array([1.0, 1.0, 0.751]), np.array([2.0, 2.0, 0.752]))
    >>> found.smaller, found.ties, found.p_sign
    (2, 1, 0.5)
    """
    learned = np.ones(len(a), dtype=bool) if learned is None else learned
    close = np.abs(a - b) <= MARGIN * np.maximum(np.abs(a), np.abs(b))
    smaller, larger = (learned & ~close & side for side in (a < b, a > b))
    n, k = int(smaller.sum() + larger.sum()), int(smaller.sum())
    difference = a - b
    spread = float(difference.std(ddof=1)) if len(a) > 1 else float("nan")
    return Paired(
        k,
        n - k,
        int((learned & close).sum()),
        int((~learned).sum()),
        float(difference.mean()),
        spread,
        float(stats.binomtest(k, n).pvalue) if n else 1.0,
        float(stats.ttest_rel(a, b).pvalue) if spread > ROUNDING else float("nan"),
    )
