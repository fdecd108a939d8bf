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
# # An exact GFlowNet, trained with four losses at once
#
# A small GFlowNet has few enough states to list. Then nothing needs to be estimated: the law that it has
# learned so far can be computed, at every step of training.
#
# This lesson shows one fact: **the four losses of the paper have their minimum at the same law, the target,
# and take different routes to it.** It trains them side by side, as members of one batch of tensors.
#
# You need lesson 00. Reading takes 10 minutes, with the exercises 35.

# %%
import numpy as np

import divergence_lab as dl

# %% [markdown]
# ## 1. The task
#
# An 8 × 8 grid. A trajectory starts in the corner (0, 0), adds 1 to a coordinate at each step, and may stop
# anywhere. The reward is large near the four corners, small elsewhere. The objective is trajectory balance.

# %%
GRID = dl.hypergrid(2, 8)
NAMES = ("quadratic", "linex(1)", "linex(1/2)", "shifted_cosh")
for name in NAMES:
    found = dl.divergence(name)
    print(f"{name:<13} f(t) = {found.generator!s:<24} {found.factor or ''} {found.name or ''}")

# %% [markdown]
# (The squared Hellinger distance is $\sum(\sqrt{p_B}-\sqrt{p_F})^2$, and Neyman's chi-square
# $\sum(p_B-p_F)^2/p_B$.)
#
# ## 2. A film of training
#
# `exact=True` replaces samples by the expectation over all trajectories, and a table of logits then moves
# along the *natural* gradient, which takes steps in the space of laws. No dice are left. Each column is a
# run of so many steps from the same start.

# %%
SETTINGS = {"device": "cpu", "progress": False}
film = {
    f"step {steps}": dl.train(NAMES, GRID, exact=True, seeds=1, steps=steps, **SETTINGS)
    for steps in (1, 2, 3, 4, 6, 12)
}
dl.plots.film(film)

# %% [markdown]
# **What to see.** TV is the total variation distance to the target (last column): the share of the mass that
# is in the wrong place. After one step all four know little more than two corners: the one where trajectories
# begin and the one where they must end. Then they part; after 12 steps none can be told from the target.
#
# Predict before you go on: will the same loss be first when the gradient is sampled?

# %% [markdown]
# ## 3. The same with samples
#
# Outside of small graphs the gradient comes from sampled trajectories, and Adam takes the steps. Here
# 4 losses × 3 seeds = 12 GFlowNets train together, 1200 steps of 32 trajectories, at two learning rates. The
# *evaluation* is still exact.

# %%
sampled = {
    rate: dl.train(NAMES, GRID, seeds=3, steps=1200, batch=32, learning_rate=rate, **SETTINGS)
    for rate in (0.03, 0.1)
}
for rate, run in sampled.items():
    ends = zip(NAMES, run.metrics["tv"][..., -1])
    print(f"rate {rate}:", ", ".join(f"{n} {v.min():.4f} to {v.max():.4f}" for n, v in ends))
run = sampled[0.03]
dl.plots.curves(
    run.steps,
    dict(zip(NAMES, run.metrics["tv"])),
    xlabel="step of 32 trajectories",
    ylabel="total variation to the target",
    title="Sampled, learning rate 0.03: median and range of three seeds",
    yscale="log",
)

# %% [markdown]
# **What to see.** Both Linex losses come down first, at either rate. That is another order than in the film,
# and two things changed: the gradient is sampled, and Adam took the place of natural steps. So the film and
# the curves together say nothing about *why*. Lesson 10 changes one thing at a time.
#
# What does not depend on the route is the minimum: a table can represent the target, so each $D_f$ is 0 there and
# only there. With a model that is too small even that is gone (lesson 02).

# %% [markdown]
# ## 4. Your turn
#
# A law has learned three of four equal islands perfectly (a third of its mass on each) and knows nothing of
# the fourth. What is its total variation distance to the target?

# %%
my_tv = ...

# %%
if my_tv is not ...:
    target, law = np.full(4, 1 / 4), np.array([1, 1, 1, 0]) / 3
    assert np.isclose(my_tv, dl.metrics.total_variation(law, target)), (
        "half the sum of |law - target|"
    )
    print("right")

# %% [markdown]
# ## 5. Exercises
#
# **Pencil.** Near the target every loss is $g''(0)\,x^2/2$. `shifted_cosh` has $g''(0)=2$, the others 1. What
# would that do to plain gradient descent? And to Adam?
#
# **Code.** Train `x**2` beside `x**2/2` (both quadratic). Is twice the loss twice as fast?
#
# **Open.** Four losses, three seeds, two learning rates, one grid. What would you need to see before you say
# "Linex is better"?
#
# <details><summary>Solution of "Your turn"</summary>
#
# Half of $3\cdot(\tfrac13-\tfrac14)+\tfrac14$.
#
# ```python
# my_tv = 1 / 4
# ```
# </details>
#
# <details><summary>Solution: pencil</summary>
#
# Gradient descent: its steps are twice as long, so it needs half the rate. Adam divides by the size of recent
# gradients, so a constant factor changes nothing (but for the $\epsilon$ in its denominator and for clipping).
# </details>
#
# <details><summary>Solution: code</summary>
#
# No: with Adam the two curves are nearly the same.
#
# ```python
# both = dl.train(["x**2/2", "x**2"], GRID, seeds=3, steps=600, batch=32, learning_rate=0.03, **SETTINGS)
# one, two = both.metrics["tv"][..., -1].mean(axis=-1)
# assert abs(one - two) < 0.1 * one + 0.01
# ```
# </details>
#
# <details><summary>Solution: open</summary>
#
# Each loss at *its* best learning rate; more seeds than differences; other graphs, with modes near and far
# and seas deep and shallow; a network in place of a table; and a reason that predicts where it would fail.
# </details>

# %% [markdown]
# ## 6. Check

# %%
tv = np.array([run.metrics["tv"][:, 0, -1] for run in film.values()])  # [column, loss]
assert (tv[0] > 0.5).all() and (tv[-1] < 0.02).all()  # far at first, at the target in the end
assert tv[3].argmin() == NAMES.index("quadratic")  # ahead after 4 natural steps
for run in sampled.values():  # with samples both Linex losses are ahead of the other two
    ends = run.metrics["tv"][..., -1].mean(axis=-1)
    assert max(ends[1:3]) < min(ends[0], ends[3])
print("all checks hold")
