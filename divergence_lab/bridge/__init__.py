"""Loss -> torch: the one place where theory meets tensors."""

from __future__ import annotations

from divergence_lab.bridge.formula import formula
from divergence_lab.bridge.generators import generator_to_torch, integral_to_torch
from divergence_lab.bridge.programs import NotRepresentable
from divergence_lab.bridge.torch_loss import TorchLoss, to_torch

__all__ = ["NotRepresentable", "TorchLoss", "formula", "generator_to_torch", "integral_to_torch", "to_torch"]
