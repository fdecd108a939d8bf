"""Searches that can be ended: processes that answer questions, and budgets in processor time."""

import sys

from divergence_lab import Room

_HOME = {"OutOfTime": "asking", "SearchFailed": "asking", "within": "asking"}

__all__ = [*_HOME]

sys.modules[__name__].__class__ = Room
