"""What the face loads when it is first used, for type checkers."""

from divergence_lab.theory.inequalities.bounds import best_constant as best_constant
from divergence_lab.theory.inequalities.comparison import Comparison as Comparison
from divergence_lab.theory.inequalities.comparison import compare as compare
from divergence_lab.theory.inequalities.hockey_stick import (
    hockey_stick_weights as hockey_stick_weights,
)
from divergence_lab.theory.inequalities.normaliser import biases_log_z as biases_log_z
from divergence_lab.theory.inequalities.normaliser import optimal_log_z as optimal_log_z
from divergence_lab.theory.inequalities.pinsker import pinsker as pinsker
from divergence_lab.theory.inequalities.wrong_log_z import keeps_direction as keeps_direction
from divergence_lab.theory.inequalities.wrong_log_z import (
    repelling_residuals as repelling_residuals,
)
