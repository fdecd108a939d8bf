"""Any other loss, as arrays fast enough to draw: g, g' and I(u) = int_0^u g'(v) e^{-v} dv = f(e^u)
e^{-u}, from its panels.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from divergence_lab.report import panels
from divergence_lab.theory.divergence.loss import Loss
from divergence_lab.theory.expressions import Pieces


@dataclass(frozen=True)
class FreeLoss:
    """A loss without parameters; `text` is what was typed."""

    text: str
    loss: Loss

    def value(self, points: np.ndarray) -> np.ndarray:
        """g(x)."""
        return evaluate(self.loss.pieces, points)

    def slope(self, points: np.ndarray) -> np.ndarray:
        """g'(x)."""
        return evaluate(self.loss.derivative, points)

    def integral(self, points: np.ndarray) -> np.ndarray:
        """I(u); |u| is cut at 60, beyond which no ratio that is drawn or fitted matters."""
        edges, table = self._panels
        u = np.clip(np.asarray(points, dtype=np.float64), edges[0], edges[-1])
        index = np.clip(np.searchsorted(edges, u, side="right") - 1, 0, len(edges) - 2)
        inside = 2 * (u - edges[index]) / (edges[index + 1] - edges[index]) - 1
        c = table[index]  # Clenshaw's recurrence, a panel's own coefficients at every point
        high, low = np.zeros_like(u), np.zeros_like(u)
        for k in range(table.shape[1] - 1, 0, -1):
            high, low = 2 * inside * high - low + c[..., k], high
        return np.where(np.isfinite(c[..., 0]), inside * high - low + c[..., 0], np.inf)

    @cached_property
    def _panels(self) -> tuple[np.ndarray, np.ndarray]:
        edges, table = panels.panels(self.loss)
        return np.array(edges), np.array(table)


def evaluate(function: Pieces, points: np.ndarray) -> np.ndarray:
    """The function at float points, correct to double precision; inf where it is too large or
    not defined.
    """
    points = np.asarray(points, dtype=np.float64)
    return np.array(panels.values(function, points.ravel().tolist())).reshape(points.shape)
