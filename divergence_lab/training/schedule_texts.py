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
    known = (
        {text: (name, to_torch(entry)) for text, (name, entry) in read(list(plain)).items()}
        if plain
        else {}
    )
    found: dict[str, Callable[[Tensor], Tensor]] = {}
    for text, (kind, *rest) in parts.items():
        name = text.strip()
        if kind == "linex":
            found[name] = anneal_linex(_number(rest[0]), _number(rest[1]), name=name)
        elif kind == "then":
            found[name] = then(
                known[rest[0]][1], known[rest[1]][1], _number(rest[2] or "1/2"), name=name
            )
        elif kind == "into":
            found[name] = blend(known[rest[0]][1], known[rest[1]][1], name=name)
        else:
            found[known[rest[0]][0]] = known[rest[0]][1]
    return found


def _parts(text: str) -> tuple[str, ...]:
    """('linex', start, stop), ('then', first, second, at or None), ('into', first, second) or
    ('loss', text).
    """
    if match := re.fullmatch(rf"linex\({NUMBERS}->{NUMBERS}\)", text):
        return "linex", match[1], match[2]
    if match := re.fullmatch(rf"(.+?)\s+then\s+(.+?)(?:\s+at\s+{NUMBERS})?", text):
        return "then", match[1], match[2], match[3]
    if match := re.fullmatch(r"(.+?)\s+into\s+(.+)", text):
        return "into", match[1], match[2]
    return "loss", text


def _number(text: str) -> float:
    try:
        return float(Fraction(text))
    except (ValueError, ZeroDivisionError):
        raise ScheduleError(f"{text!r} is not a number; write 0.3 or 1/3") from None
