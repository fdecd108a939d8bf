"""What a space keeps on a device: sent there once, because sending it again at every step would
wait for the device.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from divergence_lab.graphs.ambient import plain_torch

_sent: WeakKeyDictionary[Any, dict[tuple[str, str, torch.dtype | None], Tensor]] = (
    WeakKeyDictionary()
)


def constant(
    space: Any,
    name: str,
    make: Callable[[], Any],
    device: str | torch.device,
    dtype: torch.dtype | None = None,
) -> Tensor:
    """`make()`, an array or a tensor on the CPU, as a tensor on `device`; kept as `name` for as
    long as the space lives.
    """
    of_space = _sent.setdefault(space, {})
    key = (name, str(device), dtype)
    if key not in of_space:
        with plain_torch():  # what is kept serves callers of every kind
            made = make()
            made = made if isinstance(made, Tensor) else torch.tensor(made)
            of_space[key] = made.to(device=device, dtype=dtype)
    return of_space[key]
