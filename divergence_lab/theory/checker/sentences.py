"""The sentence `because` of a verdict, made from the steps of its proof alone. Part of the trusted
checker.

The search writes its verdicts with it, and the checker refuses any other sentence: whoever reads it
reads what was proved. An undecided verdict has no steps, and its sentence is the search's own: it
claims nothing, and the checker does not show it.
"""

from divergence_lab.theory.checker.conditions import condition_of, read_ranges
from divergence_lab.theory.checker.kinds import kind, table
from divergence_lab.theory.checker.rules import of_parameters
from divergence_lab.theory.checker.rules.table import WITHOUT_PIECES


def because_of(kind: str, holds: bool | None, condition: str | None, steps: kind.Steps) -> str:
    """Why a decided verdict of this kind is what it is.

    Raises LookupError, ValueError or Rejected for steps that give none.
    """
    said, rule = table.KINDS[kind], steps[0]["rule"]
    if rule in of_parameters.OF_PARAMETERS:
        return said.prefix + _with_parameters(said, holds, condition, steps)
    if rule in WITHOUT_PIECES:
        return said.prefix + said.say_of_formula(bool(holds), steps)
    return said.prefix + said.say(holds, steps)


def _with_parameters(
    kind: kind.Kind, holds: bool | None, condition: str | None, steps: kind.Steps
) -> str:
    where = (
        f"exactly when {condition}"
        if holds is None
        else f"for {'every' if holds else 'no'} value of the parameters"
    )
    sentence = f"{kind.for_parameters} {where}"
    gone = [step["rule"] == "undefined" for step in steps]
    if not any(gone):
        return sentence
    left_out = condition_of([read_ranges(step) for step in steps], gone)
    return f"{sentence}; for {left_out} the formula has no value, and the family no limit"
