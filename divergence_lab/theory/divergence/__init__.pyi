"""What the face loads when it is first used, for type checkers."""

from divergence_lab.theory.divergence.closed_form import Divergence as Divergence
from divergence_lab.theory.divergence.closed_form import divergence as divergence
from divergence_lab.theory.divergence.closed_form import dual_loss as dual_loss
from divergence_lab.theory.divergence.inversion import invert as invert
from divergence_lab.theory.divergence.loss import Loss as Loss
from divergence_lab.theory.divergence.weightings import on_policy_equivalent as on_policy_equivalent
from divergence_lab.theory.divergence.weightings import weighting as weighting
