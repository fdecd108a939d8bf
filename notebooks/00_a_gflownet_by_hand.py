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
# # A GFlowNet by hand
#
# A GFlowNet builds an object step by step and learns to end at $y$ with a probability proportional to a
# reward $R(y)$. This lesson has four states and five trajectories, so that everything can be done by hand:
# the graph, the two policies, $\log Z$, and **the residual of a trajectory, the one number that all later
# lessons are about.**
#
# You need logarithms. Reading takes 10 minutes, with the exercises 30.

# %%
import numpy as np

import divergence_lab as dl

# %% [markdown]
# ## 1. The graph
#
# Start at `00`. Set the first digit to 1, or the second, in any order; stop wherever you like. The state in
# which you stop is the outcome. `11` can be reached in two ways: that is why this is a graph and not a tree.
# We want outcomes in the proportion 1 : 2 : 3 : 6.

# %%
REWARD = {"00": 1, "10": 2, "01": 3, "11": 6}
Z = sum(REWARD.values())  # 12, so the target law is 1/12, 2/12, 3/12, 6/12
TRAJECTORIES = [("00",), ("00", "10"), ("00", "01"), ("00", "10", "11"), ("00", "01", "11")]
N_PARENTS = {"10": 1, "01": 1, "11": 2}

# %% [markdown]
# ## 2. Two policies
#
# The **forward policy** $P_F(s'\mid s)$ chooses the next step, or to stop. It is what is learned. Before
# training it may choose uniformly.
#
# The **backward policy** $P_B(s\mid s')$ says how likely each parent of a state is to be where we came from.
# Here it is fixed, and uniform: from `11` back to `10` or `01` with probability ½ each.
#
# The probability of a trajectory $\tau=(s_0,\dots,s_n=y)$ is a product in either direction:
#
# $$P_F(\tau)=\prod_i P_F(s_{i+1}\mid s_i)\cdot P_F(\text{stop}\mid y),\qquad
# P_B(\tau\mid y)=\prod_i P_B(s_i\mid s_{i+1}).$$

# %%
UNIFORM = {
    "00": {"10": 1 / 3, "01": 1 / 3, "stop": 1 / 3},
    "10": {"11": 1 / 2, "stop": 1 / 2},
    "01": {"11": 1 / 2, "stop": 1 / 2},
    "11": {"stop": 1},
}


def forward(policy, tau):
    """P_F(tau): every step, then the stop."""
    return np.prod([policy[s][after] for s, after in zip(tau, (*tau[1:], "stop"))])


def backward(tau):
    """P_B(tau | y): each state came from one of its parents, all alike."""
    return np.prod([1 / N_PARENTS[s] for s in tau[1:]])


# %% [markdown]
# ## 3. The residual, and trajectory balance
#
# The target puts the mass $p_B(\tau)=R(y)\,P_B(\tau\mid y)$ on a trajectory: the reward of its end, shared
# among the ways that lead there. The model puts the mass $p_F(\tau)=Z\,P_F(\tau)$ on it, with a learned
# number $Z$. The **residual** compares the two:
#
# $$x(\tau)=\log\frac{\text{target}}{\text{model}}=\log R(y)+\log P_B(\tau\mid y)-\log Z-\log P_F(\tau).$$
#
# Positive: the model has too little there. Negative: too much. Take $\tau$ = `00` → `10` → `11` under the
# uniform policy: $R=6$, $P_B=\tfrac12$, $P_F=\tfrac13\cdot\tfrac12\cdot 1=\tfrac16$, $Z=12$. So
# $x=\log\frac{6\cdot 1/2}{12\cdot 1/6}=\log 1.5\approx 0.41$.
#
# **Trajectory balance** (TB) is the loss $g(x)$ of each trajectory, usually $g(x)=x^2$ or $x^2/2$. Which $g$,
# and what that does, is what this course is about.


# %%
def residual(policy, tau, z=Z):
    """x = log target/model of a trajectory."""
    return np.log(REWARD[tau[-1]] * backward(tau)) - np.log(z * forward(policy, tau))


def law(policy):
    """How often each outcome comes up: the sum over the trajectories that end there."""
    return {y: sum(forward(policy, tau) for tau in TRAJECTORIES if tau[-1] == y) for y in REWARD}


for tau in TRAJECTORIES:
    print(f"{' '.join(tau):<9} P_F {forward(UNIFORM, tau):.3f}   x {residual(UNIFORM, tau):+.3f}")
for y, probability in law(UNIFORM).items():
    print(f"outcome {y}: probability {probability:.3f}, target {REWARD[y] / Z:.3f}")

# %% [markdown]
# ## 4. The policy that is right
#
# Let water flow. Each outcome takes out its reward; what leaves a state must have come in, and comes from its
# parents in the shares of $P_B$. Work backward from `11`: its 6 come from `10` and `01`, 3 each. So
# $F(10)=2+3=5$, $F(01)=3+3=6$, $F(00)=1+5+6=12=Z$. The policy divides by what flows through:
# $P_F(s'\mid s)=F(s')\,P_B(s\mid s')/F(s)$.

# %%
FLOW = {"00": 12, "10": 5, "01": 6, "11": 6}
RIGHT = {
    "00": {"10": 5 / 12, "01": 6 / 12, "stop": 1 / 12},
    "10": {"11": 3 / 5, "stop": 2 / 5},
    "01": {"11": 3 / 6, "stop": 3 / 6},
    "11": {"stop": 1},
}
print("residuals:", [round(abs(float(residual(RIGHT, tau))), 12) for tau in TRAJECTORIES])
dl.plots.flows(
    {"00": (0, 0), "10": (1, 1), "01": (1, -1), "11": (2, 0)},
    {(s, to): FLOW[s] * p for s, row in RIGHT.items() for to, p in row.items() if to != "stop"},
    REWARD,
)

# %% [markdown]
# **What to see.** All residuals are 0, and what stops in a state is its reward. That is no accident: if every
# residual is 0, then $P_F(\tau)=R(y)P_B(\tau\mid y)/Z$, and the sum over all ways to $y$ is $R(y)/Z$. So it is
# enough to bring residuals to 0. What happens **on the way there, or where it cannot be reached,** depends on
# $g$.

# %% [markdown]
# ## 5. Your turn
#
# With the uniform policy and $Z=12$, what is the residual of `00` → `01` (stop there)? Work it out on paper,
# then write it as a number or a formula: `my_residual = np.log(...)`.

# %%
my_residual = ...

# %%
if my_residual is not ...:
    assert np.isclose(my_residual, residual(UNIFORM, ("00", "01"))), "log of R P_B over Z P_F"
    print("right")

# %% [markdown]
# ## 6. Exercises
#
# **Pencil.** Double all rewards. Which of $P_F$, $Z$, the flows and the target law change?
#
# **Code.** Let $P_B$ send `11` back to `10` with probability 1 and never to `01`. Find the flows and the
# right policy. Which outcomes change their probability?
#
# **Open.** A grid of $8\times8$ cells has 64 outcomes and 12,869 trajectories. Why does one train on residuals
# of trajectories and not of outcomes?
#
# <details><summary>Solution of "Your turn"</summary>
#
# $R=3$, $P_B=1$, $P_F=\tfrac13\cdot\tfrac12=\tfrac16$: $x=\log\frac{3}{12/6}=\log 1.5$, as for the other one.
#
# ```python
# my_residual = np.log(3 * 1 / (12 * 1 / 6))
# ```
# </details>
#
# <details><summary>Solution: pencil</summary>
#
# $Z$ and the flows double. $P_F$, a quotient of flows, and the target law stay. A reward is known up to a
# factor only, and $\log Z$ absorbs it.
# </details>
#
# <details><summary>Solution: code</summary>
#
# $F(10)=2+6=8$, $F(01)=3$, $F(00)=1+8+3=12$. No outcome changes: $P_B$ chooses among the right policies.
#
# ```python
# other = {
#     "00": {"10": 8 / 12, "01": 3 / 12, "stop": 1 / 12},
#     "10": {"11": 6 / 8, "stop": 2 / 8},
#     "01": {"11": 0.0, "stop": 1.0},
#     "11": {"stop": 1},
# }
# assert np.allclose([*law(other).values()], [*law(RIGHT).values()])
# ```
# </details>
#
# <details><summary>Solution: open</summary>
#
# The probability of an outcome is a sum over all its trajectories, too many to compute in a real task. Each
# single trajectory is a product that is known exactly. The price is a $P_B$ to share the reward out.
# </details>

# %% [markdown]
# ## 7. Check

# %%
assert np.allclose([residual(RIGHT, tau) for tau in TRAJECTORIES], 0)
assert np.allclose([law(RIGHT)[y] * Z for y in REWARD], [*REWARD.values()])
assert np.isclose(residual(UNIFORM, ("00", "10", "11")), np.log(1.5))
assert not np.allclose([law(UNIFORM)[y] * Z for y in REWARD], [*REWARD.values()])  # a control
assert all(np.isclose(FLOW[s], sum(FLOW[s] * p for p in RIGHT[s].values())) for s in FLOW)
print("all checks hold")
