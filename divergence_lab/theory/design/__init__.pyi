"""What the face loads when it is first used, for type checkers."""

from divergence_lab.theory.design.from_data import fit_to_residuals as fit_to_residuals
from divergence_lab.theory.design.from_data import fit_to_tradeoffs as fit_to_tradeoffs
from divergence_lab.theory.design.proofs import Designed as Designed
from divergence_lab.theory.design.search import design as design
