"""What the face loads when it is first used, for type checkers."""

from divergence_lab.theory.checker.documents import Failure as Failure
from divergence_lab.theory.checker.documents import Report as Report
from divergence_lab.theory.checker.documents import check as check
from divergence_lab.theory.checker.documents import check_one as check_one
