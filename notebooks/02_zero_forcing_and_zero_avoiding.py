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
# # Zero-forcing and zero-avoiding, seen
#
# [![run in the cloud](runner/cloud.svg)](README.md#in-the-cloud)
#
# A model that is rich enough ends at the target whatever the loss. A model that is **too small** must choose
# what to get wrong, and the loss makes that choice.
#
# This lesson shows one fact: **two numbers, $f(0)$ and $f'(\infty)$, say in advance how a loss chooses.**
# First on boxes, where the answer is exact, then on bells, where it can be seen.
#
# You need to know what a probability density is.

# %%
import sys

import matplotlib.pyplot as plt
import numpy as np
import sympy as sp
from scipy.integrate import trapezoid
from scipy.optimize import minimize

import divergence_lab as dl
from divergence_lab.report.palette import CLASSES, COLOURS, DASHES, SCREEN, TARGET
from divergence_lab.theory.expressions.symbols import t

plt.rcParams.update(SCREEN)

# %% [markdown]
# ## 1. Nine losses, two numbers each
#
# A loss $g$ on the residual $x = \log p_B - \log p_F$ (target over model) minimises the divergence
#
# $$D_f(p_B\|p_F) = \sum_o p_F\, f(p_B/p_F), \qquad f(t) = t\int_1^t \frac{g'(\log s)}{s^2}\,ds .$$
#
# Two places are dangerous.
#
# * **The model has mass where the target has none:** $t = p_B/p_F = 0$. A unit of such mass costs $f(0)$. If
#   $f(0)=\infty$, the model must be zero there: the loss is **zero-forcing**.
# * **The target has mass where the model has none:** $t = \infty$. A unit of such mass costs
#   $f'(\infty) = \lim f(t)/t$. If $f'(\infty)=\infty$, the model must not be zero there: the loss is
#   **zero-avoiding**.
#
# Here are both numbers for nine losses, each with its proof behind it (lesson 03 shows what such a proof
# looks like).

# %%
NAMES = (
    "neyman",
    "quadratic",
    "huber(2)",
    "absolute",
    "hellinger",
    "jeffreys",
    "shifted_cosh",
    "linex(1)",
    "linex(2)",
)


def known(name):
    """(generator as a numpy function, f(0), f'(oo), (zero-forcing?, zero-avoiding?), what it is called)."""
    loss = dl.loss(name)
    found = dl.divergence(loss)
    verdicts = dl.decide(loss, found.generator)
    kind = (bool(verdicts.zero_forcing), bool(verdicts.zero_avoiding))
    f = sp.lambdify(t, found.generator, "numpy")
    return (
        f,
        float(verdicts.f_at_zero),
        float(verdicts.slope_at_infinity),
        kind,
        found.name or "no common name",
    )


LOSSES = {name: known(name) for name in NAMES}
print(f"{'loss':<13} {'divergence':<38} {'f(0)':>5} {'slope at oo':>12}  class")
for name, (_, at_zero, at_infinity, kind, called) in LOSSES.items():
    print(f"{name:<13} {called:<38} {at_zero:5.2f} {at_infinity:12.2f}  {CLASSES[kind][0]}")

# %% [markdown]
# ## 2. On boxes: exact zeros
#
# The target is uniform on two boxes with a gap between them. The model is **one** box. It can sit on the left
# part, it can span everything (the gap too), or it can be anything between. Then $D_f$ is a sum of three
# terms:
#
# $$D_f = \underbrace{p_F(\text{both})\, f(t)}_{\text{where both have mass}}
#   + \underbrace{p_F(\text{gap})\, f(0)}_{\text{mass in the gap}}
#   + \underbrace{p_B(\text{missed})\, f'(\infty)}_{\text{missed mass}} .$$

# %%
# Ten cells of equal length: target mass on the first three and on the last two, a gap of five.
CELLS = np.array([1, 1, 1, 0, 0, 0, 0, 0, 1, 1]) / 5
BOXES = {"left part": (0, 3), "left, and into the gap": (0, 5), "everything": (0, 10)}


def box(start, end):
    """The uniform law on the cells start .. end - 1."""
    law = np.zeros(10)
    law[start:end] = 1 / (end - start)
    return law


def cost(name, law):
    """D_f(target || law), infinite where it is."""
    f, at_zero, at_infinity, *_ = LOSSES[name]
    return float(
        dl.metrics.f_divergence(f, CELLS, law, f_at_zero=at_zero, slope_at_infinity=at_infinity)
    )


costs = {name: {where: cost(name, box(*ends)) for where, ends in BOXES.items()} for name in NAMES}
print(f"{'D_f of the model':<15}" + "".join(f"{where:>24}" for where in BOXES))
for name, row in costs.items():
    print(f"{name:<15}" + "".join(f"{value:>24.2f}" for value in row.values()))

# %% [markdown]
# Read it by columns of `inf`. Zero-forcing losses forbid the gap, zero-avoiding ones forbid missing a box, a
# loss that is both forbids every single box, and a loss that is neither allows all three.

# %% [markdown]
# ## 3. On bells: a choice, not a ban
#
# Real models have tails, so nothing is exactly zero, and an infinite price becomes a high one. The target now
# has two bumps; the model is one normal law. For each loss we search the mean and the width with the smallest
# $D_f$: first all pairs on a grid, then a local search from the best pair.

# %%
LINE = np.linspace(-9, 9, 901)
BUMPS = ((0.6, -2.0), (0.4, 2.0))  # weight and centre of each
BUMP_WIDTH = 0.6
MEANS, WIDTHS = np.linspace(-2.5, 2.5, 41), np.geomspace(0.4, 3.5, 31)


def log_normal(mean, width):
    return -(((LINE - mean) / width) ** 2) / 2 - np.log(width * np.sqrt(2 * np.pi))


def target_log_density(bumps=BUMPS):
    return np.logaddexp(
        *(np.log(weight) + log_normal(centre, BUMP_WIDTH) for weight, centre in bumps)
    )


def d_f(f, mean, width, log_target):
    """The integral of p_F f(p_B/p_F) over the line; mean and width may be arrays."""
    log_model = log_normal(np.asarray(mean)[..., None], np.asarray(width)[..., None])
    ratio = np.exp(np.clip(log_target - log_model, -220, 220))
    return trapezoid(np.exp(log_model) * f(ratio), LINE, axis=-1)


def best_fit(f, log_target):
    """(mean, width) of the normal law with the smallest D_f."""
    values = d_f(f, *np.meshgrid(MEANS, WIDTHS, indexing="ij"), log_target)
    row, column = np.unravel_index(np.argmin(values), values.shape)
    found = minimize(
        lambda p: np.log(d_f(f, p[0], np.exp(p[1]), log_target)),
        (MEANS[row], np.log(WIDTHS[column])),
        method="Nelder-Mead",
        options={"xatol": 1e-5, "fatol": 1e-10},
    )
    return float(found.x[0]), float(np.exp(found.x[1]))


log_target = target_log_density()
fits = {name: best_fit(LOSSES[name][0], log_target) for name in NAMES}

# %%
figure, grid = plt.subplots(3, 3, figsize=(7.6, 5.6), sharex=True, sharey=True)
for axes, name in zip(grid.ravel(), NAMES):
    word, colour = CLASSES[LOSSES[name][3]]
    axes.fill_between(LINE, np.exp(log_target), color=TARGET, linewidth=0)
    axes.plot(LINE, np.exp(log_normal(*fits[name])), color=colour, linewidth=2.2)
    axes.set_title(name, fontweight="bold", color=colour)
    axes.text(
        0.97, 0.93, word, transform=axes.transAxes, ha="right", va="top", fontsize=8, color=colour
    )
    axes.set(xlim=(-6.2, 6.2), ylim=(0, 0.85), yticks=(0, 0.4, 0.8))
figure.supxlabel("outcome (position on the line)", fontsize=9)
figure.supylabel("probability density", fontsize=9)
figure.suptitle(
    "One target (grey), one family of models, nine losses: the best bell of each", fontsize=10
)
plt.show()

# %% [markdown]
# **What to see.** Blue losses (zero-forcing) sit on the larger bump and leave the other one out:
# they are **mode-seeking**. Orange ones (zero-avoiding) span both and pay with mass in the valley: they are
# **mode-covering**. Where neither price is infinite (green) or both are (pink), the class alone does not
# decide; the finite prices do.

# %% [markdown]
# ## 4. Where the cost sits
#
# $D_f$ is an integral, so one can see where on the line it is paid. Below, two models that the same two
# losses are asked to judge: a bell on one bump, and a bell over both. The coloured area is the local price
# $p_F\,f(p_B/p_F)$; its total is $D_f$.

# %%
MODELS = {"a bell on one bump": fits["quadratic"], "a bell over both": fits["linex(1)"]}
JUDGES = {"quadratic": "reverse KL", "linex(1)": "forward KL"}
totals = {}
figure, grid = plt.subplots(2, 2, figsize=(7.4, 4.4), sharex=True, sharey=True)
for row, (judge, called) in zip(grid, JUDGES.items()):
    f, (_, colour) = LOSSES[judge][0], CLASSES[LOSSES[judge][3]]
    for axes, (model, (mean, width)) in zip(row, MODELS.items()):
        log_model = log_normal(mean, width)
        local = np.exp(log_model) * f(np.exp(np.clip(log_target - log_model, -220, 220)))
        totals[judge, model] = float(trapezoid(local, LINE))
        axes.fill_between(LINE, np.exp(log_target), color=TARGET, linewidth=0, label="target")
        axes.plot(LINE, np.exp(log_model), color="black", linewidth=1.1, label="model")
        axes.fill_between(
            LINE, np.minimum(local, 2), color=colour, alpha=0.75, linewidth=0, label="local price"
        )
        axes.text(
            0.03,
            0.93,
            f"total {totals[judge, model]:.2f}",
            transform=axes.transAxes,
            va="top",
            color=colour,
            fontweight="bold",
        )
        axes.set(xlim=(-5.5, 5.5), ylim=(0, 1.35), title=model if judge == "quadratic" else "")
    row[0].set_ylabel(f"{judge} = {called}\ndensity, local price")
grid[1, 0].set_xlabel("position"), grid[1, 1].set_xlabel("position")
grid[0, 0].legend(loc="upper right", fontsize=7.5)
plt.show()

# %% [markdown]
# **What to see.** Top right: reverse KL finds the valley expensive. Bottom left: forward KL finds the missing
# bump expensive; the price runs off the top of the picture. Each loss prefers the model that avoids *its*
# expensive place.

# %% [markdown]
# ## 5. A dial between the two
#
# Linex($\alpha$), $g(x) = (e^{\alpha x}-\alpha x-1)/\alpha^2$, minimises the $\alpha$-divergence. Its
# generator is derived once, with $\alpha$ left free. Then the dial is turned from $-2$ to $3$.

# %%
family = dl.divergence(dl.loss("linex(alpha)"))
alpha = next(iter(family.generator.free_symbols - {t}))
generator_at = sp.lambdify((t, alpha), family.generator, "numpy")
print("f(t) =", family.generator)

ALPHAS = np.linspace(-2, 3, 52)  # 0 and 1, where the formula is a limit, are not among them
dial = np.array([best_fit(lambda ratio, a=a: generator_at(ratio, a), log_target) for a in ALPHAS])

# %%
figure, (ridges, widths) = plt.subplots(
    1, 2, figsize=(7.6, 5.0), width_ratios=(1.7, 1), sharey=True
)
colours = plt.get_cmap("cividis")(np.linspace(0.0, 0.92, len(ALPHAS)))
for a, (mean, width), colour in zip(ALPHAS[::-1], dial[::-1], colours[::-1]):
    height = 0.75 * np.exp(log_normal(mean, width))
    seen = height > 0.004
    ridges.fill_between(LINE[seen], a, a + height[seen], color=colour, linewidth=0, zorder=9 - a)
    ridges.plot(LINE[seen], a + height[seen], color="white", linewidth=0.7, zorder=9 - a)
ridges.fill_between(LINE, -2.75, -2.75 + 0.75 * np.exp(log_target), color=TARGET, linewidth=0)
ridges.text(0, -2.62, "target", ha="center", fontsize=8, color="#555555")
ridges.grid(visible=False)
ridges.set(
    xlim=(-6, 6),
    ylim=(-2.8, 3.45),
    xlabel="position",
    ylabel=r"$\alpha$ of Linex($\alpha$)",
    title="The best bell for each $\\alpha$",
)
widths.plot(dial[:, 1], ALPHAS, color="black", linewidth=1.2, marker="o", markersize=3)
widths.axhspan(-2.8, 0, color=COLOURS[0], alpha=0.10, linewidth=0)
widths.axhspan(1, 3.45, color=COLOURS[1], alpha=0.12, linewidth=0)
widths.axvline(BUMP_WIDTH, color="#777777", linestyle=DASHES[1], linewidth=1)
widths.text(0.8, -1.0, "zero-forcing,\nproved for $\\alpha\\leq 0$", va="center", color=COLOURS[0])
widths.text(0.8, 2.0, "zero-avoiding,\nproved for $\\alpha\\geq 1$", va="center", color=COLOURS[1])
widths.text(BUMP_WIDTH + 0.06, -2.55, "width of one bump", fontsize=7.5, color="#555555")
widths.set(xlim=(0.4, 3.05), xlabel="width of the best bell", title="Its width")
plt.show()
jump = int(np.argmax(np.diff(dial[:, 1])))
print(
    f"the best bell lets go of the single bump between alpha = {ALPHAS[jump]:.2f} and {ALPHAS[jump + 1]:.2f}"
)

# %% [markdown]
# **What to see.** The change is a jump, not a slide: between the two valleys of $D_f$, one on the bump and
# one over both, the lower one changes. It happens for $\alpha$ between 0 and 1, where the loss is neither
# zero-forcing nor zero-avoiding and the class leaves the answer open.

# %% [markdown]
# ## 6. An exercise
#
# Move the bumps together: centres at $\pm 1.3$ instead of $\pm 2$. Will the jump come at a smaller or at a
# larger $\alpha$? Guess, then compute it. (Hint: with the bumps closer, is the valley cheaper or dearer?)
#
# <details><summary>A hint in words</summary>
# A shallower valley makes a bell over both less wrong. The dial needs less zero-avoidance before the wide bell wins.
# </details>
#
# The solution is in the next cell. Try first.

# %% jupyter={"outputs_hidden": true, "source_hidden": true} tags=["solution", "hide-input"]
closer = target_log_density(((0.6, -1.3), (0.4, 1.3)))


def covers(a, log_density, between=1.0):
    """Is the best bell for Linex(a) wider than `between`?"""
    return best_fit(lambda ratio: generator_at(ratio, a), log_density)[1] > between


def letting_go(log_density, low=-1.987, high=2.013, steps=9):
    """The alpha at which the best bell becomes a wide one, by bisection."""
    for _ in range(steps):
        middle = (low + high) / 2
        low, high = (low, middle) if covers(middle, log_density) else (middle, high)
    return (low + high) / 2


far_jump, close_jump = letting_go(log_target), letting_go(closer)
print(f"bumps at +-2.0: the jump is at alpha = {far_jump:.2f}")
print(f"bumps at +-1.3: the jump is at alpha = {close_jump:.2f}, earlier: the valley is cheaper")

# %% [markdown]
# ## 7. Check
#
# Every claim of this lesson, as a statement that can fail.

# %%
# Boxes: infinite exactly where the class says so.
for name, row in costs.items():
    forcing, avoiding = LOSSES[name][3]
    assert np.isinf(row["everything"]) == forcing  # it fills the gap and misses nothing
    assert np.isinf(row["left part"]) == avoiding  # it misses a box and fills no gap
    assert np.isinf(row["left, and into the gap"]) == (forcing or avoiding)

# Bells: losses that are zero-forcing alone sit on the larger bump, those that are zero-avoiding alone span both.
for name in NAMES:
    mean, width = fits[name]
    if LOSSES[name][3] == (True, False):
        assert abs(mean + 2) < 0.1 and width < 1.1 * BUMP_WIDTH, name
    if LOSSES[name][3] == (False, True):
        assert abs(mean) < 1 and width > 3 * BUMP_WIDTH, name

# Forward KL has the mean and the width of the target, as theory says.
mean = sum(weight * centre for weight, centre in BUMPS)
width = np.sqrt(BUMP_WIDTH**2 + sum(weight * (centre - mean) ** 2 for weight, centre in BUMPS))
assert np.allclose(fits["linex(1)"], (mean, width), atol=1e-3)

# Each judge prefers the other model than its colleague.
one, both = MODELS
assert totals["quadratic", one] < totals["quadratic", both]
assert totals["linex(1)", both] < totals["linex(1)", one]

# The dial: one jump, where the class is open, and earlier if the bumps are closer.
assert ALPHAS[jump] > 0 and ALPHAS[jump + 1] < 1
assert (dial[: jump + 1, 1] < 1).all() and (dial[jump + 1 :, 1] > 1.5).all()
assert ALPHAS[jump] <= far_jump <= ALPHAS[jump + 1] and close_jump < far_jump - 0.05

assert "torch" not in sys.modules
print("all checks hold")
