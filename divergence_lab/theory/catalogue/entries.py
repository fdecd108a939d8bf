"""What a line of the catalogue of losses says; whence its formulas come."""

from collections.abc import Mapping
from dataclasses import dataclass, field

HU = "Hu et al., ICLR 2025 (arXiv 2410.02596), Table 2"
AMARI = "Amari, Differential-Geometrical Methods in Statistics, 1985"
CSISZAR = "Csiszar, Studia Sci. Math. Hungar. 2, 1967"


@dataclass(frozen=True)
class Expected:
    """Verdicts for every allowed parameter value: True, False, or the exact condition, such as
    "alpha <= 0".
    """

    zero_forcing: bool | str = False
    zero_avoiding: bool | str = False
    symmetric: bool | str = False
    even: bool | str = False
    bounded_gradient: bool | str = False
    convex: bool | str = True
    valid: bool | str = True


@dataclass(frozen=True)
class NamedLoss:
    """g in x. `parameters` with their defaults (None: must be given), each with its allowed values
    in `where`.

    `special`: the formula at parameter values where the general one degenerates; `examples`: values
    at which the tests look at the entry (the defaults if empty); `divergences`: the named
    divergence at such values.
    """

    name: str
    loss: str
    reference: str
    use: str
    expected: Expected
    parameters: Mapping[str, str | None] = field(default_factory=dict)
    where: tuple[str, ...] = ()
    special: Mapping[str, str] = field(default_factory=dict)
    examples: tuple[str, ...] = ()
    divergences: Mapping[str, str] = field(default_factory=dict)


ROBUST = Expected(even=True, bounded_gradient=True)
REDESCENDING = Expected(even=True, bounded_gradient=True, convex=False)
