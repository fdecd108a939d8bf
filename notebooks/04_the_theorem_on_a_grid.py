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
# # The theorem in numbers: when it holds, when it does not
#
# "Training with the loss $g$ minimises the divergence $D_f$" is a statement about gradients. On a small graph
# every object can be listed, so it can be checked with no sampling and no training.
#
# This lesson shows one fact: **the statement is true for some parameters of a GFlowNet and false for
# others**, and it says which. First with your own hands on the graph of lesson 00, then on a grid, for every
# objective.
#
# You need lessons 00 and 01. Reading takes 15 minutes, with the exercises 45.

# %%
import numpy as np
import torch

import divergence_lab as dl

torch.set_default_dtype(torch.float64)

# %% [markdown]
# ## 1. The statement
#
# An objective is a sum over objects $o$: trajectories for TB, transitions for **detailed balance** (DB). Each
# object has a mass under the model, $p_F(o)$, and one under the target, $p_B(o)$, and the residual
# $x=\log p_B-\log p_F$.
#
# |  | object | $p_F(o)$ | $p_B(o)$ |
# |---|---|---|---|
# | TB | a trajectory $\tau$ to $y$ | $Z\,P_F(\tau)$ | $R(y)\,P_B(\tau\mid y)$ |
# | DB | a transition $s\to s'$ | $F(s)\,P_F(s'\mid s)$ | $F(s')\,P_B(s\mid s')$ |
# | DB | a stop in $s$ | $F(s)\,P_F(\text{stop}\mid s)$ | $R(s)$ |
#
# The theorem, with the weights $p_F$ held constant on the left (sampling is not differentiated):
#
# $$\nabla_\theta \sum_o \underbrace{p_F(o)}_{\text{held}} g(x(o))
# \;=\; \nabla_\theta \sum_o p_F(o)\,f\!\left(\frac{p_B(o)}{p_F(o)}\right).$$
#
# Its proof is one line: for fixed $p_B$, $\partial_{\log p_F}\,[p_F f(t)]=p_F\,(f(t)-t f'(t))=-p_F\,g'(x)$.
# It moves $p_F$ and **keeps $p_B$ still**. Look at the table: in DB, $F(s)$ of an inner state is part of
# both. Predict: for which parameters does the statement fail?
#
# ## 2. By hand, on four states
#
# The states are `00`, `10`, `01`, `11`, numbered 0 to 3, and 4 is the stop. Everything is a parameter: a
# logit for each arrow, $\log F$ of each state, a logit for each way back.

# %%
ARROWS = torch.tensor([(0, 1), (0, 2), (1, 3), (2, 3), (0, 4), (1, 4), (2, 4), (3, 4)])
START, END = ARROWS.T
LOG_REWARD = torch.tensor([1.0, 2.0, 3.0, 6.0]).log()
torch.manual_seed(0)
POINT = {"logits": torch.randn(8), "log F": 2 + torch.randn(4), "back": torch.randn(4)}


def choose(logits, group):
    """A log-softmax over the arrows that have the same number in `group`."""
    same = torch.where(group[:, None] == group, 0.0, -torch.inf)
    return logits - torch.logsumexp(logits + same, dim=1)


def masses(parameters):
    """log p_F and log p_B of the eight transitions."""
    log_pf = parameters["log F"][START] + choose(parameters["logits"], START)
    back = parameters["log F"][END[:4]] + choose(parameters["back"], END[:4])
    return log_pf, torch.cat([back, LOG_REWARD])


# %% [markdown]
# Now both sides of the theorem, by automatic differentiation.

# %%
LOSSES = {
    "quadratic": (lambda x: x**2 / 2, lambda t: t - t.log() - 1),
    "linex(1)": (lambda x: x.exp() - x - 1, lambda t: t * t.log() - t + 1),
}


def two_gradients(name, group, sign=+1, p_b_held=False):
    """The gradients of the loss and of D_f in the parameters of `group`, as arrays."""
    (g, f), parameters = LOSSES[name], {k: v.clone().requires_grad_() for k, v in POINT.items()}
    log_pf, log_pb = masses(parameters)
    x = (log_pb.detach() if p_b_held else log_pb) - log_pf
    sides = (log_pf.exp().detach() * g(sign * x)).sum(), (log_pf.exp() * f(x.exp())).sum()
    leaf = parameters[group]
    return [torch.autograd.grad(side, leaf, retain_graph=True)[0].numpy() for side in sides]


PANELS = {
    "$P_F$": ("logits",),
    "$\\log F$": ("log F",),
    "$P_B$": ("back",),
    "$P_F$, sign flipped": ("logits", -1),
}
pairs = {p: {name: two_gradients(name, *how) for name in LOSSES} for p, how in PANELS.items()}
dl.plots.scatters(pairs, xlabel="gradient of the loss", ylabel="gradient of $D_f$")

# %% [markdown]
# **What to see.** A dot is a parameter; on the diagonal the two gradients agree. They do for the policy
# $P_F$. They don't for most flows, nor for $P_B$. With the sign flipped, `linex(1)` leaves the diagonal and
# `quadratic` stays: it is even, so it cannot tell. **An even loss proves nothing about a sign.**

# %% [markdown]
# ## 3. Every objective, on a grid
#
# Where the plain statement fails, another one holds ([the theorem](../docs/theorem.md)): parameters that move
# $p_B$ alone follow $D_{g\circ\log}(p_B\|p_F)=\sum p_F\,g(\log p_B/p_F)$ with $p_F$ held, and parameters that
# move both follow the sum of the two. `verify` lists all objects of a graph and checks all of it.

# %%
NAMES, OBJECTIVES = ["quadratic", "linex(1)", "hellinger"], ["tb", "db", "subtb(0.9)", "fm"]
rows = dl.verify(NAMES, "hypergrid:2x3", objectives=OBJECTIVES, progress=False)
KEYS = ("divergence_alone_error", "max_gradient_error", "flipped_sign_error")
worst = {}  # of three losses: D_f alone, what holds, with the sign flipped
for row in rows:
    for group in row["groups"]:
        errors = [group[k] for k in KEYS]
        key = row["objective"], group["parameters"]
        worst[key] = np.maximum(worst.get(key, 0.0), errors)
print(f"{'':<42}{'D_f alone':>11}{'what holds':>12}{'sign flipped':>14}")
for key, errors in worst.items():
    print(f"{key[0]:<12}{key[1]:<30}{errors[0]:>11.0e}{errors[1]:>12.0e}{errors[2]:>14.0e}")

# %% [markdown]
# **What to see.** Relative errors; `1e-15` is rounding. "What holds" holds in every line. $D_f$ alone holds
# where parameters move $p_F$ alone. The last column is the control: with the wrong sign nothing holds, so the
# check is one that can fail.
#
# Practical reading: with TB and a fixed $P_B$ the choice of $g$ is exactly a choice of divergence, for $P_F$
# and $\log Z$. With DB it is for the policy *given its flows*; the flows follow something else. A network
# with one trunk for all mixes the two.

# %% [markdown]
# ## 4. Your turn
#
# One of the four flows, $F(00)$ at the start, is special. Does $D_f$ alone have the right gradient for it,
# `True` or `False`? Look at the table of section 1 before you answer.

# %%
my_answer = ...

# %%
if my_answer is not ...:
    loss_side, divergence_side = two_gradients("linex(1)", "log F")
    assert my_answer == (abs(loss_side[0] - divergence_side[0]) < 1e-12), "is F(00) in any p_B?"
    print("right")

# %% [markdown]
# ## 5. Exercises
#
# **Pencil.** Derive the one line of section 1 from $f(t)=t\int_1^t g'(\log s)s^{-2}ds$.
#
# **Code.** Hold $p_B$ in both sums (`p_b_held=True`). Which panels move onto the diagonal, and why is a
# "semi-gradient" DB simpler to think about?
#
# **Open.** In training, a DB transition comes up as often as it is visited, $d(s)P_F(s'\mid s)$, not with
# weight $F(s)P_F(s'\mid s)$. What is then still right about the gradient of the policy, state by state?
#
# <details><summary>Solution of "Your turn"</summary>
#
# No arrow ends in `00`, so its flow is in no $p_B$: it moves $p_F$ alone.
#
# ```python
# my_answer = True
# ```
# </details>
#
# <details><summary>Solution: pencil</summary>
#
# $f'=\int_1^t g'(\log s)s^{-2}ds+g'(\log t)/t=f/t+g'(\log t)/t$, so $tf'-f=g'(\log t)$. And
# $\partial_{\log q}[q f(p/q)]=q f-p f'=q\,(f-tf')$.
# </details>
#
# <details><summary>Solution: code</summary>
#
# All flows do: with $p_B$ held they move $p_F$ alone.
#
# ```python
# held = two_gradients("linex(1)", "log F", p_b_held=True)
# assert abs(held[0] - held[1]).max() < 1e-12
# ```
# </details>
#
# <details><summary>Solution: open</summary>
#
# A logit of $s$ moves only the arrows out of $s$, and these all have the factor $d(s)/F(s)$. So the block of
# each state has the right direction and another length. For all states together it is not the gradient of
# $D_f$ alone: `verify` says so with `samplers=["drawn:on"]`.
#
# ```python
# (row,) = dl.verify(
#     "linex(1)", "hypergrid:2x3", objectives=["db"], samplers=["drawn:on"], progress=False
# )
# policy = next(group for group in row["groups"] if group["parameters"] == "P_F logits")
# assert row["holds"] and policy["divergence_alone_error"] > 0.1
# ```
# </details>

# %% [markdown]
# ## 6. Check

# %%
off = {p: {n: abs(a - b).max() for n, (a, b) in each.items()} for p, each in pairs.items()}
assert max(off["$P_F$"].values()) < 1e-12
assert min(*off["$\\log F$"].values(), *off["$P_B$"].values()) > 1e-2
assert (
    off["$P_F$, sign flipped"]["quadratic"] < 1e-12 < 1e-2 < off["$P_F$, sign flipped"]["linex(1)"]
)
assert all(row["holds"] and row["controls_fail"] for row in rows)
for (objective, parameters), errors in worst.items():
    assert errors[1] < 1e-9 < 1e-3 < errors[2]
    if objective == "db" and parameters in (
        "P_F logits",
        "log F(s0)",
        "interior log F",
        "P_B logits",
    ):
        assert (errors[0] < 1e-9) == (parameters in ("P_F logits", "log F(s0)"))
print("all checks hold")
