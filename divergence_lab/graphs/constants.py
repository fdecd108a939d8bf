"""What a space keeps on a device: made and sent there once, because sending it again at every step
would wait for the device.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from divergence_lab.graphs.ambient import plain_torch

Made = TypeVar("Made")

_kept: WeakKeyDictionary[Any, dict[Hashable, Any]] = WeakKeyDictionary()


def keep(space: Any, key: Hashable, make: Callable[..., Made], *given: Any) -> Made:
    """`make(*given)`, made once and kept as `key` for as long as the space lives; it serves callers
    of every kind, whatever they have set in torch.
    """
    of_space = _kept.setdefault(space, {})
    if key not in of_space:
        with plain_torch():
            of_space[key] = make(*given)
    return of_space[key]


def constant(
    space: Any,
    name: str,
    make: Callable[[], Any],
    device: str | torch.device,
    dtype: torch.dtype | None = None,
) -> Tensor:
    """`make()`, an array or a tensor on the CPU, as a tensor on `device`; kept as `name`."""
    return keep(space, (name, str(device), dtype), _sent, make, device, dtype)


def _sent(
    make: Callable[[], Any], device: str | torch.device, dtype: torch.dtype | None = None
) -> Tensor:
    made = make()
    made = made if isinstance(made, Tensor) else torch.tensor(made)
    return made.to(device=device, dtype=dtype)
