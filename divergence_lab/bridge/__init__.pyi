"""What the face loads when it is first used, for type checkers."""

from divergence_lab.bridge.formula import formula as formula
from divergence_lab.bridge.generators import generator_to_torch as generator_to_torch
from divergence_lab.bridge.generators import integral_to_torch as integral_to_torch
from divergence_lab.bridge.torch_loss import TorchLoss as TorchLoss
from divergence_lab.bridge.torch_loss import to_torch as to_torch
from divergence_lab.bridge.verified.programs import NotRepresentable as NotRepresentable
