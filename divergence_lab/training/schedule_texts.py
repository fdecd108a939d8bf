"""What `train` may be given as losses, and the texts among them: one plain loss, or one that
changes while a run goes on: 'linex(1->0)', 'A then B at 0.3', 'A into B'.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Any, cast

import sympy as sp
from torch import Tensor

from divergence_lab.bridge.torch_loss import to_torch
from divergence_lab.theory.divergence import reading
from divergence_lab.theory.divergence.loss import Loss, loss
from divergence_lab.training.schedules import LossFunction, ScheduleError, anneal_linex, blend, then

OneLoss = str | Loss | LossFunction
AnyLosses = OneLoss | Mapping[str, OneLoss] | Sequence[OneLoss]

NUMBERS = r"\s*([-+0-9./]{1,20})\s*"
# the first that fits; what fits no other is a loss
FORMS = {
    "linex": rf"linex\({NUMBERS}->{NUMBERS}\)",
    "then": rf"(.+?)\s+then\s+(.+?)(?:\s+at\s+{NUMBERS})?",
    "into": r"(.+?)\s+into\s+(.+)",
    "loss": r"((?s:.*))",
}


def torch_losses(given: AnyLosses) -> dict[str, LossFunction]:
    """name -> torch loss or schedule, of a mapping, of a list, or of one alone; each is a text, a
    `Loss` or a function of a tensor.

    A text is called as the catalogue calls it, or as it is written, a function by its `__name__`.
    Raises an InputError, one line.

        >>> [*torch_losses(["quadratic", "exp(x) - x - 1", "linex(1->0)"])]
        ['quadratic', 'exp(x) - x - 1', 'linex(1->0)']
    """
    if isinstance(given, Mapping):
        reading.refuse_names(given)
        named: dict[str, Any] = dict(given)
    else:
        named = reading.with_names(given, _name_of)
    return {name: _as_torch(one) for name, one in named.items()}


def _name_of(one: Any) -> str:
    if isinstance(one, str):
        (kind, *_), name = _parts(one.strip()), one.strip()
        return reading.name_of(name) if kind == "loss" else name
    if isinstance(getattr(one, "loss", one), Loss | sp.Basic):
        return reading.name_of(one)
    return str(getattr(one, "name", None) or getattr(one, "__name__", type(one).__name__))


def _as_torch(one: Any) -> LossFunction:
    if isinstance(one, str):
        read = read_schedules([one], lambda texts: {text: (text, loss(text)) for text in texts})
        return next(iter(read.values()))
    if callable(one) and not isinstance(one, sp.Basic | type):
        return cast(LossFunction, one)
    return to_torch(reading.as_loss(one))


def read_schedules(
    texts: Sequence[str], read: Callable[[Sequence[str]], dict[str, tuple[str, Loss]]]
) -> dict[str, Callable[[Tensor], Tensor]]:
    """name -> torch loss or schedule, in the order given; `read(texts)` gives each text its name
    and loss.
    """
    parts = {text: _parts(text.strip()) for text in texts}
    plain = dict.fromkeys(
        part for kind, *rest in parts.values() for part in rest[:2] if kind != "linex"
    )
    # read together, so that --set may name a parameter of any of them
    named = (
        {text: (name, to_torch(entry)) for text, (name, entry) in read(list(plain)).items()}
        if plain
        else {}
    )
    losses: dict[str, Callable[[Tensor], Tensor]] = {}
    for text, (kind, *rest) in parts.items():
        name = text.strip()
        if kind == "linex":
            losses[name] = anneal_linex(_number(rest[0]), _number(rest[1]), name=name)
        elif kind == "then":
            losses[name] = then(
                named[rest[0]][1], named[rest[1]][1], _number(rest[2] or "1/2"), name=name
            )
        elif kind == "into":
            losses[name] = blend(named[rest[0]][1], named[rest[1]][1], name=name)
        else:
            losses[named[rest[0]][0]] = named[rest[0]][1]
    return losses


def _parts(text: str) -> tuple[str, ...]:
    """('linex', start, stop), ('then', first, second, at or None), ('into', first, second) or
    ('loss', text).
    """
    matches = ((kind, re.fullmatch(pattern, text)) for kind, pattern in FORMS.items())
    return next((kind, *match.groups()) for kind, match in matches if match)


def _number(text: str) -> float:
    try:
        return float(Fraction(text))
    except (ValueError, ZeroDivisionError):
        raise ScheduleError(f"{text!r} is not a number; write 0.3 or 1/3") from None
