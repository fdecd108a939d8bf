"""What the face loads when it is first used, for type checkers."""

from divergence_lab.theory.expressions.ordering import CannotSplit as CannotSplit
from divergence_lab.theory.expressions.parsing import parse as parse
from divergence_lab.theory.expressions.pieces import Pieces as Pieces
from divergence_lab.theory.expressions.pieces import split as split
from divergence_lab.theory.expressions.precision import digits as digits
from divergence_lab.theory.expressions.printing import write as write
from divergence_lab.theory.expressions.printing import write_latex as write_latex
from divergence_lab.theory.expressions.symbols import t as t
from divergence_lab.theory.expressions.symbols import x as x
from divergence_lab.theory.expressions.syntax import ExpressionError as ExpressionError
