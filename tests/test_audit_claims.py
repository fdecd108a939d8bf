"""What docstrings claim: many in the manner of public code, read rightly or not at all."""

import pytest

from divergence_lab.audit.claims import claims_of
from divergence_lab.audit.claims.directions import kl_formulas

FORWARD, REVERSE, KL = "forward KL", "reverse KL", "KL (no direction)"
# docstring, what it claims; the callable is f(logp, ref), logp of the model, ref of the target
DOCSTRINGS = [
    ("Forward KL divergence.", FORWARD),
    ("Reverse KL penalty, computed per token.", REVERSE),
    ("Inclusive KL (mass-covering).", "forward KL, zero-avoiding"),
    ("Exclusive KL: mode-seeking.", "reverse KL, zero-forcing"),
    ("Computes D_KL(ref || policy).", FORWARD),
    ("Computes D_KL(pi_theta || pi_ref).", REVERSE),
    ("KL(pi_ref || pi_theta), mass-covering penalty.", "forward KL, zero-avoiding"),
    ("Estimates KL[policy || reference] from samples of the policy.", REVERSE),
    (r"The divergence $D_{\mathrm{KL}}(\pi_\theta \| \pi_{\mathrm{ref}})$.", REVERSE),
    (r"Minimizes :math:`\mathrm{KL}(p_{target} \,\|\, p_\theta)`.", FORWARD),
    ("KL(π_θ ‖ π_ref) as in GRPO.", REVERSE),
    ("KL(teacher || student) distillation loss.", FORWARD),
    ("KL(student(.|x) || teacher(.|x)), averaged over the batch.", REVERSE),
    ("Low-variance estimator of the reverse KL divergence KL(policy || ref).", REVERSE),
    ("Forward KL: D_KL(pi_ref || pi_theta), mean-seeking.", "forward KL, zero-avoiding"),
    ("KL(logp || ref).", REVERSE),
    ("KL(ref || logp).", FORWARD),
    ("KL(p_F || p_B) over trajectories.", REVERSE),
    ("KL(P_B || P_F) over trajectories.", FORWARD),
    ("Squared Hellinger distance.", "squared Hellinger"),
    ("Jensen-Shannon divergence between the two.", "None"),
    ("Jensen-Shannon divergence.", "Jensen-Shannon"),
    ("JSD loss.", "Jensen-Shannon"),
    ("Total variation distance.", "total variation"),
    ("Jeffreys divergence, the sum of forward KL and reverse KL.", "Jeffreys"),
    ("Pearson chi-square divergence.", "Pearson chi-square"),
    ("Zero-forcing.", "zero-forcing"),
    ("Neither zero-forcing nor zero-avoiding.", "not zero-forcing, not zero-avoiding"),
    ("The KL divergence between policy and reference.", "None"),
    ("Approximate KL penalty, k3.", KL),
    ("KL penalty with coefficient beta.", KL),
    ("Adds a KL term to the loss.", KL),
    ("Unlike reverse KL, this is forward KL.", FORWARD),
    ("This is the forward KL, unlike k2, which is the reverse KL.", FORWARD),
    ("Reverse KL rather than forward KL.", REVERSE),
    ("Reverse KL, whereas linex_loss gives the forward KL.", REVERSE),
    # no claim of this callable as it is
    ("Squared residual. Compare with linex_loss, which gives the forward KL.", "None"),
    ("Squared residual. The earlier version minimised the forward KL; see the changelog.", "None"),
    ("Squared error; see reverse_kl for the other direction.", "None"),
    ("Interpolates between forward KL and reverse KL.", "None"),
    ("Either the forward or the reverse KL, depending on `direction`.", "None"),
    ("If `reverse` is set, reverse KL is used.", "None"),
    ("Upper bound on the forward KL.", "None"),
    ("Similar to forward KL but cheaper.", "None"),
    ("Inspired by the reverse KL of Schulman.", "None"),
    ("Not the forward KL.", "None"),
    ("This does not minimise the reverse KL.", "None"),
    ("Equivalent to reverse KL when alpha goes to 0.", "None"),
    ("Can be mode-seeking.", "None"),
    ("Forward and reverse KL.", "None"),
    ("Formerly reverse KL.", "None"),
    ("Used to be KL(ref || policy).", "None"),
    ("TODO: switch to forward KL.", "None"),
    ("Huber loss of the log-ratio.", "None"),
    ("Squares the residual, as MSELoss does.", "None"),
    ("Avoids mode-seeking behaviour.", "not zero-forcing"),
    ("alpha=0.5: squared Hellinger. alpha=1: forward KL.", "squared Hellinger"),
    ("- ``alpha = 1``: forward KL\n- ``alpha = 0.5``: reverse KL", REVERSE),
    ("- ``gamma = 1``: forward KL", "None"),
    (
        "- ``alpha = 1``: reverse KL. Zero-forcing.\n- ``alpha = 0.5``: Zero-avoiding.",
        "zero-avoiding",
    ),
    ("Loss.\n\nArgs:\n    logp: log-probs, as in the forward KL of the paper.", "None"),
    ("Loss.\n\nNote:\n    forward KL is another matter.", "None"),
    ("KL(a || b).", KL),
    ("KL(p, q).", KL),
    ("KL(q || p).", KL),
    ("KL(pi_old || pi_theta).", FORWARD),
    # a second set, written after the reader was
    ("Reverse-KL (policy from reference), token level.", REVERSE),
    ("Schulman's k3 estimator of KL(pi || pi_ref), see http://joschu.net.", "None"),
    ("Trajectory balance; equivalent to minimizing reverse KL in expectation.", "None"),
    ("Minimizes forward KL D(p || q_theta) by importance sampling.", FORWARD),
    ("Penalises KL(ref || pi) instead of KL(pi || ref).", "None"),
    (
        "Mode-covering objective (forward KL); cf. reverse KL, which is mode-seeking.",
        "forward KL, zero-avoiding",
    ),
    ("Generalized JSD loss with beta.", "None"),
    ("Symmetric KL: 0.5 * KL(p || q) + 0.5 * KL(q || p).", "None"),
    ("Symmetrised: KL(logp || ref) + KL(ref || logp).", "None"),
    ("Renyi divergence of order alpha.", "None"),
    ("One f-divergence of kl, reverse_kl, js, tv.", "None"),
    ("Weighted MLE, i.e. the forward KL to the tilted policy.", FORWARD),
    ("Policy gradient of the reverse KL.", REVERSE),
    ("Prevents mode collapse.", "None"),
    ("KL regulariser towards the frozen SFT model.", KL),
    ("Ported from JS.", "None"),
    ("Neyman allocation over strata.", "None"),
    ("Log-variance divergence.", "None"),
    # a third set: any word beside a name may turn it into something else
    ("Less mode-seeking than the reverse KL.", "None"),
    ("More mass-covering than quadratic.", "None"),
    ("Reduces mode-seeking behaviour.", "None"),
    ("Zero-forcing is avoided.", "None"),
    ("Mode-seeking does not occur.", "None"),
    ("Penalty against mode-seeking.", "None"),
    ("Discourages zero-forcing.", "None"),
    (
        "In contrast to the reverse KL, which is mode-seeking, this loss is mass-covering.",
        "zero-avoiding",
    ),
    ("The reverse KL is mode-seeking; this is not.", "None"),
    ("KL(student || teacher) is expensive; we use the squared log-ratio.", "None"),
    ("Behaves like forward KL for large residuals.", "None"),
    ("Acts as reverse KL near zero.", "None"),
    ("Huber loss; reverse KL for small residuals.", "None"),
    ("Huber loss, i.e. reverse KL clipped.", "None"),
    ("KL-free regulariser.", "None"),
    ("No KL term is used.", "None"),
    ("Skewed forward KL.", "None"),
    ("Smoothed reverse KL.", "None"),
    ("Clipped forward KL.", "None"),
    ("Pseudo reverse KL.", "None"),
    ("Robust version of the reverse KL.", "None"),
    ("Forward KL (policy || reference).", "None"),
    ("Forward KL(ref || policy).", FORWARD),
    ("alpha times forward KL plus (1 - alpha) times reverse KL.", "None"),
    ("Opposite of the reverse KL.", "None"),
    ("Dual of the forward KL.", "None"),
    ("The negative of the forward KL, to be maximised.", "None"),
    ("Square root of the Jensen-Shannon divergence.", "None"),
    ("Penalises residuals like Hellinger does.", "None"),
    ("A cheap proxy for the Jensen-Shannon divergence.", "None"),
    ("The gradient equals that of the forward KL.", FORWARD),
    ("Squared log-ratio (k2), whose gradient is that of the reverse KL.", REVERSE),
    ("Lower-variance surrogate of KL(policy || ref).", REVERSE),
    ("Twice the total variation.", "total variation"),
]


@pytest.mark.parametrize("text, said", DOCSTRINGS)
def test_what_is_claimed(text, said):
    def f(logp, ref, alpha=0.5):
        pass

    f.__doc__ = text
    assert str(claims_of(f, {"logp": "model", "ref": "target"})) == said


@pytest.mark.parametrize(
    "name, said",
    [
        ("reverse_kl_loss", REVERSE),
        ("KLForwardLoss", FORWARD),
        ("rkl", REVERSE),
        ("k3_forward_kl", FORWARD),
        ("JSDLoss", "Jensen-Shannon"),
        ("hellinger_distance", "squared Hellinger"),
        ("forward_or_reverse_kl", "None"),
        ("kl_penalty", "None"),
        ("not_forward_kl", "None"),
        ("mse_loss", "None"),
    ],
)
def test_what_a_name_claims(name, said):
    assert str(claims_of(type(name, (), {"__call__": lambda self, x: x})())) == said


def test_the_direction_is_that_of_the_arguments():
    assert kl_formulas("KL(p || q)", {"p": "target", "q": "model"}) == {FORWARD}
    assert kl_formulas("KL(p || q)", {"log_p": "model", "log_q": "target"}) == {REVERSE}
    assert kl_formulas("KL(p || q)", {}) == set()
    assert kl_formulas("KL(policy || reference model)", {}) == {REVERSE}
