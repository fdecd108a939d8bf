"""What the face loads when it is first used, for type checkers."""

from divergence_lab.theory.verdicts.decision import decide as decide
from divergence_lab.theory.verdicts.verdict import Verdict as Verdict
