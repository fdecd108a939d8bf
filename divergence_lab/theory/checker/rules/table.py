"""All rules of proof, by name. Part of the trusted checker."""

from collections.abc import Mapping

from divergence_lab.theory.checker.rules.of_a_loss import OF_A_LOSS
from divergence_lab.theory.checker.rules.of_no_loss import OF_NO_LOSS
from divergence_lab.theory.checker.rules.of_parameters import OF_PARAMETERS
from divergence_lab.theory.checker.rules.rule import Rule

RULES: Mapping[str, Rule] = {**OF_A_LOSS, **OF_NO_LOSS, **OF_PARAMETERS}
