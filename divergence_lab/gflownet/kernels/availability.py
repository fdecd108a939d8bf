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
    space: Any,
    kernel: Hashable,
    ours: Callable[[], Made],
    in_torch: Callable[[], Made],
    agrees: Callable[[Made], bool],
) -> Made:
    """`ours()`; where that fails (no C compiler, too little memory on the chip), or at its first
    use does not agree with torch, a warning says why, and this and all later calls for this kernel
    and space are made in torch.
    """
    trusted = constants.keep(space, "kernels", dict)
    if not trusted.get(kernel, True):
        return in_torch()
    try:
        found = ours()
        if trusted.get(kernel) or _recording():
            return found
        trusted[kernel] = agrees(found)
        why = "it does not agree with torch"
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # Triton's errors have no base class of their own
        trusted[kernel] = False
        why = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
    else:
        if trusted[kernel]:
            return found
    warnings.warn(
        f"the kernel for {kernel} fails here, torch's own take its place, which is slower: {why}",
        stacklevel=2,
    )
    return in_torch()


def _recording() -> bool:
    """Whether a CUDA graph is being recorded, when no number can be looked at."""
    return torch.cuda.is_available() and torch.cuda.is_current_stream_capturing()


def close(found: torch.Tensor, expected: torch.Tensor) -> bool:
    """Equal to rounding, where numbers are at most about 1; NaN equals NaN."""
    bound = 1e-5 if found.dtype == torch.float32 else 1e-10
    return torch.allclose(found, expected, rtol=bound, atol=bound, equal_nan=True)
