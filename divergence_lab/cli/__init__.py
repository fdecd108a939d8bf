"""The command line."""

import sys

from divergence_lab import Room

_HOME = {"main": "main"}

__all__ = [*_HOME]

sys.modules[__name__].__class__ = Room
