"""The search for proofs: what it finds, the checker must accept."""

import sys

from divergence_lab import Room

_HOME = {"Verdict": "verdict", "decide": "decision"}

__all__ = [*_HOME]

sys.modules[__name__].__class__ = Room
