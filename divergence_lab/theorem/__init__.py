"""The theorem in numbers: the gradient of a weighted regression loss is that of its divergence."""

import sys

from divergence_lab import Room

_HOME = {"verify": "verification", "VerifyError": "verification"}

__all__ = [*_HOME]

sys.modules[__name__].__class__ = Room
