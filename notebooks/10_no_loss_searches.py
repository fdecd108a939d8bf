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
# # No loss searches
#
# "A zero-avoiding loss covers all modes, so it explores." "On the right the loss is steep, so it pulls the
# policy towards what it lacks." Both sound right and neither is. On-policy training learns of an island only
# from a sample that came from there, and **how soon such a sample comes does not depend on the loss.**
#
# Then why do some losses find islands sooner (lessons 01, 06, 09)? This lesson changes one thing at a time:
# the rare event, one branch of the loss, the sampling.
#
# You need lesson 09. Reading takes 15 minutes, with the exercises 45.

# %%
import numpy as np
import torch

import divergence_lab as dl

NAMES = ("quadratic", "linex(1)", "linex(1/2)", "shifted_cosh")

# %% [markdown]
# ## 1. A rare event, seen through a batch
#
# The policy reaches an island with probability $q=10^{-3}$ and should reach it a hundred times as often: the
# residual there is $x=\log 100=4.6$. A batch of $B=64$ trajectories holds the island $n$ times, $n$ binomial. Its part in the gradient is $g'(x)\,n/B$ (times a score that is the same for every
# loss). So
#
# $$\text{mean}=q\,g'(x),\qquad \text{standard deviation}=g'(x)\sqrt{q(1-q)/B},\qquad
# \frac{\text{mean}}{\text{st. dev.}}=\sqrt{\frac{Bq}{1-q}} .$$
#
# $g'$ cancels. **Signal over noise is the same for every loss**, and so is the time to the next visit.

# %%
B, Q = 64, 1e-3
share = np.random.default_rng(0).binomial(B, Q, size=100_000) / B  # n/B in 100,000 batches
residual = torch.tensor(np.log(100.0))
print(f"{'loss':<13}{'mean':>8}{'st. dev.':>10}{'ratio':>8}")
ratios = {}
for name in NAMES:
    part = float(dl.to_torch(name).gradient(residual)) * share
    ratios[name] = part.mean() / part.std()
    print(f"{name:<13}{part.mean():>8.4f}{part.std():>10.4f}{ratios[name]:>8.3f}")
print(f"predicted ratio {np.sqrt(B * Q / (1 - Q)):.3f}")

# %% [markdown]
# **What to see.** What differs is the size of the *answer* to a visit once it has come: $g'=4.6$ for quadratic,
# 99 for `linex(1)`. Adam and clipping rescale such answers, so even that is less than it seems. Given the policy, no
# loss makes the visit come sooner. But the loss moves the policy, and so, in time, $q$ itself. Where?

# %% [markdown]
# ## 2. Cut the loss in two
#
# The right branch ($x>0$) acts where the model has too little, the left one ($x<0$) where it has too much.
# Splice them: quadratic or `linex(1)` on the left, quadratic or `linex(1)` on the right. Predict which of the
# four arrives first, if the steep right branch is what helps.

# %%
BRANCHES = {"quad": "x**2/2", "linex": "exp(x) - x - 1"}
spliced = {
    f"{left} | {right}": f"Piecewise(({a}, x <= 0), ({b}, True))"
    for left, a in BRANCHES.items()
    for right, b in BRANCHES.items()
}
GRID = "hypergrid:2x8:paper"
SETTINGS = {"steps": 700, "device": "cpu", "progress": False}
run = dl.train(spliced, GRID, seeds=5, **SETTINGS)
ends = dict(zip(run.losses, run.metrics["tv"][..., -1]))
dl.plots.dots({"left branch | right branch": ends}, ylabel="TV to the target")

# %% [markdown]
# **What to see.** The best of the four is `linex | quad`: gentle on the left and *not* steep on the right.
# The steep right branch alone (`quad | linex`) is worse than the gentle left branch alone. So it is not the
# pull towards what is missing. **It is how hard the loss pushes back on what is common:** on the left
# `linex(1)` has $|g'|<1$, squared error $|g'|=|x|$. The reading that fits: each trajectory that stops in the
# sea, where the model has far too much, pushes its whole path down, and the paths to the far islands lead
# through the sea. A gentle left branch keeps these paths open, and the visits go on coming.

# %% [markdown]
# ## 3. Take the sampling away
#
# How much of the wait is a matter of samples? Take the *expected* gradient, and change nothing else: same
# network, same Adam, same rate, same start. (The natural steps of lesson 05 changed the optimiser too, so
# they could not tell.) Predict: will all losses arrive at the same time?

# %%
NETWORK = {"policy": "mlp", "width": 64, "seeds": 2, **SETTINGS, "steps": 400}
by_gradient = {
    kind: dl.train(NAMES, GRID, exact=kind == "expected", **NETWORK)
    for kind in ("sampled", "expected")
}
without = {kind: dict(zip(NAMES, r.metrics["tv"][..., -1])) for kind, r in by_gradient.items()}
dl.plots.dots(without, ylabel="TV after 400 steps", title="Same network, same Adam, same start")

# %% [markdown]
# **What to see.** With the expected gradient every loss is much nearer to the target: most of the wait was a
# matter of samples. Not all of it. In the expected gradient an island has the share $q\,g'(x)$, and while $q$
# is small that is little for every loss; the paths that are pushed down on the left stay pushed down. So the
# order of the losses stays nearly the same. An expected gradient does not search either.

# %% [markdown]
# ## 4. Your turn
#
# An island is reached with probability $q=10^{-3}$. What is the chance that a batch of 64 sees it at least
# once? A number or a formula.

# %%
my_chance = ...

# %%
if my_chance is not ...:
    assert np.isclose(my_chance, (share > 0).mean(), atol=5e-3), "1 - P(no trajectory hits it)"
    print("right")

# %% [markdown]
# ## 5. Exercises
#
# **Pencil.** Derive mean and standard deviation of section 1, and show that the ratio stays the same if the
# loss is multiplied by 10. Which part of training notices the factor 10?
#
# **Code.** Splice `linex(1/2)` on the left with quadratic on the right. Where does it end?
#
# **Open.** What *does* search? Name three changes that make a visit more likely, and say for each whether the
# divergence is still known (lesson 07).
#
# <details><summary>Solution of "Your turn"</summary>
#
# ```python
# my_chance = 1 - (1 - Q) ** B
# ```
# </details>
#
# <details><summary>Solution: pencil</summary>
#
# $n/B$ has mean $q$ and variance $q(1-q)/B$; both moments of $g'\,n/B$ scale with $g'$. Plain gradient descent
# notices the factor as a learning rate, clipping as a threshold, Adam hardly.
# </details>
#
# <details><summary>Solution: code</summary>
#
# It arrives too: gentler than quadratic on the left, without a steep branch on the right.
#
# ```python
# half = "Piecewise((4*exp(x/2) - 2*x - 4, x <= 0), (x**2/2, True))"
# also = dl.train({"half | quad": half}, GRID, seeds=3, **SETTINGS).metrics["tv"][..., -1]
# assert also.max() < 0.15
# ```
# </details>
#
# <details><summary>Solution: open</summary>
#
# ε-uniform steps and tempering (in general no divergence of $p_F$ and $p_B$), a replay buffer or local search
# (neither), a share of backward samples from known modes (known: lesson 07). All of them change the sampler.
# </details>

# %% [markdown]
# ## 6. Check

# %%
assert np.allclose([*ratios.values()], np.sqrt(B * Q / (1 - Q)), rtol=0.03)
worst, best = {n: v.max() for n, v in ends.items()}, {n: v.min() for n, v in ends.items()}
assert worst["linex | quad"] < min(best[name] for name in ends if name != "linex | quad")
assert worst["linex | quad"] < best["quad | linex"] < worst["quad | linex"] < best["quad | quad"]
for name in NAMES:  # without samples every loss is nearer
    assert without["expected"][name].max() < without["sampled"][name].min() / 2, name
print("all checks hold")
