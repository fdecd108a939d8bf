"""What the caller has set in torch: our work neither depends on it nor changes it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

import torch


@contextmanager
def plain_torch() -> Iterator[None]:
    """torch as it starts: gradients on, no inference mode, no autocast, new tensors on the CPU and
    in float32, products of float32 in float32 too.

    For whatever trains, differentiates, or makes tensors that are kept; also as a decorator,
    `@plain_torch()`.
    """
    dtype = torch.get_default_dtype()
    with ExitStack() as entered:
        entered.enter_context(torch.inference_mode(False))
        entered.enter_context(torch.enable_grad())
        for kind in ("cpu", "cuda"):
            if torch.is_autocast_enabled(kind):
                entered.enter_context(torch.autocast(kind, enabled=False))
        if (
            torch.get_default_device().type != "cpu"
        ):  # a context that is always entered would slow every operation
            entered.enter_context(torch.device("cpu"))
        if dtype != torch.float32:
            torch.set_default_dtype(torch.float32)
            entered.callback(torch.set_default_dtype, dtype)
        _whole_products(entered)
        yield


def _whole_products(entered: ExitStack) -> None:
    """No TF32 or bfloat16 inside products of float32, however the caller asked for it."""
    mkldnn = getattr(torch.backends.mkldnn, "matmul")  # noqa: B009 (torch makes it as it runs)
    kinds = (torch.backends.cuda.matmul, mkldnn)
    before = [kind.fp32_precision for kind in kinds]
    if set(before) <= {"none", "ieee"}:
        return
    for kind, precision in zip(kinds, before, strict=True):
        entered.callback(setattr, kind, "fp32_precision", precision)
    with suppress(RuntimeError):  # set by kind alone, which the old name cannot say
        # given back first, since it sets the kinds too
        entered.callback(torch.set_float32_matmul_precision, torch.get_float32_matmul_precision())
    torch.set_float32_matmul_precision("highest")
