"""Loss -> torch: the one place where theory meets tensors."""

import sys

from divergence_lab import Room

_HOME = {
    "NotRepresentable": "verified.programs",
    "formula": "formula",
    "TorchLoss": "torch_loss",
    "to_torch": "torch_loss",
    "generator_to_torch": "generators",
    "integral_to_torch": "generators",
}

__all__ = [*_HOME]

sys.modules[__name__].__class__ = Room
