"""What a callable returns, brought to the one tensor that training would call backward() on."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from divergence_lab.audit.subjects.loading import AuditError
from divergence_lab.inputs import shown


def items_of(answer: Any) -> dict[str, Any]:
    """The parts of what is returned, by the key that `--item` takes; none for a tensor."""
    if isinstance(answer, Mapping):
        return {str(key): value for key, value in answer.items()}
    if hasattr(answer, "_asdict"):
        return dict(answer._asdict())
    if isinstance(answer, tuple | list):
        return {str(index): value for index, value in enumerate(answer)}
    if dataclasses.is_dataclass(answer) and not isinstance(answer, type):
        return {field.name: getattr(answer, field.name) for field in dataclasses.fields(answer)}
    return {}


def item_to_take(name: str, answer: Any) -> str | None:
    """The key of the only part that carries a gradient; None where a tensor is returned.

    Raises AuditError where there are several: --item chooses.
    """
    if isinstance(answer, Tensor):
        return None
    parts = {key: part for key, part in items_of(answer).items() if _carries(part)}
    if len(parts) == 1:
        return next(iter(parts))
    if not parts:
        raise AuditError(
            f"{name} returned a {type(answer).__name__}, not a torch tensor with a gradient: a "
            "loss returns a tensor, or a tuple or dict with one"
        )
    keys = ", ".join(list(parts)[:8])
    raise AuditError(
        f"{name} returned {len(parts)} tensors with a gradient: say with --item which is "
        f"trained: {keys}"
    )


def _carries(part: Any) -> bool:
    return isinstance(part, Tensor) and part.requires_grad


def taken(name: str, answer: Any, item: str | None) -> Tensor:
    """The part that `item` names, or the tensor itself; it must carry a gradient.

    Raises AuditError.
    """
    for key in item.split(".") if item else ():
        parts = items_of(answer)
        # -1 is the last part, as in Python
        place = str(len(parts) + int(key)) if key.startswith("-") and key[1:].isdigit() else key
        if place not in parts:
            has = f"it has {', '.join(list(parts)[:8])}" if parts else "that is one value"
            raise AuditError(f"--item {shown(key)}: {name} returned no such part; {has}")
        answer = parts[place]
    if not isinstance(answer, Tensor):
        raise AuditError(
            f"{name} returned a {type(answer).__name__}, not a torch tensor: a loss returns a "
            "tensor; a part of a tuple or dict is chosen with --item"
        )
    if not answer.requires_grad:
        raise AuditError(
            f"what {name} returns carries no gradient (detached, or no function of its "
            "argument): return the tensor that training would call backward() on"
        )
    return answer
