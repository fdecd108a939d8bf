"""FLINT's working precision is one setting for the whole process: a block that changes it runs
alone.

Two threads that changed it side by side would cut each other's series short, and leave a precision
behind that neither had asked for.
"""

import contextlib
import os
import threading
from collections.abc import Iterator

from flint import ctx

_ALONE = threading.RLock()
_DEFAULT = ctx.prec, ctx.cap


def _start_anew() -> None:
    """In a fork: the thread that was in such a block is not there to leave it."""
    global _ALONE
    _ALONE = threading.RLock()
    ctx.prec, ctx.cap = _DEFAULT


os.register_at_fork(after_in_child=_start_anew)


@contextlib.contextmanager
def bits(count: int, terms: int | None = None) -> Iterator[None]:
    """Work with `count` bits, and with `terms` terms of a series where they are given."""
    with _ALONE:
        before = ctx.prec, ctx.cap
        ctx.prec, ctx.cap = count, before[1] if terms is None else terms
        try:
            yield
        finally:
            ctx.prec, ctx.cap = before


@contextlib.contextmanager
def digits(count: int) -> Iterator[None]:
    """Work with at least `count` decimal digits.

    >>> from flint import arb
    >>> with digits(40):
    ...     print((arb(1) / 3).str(40, radius=False))
    0.3333333333333333333333333333333333333333
    """
    with _ALONE:
        before, ctx.dps = ctx.prec, max(count, 1)
        try:
            yield
        finally:
            ctx.prec = before
