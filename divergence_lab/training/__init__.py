"""Losses x seeds, trained together; runs that go on where they stopped; sweeps."""

import sys

from divergence_lab import Room

_HOME = {"train": "loop"}

__all__ = [*_HOME]

sys.modules[__name__].__class__ = Room
