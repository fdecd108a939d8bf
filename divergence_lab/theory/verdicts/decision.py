"""Every verdict on a loss, whether or not it has free parameters."""

import sympy as sp

from divergence_lab.inputs import kind_of
from divergence_lab.theory.budget.asking import OutOfTime, SearchFailed, bounded, check_budget
from divergence_lab.theory.divergence.loss import Loss
from divergence_lab.theory.divergence.reading import as_loss
from divergence_lab.theory.expressions import ExpressionError
from divergence_lab.theory.verdicts import parameter_numbers, parameters, plain, verdict


def decide(
    loss: Loss | str, generator: sp.Expr | None = None, budget: float = 20.0
) -> verdict.Verdicts:
    """Every verdict on `loss`, within `budget` processor seconds for each question; with
    parameters, the exact conditions.

    `generator` is the confirmed closed form of f if there is one; only the number f'(oo) is read
    off it.

        >>> import divergence_lab as dl
        >>> dl.decide("x**2/2").zero_forcing.holds
        True
        >>> dl.decide(dl.loss("linex(alpha)")).zero_avoiding.condition
        'alpha >= 1'
    """
    check_budget(budget)
    loss = as_loss(loss, budget)
    if generator is not None and not isinstance(generator, sp.Expr):
        raise ExpressionError(
            f"the generator is a formula of SymPy, such as divergence(loss).generator, not "
            f"{kind_of(generator)}: leave it out"
        )
    try:
        return bounded(len(verdict.KINDS) * budget, search_verdicts, loss, generator, budget)
    except (OutOfTime, SearchFailed) as failure:
        why = str(failure) or f"no answer within {budget:g} s of processor time for each question"
        undecided = verdict.Verdict(None, verdict.UNDECIDED, why)
        return verdict.gather(dict.fromkeys(verdict.KINDS, undecided), (None, None, None), ())


def search_verdicts(loss: Loss, generator: sp.Expr | None, budget: float) -> verdict.Verdicts:
    """As `decide`; without parameters only the searches within a question end by themselves."""
    if loss.parameters:
        return parameters.decide_for_parameters(loss, generator, budget)
    return plain.decide_plain(loss, generator)


def decide_one(kind: str, loss: Loss, budget: float) -> verdict.Verdict:
    """One verdict, of `verdict.KINDS`."""
    return (
        parameters.ask_for_parameters(kind, loss, budget)
        if loss.parameters
        else plain.ask_one(kind, loss)
    )


def ends(
    loss: Loss,
    generator: sp.Expr | None,
    forcing: verdict.Verdict,
    avoiding: verdict.Verdict,
    budget: float,
) -> tuple[parameter_numbers.Number, parameter_numbers.Number, parameter_numbers.Number]:
    """f(0+), f'(oo) and g''(0), where they are known."""
    if loss.parameters:
        return parameter_numbers.numbers_for_parameters(loss, generator)
    return plain.numbers(loss, generator, forcing, avoiding)
