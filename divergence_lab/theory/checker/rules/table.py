"""All rules of proof, by name. Part of the trusted checker."""

from collections.abc import Mapping

from divergence_lab.theory.checker.rules import (
    of_a_formula,
    of_a_loss,
    of_no_loss,
    of_parameters,
    rule,
)

RULES: Mapping[str, rule.Rule] = {
    **of_a_loss.OF_A_LOSS,
    **of_no_loss.OF_NO_LOSS,
    **of_a_formula.OF_A_FORMULA,
    **of_parameters.OF_PARAMETERS,
}
# What holds of a formula as it stands, without pieces that were confirmed.
WITHOUT_PIECES: Mapping[str, rule.Rule] = {**of_no_loss.OF_NO_LOSS, **of_a_formula.OF_A_FORMULA}
