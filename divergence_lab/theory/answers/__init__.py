"""All of it for one loss, or for one generator, within a budget."""

import sys

from divergence_lab import Room

_HOME = {"derive": "derivation", "Derivation": "derivation", "invert": "inversion"}

__all__ = [*_HOME]

sys.modules[__name__].__class__ = Room
