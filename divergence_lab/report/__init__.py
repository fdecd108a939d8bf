"""Figures and the page."""

import sys

from divergence_lab import Room

_HOME = {"write_report": "page"}

__all__ = [*_HOME]

sys.modules[__name__].__class__ = Room
