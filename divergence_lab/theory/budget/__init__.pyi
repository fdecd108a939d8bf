"""What the face loads when it is first used, for type checkers."""

from divergence_lab.theory.budget.asking import OutOfTime as OutOfTime
from divergence_lab.theory.budget.asking import SearchFailed as SearchFailed
from divergence_lab.theory.budget.asking import within as within
