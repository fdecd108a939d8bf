"""Text -> losses that change while a run goes on: 'linex(1->0)', 'A then B at 0.3', 'A into B',
or one plain loss.
"""

import re
from collections.abc import Callable, Sequence
from fractions import Fraction

from torch import Tensor

from divergence_lab.bridge.torch_loss import to_torch
from divergence_lab.theory.divergence.loss import Loss
from divergence_lab.training.schedules import ScheduleError, anneal_linex, blend, then

NUMBERS = r"\s*([-+0-9./]{1,20})\s*"
# the first that fits; what fits no other is a loss
FORMS = {
    "linex": rf"linex\({NUMBERS}->{NUMBERS}\)",
    "then": rf"(.+?)\s+then\s+(.+?)(?:\s+at\s+{NUMBERS})?",
    "into": r"(.+?)\s+into\s+(.+)",
    "loss": r"((?s:.*))",
}


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
