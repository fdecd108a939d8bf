"""What the face loads when it is first used, for type checkers."""

from divergence_lab.theory.answers.derivation import Derivation as Derivation
from divergence_lab.theory.answers.derivation import derive as derive
from divergence_lab.theory.answers.questions import check as check
