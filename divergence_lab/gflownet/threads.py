"""One thread where more would only wait for each other."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def one_thread(wanted: bool) -> Iterator[None]:
    """torch on one CPU thread inside, if `wanted`: on shared cores a second costs small work much and gains it nothing."""
    before = torch.get_num_threads()
    if not wanted or before == 1:
        yield
        return
    try:
        torch.set_num_threads(1)
        yield
    finally:
        torch.set_num_threads(before)
