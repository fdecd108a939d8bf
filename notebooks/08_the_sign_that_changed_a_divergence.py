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
# torchgfn is a fine library for GFlowNets. In its version 2.4.1 one loss is documented to minimise the
# forward KL divergence and to be zero-avoiding. It minimises half Neyman's chi-square divergence, which is
# zero-forcing. The formula is right, the documentation is right about the formula, and the residual that it
# is given has the other sign.
#
# This lesson shows **how to find out what a shipped loss minimises, without trusting its documentation**, and
# that a sign is not a detail.
#
# You need lessons 01 and 02. Reading takes 10 minutes, with the exercises 35.

# %%
import torch

import divergence_lab as dl

# %% [markdown]
# ## 1. The loss
#
# torchgfn computes *scores*, $\log p_F-\log p_B$ (model over target), and hands them to the loss. Here is its
# formula with its clamp and the claim of its docstring, so that this lesson runs without torchgfn.


# %%
class LinexLoss:
    """Linex loss.

    - ``alpha = 1``: corresponds to the **forward KL** divergence. **Zero-avoiding**.
    """

    def __init__(self, alpha):
        self.alpha = alpha

    def __call__(self, scores):
        a = self.alpha
        return (torch.exp((a * scores).clamp(-80.0, 80.0)) - a * scores - 1.0) / a**2


shipped = LinexLoss(1.0)

# %% [markdown]
# The original, audited on the command line with `pip install torchgfn==2.4.1`
# (`divergence-lab audit gfn.gflownet.losses:LinexLoss --residual model/target`), says the same as section 3 (some of
# its lines; [all of them](../docs/audit.md)):
#
# ```
# gfn.gflownet.losses:LinexLoss, fed residual (--residual model/target), was run in float64 on [-100, 100]
#   loss          g(x) = x - 1 + exp(-x)   on [-79.8221, 100] only, with x = log p_B - log p_F
#   divergence    1/2 x Neyman chi-square
#   documented    forward KL, zero-avoiding (NOT what was found)
#   PROBLEM       wrong_sign_gradient, -100 <= x <= -80: the gradient has the wrong sign
# ```
#
# ## 2. A test on three outcomes
#
# Lesson 01 needs no more than a softmax. `gradients_agree` holds the gradient of $\sum_o p_F\,\mathrm{loss}$,
# with $p_F$ held constant, against the gradient of a divergence. This is what a test in a library could look
# like: short, and able to fail.

# %%
DIVERGENCES = ("reverse KL", "forward KL", "Neyman chi-square")
CALLABLES = {"LinexLoss": shipped, "half the square": lambda scores: scores**2 / 2}
HALF = {"Neyman chi-square": "(t - 1)**2/(2*t)"}  # the generator of one half of it
table = {
    (name, residual): [
        bool(dl.gradients_agree(loss, HALF.get(d, d), residual=residual)) for d in DIVERGENCES
    ]
    for name, loss in CALLABLES.items()
    for residual in ("model/target", "target/model")
}
print(f"{'has the gradient of':<34}{'reverse KL':>12}{'forward KL':>12}{'half Neyman':>13}")
for (name, residual), row in table.items():
    print(f"{name + ', given ' + residual:<34}{row[0]!s:>12}{row[1]!s:>12}{row[2]!s:>13}")

# %% [markdown]
# **What to see.** Given model/target, as torchgfn does, LinexLoss has the gradient of half Neyman's
# chi-square; given target/model it would have that of forward KL. The square is even, so it passes with
# either sign: whoever tested with it alone had no chance to notice.
#
# ## 3. The audit
#
# `audit` needs no formula. It samples the gradient of the callable, identifies the loss, derives its
# divergence with proofs, reads the documentation, and looks for residuals where the gradient fails.

# %%
found = dl.audit(shipped, residual="model/target")
print("as a loss on x = log p_B - log p_F:  g(x) =", found.effective_loss)
print("it minimises   ", found.factor, "x", found.divergence)
print("zero-forcing   ", found.zero_forcing.holds, "-", found.zero_forcing.because)
print("zero-avoiding  ", found.zero_avoiding.holds, "-", found.zero_avoiding.because)
print("documented     ", found.documented, "" if found.documented_holds else "- NOT what was found")
for problem in found.problems:
    print(f"problem         {problem.kind}, {problem.low:g} <= x <= {problem.high:g}")

# %% [markdown]
# The problems are another finding: the exponential is clamped at 80 and the straight part is not. A
# trajectory of which the model is $e^{80}$ times too sure is made *more* likely.
#
# ## 4. The repair
#
# Negating the scores mends the divergence. It does not mend the clamp, it moves it to the other side. A real
# repair does both: **negate the scores and continue the exponential as a straight line** where it would
# overflow. That is what `to_torch` writes.

# %%
linex = dl.to_torch("linex(1)")
repairs = {
    "shipped(-scores)": dl.audit(lambda scores: shipped(-scores), residual="model/target"),
    "a line beyond the overflow": dl.audit(lambda scores: linex(-scores), residual="model/target"),
}
for name, mended in repairs.items():
    kinds = sorted({problem.kind for problem in mended.problems})
    print(f"{name:<28}{mended.factor} x {mended.divergence}, problems: {kinds or 'none'}")

# %% [markdown]
# ## 5. What was promised and what was shipped
#
# The model is one bell, the target has two bumps (lesson 02). For each divergence its best bell.

# %%
fits = {
    "promised: forward KL": dl.narrow_fit(repairs["shipped(-scores)"].effective_loss),
    "shipped: half Neyman": dl.narrow_fit(found.effective_loss),
}
dl.plots.bells(fits, dict(zip(fits, ((False, True), (True, False)))), columns=2)

# %% [markdown]
# **What to see.** Two chi-squares are easily mixed up. **Neyman's**, $\sum (p_B-p_F)^2/p_B$, is zero-forcing;
# **Pearson's**, $\sum (p_B-p_F)^2/p_F$, is zero-avoiding. With the wrong sign one gets Neyman's, and on this
# target the bell leaves the smaller bump out.

# %% [markdown]
# ## 6. Your turn
#
# In the fine-tuning of language models the estimator "k3" of $\mathrm{KL}(\text{policy}\|\text{reference})$
# is popular: with $r=\log(\text{reference}/\text{policy})$ it is $e^r-1-r$. Its *value* estimates that reverse
# KL without bias. If it is a loss on the policy's own samples, of which divergence is its *gradient*? Write a
# name, like `"reverse KL"`. (Lesson 11 is about this.)

# %%
my_divergence = ...

# %%
if my_divergence is not ...:
    assert dl.gradients_agree(lambda r: r.exp() - 1 - r, my_divergence), "not its gradient"
    print("right")

# %% [markdown]
# ## 7. Exercises
#
# **Pencil.** $\mathrm{linex}(a)$ given the other sign is $\mathrm{linex}(-a)$. Show it, and say which
# α-divergence becomes which.
#
# **Code.** Write a loss of torch that is *meant* to be Huber's and has a mistake of your choice. Does `audit`
# find it?
#
# **Open.** You maintain a library. Which test would you add, so that such a thing cannot happen again, for
# losses that users write themselves as well?
#
# <details><summary>Solution of "Your turn"</summary>
#
# It is linex(1) of log(target/model), with the reference as the target: forward KL,
# $\mathrm{KL}(\text{reference}\|\text{policy})$. A value and its gradient are two questions, since the samples
# are not differentiated.
#
# ```python
# my_divergence = "forward KL"
# ```
# </details>
#
# <details><summary>Solution: pencil</summary>
#
# $g_a(-x)=(e^{-ax}+ax-1)/a^2=g_{-a}(x)$. So $\alpha$ becomes $-\alpha$, which is not the divergence with its
# arguments exchanged (that is $1-\alpha$): forward KL ($\alpha=1$) becomes half Neyman ($\alpha=-1$), not
# reverse KL.
#
# ```python
# assert dl.gradients_agree("linex(2)", dl.divergence("linex(-2)"), residual="model/target")
# ```
# </details>
#
# <details><summary>Solution: code</summary>
#
# For example a jump of the gradient where the line begins:
#
# ```python
# def wrong_huber(x):
#     return torch.where(x.abs() <= 1, x**2 / 2, 2 * x.abs() - 1.5)
#
#
# assert not dl.gradients_agree(wrong_huber, dl.divergence("huber(1)"))
# ```
# </details>
#
# <details><summary>Solution: open</summary>
#
# One with a loss that is *not* even, and the gradient of the divergence that its documentation names, as in
# section 2.
# </details>

# %% [markdown]
# ## 8. Check

# %%
assert table["LinexLoss", "model/target"] == [False, False, True]
assert table["LinexLoss", "target/model"] == [False, True, False]
assert table["half the square", "model/target"] == table["half the square", "target/model"]
assert (found.divergence, found.factor) == ("Neyman chi-square", "1/2")
assert found.zero_forcing.holds and not found.zero_avoiding.holds and not found.documented_holds
assert found.problems and repairs["shipped(-scores)"].problems
assert not repairs["a line beyond the overflow"].problems
assert {mended.divergence for mended in repairs.values()} == {"forward KL"}
assert [fit.right_mass > 0.3 for fit in fits.values()] == [True, False]
print("all checks hold")
