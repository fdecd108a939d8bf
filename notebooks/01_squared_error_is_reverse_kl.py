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
# # Squared error is reverse KL
#
# [![run in the cloud](runner/cloud.svg)](README.md#in-the-cloud)
#
# A GFlowNet compares, outcome by outcome, what its model gives with what the target asks for.
# Usually it is trained by the squared error between the two logarithms.
#
# This lesson shows one fact: **if the outcomes are sampled from the model, the squared error of the
# logarithms has the same gradient as the reverse KL divergence.** First by hand on three outcomes, then by
# machine, then as a picture of what it means for the learned law.
#
# You need logarithms and derivatives. You need no GFlowNet and no neural network.

# %%
import sys

import matplotlib.pyplot as plt
import numpy as np
import sympy as sp
from scipy.integrate import trapezoid
from scipy.optimize import minimize

import divergence_lab as dl
from divergence_lab.theory.expressions.printing import write
from divergence_lab.theory.expressions.symbols import t, x

# %% [markdown]
# ## 1. The residual
#
# Call the target $p_B$ and the model $p_F$. The **residual** of an outcome is the log of target over model:
#
# $$x = \log p_B - \log p_F .$$
#
# It is positive where the model has too little, negative where the model has too much, and 0 where it is
# right. Here is a target on three outcomes, and a model with one parameter for each outcome (a softmax).

# %%
TARGET = np.array([0.6, 0.3, 0.1])
THETA = np.array([0.2, -0.5, 1.0])


def model(theta):
    """p_F = softmax(theta)."""
    weights = np.exp(theta - theta.max())
    return weights / weights.sum()


def residuals(theta):
    """x = log p_B - log p_F, one per outcome."""
    return np.log(TARGET) - np.log(model(theta))


print("outcome  target   model   residual")
for outcome, (b, f, r) in enumerate(zip(TARGET, model(THETA), residuals(THETA))):
    print(
        f"{outcome:>7}  {b:6.3f}  {f:6.3f}   {r:+8.3f}  ({'too little' if r > 0 else 'too much'})"
    )

# %% [markdown]
# ## 2. By hand
#
# The loss is $\sum_o p_F(o)\, x(o)^2/2$. The weights $p_F(o)$ are there because outcomes are sampled from
# the model. Sampling is not differentiated, so **the weights are held constant** and only $x$ is
# differentiated:
#
# $$\nabla L = \sum_o p_F\, x\, \nabla x = -\sum_o p_F\, x\, \nabla \log p_F .$$
#
# The reverse KL divergence is $\mathrm{KL}(p_F\|p_B) = \sum_o p_F \log (p_F/p_B) = -\sum_o p_F\, x$. Here
# everything is differentiated, $p_F$ included. With $\nabla p_F = p_F \nabla\log p_F$ and
# $\nabla x = -\nabla\log p_F$,
#
# $$\nabla\, \mathrm{KL}(p_F\|p_B) = -\sum_o p_F\, x\, \nabla \log p_F + \sum_o p_F \nabla \log p_F .$$
#
# The last sum is $\nabla \sum_o p_F = \nabla 1 = 0$. The two gradients are the same.
#
# Now in numbers. The first gradient comes from the formula. The second comes from finite differences of the
# divergence, so the two share no algebra.


# %%
def loss_gradient(slope, theta):
    """-sum_o p_F g'(x) grad log p_F: the gradient of sum_o p_F g(x) with the weights held constant."""
    p = model(theta)
    grad_log_p = np.eye(len(p)) - p  # row o, column k: d log p_F(o) / d theta_k
    return -(p * slope(residuals(theta))) @ grad_log_p


def finite_difference(function, theta, step=1e-5):
    """Central differences, one parameter at a time."""
    shifts = step * np.eye(len(theta))
    return np.array([(function(theta + h) - function(theta - h)) / (2 * step) for h in shifts])


def reverse_kl(theta):
    """KL(p_F || p_B) = sum_o p_F log(p_F / p_B)."""
    p = model(theta)
    return np.sum(p * np.log(p / TARGET))


of_squared_error = loss_gradient(lambda r: r, THETA)  # g(x) = x^2/2, so g'(x) = x
of_reverse_kl = finite_difference(reverse_kl, THETA)
print("squared error, weights constant:", of_squared_error)
print("reverse KL                     :", of_reverse_kl)

# %% [markdown]
# "Held constant" matters. If the weights are differentiated too, the gradient is another one:


# %%
def squared_error(theta):
    """sum_o p_F x^2/2, with nothing held constant."""
    return np.sum(model(theta) * residuals(theta) ** 2 / 2)


of_live_weights = finite_difference(squared_error, THETA)
print("squared error, weights differentiated:", of_live_weights)

# %% [markdown]
# ## 3. By machine
#
# The same holds for other losses. A loss $g(x)$ with weights $p_F$ has the gradient of the divergence
#
# $$D_f(p_B\|p_F) = \sum_o p_F\, f(t), \qquad t = \frac{p_B}{p_F} = e^x, \qquad
#   f(t) = t \int_1^t \frac{g'(\log s)}{s^2}\, ds .$$
#
# For $g = x^2/2$ the integral is short: $g'(\log s) = \log s$, and
# $\int_1^t s^{-2}\log s\, ds = 1 - (1 + \log t)/t$. So $f(t) = t - \log t - 1$. The library derives
# it from the loss:

# %%
squared = dl.loss("quadratic")
found = dl.divergence(squared)
print("loss       g(x) =", write(squared.expression))
print("generator  f(t) =", write(found.generator))
print("divergence      =", found)

# %% [markdown]
# Two questions tell what a divergence does to the learned law.
#
# * **Zero-forcing:** does mass where the target has none cost without bound? There $t \to 0$, so the answer
#   is yes if $f(0) = \infty$. For $f = t - \log t - 1$ it is, because of the logarithm.
# * **Zero-avoiding:** does missing a place where the target has mass cost without bound? There
#   $t \to \infty$, and each unit of missed mass costs $f'(\infty) = \lim f(t)/t$. For $f = t - \log t - 1$
#   this limit is 1: a missed unit of mass costs at most 1, so the model may leave out whole modes.
#
# `decide` answers both from $g'$ and gives its reason:

# %%
verdicts = dl.decide(squared, found.generator)
for question, verdict in (
    ("zero-forcing", verdicts.zero_forcing),
    ("zero-avoiding", verdicts.zero_avoiding),
):
    print(f"{question:<14} {'yes' if verdict else 'no':<4} {verdict.because}")
print(f"f(0) = {verdicts.f_at_zero},  f'(oo) = {verdicts.slope_at_infinity}")

# %% [markdown]
# Now the loss `linex(1)`, that is $g(x) = e^x - x - 1$. It is almost the squared error near 0 but grows
# fast where the model has too little.

# %%
linex = dl.loss("linex(1)")
linex_found = dl.divergence(linex)
linex_verdicts = dl.decide(linex, linex_found.generator)
print("loss       g(x) =", write(linex.expression))
print("generator  f(t) =", write(linex_found.generator))
print("divergence      =", linex_found)
print("zero-forcing    =", "yes" if linex_verdicts.zero_forcing else "no")
print("zero-avoiding   =", "yes" if linex_verdicts.zero_avoiding else "no")

# %% [markdown]
# The check of section 2 can be repeated for both, with $g'$ and $f$ as the library gives them. One trap
# becomes visible: if the residual is taken the other way round, $\log p_F - \log p_B$, the squared error
# does not notice, because it is even. `linex(1)` does notice: it then follows another divergence.


# %%
def numeric(expression, symbol):
    """A SymPy expression as a numpy function."""
    return sp.lambdify(symbol, expression, "numpy")


def gap(loss, divergence, sign=+1):
    """Largest difference between the gradient of the loss on sign*x and the gradient of the divergence."""
    slope, f = numeric(loss.derivative.as_expression(), x), numeric(divergence.generator, t)
    of_loss = loss_gradient(lambda r: sign * slope(sign * r), THETA)
    of_divergence = finite_difference(
        lambda theta: np.sum(model(theta) * f(TARGET / model(theta))), THETA
    )
    return np.abs(of_loss - of_divergence).max()


print("loss        right sign   flipped sign")
for name, loss, divergence in (("quadratic", squared, found), ("linex(1)", linex, linex_found)):
    print(f"{name:<10} {gap(loss, divergence):>11.1e}  {gap(loss, divergence, sign=-1):>13.1e}")

# %% [markdown]
# ## 4. What it means: one mode or both
#
# When the model can fit the target exactly, every valid loss ends at the target. The difference shows when
# it can't. Take a target on a line with two bumps and a model with one: a normal law with a mean and a
# width. Minimise $D_f$ over both numbers, from three starting points, and keep the best.

# %%
LINE = np.linspace(-12, 12, 4801)
BUMPS = ((0.6, -2.0), (0.4, 2.0))  # weight and centre of each
BUMP_WIDTH = 0.6


def normal(mean, width):
    return np.exp(-(((LINE - mean) / width) ** 2) / 2) / (width * np.sqrt(2 * np.pi))


two_bumps = sum(weight * normal(centre, BUMP_WIDTH) for weight, centre in BUMPS)


def fits(divergence):
    """(D_f, mean, width) reached from each starting mean, best first."""
    f = numeric(divergence.generator, t)

    def d_f(parameters):
        q = normal(*parameters)
        return trapezoid(q * f(two_bumps / q), LINE)

    found_from = [
        minimize(d_f, (start, 1.0), bounds=((-3, 3), (0.45, 4))) for start in (-2.0, 0.0, 2.0)
    ]
    return sorted((float(end.fun), *map(float, end.x)) for end in found_from)


reverse_fits, forward_fits = fits(found), fits(linex_found)
for name, reached in (
    ("quadratic, reverse KL", reverse_fits),
    ("linex(1), forward KL", forward_fits),
):
    print(name)
    for value, mean, width in reached:
        print(f"   D_f = {value:.3f}   mean = {mean:+.2f}   width = {width:.2f}")

# %%
BLUE, ORANGE = (
    "#0072B2",
    "#D55E00",
)  # told apart by colour-blind readers; the dashes serve a grey print
figure, axes = plt.subplots(figsize=(7, 3.4), layout="constrained")
axes.fill_between(LINE, two_bumps, color="#CCCCCC", linewidth=0, label="target, two bumps")
axes.plot(
    LINE,
    normal(*reverse_fits[0][1:]),
    color=BLUE,
    linestyle="-",
    label="quadratic = reverse KL: locks onto one bump",
)
axes.plot(
    LINE,
    normal(*forward_fits[0][1:]),
    color=ORANGE,
    linestyle="--",
    label="linex(1) = forward KL: covers both",
)
axes.set(
    xlabel="outcome (position on the line)",
    ylabel="probability density",
    xlim=(-7, 7),
    ylim=(0, 0.95),
    title="The best one-bump model depends on the loss",
)
axes.legend(loc="upper right", frameon=False, fontsize=9)
axes.spines[["top", "right"]].set_visible(False)
plt.show()

# %% [markdown]
# The blue law gives up the smaller bump: leaving it out costs little, but mass in the valley between the
# bumps costs a lot. That is zero-forcing, and it is called **mode-seeking**. (From another start it ends
# elsewhere, at a greater divergence: see the three values above.) The orange law puts mass in the valley
# rather than leave a bump out. That is zero-avoiding, and it is called **mode-covering**. For forward KL
# the best normal law has exactly the mean and the standard deviation of the target.

# %% [markdown]
# ## 5. An exercise
#
# Which loss minimises half the Pearson chi-square divergence, $f(t) = (t-1)^2/2$, that is
# $\tfrac12 \sum_o (p_B - p_F)^2/p_F$? Is it zero-forcing, zero-avoiding, both or neither?
#
# Hint: differentiate $f(t) = t\int_1^t g'(\log s)/s^2\,ds$ and solve for $g'$. You get
# $g'(x) = t f'(t) - f(t)$ at $t = e^x$. Integrate from 0 to get $g$, and ask `dl.loss` and `dl.divergence`
# whether you are right.
#
# The solution is in the next cell. Try first.

# %% jupyter={"outputs_hidden": true, "source_hidden": true} tags=["solution", "hide-input"]
# t f'(t) - f(t) = t (t - 1) - (t - 1)^2/2 = (t^2 - 1)/2, so g'(x) = (e^(2x) - 1)/2
# and g(x) = (e^(2x) - 2x - 1)/4.
# f(0) = 1/2 is finite: not zero-forcing.  f(t)/t grows without bound: zero-avoiding.
answer = dl.loss("(exp(2*x) - 2*x - 1)/4")
answer_found = dl.divergence(answer)
answer_verdicts = dl.decide(answer, answer_found.generator)
print("loss       g(x) =", write(answer.expression))
print("generator  f(t) =", write(answer_found.generator))
print("divergence      =", answer_found.factor, "x", answer_found)
print("zero-forcing:", "yes" if answer_verdicts.zero_forcing else "no")
print("zero-avoiding:", "yes" if answer_verdicts.zero_avoiding else "no")

# %% [markdown]
# ## 6. Check
#
# Every claim of this lesson, as a statement that can fail.

# %%
# By hand: the two gradients agree, and they don't when the weights are differentiated.
assert np.abs(of_squared_error - of_reverse_kl).max() < 1e-8
assert np.abs(of_live_weights - of_reverse_kl).max() > 1e-2

# By machine: the derived generators and verdicts.
assert sp.simplify(found.generator - (t - sp.log(t) - 1)) == 0
assert (found.name, found.factor) == ("reverse KL", 1)
assert verdicts.zero_forcing and not verdicts.zero_avoiding
assert (
    linex_found.name == "forward KL"
    and linex_verdicts.zero_avoiding
    and not linex_verdicts.zero_forcing
)
assert gap(squared, found) < 1e-8 and gap(linex, linex_found) < 1e-8

# The sign of the residual: an even loss can't tell, linex(1) can.
assert gap(squared, found, sign=-1) < 1e-8
assert gap(linex, linex_found, sign=-1) > 1e-2

# The picture: reverse KL sits on the larger bump; forward KL has the target's mean and standard deviation.
_, seeking_mean, seeking_width = reverse_fits[0]
_, covering_mean, covering_width = forward_fits[0]
target_mean = sum(weight * centre for weight, centre in BUMPS)
target_width = np.sqrt(
    BUMP_WIDTH**2 + sum(weight * (centre - target_mean) ** 2 for weight, centre in BUMPS)
)
assert abs(seeking_mean - BUMPS[0][1]) < 0.05 and abs(seeking_width - BUMP_WIDTH) < 0.05
assert abs(covering_mean - target_mean) < 1e-3 and abs(covering_width - target_width) < 1e-3

# The exercise.
assert sp.simplify(answer_found.generator - (t - 1) ** 2 / 2) == 0
assert answer_verdicts.zero_avoiding and not answer_verdicts.zero_forcing

# All of this was theory: torch was not even loaded.
assert "torch" not in sys.modules
print("all checks hold")
