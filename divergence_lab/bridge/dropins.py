"""What stands below an exported loss so that another library takes it as it is: each library's own
sign and its own name for the place.

`loss` is the function above it, of x = log p_B - log p_F = log(target/model).
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class DropIn:
    """The text below `loss`, and the imports it needs besides torch."""

    imports: str
    text: str


_TORCHGFN = '''

class ExportedLoss(RegressionLoss):
    """g(-scores): torchgfn's scores are log p_F - log p_B = log(model/target), the other sign of x.

    Give it to a GFlowNet of torchgfn as loss_fn=ExportedLoss(). Tried with torchgfn 2.4.1.
    """

    def __call__(self, residuals):
        return loss(-residuals)
'''

_RECURSION = '''

class ExportedTrajectoryBalance(TrajectoryBalance):
    """g(-x) in place of x^2: what `_loss` receives is log(Z P_F) - log(R P_B) = log(model/target).

    Give it to a trainer of recursionpharma's gflownet as its `algo`. Where the algorithm names
    another loss than that of its residuals (of predicted rewards), that one stays.
    """

    def _loss(self, x, loss_fn=None):
        if loss_fn is None or loss_fn == getattr(self, "tb_loss", loss_fn):
            return loss(-x)
        return super()._loss(x, loss_fn)
'''

_TRL = '''

def penalty(per_token_logps, ref_per_token_logps):
    """g(x) of each token, x = log reference - log model, for the loss: its gradient passes through g'."""
    return loss(ref_per_token_logps - per_token_logps)


class ExportedGRPOTrainer(GRPOTrainer):
    """TRL's GRPOTrainer with beta times g(x), the mean over the tokens, in place of its own k3 term.

    Set beta in GRPOConfig. Tried with trl 1.16.0.
    """

    def _compute_loss(self, model, inputs):
        beta, found, original = self.beta, [], self._get_per_token_logps_and_entropies

        def recorded(*arguments, **named):
            found.append(original(*arguments, **named))
            return found[-1]

        # without TRL's own term, and with the log-probabilities that it is computed from at hand
        self.beta, self._get_per_token_logps_and_entropies = 0.0, recorded
        try:
            total = super()._compute_loss(model, inputs)
        finally:
            self.beta, self._get_per_token_logps_and_entropies = beta, original
        if beta == 0.0:
            return total
        mask = inputs["completion_mask"] * inputs.get("tool_mask", 1)
        term = penalty(found[0][0], inputs["ref_per_token_logps"])
        mean = (term * mask).sum() / mask.sum().clamp(min=1)
        return total + beta * mean / (self.current_gradient_accumulation_steps if model.training else 1)
'''  # noqa: E501 (lines of the exported text)

_OPTAX = '''

def exported_loss(predictions, targets=None):
    """g(targets - predictions), elementwise, as optax.losses.huber_loss(predictions, targets).

    predictions: log p_F, of the model, with log Z; targets: log p_B, with the log-reward.
    """
    return loss(-predictions if targets is None else targets - predictions)
'''

_GFNX = '''

def exported_loss(log_pf, target):
    """g(target - log_pf), elementwise: in gfnx's baselines in place of optax.losses.squared_error.

        loss = exported_loss(log_pf_traj, target).mean()

    log_pf: log Z + log P_F of a trajectory; target: its log P_B + log-reward.
    """
    return loss(target - log_pf)
'''

TORCH = {
    "torchgfn": DropIn("from gfn.gflownet.losses import RegressionLoss", _TORCHGFN),
    "recursion": DropIn(
        "from gflownet.algo.trajectory_balance import TrajectoryBalance", _RECURSION
    ),
    "trl": DropIn("from trl import GRPOTrainer", _TRL),
}
JAX = {"gfnx": _GFNX, "optax": _OPTAX}
