"""The families whose parameters the audit fits, and the building blocks it adds: g' in numbers, g
as text.

g'(x) = c * slope(p, q, ..., x),  c > 0          g = c * (formula at the parameters)
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Slope = Callable[..., np.ndarray]


@dataclass(frozen=True)
class Family:
    """`formula` with {p} (and {q}) for the parameters; `slope(p, x)` or `slope(p, q, x)` its
    derivative; `start`: parameters from which a fit starts; `more`: those of q; `flat`: only where
    the slopes are constant at both ends, without which the thresholds say nothing.
    """

    formula: str
    slope: Slope
    start: tuple[float, ...]
    more: tuple[float, ...] = ()
    flat: bool = False

    @property
    def starts(self) -> list[tuple[float, ...]]:
        """Every (p,) or (p, q) from which a fit starts."""
        return [(p, q) for p in self.start for q in self.more] or [(p,) for p in self.start]


@dataclass(frozen=True)
class Block:
    """One term of a sum: formula and slope."""

    formula: str
    slope: Callable[[np.ndarray], np.ndarray]


def _spaced(low: float, high: float, count: int) -> tuple[float, ...]:
    return tuple(float(v) for v in np.geomspace(low, high, count))


_RATES = _spaced(0.05, 10, 24)
_SIZES = _spaced(5e-4, 200, 56)
_WIDTHS = _spaced(0.1, 60, 14)
_SHARES = (0.02, *np.linspace(0.1, 0.9, 9).tolist(), 0.98)

LINEX = Family(
    "(exp({p}*x) - {p}*x - 1)/({p})**2",
    lambda a, x: np.expm1(a * x) / a,
    (*_RATES, *(-r for r in _RATES)),
)
POWER = Family(
    "Abs(x)**({p})/({p})", lambda p, x: np.sign(x) * np.abs(x) ** (p - 1), _spaced(0.2, 8, 24)
)

FAMILIES: tuple[Family, ...] = (
    LINEX,
    POWER,
    Family("(cosh({p}*x) - 1)/({p})**2", lambda k, x: np.sinh(k * x) / k, _RATES),
    Family("huber({p})", lambda d, x: np.clip(x, -d, d), _SIZES),
    Family(
        "({p})**2*(sqrt(1 + (x/({p}))**2) - 1)", lambda d, x: x / np.sqrt(1 + (x / d) ** 2), _SIZES
    ),
    Family("log(cosh({p}*x))/({p})**2", lambda k, x: np.tanh(k * x) / k, _RATES),
    Family(
        "({p})**2*(Abs(x)/({p}) - log(1 + Abs(x)/({p})))",
        lambda c, x: x / (1 + np.abs(x) / c),
        _SIZES,
    ),
    Family("({p})**2*log(1 + (x/({p}))**2)/2", lambda c, x: x / (1 + (x / c) ** 2), _SIZES),
    Family(
        "({p})**2*(1 - exp(-(x/({p}))**2/2))", lambda c, x: x * np.exp(-((x / c) ** 2) / 2), _SIZES
    ),
    Family(
        "x*atan({p}*x)/({p}) - log(1 + ({p}*x)**2)/(2*({p})**2)",
        lambda k, x: np.arctan(k * x) / k,
        _RATES,
    ),
    Family(
        "x*asinh({p}*x)/({p}) - (sqrt(1 + ({p}*x)**2) - 1)/({p})**2",
        lambda k, x: np.arcsinh(k * x) / k,
        _RATES,
    ),
    Family("clipped_linex({p})", lambda c, x: np.expm1(np.clip(x, -c, c)), _spaced(0.3, 30, 40)),
    Family("skewed_jsd({p})", lambda w, x: (1 - w) * np.log1p(w * np.expm1(x)), _SHARES),
    Family("skew({p})", lambda w, x: -w + w * np.exp(x) / (w + (1 - w) * np.exp(x)), _SHARES),
    Family(
        "vincze_le_cam({p})",
        lambda w, x: (
            -1 / (1 - w)
            + np.exp(x) / (w * (1 - w) * (w * np.exp(x) + 1 - w))
            - np.exp(x) / (w * (w * np.exp(x) + 1 - w) ** 2)
        ),
        _SHARES,
    ),
    Family(
        "barron({p})",
        lambda a, x: x * (x**2 / abs(a - 2) + 1) ** (a / 2 - 1),
        (-6.0, -2.0, -0.9, 0.3, 1.2, 1.7, 2.5, 3.5),
    ),
    # Huber's with two thresholds, or two weights
    Family(
        "Piecewise((-({p})*x - ({p})**2/2, x < -({p})), (x**2/2, x < {q}), "
        "(({q})*x - ({q})**2/2, True))",
        lambda a, b, x: np.clip(x, -a, b),
        _WIDTHS,
        _WIDTHS,
        flat=True,
    ),
    Family(
        "Piecewise(((1 - ({p}))*(-({q})*x - ({q})**2/2), x < -({q})), "
        "((1 - ({p}))*x**2/2, x < 0), (({p})*x**2/2, x < {q}), "
        "(({p})*(({q})*x - ({q})**2/2), True))",
        lambda w, c, x: np.where(x < 0, 1 - w, w) * np.clip(x, -c, c),
        _SHARES,
        _WIDTHS,
        flat=True,
    ),
    # robust losses with their own scale, as they are published
    Family(
        "({q})**2*Abs({p} - 2)/({p})*(((x/({q}))**2/Abs({p} - 2) + 1)**(({p})/2) - 1)",
        lambda a, c, x: x * ((x / c) ** 2 / abs(a - 2) + 1) ** (a / 2 - 1),
        (-4.0, -1.5, 0.4, 1.3, 1.7, 2.6, 3.6),
        _spaced(0.05, 30, 9),
    ),
    Family(
        "Piecewise((({p})**2*(1 - (1 - (x/({p}))**2)**3)/6, Abs(x) < {p}), (({p})**2/6, True))",
        lambda c, x: np.where(np.abs(x) < c, x * (1 - (x / c) ** 2) ** 2, 0.0),
        _SIZES,
    ),
    Family("x**2/(2*(1 + (x/({p}))**2))", lambda c, x: x / (1 + (x / c) ** 2) ** 2, _SIZES),
    Family(
        "({p})**2*tanh(x/({p}))**2/2",
        lambda c, x: c * np.tanh(x / c) / np.cosh(np.clip(x / c, -350, 350)) ** 2,
        _SIZES,
    ),
    Family("({p})*log(1 + Abs(x)/({p}))", lambda c, x: np.sign(x) / (1 + np.abs(x) / c), _SIZES),
    Family(
        "({p})**2*log(1 + Abs(x)/({p}))**2/2",
        lambda c, x: np.sign(x) * c * np.log1p(np.abs(x) / c) / (1 + np.abs(x) / c),
        _SIZES,
    ),
    Family(
        "x*tanh(x/({p}))",
        lambda c, x: np.tanh(x / c) + x / c / np.cosh(np.clip(x / c, -350, 350)) ** 2,
        _SIZES,
    ),
    Family(
        "x**2*(1 - exp(-(x/({p}))**2))",
        lambda c, x: (
            -2 * x * np.expm1(-((x / c) ** 2)) + 2 * x * (x / c) ** 2 * np.exp(-((x / c) ** 2))
        ),
        _SIZES,
    ),
)

# Each side of 0 may be of its own kind.
SIDES: tuple[Family, ...] = (
    LINEX,
    POWER,
    Family("(cosh({p}*x) - 1)/({p})**2", lambda k, x: np.sinh(k * x) / k, _RATES),
    Family("log(cosh({p}*x))/({p})**2", lambda k, x: np.tanh(k * x) / k, _RATES),
    Family("huber({p})", lambda d, x: np.clip(x, -d, d), _SIZES),
)

BLOCKS: tuple[Block, ...] = (
    Block("x**2/2", lambda x: x),
    Block("(exp(x) - x - 1)", np.expm1),
    Block("(exp(-x) + x - 1)", lambda x: -np.expm1(-x)),
    Block("(2*exp(x/2) - x - 2)", lambda x: np.expm1(x / 2)),
    Block("(2*exp(-x/2) + x - 2)", lambda x: -np.expm1(-x / 2)),
    Block("(exp(2*x) - 2*x - 1)/2", lambda x: np.expm1(2 * x)),
    Block("(exp(-2*x) + 2*x - 1)/2", lambda x: -np.expm1(-2 * x)),
    Block("Abs(x)", np.sign),
    Block("x**4/4", lambda x: x**3),
    Block("log(cosh(x/2))*2", lambda x: np.tanh(x / 2)),
    Block("gan", lambda x: np.log1p(np.expm1(x) / 2)),
)
