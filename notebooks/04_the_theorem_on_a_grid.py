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
# # The theorem on a 4×4 grid: when it holds, when it does not
#
# [![run in the cloud](runner/cloud.svg)](README.md#in-the-cloud)
#
# "Training with the loss $g$ minimises the divergence $D_f$" is a statement about gradients. On a small grid
# every trajectory can be listed, so it can be checked with no sampling and no training.
#
# This lesson shows one fact: **the statement is true for some parameters of a GFlowNet and false for
# others**, and it says which.
#
# You need to know what a GFlowNet is: a forward policy $P_F$ that builds objects step by step, a backward
# policy $P_B$, and a flow $F(s)$ through each state. Lesson 01 has the same statement without them. This
# lesson uses torch.

# %%
import itertools

import matplotlib.pyplot as plt
import numpy as np
import torch

import divergence_lab as dl
from divergence_lab.bridge import generator_to_torch, to_torch
from divergence_lab.gflownet.listed.exact import state_probability
from divergence_lab.gflownet.objectives import objective
from divergence_lab.gflownet.samplers import Sampler
from divergence_lab.report.palette import COLOURS, SCREEN
from divergence_lab.theorem.behaviours import law, object_weights
from divergence_lab.theorem.objects import list_objects
from divergence_lab.theorem.points import points

plt.rcParams.update(SCREEN)
GRID = "hypergrid:2x4"  # two dimensions, four cells each
LOSSES = {name: dl.loss(name) for name in ("quadratic", "linex(1)", "hellinger", "shifted_cosh")}

# %% [markdown]
# ## 1. The statement
#
# An objective is a sum over objects $o$: trajectories for TB, transitions for DB. Each object has a mass
# under the model, $p_F(o)$, and one under the target, $p_B(o)$, and the residual $x=\log p_B-\log p_F$.
#
# |  | object | $p_F(o)$ | $p_B(o)$ |
# |---|---|---|---|
# | TB | a trajectory $\tau$ to $y$ | $Z\,P_F(\tau)$ | $R(y)\,P_B(\tau\mid y)$ |
# | DB | a transition $s\to s'$ | $F(s)\,P_F(s'\mid s)$ | $F(s')\,P_B(s\mid s')$ |
#
# The theorem, with the weights $p_F$ held constant on the left (sampling is not differentiated):
#
# $$\nabla_\theta \sum_o \underbrace{p_F(o)}_{\text{constant}} g(x(o))
# \;=\; \nabla_\theta \sum_o p_F(o)\,f\!\left(\frac{p_B(o)}{p_F(o)}\right).$$
#
# Its proof moves $p_F$ and keeps $p_B$ still. Look at the table: in DB, $F(s)$ of an interior state is part
# of **both**.
#
# ## 2. Two gradients, one point
#
# Put all parameters at a random point. Compute the left side and the right side by automatic differentiation,
# for each group of parameters, and draw one against the other: a dot is a parameter, and on the diagonal they
# agree.


# %%
def gradient(scalar, leaves):
    """All components as one vector, 0 where the scalar does not depend on a parameter."""
    parts = torch.autograd.grad(scalar, leaves, retain_graph=True, allow_unused=True)
    return torch.cat(
        [
            (torch.zeros_like(leaf) if part is None else part).flatten()
            for part, leaf in zip(parts, leaves)
        ]
    )


def two_gradients(kind, loss, group, sign=+1):
    """(gradient of sum_o sg(p_F) g(sign x), gradient of D_f(p_B||p_F)) for the parameters of `group`, as arrays."""
    listing = list_objects(dl.graph_from_text(GRID), objective(kind))
    point = next(points(listing, seed=0))  # tables of logits, log F and log Z, drawn at random
    leaves, found = [point.leaves[name] for name in group], point.objects
    g, f = to_torch(loss), generator_to_torch(dl.divergence(loss))
    p_f, p_b = found.log_pf.exp(), found.log_pb.exp()
    of_loss = gradient((p_f.detach() * g(sign * found.residual)).sum(), leaves)
    of_divergence = gradient((p_f * f(p_b / p_f)).sum(), leaves)
    return of_loss.numpy(), of_divergence.numpy()


def off(pair):
    """Largest difference over the largest component."""
    return np.abs(pair[0] - pair[1]).max() / max(np.abs(pair[0]).max(), np.abs(pair[1]).max())


PANELS = {
    "TB, policy $P_F$": ("tb", ("logits",), +1),
    "DB, policy $P_F$": ("db", ("logits",), +1),
    "DB, interior log F": ("db", ("log_flow",), +1),
    "DB, policy $P_B$": ("db", ("back",), +1),
    "TB, policy $P_F$,\nsign of x flipped": ("tb", ("logits",), -1),
}
pairs = {
    panel: {name: two_gradients(kind, loss, group, sign) for name, loss in LOSSES.items()}
    for panel, (kind, group, sign) in PANELS.items()
}
print(f"{'relative difference':<34}" + "".join(f"{name:>14}" for name in LOSSES))
for panel, by_loss in pairs.items():
    print(
        f"{panel.replace('$', '').replace(chr(10), ' '):<34}"
        + "".join(f"{off(pair):>14.0e}" for pair in by_loss.values())
    )

# %%
SHOWN = {"quadratic": (COLOURS[0], "o"), "linex(1)": (COLOURS[1], "^")}
figure, grid = plt.subplots(1, 5, figsize=(9.2, 2.5))
for axes, (panel, by_loss) in zip(grid, pairs.items()):
    axes.plot([-1.1, 1.1], [-1.1, 1.1], color="#999999", linewidth=0.8)
    for name, (colour, marker) in SHOWN.items():
        size = max(np.abs(side).max() for side in by_loss[name])
        axes.scatter(
            *(side / size for side in by_loss[name][::-1]),
            s=15,
            color=colour,
            marker=marker,
            alpha=0.75,
            linewidths=0,
            label=name,
        )
    axes.set(
        title=panel,
        xlim=(-1.15, 1.15),
        ylim=(-1.15, 1.15),
        xticks=(-1, 0, 1),
        yticks=(-1, 0, 1),
        aspect="equal",
    )
grid[0].set_ylabel("gradient of the loss")
figure.supxlabel("gradient of $D_f$  (both divided by the largest component)", fontsize=9)
grid[0].legend(loc="upper left", fontsize=7, handletextpad=0.1, borderpad=0.1)
plt.show()

# %% [markdown]
# **What to see.** On the diagonal: the policy $P_F$, for TB and for DB. Off it: the flows of interior states,
# and $P_B$, whose $D_f$ gradient is another one. With the sign flipped, linex(1) leaves the diagonal and
# quadratic stays: it is even, so it cannot tell. **An even loss proves nothing about a sign.** (For
# shifted_cosh the interior flows are off by 0.003 only: one transition with the residual −8 makes up most of
# either gradient.)

# %% [markdown]
# ## 3. What holds instead
#
# Where the plain statement fails, another one holds ([the theorem](../docs/theorem.md)):
#
# * parameters that move $p_B$ alone follow $D_{g\circ\log}(p_B\|p_F)=\sum p_F\,g(\log p_B/p_F)$, with $p_F$
#   held, by definition;
# * parameters that move both follow the sum of the two, each with the other measure held constant.
#
# `verify` checks all of it for every objective, every group of parameters and every loss. One picture holds
# it all.

# %%
rows = dl.verify(
    LOSSES, GRID, objectives=["tb", "db", "subtb(0.9)", "fm", "vargrad"], progress=False
)
WANTED = (
    "P_F logits",
    "log Z",
    "log F(s0)",
    "interior log F",
    "P_B logits",
    "edge flows",
    "edge flows, outflow held",
    "P_F logits, F and P_F apart",
    "all together",
    "shared trunk",
)
COLUMNS = {
    "$D_f$ alone": "divergence_alone_error",
    "what holds": "max_gradient_error",
    "what holds,\nsign flipped": "flipped_sign_error",
}


def worst(name, parameters, key):
    """The largest error over the losses."""
    return max(
        group[key]
        for row in rows
        if row["objective"] == name
        for group in row["groups"]
        if group["parameters"] == parameters
    )


lines = [
    (name, parameters)
    for name in dict.fromkeys(row["objective"] for row in rows)
    for parameters in WANTED
    if any(
        group["parameters"] == parameters
        for row in rows
        if row["objective"] == name
        for group in row["groups"]
    )
]
table = np.array([[worst(*line, key) for key in COLUMNS.values()] for line in lines])

# %%
SPELT = {"subtb(0.9)": "SubTB(0.9)", "vargrad": "VarGrad"}
figure, axes = plt.subplots(figsize=(6.6, 6.4))
image = axes.imshow(
    np.log10(np.maximum(table, 1e-16)), aspect="auto", cmap="cividis", vmin=-16, vmax=0
)
for (row, column), value in np.ndenumerate(table):
    text = f"$10^{{{np.log10(value):.0f}}}$" if value < 1e-2 else f"{value:.1f}"
    axes.text(
        column,
        row,
        text,
        ha="center",
        va="center",
        fontsize=8,
        color="white" if value < 1e-6 else "black",
    )
axes.set_xticks(range(len(COLUMNS)), COLUMNS), axes.xaxis.tick_top()
axes.set_yticks(
    range(len(lines)),
    [f"{SPELT.get(name, name.upper())}:  {parameters}" for name, parameters in lines],
)
axes.grid(visible=False)
axes.tick_params(length=0)
for border in np.flatnonzero([a[0] != b[0] for a, b in itertools.pairwise(lines)]):
    axes.axhline(border + 0.5, color="white", linewidth=2.5)
figure.colorbar(image, label="log10 of the relative error, worst of four losses", shrink=0.6)
plt.show()

# %% [markdown]
# **What to see.** The middle column is dark from top to bottom: the statement that theory gives always holds,
# to rounding. The left column is dark only where parameters move $p_F$ alone. The right column is the
# control: it is bright everywhere (thanks to the two losses that are not even), so the check is one that can
# fail.
#
# Practical reading: with TB the choice of $g$ is exactly a choice of divergence for $P_F$ and $Z$. With DB it
# is for the policy *given its flows*; the flows themselves follow something else. A network with one trunk
# for all mixes the two.

# %% [markdown]
# ## 4. An exercise
#
# In training, DB transitions are not weighted by $p_F=F(s)P_F(s'\mid s)$ but by how often they are visited,
# $d(s)\, P_F(s'\mid s)$, where $d(s)$ is the chance to reach $s$. Is the gradient for $P_F$ still that of
# $D_f(p_B\|p_F)$? If not, what is still right about it?
#
# Hint: `dl.verify` takes `samplers=["drawn:on"]`. And compare the blocks of single states.
#
# The solution is in the next cell. Try first.

# %% jupyter={"outputs_hidden": true, "source_hidden": true} tags=["solution", "hide-input"]
linex = LOSSES["linex(1)"]
(drawn,) = dl.verify(
    {"linex(1)": linex}, GRID, objectives=["db"], samplers=["drawn:on"], progress=False
)
policy = next(group for group in drawn["groups"] if group["parameters"] == "P_F logits")
print(
    f"D_f alone: off by {policy['divergence_alone_error']:.1f}.  "
    f"{policy['statement']}: {policy['max_gradient_error']:.0e}"
)

# By hand: only the transitions out of s depend on the logits of s, and each has the weight d(s)/F(s) p_F.
listing = list_objects(dl.graph_from_text(GRID), objective("db"))
point = next(points(listing, seed=0))
found, logits = point.objects, point.leaves["logits"]  # logits: [1, actions, states]
visits = object_weights(
    listing, law(listing.graph, Sampler(), point.model, listing.walked), found.weight
)
(of_loss,) = torch.autograd.grad(
    (visits.detach() * to_torch(linex)(found.residual)).sum(), logits, retain_graph=True
)
f = generator_to_torch(dl.divergence(linex))
(of_divergence,) = torch.autograd.grad((found.log_pf.exp() * f(found.residual.exp())).sum(), logits)
reach = state_probability(listing.graph, point.model.log_pf)  # d(s)
factor = reach / point.model.log_flow.exp()
rescaled_error = off((of_loss.numpy(), (factor[:, None] * of_divergence).detach().numpy()))
print(
    f"the same direction in every state: error {rescaled_error:.0e} after multiplying its block by d(s)/F(s), "
    f"which is {factor.min():.1g} to {factor.max():.1g}"
)

# %% [markdown]
# ## 5. Check
#
# Every claim of this lesson, as a statement that can fail.

# %%
# The scatter: on the diagonal to rounding, or far from it.
for name in LOSSES:
    assert (
        off(pairs["TB, policy $P_F$"][name]) < 1e-12
        and off(pairs["DB, policy $P_F$"][name]) < 1e-12
    ), name
    assert (
        off(pairs["DB, interior log F"][name]) > 1e-3 and off(pairs["DB, policy $P_B$"][name]) > 0.1
    ), name
flipped = {name: off(pair) for name, pair in pairs["TB, policy $P_F$,\nsign of x flipped"].items()}
assert all((flipped[name] < 1e-12) == (name in ("quadratic", "shifted_cosh")) for name in LOSSES)

# The table: what holds always holds; the control always fails; D_f alone where p_F alone moves.
assert all(row["holds"] and row["controls_fail"] for row in rows)
assert (table[:, 1] < 1e-9).all() and (table[:, 2] > 1e-3).all()
ALONE = {
    "P_F logits",
    "log Z",
    "log F(s0)",
    "edge flows, outflow held",
    "P_F logits, F and P_F apart",
}
for (_, parameters), (plain, _, _) in zip(lines, table):
    assert (plain < 1e-9) == (parameters in ALONE), parameters

# The exercise.
assert policy["divergence_alone_error"] > 0.1 and policy["holds"]
assert rescaled_error < 1e-12 and factor.max() > 2 * factor.min()
print("all checks hold")
