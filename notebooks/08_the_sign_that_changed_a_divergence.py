# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # The sign that turned forward KL into chi-square
#
# [![run in the cloud](runner/cloud.svg)](README.md#in-the-cloud)
#
# torchgfn is a fine library for GFlowNets. In its version 2.4.1 one loss is documented to minimise the
# forward KL divergence and to cover all modes. It minimises half the Neyman chi-square divergence and gives
# modes up. The formula is right, the documentation is right about the formula, and the residual that it is
# given has the other sign.
#
# This lesson shows **how to find out what a shipped loss minimises, without trusting its documentation**, and
# that a sign is not a detail.
#
# You need lessons 01 and 02. This lesson uses torch.

# %%
import matplotlib.pyplot as plt
import numpy as np
import sympy as sp
import torch
from scipy.integrate import trapezoid
from scipy.optimize import minimize

import divergence_lab as dl
from divergence_lab.report.palette import COLOURS, SCREEN, TARGET
from divergence_lab.theory.expressions.symbols import t

plt.rcParams.update(SCREEN)

# %% [markdown]
# ## 1. The loss
#
# The library computes *scores*, $\log p_F-\log p_B$ (model over target), and hands them to the loss. If
# torchgfn is installed (`pip install torchgfn==2.4.1`), the cells below look at the original. Else they look
# at the stand-in written here, with the same formula, the same clamp and the same claims. The output says
# which.


# %%
class StandIn:
    """Linex loss.

    - ``alpha = 1``: corresponds to the **forward KL** divergence. **Zero-avoiding**.
    """

    def __init__(self, alpha=1.0):
        self.alpha = alpha

    def __call__(self, scores):
        a = self.alpha
        return (torch.exp((a * scores).clamp(-80.0, 80.0)) - a * scores - 1.0) / a**2


try:
    from gfn.gflownet.losses import LinexLoss

    looked_at = "LinexLoss of torchgfn itself"
except ImportError:
    LinexLoss, looked_at = (
        StandIn,
        "a stand-in for torchgfn's LinexLoss (torchgfn is not installed here)",
    )
print("what is looked at:", looked_at)
shipped = LinexLoss(1.0)

# %% [markdown]
# ## 2. A test on three outcomes
#
# Lesson 01 needs no more than a softmax. The gradient of $\sum_o p_F\,\mathrm{loss}$, with $p_F$ held
# constant, is held against the gradient of three divergences. This is what a test in a library could look
# like: short, and able to fail.

# %%
LAW = torch.tensor([0.6, 0.3, 0.1], dtype=torch.float64)
THETA = torch.tensor([0.2, -0.5, 1.0], dtype=torch.float64)
DIVERGENCES = {
    "reverse KL": lambda p, q: (q * (q / p).log()).sum(),
    "forward KL": lambda p, q: (p * (p / q).log()).sum(),
    "half Neyman chi-square": lambda p, q: ((p - q) ** 2 / p).sum() / 2,
}


def gradient(value_of):
    """d value_of(log p_F) / d theta at THETA."""
    theta = THETA.clone().requires_grad_()
    return torch.autograd.grad(value_of(torch.log_softmax(theta, 0)), theta)[0]


def gaps(loss, residual):
    """Distance of the loss's gradient, on the residual that it is given, from that of each divergence."""
    of_loss = gradient(
        lambda log_pf: (log_pf.exp().detach() * loss(residual(log_pf, LAW.log()))).sum()
    )
    return {
        name: float((of_loss - gradient(lambda log_pf, d=d: d(LAW, log_pf.exp()))).abs().max())
        for name, d in DIVERGENCES.items()
    }


table = {
    "LinexLoss, given model/target (as shipped)": gaps(
        shipped, lambda log_pf, log_pb: log_pf - log_pb
    ),
    "LinexLoss, given target/model": gaps(shipped, lambda log_pf, log_pb: log_pb - log_pf),
    "half the square, given model/target": gaps(
        lambda r: r**2 / 2, lambda log_pf, log_pb: log_pf - log_pb
    ),
    "half the square, given target/model": gaps(
        lambda r: r**2 / 2, lambda log_pf, log_pb: log_pb - log_pf
    ),
}
print(
    f"{'distance of the gradient from that of':<44}"
    + "".join(f"{name:>24}" for name in DIVERGENCES)
)
for what, row in table.items():
    print(f"{what:<44}" + "".join(f"{value:>24.0e}" for value in row.values()))

# %% [markdown]
# The squared loss is even, so it passes with either sign: whoever tested with it alone had no chance to
# notice.
#
# ## 3. The audit
#
# `audit` needs no formula. It samples the gradient of the callable, identifies the loss, derives its
# divergence with proofs, reads the documentation, and looks for residuals where the gradient fails. (On the
# command line: `divergence-lab audit gfn.gflownet.losses:LinexLoss --residual model/target`.)

# %%
found = dl.audit(shipped, residual="model/target")
mended = dl.audit(lambda scores: shipped(-scores), residual="model/target")
print("what it is, in x = log p_B - log p_F:  g(x) =", found.effective_loss)
print("it minimises      ", found.factor, "x", found.divergence)
print("zero-forcing      ", found.zero_forcing.holds, "-", found.zero_forcing.because)
print("zero-avoiding     ", found.zero_avoiding.holds, "-", found.zero_avoiding.because)
print(
    "documented        ",
    found.documented,
    "- as found" if found.documented_holds else "- NOT what was found",
)
print("with the other sign", found.under_the_other_sign.divergence)
for problem in found.problems:
    print(f"PROBLEM {problem.kind}, {problem.low:g} <= x <= {problem.high:g}")
print("\nmended, loss(-scores):", mended.divergence, "with factor", mended.factor)

# %% [markdown]
# The two problems are another finding: the exponential is clamped at 80 and the straight part is not. A
# trajectory of which the model is $e^{80}$ times too sure is made *more* likely.
#
# ## 4. What was promised and what was shipped
#
# The model is one bell, the target has two bumps (lesson 02). Forward KL is zero-avoiding: it must cover
# both. Chi-square is zero-forcing: it must not spend mass in the valley. For both, the bell with the smallest
# divergence.

# %%
LINE = np.linspace(-9, 9, 901)
BUMPS, BUMP_WIDTH = ((0.6, -2.0), (0.4, 2.0)), 0.6  # weight and centre of each, and their width
MEANS, WIDTHS = np.linspace(-2.5, 2.5, 41), np.geomspace(0.4, 3.5, 31)


def log_normal(mean, width):
    return -(((LINE - mean) / width) ** 2) / 2 - np.log(width * np.sqrt(2 * np.pi))


log_target = np.logaddexp(
    *(np.log(weight) + log_normal(centre, BUMP_WIDTH) for weight, centre in BUMPS)
)


def d_f(f, mean, width):
    """The integral of p_F f(p_B/p_F) over the line; mean and width may be arrays."""
    log_model = log_normal(np.asarray(mean)[..., None], np.asarray(width)[..., None])
    return trapezoid(
        np.exp(log_model) * f(np.exp(np.clip(log_target - log_model, -220, 220))), LINE, axis=-1
    )


def best_fit(f):
    """(mean, width) of the bell with the smallest D_f: the best of a grid, then a local search."""
    values = d_f(f, *np.meshgrid(MEANS, WIDTHS, indexing="ij"))
    row, column = np.unravel_index(np.argmin(values), values.shape)
    end = minimize(
        lambda p: np.log(d_f(f, p[0], np.exp(p[1]))),
        (MEANS[row], np.log(WIDTHS[column])),
        method="Nelder-Mead",
        options={"xatol": 1e-7, "fatol": 1e-13},
    )
    return float(end.x[0]), float(np.exp(end.x[1]))


def generator(audit):
    """f(t) of the loss that the audit found, derived from it."""
    return sp.lambdify(t, dl.divergence(dl.loss(audit.effective_loss)).generator, "numpy")


promised_fit, shipped_fit = best_fit(generator(mended)), best_fit(generator(found))


def pull(loss, mean, width):
    """The callable's gradient at a bell, in (mean, log width): its sum over the line over the sum of sizes, 0 at rest."""
    log_model, place = log_normal(mean, width), (LINE - mean) / width
    scores = torch.from_numpy(log_model - log_target).requires_grad_()
    (slope,) = torch.autograd.grad(loss(scores).sum(), scores)
    local = (
        np.exp(log_model) * slope.numpy() * np.stack([place / width, place**2 - 1])
    )  # p_F loss' d log p_F
    return float((np.abs(local.sum(axis=1)) / np.abs(local).sum(axis=1)).max())


AT_REST = {
    "shipped loss, shipped fit": pull(shipped, *shipped_fit),
    "shipped loss, promised fit": pull(shipped, *promised_fit),
    "mended loss, promised fit": pull(lambda scores: shipped(-scores), *promised_fit),
    "mended loss, shipped fit": pull(lambda scores: shipped(-scores), *shipped_fit),
}
for what, (mean, width) in (
    ("promised, forward KL", promised_fit),
    ("shipped, half Neyman chi-square", shipped_fit),
):
    print(f"{what:<32} mean {mean:+.3f}, width {width:.3f}")
for what, size in AT_REST.items():
    print(f"{what:<32} gradient of the callable {size:.0e}")

# %%
BLUE, ORANGE = COLOURS[:2]
figure, (left, right) = plt.subplots(1, 2, figsize=(8.2, 3.1), width_ratios=(1, 1.9))
x_axis = np.linspace(-4, 4, 321)
left.plot(x_axis, np.exp(x_axis) - x_axis - 1, "--", color=ORANGE)
left.plot(x_axis, shipped(torch.from_numpy(-x_axis)).numpy(), "-", color=BLUE)
left.text(2.3, 8.6, "promised", color=ORANGE, ha="right")
left.text(-2.3, 8.6, "shipped", color=BLUE, ha="left")
left.set(
    xlabel="residual $x$ = log(target / model)",
    ylabel="loss",
    ylim=(0, 12),
    title="The sign: a mirror",
)
right.fill_between(LINE, np.exp(log_target), color=TARGET, linewidth=0, label="target, two modes")
right.plot(
    LINE,
    np.exp(log_normal(*promised_fit)),
    "--",
    color=ORANGE,
    label="promised: forward KL, covers both",
)
right.plot(
    LINE,
    np.exp(log_normal(*shipped_fit)),
    "-",
    color=BLUE,
    label="shipped: half chi-square, one mode",
)
right.set(
    xlabel="outcome (position on the line)",
    ylabel="probability density",
    xlim=(-6, 6),
    ylim=(0, 1.05),
    title="The best bell of each",
)
right.legend(loc="upper right")
plt.show()

# %% [markdown]
# **What to see.** The loss is mirrored, and with it the behaviour: the promised one spans both modes, the
# shipped one drops 40% of the target mass. Neither picture relies on the audit's word: at its own bell the
# callable's gradient, computed by torch from the callable itself, is zero.
#
# The repair is one character: give the loss the negative of the scores.

# %% [markdown]
# ## 5. An exercise
#
# In the training of language models the estimator "k3" of the reverse KL divergence is popular: with
# $r=\log(\text{reference}/\text{policy})$ it is $e^r-1-r$. Its *value* estimates $\mathrm{KL}(\text{policy}\|
# \text{reference})$ without bias. If it is used as a loss on the policy's own samples, which divergence does
# its *gradient* follow? Guess, then audit it on residuals from −30 to 30.
#
# The solution is in the next cell. Try first.


# %% jupyter={"outputs_hidden": true, "source_hidden": true} tags=["solution", "hide-input"]
def k3(log_r):
    """The low-variance estimator of the reverse KL."""
    return log_r.exp() - 1 - log_r


of_k3 = dl.audit(k3, residual="target/model", range=(-30, 30))
print("documented:", of_k3.documented, "  its gradient follows:", of_k3.divergence)
by_hand = gaps(k3, lambda log_pf, log_pb: log_pb - log_pf)
print("on three outcomes:", {name: f"{gap:.0e}" for name, gap in by_hand.items()})

# %% [markdown]
# ## 6. Check
#
# Every claim of this lesson, as a statement that can fail.

# %%
# Three outcomes: each row agrees with one divergence, and only the even loss does not mind the sign.
AGREES = ("half Neyman chi-square", "forward KL", "reverse KL", "reverse KL")
for (what, row), name in zip(table.items(), AGREES):
    assert all(
        (gap < 1e-12) == (other == name) and (gap < 1e-12 or gap > 1e-2)
        for other, gap in row.items()
    ), what

# The audit finds the same by another way.
assert (found.divergence, found.factor) == ("Neyman chi-square", "1/2")
assert found.zero_forcing.holds is True and found.zero_avoiding.holds is False
assert "forward KL" in found.documented and found.documented_holds is False
assert mended.divergence == found.under_the_other_sign.divergence == "forward KL"
assert {(p.kind, p.low, p.high) for p in found.problems} >= {("wrong_sign_gradient", -100, -80)}
beyond = torch.tensor(
    90.0, dtype=torch.float64, requires_grad=True
)  # the model is e^90 times too sure
assert (
    torch.autograd.grad(shipped(beyond), beyond)[0] < 0
)  # so a step downhill makes it surer still

# Forward KL has the mean and the width of the target; the shipped loss sits on the larger bump.
mean = sum(weight * centre for weight, centre in BUMPS)
width = np.sqrt(BUMP_WIDTH**2 + sum(weight * (centre - mean) ** 2 for weight, centre in BUMPS))
assert np.allclose(promised_fit, (mean, width), atol=1e-3)
assert abs(shipped_fit[0] + 2) < 0.1 and shipped_fit[1] < 1.1 * BUMP_WIDTH

# Each callable rests at its own bell, and not at the other's.
for what, size in AT_REST.items():
    own = what in ("shipped loss, shipped fit", "mended loss, promised fit")
    assert size < 1e-4 if own else size > 0.1, what

# The exercise.
assert (
    of_k3.divergence == "forward KL"
    and of_k3.documented == "reverse KL"
    and by_hand["forward KL"] < 1e-12
)
print("all checks hold")
