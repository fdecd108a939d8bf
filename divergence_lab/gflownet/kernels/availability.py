"""Whether kernels of our own can be used, and what goes on in torch where they can't."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Hashable
from functools import cache
from importlib.util import find_spec
from typing import Any, TypeVar

import torch

from divergence_lab.graphs import constants

Made = TypeVar("Made")


def usable(device: torch.device) -> bool:
    """On a GPU, where Triton is installed (it comes with torch's CUDA wheels on Linux)."""
    return device.type == "cuda" and _installed()


@cache
def _installed() -> bool:
    return find_spec("triton") is not None


def ours_or_torch(
    space: Any, kernel: Hashable, ours: Callable[[], Made], in_torch: Callable[[], Made]
) -> Made:
    """`ours()`; where that fails (no C compiler, too little memory on the chip) a warning says why,
    and this and all later calls for this kernel and space are made in torch.
    """
    failed = constants.keep(space, "kernels that failed", set)
    if kernel in failed:
        return in_torch()
    try:
        return ours()
    except Exception as error:  # Triton's errors have no base class of their own
        if isinstance(error, torch.OutOfMemoryError):
            raise
        failed.add(kernel)
        why = (str(error).splitlines() or [""])[0]
        warnings.warn(
            f"the kernel for {kernel} fails here, torch's own take its place, which is slower: "
            f"{type(error).__name__}: {why}",
            stacklevel=2,
        )
    return in_torch()
