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
# # The sampler changes the divergence
#
# [![run in the cloud](runner/cloud.svg)](README.md#in-the-cloud)
#
# "Squared error is reverse KL" is true if the residuals are drawn **on-policy**, from the model $p_F$ itself.
# Much training is not on-policy: some samples come from a data set, a replay buffer, or backward from the
# target.
#
# This lesson shows one fact: **the loss and the sampler together choose the divergence.** Quadratic is
# zero-forcing on-policy; give it a tenth of backward samples and it is zero-avoiding too.
#
# You need to know what zero-forcing and zero-avoiding mean (lesson 02).

# %%
import sys

import matplotlib.pyplot as plt
import numpy as np
import sympy as sp
from matplotlib.patches import Rectangle
from scipy.optimize import minimize

import divergence_lab as dl
from divergence_lab.report.palette import CLASSES, SCREEN, TARGET
from divergence_lab.theory.divergence.weightings import on_policy_equivalent, weighting
from divergence_lab.theory.expressions.symbols import t, x

plt.rcParams.update(SCREEN)

# %% [markdown]
# ## 1. One line of theory
#
# Training never differentiates the sampler. So, with objects drawn with weight $\mu$, a step follows
#
# $$\sum_o \mu(o)\, g'(x_o)\, \nabla x_o, \qquad x = \log p_B - \log p_F .$$
#
# If $\mu = p_F\,w(x)$, then this is $\sum_o p_F\,h'(x_o)\,\nabla x_o$ with $h' = w\,g'$: the *on-policy* step
# of another loss, $h$. Whatever is known of $h$ (its divergence, its class) is the answer for $g$ with that
# sampler.
#
# * backward samples, $\mu = p_B$: $w = e^x$;
# * a share $\varepsilon$ of them, $\mu = (1-\varepsilon)p_F + \varepsilon p_B$: $w = (1-\varepsilon) +
#   \varepsilon e^x$;
# * in between, $\mu = p_F^{1-\beta}p_B^{\beta}$: $w = e^{\beta x}$.

# %%
SAMPLERS = {
    "on": "$p_F$\n(on-policy)",
    "mixture:1/10": "$0.9\\,p_F+0.1\\,p_B$",
    "power:1/2": "$p_F^{1/2}p_B^{1/2}$",
    "backward": "$p_B$\n(backward)",
    "power:-1/2": "$p_F^{3/2}p_B^{-1/2}$",
}
NAMES = ("quadratic", "linex(1)", "linex(1/2)", "shifted_cosh")


def known(name, text):
    """(h, its generator, its class, is D_f convex?) of the loss `name` under the sampler `text`."""
    derived = dl.derive(on_policy_equivalent(dl.loss(name), weighting(text)))
    verdicts = derived.verdicts
    assert None not in (
        verdicts.zero_forcing.holds,
        verdicts.zero_avoiding.holds,
        verdicts.convex.holds,
    )
    return (
        derived.loss,
        derived.divergence,
        (bool(verdicts.zero_forcing), bool(verdicts.zero_avoiding)),
        bool(verdicts.convex),
    )


TABLE = {(name, text): known(name, text) for name in NAMES for text in SAMPLERS}
for text in ("on", "mixture:1/10"):
    h, divergence, kind, _ = TABLE["quadratic", text]
    print(
        f"quadratic, {text}: h(x) = {h.expression}\n    f(t) = {divergence.generator}\n    {CLASSES[kind][0]}"
    )

# %%
figure, axes = plt.subplots(figsize=(7.4, 2.7))
for (name, text), (_, _, kind, convex) in TABLE.items():
    column, row = list(SAMPLERS).index(text), NAMES.index(name)
    word, colour = CLASSES[kind]
    axes.add_patch(
        Rectangle(
            (column - 0.48, row - 0.44),
            0.96,
            0.88,
            facecolor=colour,
            alpha=0.28 if convex else 0.1,
            edgecolor=colour,
            linestyle="-" if convex else ":",
        )
    )
    axes.text(
        column, row, word + ("" if convex else "\nnot convex"), ha="center", va="center", fontsize=8
    )
axes.set(xlim=(-0.5, len(SAMPLERS) - 0.5), ylim=(len(NAMES) - 0.5, -0.5))
axes.set_xticks(range(len(SAMPLERS)), list(SAMPLERS.values()))
axes.xaxis.tick_top()
axes.set_yticks(range(len(NAMES)), NAMES)
axes.tick_params(length=0)
axes.grid(visible=False)
axes.spines[:].set_visible(False)
axes.set_xlabel("how often an object is drawn", labelpad=4)
plt.show()

# %% [markdown]
# **What to see.** Each row changes class from left to right; no loss *is* zero-forcing, only a loss with a
# sampler is. "Not convex" means that $f$ is not convex: $D_f$ is still smallest at the target, but other
# things that one expects of a divergence (data processing) fail.

# %% [markdown]
# ## 2. Descend and look
#
# Theory says where training should end. Now train, without theory: 81 outcomes on a line, a target with two
# bumps, and a model that is one bell (a mean and a width). The loss is always the quadratic one, $g'(x) = x$.
# Only the weights $\mu$ differ; they are *held*, that is, not differentiated. The descent starts at seven
# places at once, and the end with the smallest $D_f$ counts.

# %%
LINE = np.linspace(-6, 6, 81)
STARTS = np.array(
    [(mean, np.log(width)) for mean in (-2.0, 0.3, 2.0) for width in (0.7, 2.5)]
    + [(-0.8, np.log(1.6))]
)


def log_law(parameters):
    """log p_F [.., 81] of bells with (mean, log width) in the last axis of `parameters`."""
    mean, width = parameters[..., :1], np.exp(parameters[..., 1:])
    height = -(((LINE - mean) / width) ** 2) / 2
    return height - np.log(np.exp(height).sum(axis=-1, keepdims=True))


target = 0.6 * np.exp(log_law(np.array([-2.0, np.log(0.6)]))) + 0.4 * np.exp(
    log_law(np.array([2.0, np.log(0.6)]))
)
WEIGHTS = {  # mu as a function of the laws p_F and p_B
    "on": lambda model: model,
    "mixture:1/10": lambda model: 0.9 * model + 0.1 * target,
    "power:1/2": lambda model: np.sqrt(model * target),
    "backward": lambda model: target + 0 * model,
}


def held_gradient(parameters, text):
    """sum mu g'(x) grad x for g = x^2/2, mu held; grad x = -grad log p_F."""
    log_model = log_law(parameters)
    model = np.exp(log_model)
    mean, width = parameters[..., :1], np.exp(parameters[..., 1:])
    scores = np.stack([(LINE - mean) / width**2, ((LINE - mean) / width) ** 2], axis=-1)
    scores = scores - (model[..., None] * scores).sum(
        axis=-2, keepdims=True
    )  # grad log p_F, [.., 81, 2]
    residual = np.log(target) - log_model
    return -((WEIGHTS[text](model) * residual)[..., None] * scores).sum(axis=-2)


def descend(text, steps=4_000):
    """Steps of length at most 0.1, shrinking with time, from every start."""
    parameters = STARTS.copy()
    for step in range(steps):
        gradient = held_gradient(parameters, text)
        length = np.linalg.norm(gradient, axis=-1, keepdims=True)
        parameters = parameters - 0.1 * (1 - step / steps) * gradient / np.maximum(length, 1)
    return parameters


def d_f(parameters, text):
    """D_f(p_B || p_F) = sum p_F f(p_B/p_F) with the f that theory found for this sampler."""
    log_model = log_law(np.asarray(parameters, dtype=float))
    ratio = np.exp(np.clip(np.log(target) - log_model, -200, 200))
    return (np.exp(log_model) * GENERATORS[text](ratio)).sum(axis=-1)


GENERATORS = {
    text: sp.lambdify(t, TABLE["quadratic", text][1].generator, "numpy") for text in WEIGHTS
}
ends = {text: descend(text) for text in WEIGHTS}
trained = {text: end[np.argmin(d_f(end, text))] for text, end in ends.items()}

# Theory's answer has nothing to do with the descent: the smallest D_f, on a grid and then by a local search.
GRID = np.stack(
    np.meshgrid(np.linspace(-3, 3, 61), np.log(np.geomspace(0.4, 4, 41)), indexing="ij"), axis=-1
).reshape(-1, 2)


def predicted_by(text):
    start = GRID[np.argmin(d_f(GRID, text))]
    return minimize(
        d_f, start, args=(text,), method="Nelder-Mead", options={"xatol": 1e-8, "fatol": 1e-14}
    ).x


predicted = {text: predicted_by(text) for text in WEIGHTS}
print(f"{'sampler':<14} {'trained: mean, width':>22} {'theory: mean, width':>22}")
for text in WEIGHTS:
    print(
        f"{text:<14}",
        *(
            f"{mean:>14.3f}, {np.exp(log_width):.3f} "
            for mean, log_width in (trained[text], predicted[text])
        ),
    )

# %%
figure, row = plt.subplots(1, 4, figsize=(7.8, 2.5), sharex=True, sharey=True)
for axes, text in zip(row, WEIGHTS):
    word, colour = CLASSES[TABLE["quadratic", text][2]]
    axes.fill_between(LINE, target, color=TARGET, linewidth=0)
    axes.plot(LINE, np.exp(log_law(trained[text])), color=colour, linewidth=2.4)
    axes.plot(
        LINE[::3],
        np.exp(log_law(predicted[text]))[::3],
        color="black",
        linestyle="",
        marker=".",
        markersize=3,
    )
    axes.set_title(SAMPLERS[text].replace("\n", " "), color=colour)
    axes.text(
        0.97, 0.95, word, transform=axes.transAxes, ha="right", va="top", fontsize=8, color=colour
    )
    axes.set(xlim=(-6, 6), ylim=(0, 0.125), xticks=(-4, -2, 0, 2, 4))
row[0].set_ylabel("probability")
figure.supxlabel("outcome", fontsize=9)
figure.suptitle(
    "Squared error with four samplers: target (grey), trained bell (line), theory's bell (dots)",
    fontsize=9.5,
)
plt.show()

# %% [markdown]
# **What to see.** The loss is the same in all four. On-policy, the bell sits on the larger bump. A tenth of
# backward samples makes missing the other bump infinitely expensive in the limit, and the bell spreads over
# both.

# %% [markdown]
# ## 3. An exercise
#
# You have a data set, that is, samples of $p_B$ alone, and want the divergence to be exactly forward KL, so
# $h(x) = e^x - x - 1$. Which loss $g$ do you put on the residuals?
#
# <details><summary>A hint in words</summary>
# Backward samples have w = e^x. Solve h' = e^x g' for g', then integrate from 0.
# </details>
#
# The solution is in the next cell. Try first.

# %% jupyter={"outputs_hidden": true, "source_hidden": true} tags=["solution", "hide-input"]
wanted = sp.exp(x) - x - 1
slope = sp.simplify(sp.diff(wanted, x) * sp.exp(-x))
answer = dl.loss(str(sp.expand(sp.integrate(slope, (x, 0, x)))))
print("g(x) =", answer.expression)
for text in ("backward", "on"):
    print(f"{text}: {dl.divergence(on_policy_equivalent(answer, weighting(text))).name}")

# %% [markdown]
# ## 4. Check
#
# Every claim of this lesson, as a statement that can fail.

# %%
# The verdicts of the title.
assert TABLE["quadratic", "on"][2] == (True, False)
assert TABLE["quadratic", "mixture:1/10"][2] == (True, True)
assert all(
    len({TABLE[name, text][2] for text in SAMPLERS}) > 1 for name in NAMES
)  # no loss keeps its class

for text in WEIGHTS:
    # The held gradient is the gradient of theory's D_f, at arbitrary places (central differences).
    for place in ((-0.5, np.log(1.9)), (0.7, np.log(2.4)), (-1.6, np.log(1.2))):
        steps = 1e-5 * np.eye(2)
        numeric = (d_f(place + steps, text) - d_f(place - steps, text)) / 2e-5
        assert np.allclose(held_gradient(np.array(place), text), numeric, rtol=1e-5, atol=1e-7), (
            text
        )
    # Training ends where theory says.
    assert np.allclose(trained[text], predicted[text], atol=1e-3), text

# A negative control: the gradient of one sampler is not zero where another one ends.
assert np.linalg.norm(held_gradient(trained["on"], "on")) < 1e-3
assert np.linalg.norm(held_gradient(trained["on"], "mixture:1/10")) > 0.1

# On one bump, or over both.
assert abs(trained["on"][0] + 2) < 0.2 and np.exp(trained["on"][1]) < 1
assert np.exp(trained["mixture:1/10"][1]) > 1.5 and np.exp(trained["backward"][1]) > 1.5

# The exercise.
assert dl.divergence(on_policy_equivalent(answer, weighting("backward"))).name == "forward KL"
assert dl.divergence(answer).name != "forward KL"

assert "torch" not in sys.modules
print("all checks hold")
