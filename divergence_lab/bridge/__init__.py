"""Loss -> torch: the one place where theory meets tensors."""

from __future__ import annotations

import sys

from divergence_lab import Room

_HOME = {"formula": "formula", "generator_to_torch": "generators", "integral_to_torch": "generators", "NotRepresentable": "programs",
         "TorchLoss": "torch_loss", "to_torch": "torch_loss"}

__all__ = [*_HOME]

sys.modules[__name__].__class__ = Room
