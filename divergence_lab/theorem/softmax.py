"""The theorem where it is smallest: outcomes with a softmax over them.

    grad sum_o sg(p_F) g(x)  =  grad sum_o p_F f(p_B/p_F),     x = log p_B - log p_F

Both sides by automatic differentiation in float64, at two fixed points. It says whose gradient a
loss has, without a proof and without any graph.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from divergence_lab.bridge.formula import formula
from divergence_lab.bridge.generators import generator_to_torch
from divergence_lab.bridge.torch_loss import to_torch
from divergence_lab.inputs import InputError
from divergence_lab.theory.divergence.closed_form import Divergence
from divergence_lab.theory.divergence.inversion import read_generator
from divergence_lab.theory.divergence.loss import Loss
from divergence_lab.theory.divergence.loss import loss as read
from divergence_lab.theory.expressions import t

RESIDUALS = {"target/model": 1, "model/target": -1}
TARGETS = ((0.6, 0.3, 0.1), (0.2, 0.5, 0.3))
LOGITS = ((0.2, -0.5, 1.0), (1.1, 0.4, -0.9))
EQUAL = 1e-9  # relative; two that differ are off by a hundredth and more


class AgreementError(InputError):
    """What was given is no loss, no divergence or no residual; the message says what to give."""


@dataclass(frozen=True, eq=False)
class Agreement:
    """Two gradients [points, parameters] and their largest difference over the largest component.

    True if that is rounding.
    """

    of_loss: Tensor
    of_divergence: Tensor
    difference: float

    def __bool__(self) -> bool:
        return self.difference < EQUAL


def gradients_agree(
    loss: str | Loss | Callable[[Tensor], Tensor],
    divergence: str | Divergence,
    *,
    residual: str = "target/model",
) -> Agreement:
    """Is grad sum_o sg(p_F) g(x) the gradient of D_f(p_B || p_F), for p_F a softmax?

        loss        as text, a `Loss`, or a torch callable of residuals of any shape
        divergence  by its name, by its generator f(t) as text, or a `Divergence`
        residual    what the loss is given: the log of "target/model" or of "model/target"

    Tried at two points of three outcomes each: enough to tell divergences apart, no proof that two
    are equal everywhere. Raises AgreementError, ExpressionError and NotRepresentable.

        >>> bool(gradients_agree("quadratic", "reverse KL"))
        True
        >>> bool(gradients_agree("linex(1)", "forward KL", residual="model/target"))
        False
    """
    if residual not in RESIDUALS:
        raise AgreementError(f"residual is {residual!r}; write one of: {', '.join(RESIDUALS)}")
    g, sign = _callable(loss), RESIDUALS[residual]
    f = _generator(divergence)
    log_target = torch.tensor(TARGETS, dtype=torch.float64).log()

    def of_loss(log_model: Tensor) -> Tensor:
        return (log_model.exp().detach() * g(sign * (log_target - log_model))).sum()

    def of_divergence(log_model: Tensor) -> Tensor:
        return (log_model.exp() * f((log_target - log_model).exp())).sum()

    sides = _gradient(of_loss), _gradient(of_divergence)
    largest = max(float(side.abs().max()) for side in sides)
    difference = float((sides[0] - sides[1]).abs().max())
    return Agreement(*sides, difference / largest if largest > 0 else 0.0)


def _gradient(value: Callable[[Tensor], Tensor]) -> Tensor:
    logits = torch.tensor(LOGITS, dtype=torch.float64, requires_grad=True)
    return torch.autograd.grad(value(torch.log_softmax(logits, dim=-1)), logits)[0]


def _callable(loss: str | Loss | Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    if isinstance(loss, str | Loss):
        return to_torch(read(loss) if isinstance(loss, str) else loss)
    if not callable(loss):
        raise AgreementError(f"{loss!r} is no loss: give text, a Loss or a torch callable")
    return loss


def _generator(divergence: str | Divergence) -> Callable[[Tensor], Tensor]:
    if isinstance(divergence, Divergence):
        return generator_to_torch(divergence)
    if not isinstance(divergence, str):
        raise AgreementError(
            f"{divergence!r} is no divergence: give its name, f(t), or a Divergence"
        )
    expression, _ = read_generator(divergence)
    if names := sorted(str(free) for free in expression.free_symbols - {t}):
        raise AgreementError(f"a gradient needs numbers: write one in place of {', '.join(names)}")
    return formula(expression, t)
