"""A loss or estimator of a library: its formula as a callable, what it is fed, where it stands."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Preset:
    """`call`, of the residual r that `residual` names ("target/model" or "model/target"); `formula`
    the same as text. `library` and `version` are what was read, `source` is the place in it;
    `placement`, `baseline`, `per` are as in `audit`. `real`: "module:name" of the library's own
    code, where it can be called with r, or with (log p_F, log p_B) and the options beside them if
    `pair`. `held`: the versions whose own code the tests held it against. `note`: what else is to
    be known.

        >>> from divergence_lab.audit.presets.named import find_preset
        >>> find_preset("preset:trl/grpo").placement
        'loss'
    """

    name: str
    call: Callable[[Tensor], Tensor]
    residual: str
    formula: str
    library: str
    version: str
    source: str
    placement: str = "loss"
    baseline: str = "none"
    per: str = "sequence"
    real: str | None = None
    pair: tuple[str, ...] = ()
    note: str = ""
    held: str = ""
