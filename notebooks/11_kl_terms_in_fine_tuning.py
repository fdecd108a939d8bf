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
# # KL terms in RL fine-tuning
#
# A language model $q$ is fine-tuned for a reward and kept near a reference $p$ by "a KL term". In papers and
# libraries that term stands in three different places, with three different estimators. Their *values* all
# estimate $\mathrm{KL}(q\|p)$, or nearly. What is trained is their *gradients*.
#
# This lesson shows one fact: **where the term stands decides which divergence is minimised.** It is the
# question of lesson 01, with the policy as the model and the reference as the target. (All cases, baselines,
# clipping and what seven libraries do: [KL terms](../docs/kl_terms.md).)
#
# You need lesson 01. Reading takes 15 minutes, with the exercises 45.

# %%
import torch

import divergence_lab as dl

torch.set_default_dtype(torch.float64)

# %% [markdown]
# ## 1. Three estimators, three places
#
# Samples come from the policy $q$; $x=\log(p/q)$ is the residual. Averaged over $q$, `k1` and `k3` are
# exactly $\mathrm{KL}(q\|p)$:
#
# $$k_1=-x,\qquad k_2=x^2/2,\qquad k_3=e^x-x-1 .$$
#
# * **loss**: $k(x)$ is added to the loss of each sample. The samples are not differentiated.
# * **reward**: $k(x)$ is subtracted from the reward, as a number; the policy gradient does the rest.
# * **weighted**: the sample's loss carries the ratio $q/\mathrm{held}(q)$, so its probability is differentiated
#   too.

# %%
REFERENCE = torch.tensor([0.4, 0.3, 0.2, 0.1])
LOGITS = torch.tensor([0.5, -1.0, 0.3, 0.8])
ESTIMATORS = {"k1": lambda x: -x, "k2": lambda x: x**2 / 2, "k3": lambda x: x.exp() - x - 1}
PLACES = {  # what is differentiated, summed over all tokens
    "loss": lambda q, k: q.detach() * k,
    "reward": lambda q, k: q * k.detach(),
    "weighted": lambda q, k: q * k,
}


def gradient(value_of, logits=LOGITS, reference=REFERENCE):
    """d/d logits of the sum of value_of(q, x)."""
    logits = logits.clone().requires_grad_()
    log_q = torch.log_softmax(logits, dim=0)
    return torch.autograd.grad(value_of(log_q.exp(), reference.log() - log_q).sum(), logits)[0]


def cost(name, place, beta=1.0, reward=0.0):
    """What is descended: beta times the term, less the reward."""
    return lambda q, x: beta * PLACES[place](q, ESTIMATORS[name](x)) - q * reward


KNOWN = {
    "reverse KL": gradient(lambda q, x: -q * x),  # KL(q || p)
    "forward KL": gradient(lambda q, x: REFERENCE * x),  # KL(p || q)
    "no gradient": torch.zeros(4),
}
table = {}
for name in ESTIMATORS:
    for place in PLACES:
        mine = gradient(cost(name, place))
        equal = (d for d, other in KNOWN.items() if torch.allclose(mine, other, atol=1e-12))
        table[name, place] = next(equal, "neither")
        print(f"{name} as {place:<10} has the gradient of: {table[name, place]}")

# %% [markdown]
# **What to see.** `k1` as a loss does nothing at all on average. **`k3` as a loss, the popular choice of
# GRPO, follows *forward* KL,** although its value estimates reverse KL. To get reverse KL take `k2` as a
# loss, `k1` in the reward, or `k3` weighted.

# %% [markdown]
# ## 2. Why
#
# All three are the on-policy loss of lesson 01 with another $g$. Write $s=\nabla\log q$, so $\nabla x=-s$ and
# $E_q[s]=0$:
#
# * **loss**: $\nabla=-E_q[k'\,s]$, so $g'=k'$;
# * **reward**: $\nabla=E_q[k\,s]=-E_q[(k(0)-k)\,s]$, so $g'=k(0)-k$;
# * **weighted**: both at once, $\nabla=-E_q[(k'-k)\,s]$, so $g'=k'-k$ (and $f(t)=k(\log t)$).
#
# Four of the nine are $g=x^2/2$, one is $g=e^x-x-1$, one is $g=-x$ (no gradient on average). What of the
# other three: is $g$ a loss, falling before 0 and rising after it?

# %%
DOUBTFUL = ["-x**3/6", "-(exp(x) - 1 - x - x**2/2)", "x**2/2 - x**3/6"]  # g: integrate g' from 0
valid = [bool(dl.decide(dl.loss(g)).valid) for g in DOUBTFUL]
print("k2, k3 in the reward, k2 weighted: is it a loss?", valid)

# %% [markdown]
# **What to see.** None is. `k2` in the reward has $g'=-x^2/2$, with the same sign on both sides, so a token
# that the policy already has too rarely is made rarer still. `k2` weighted has $g'=x-x^2/2$, which turns round
# where the policy has less than $e^{-2}$ of the reference.

# %% [markdown]
# ## 3. The way of the policy
#
# Take the term alone, without a reward, and descend it. What is nearer to the reference after 400 steps?

# %%
HOWS, STEPS, ways = list(table), range(400), {}
for name, place in (HOWS[k] for k in (0, 1, 8, 6, 4, 7)):  # some of the nine
    logits, way = LOGITS, ways.setdefault(f"{name} as {place}", [])
    for _ in STEPS:
        way.append(float(REFERENCE @ (REFERENCE.log() - torch.log_softmax(logits, dim=0))))
        logits = logits - 0.3 * gradient(cost(name, place), logits)
dl.plots.curves(STEPS, ways, xlabel="steps", ylabel="KL(p||q)", yscale="log", ylim=(1e-3, 60))

# %% [markdown]
# **What to see.** `k1` as a loss stays where it is. Three arrive, two of them by one way. `k2` and `k3` in the
# reward drive out the second answer, of which the policy had too little; `k3` in the end all but one. [The
# same with sequences of tokens](../paper_checks/kl_fine_tuning.md), per token, with clipped weights: all nine,
# each beside descent on what it is said to minimise.

# %% [markdown]
# ## 4. What a fine-tuned policy becomes
#
# Maximise $E_q[r]-\beta\cdot\text{term}$ for eight answers with rewards 0 to 2, all equally likely under the
# reference. With reverse KL the best policy is the tilted reference, $q\propto p\,e^{r/\beta}$: that is also
# the target of a GFlowNet with this reward. With forward KL it is $q=\beta p/(\lambda-r)$, which keeps a much
# fatter tail. Exact gradients, no sampling:

# %%
REWARD, UNIFORM, BETA = torch.linspace(0, 2, 8), torch.full((8,), 1 / 8), 0.25


def fine_tune(name, place):
    """The policy that descent ends in: steps of gradient / q, so that rare answers are not slow."""
    logits = UNIFORM.log()
    for _ in range(3000):
        slope = gradient(cost(name, place, BETA, REWARD), logits, UNIFORM)
        logits = logits - 0.1 * slope / logits.softmax(dim=0)
    return logits.softmax(dim=0)


tuned = {" as ".join(how): fine_tune(*how) for how in (HOWS[1], HOWS[8], HOWS[6])}
tuned["tilted reference"] = tilted = torch.softmax(UNIFORM.log() + REWARD / BETA, dim=0)
dl.plots.curves(REWARD, tuned, xlabel="reward", ylabel="probability", yscale="log")

# %% [markdown]
# **What to see.** Three of the four lines are one: reverse KL, however it is written, gives the tilted
# reference. `k3` as a loss gives another policy: on a bad answer it keeps orders of magnitude more
# probability. That may be what one wants. One should know it.

# %% [markdown]
# ## 5. Your turn
#
# A colleague adds $|x|$ to the loss of each sample. Of which divergence is that the gradient? Write its
# generator $f(t)$ as text, like `"t - 1 - log(t)"`.

# %%
my_generator = ...

# %%
if my_generator is not ...:
    assert dl.gradients_agree(lambda x: x.abs(), my_generator), "f(t) = t int_1^t g'(log s)/s^2 ds"
    print("right")

# %% [markdown]
# ## 6. Exercises
#
# **Pencil.** Show that with forward KL the maximum of $E_q[r]-\beta\,\mathrm{KL}(p\|q)$ is
# $q=\beta p/(\lambda-r)$, with $\lambda>\max r$ so that $q$ sums to 1.
#
# **Code.** Check that formula against `tuned["k3 as loss"]`.
#
# **Open.** The samples of a batch come from a policy that is a few steps old. Which of the nine entries of the
# table stay as they are if each sample is weighted by $q/q_{\text{old}}$, held, and which if that weight is
# clipped?
#
# <details><summary>Solution of "Your turn"</summary>
#
# $g'=\mathrm{sign}(x)$, so $f=|t-1|$: the sum of $|p-q|$, twice the total variation.
#
# ```python
# my_generator = "Abs(t - 1)"
# ```
# </details>
#
# <details><summary>Solution: pencil</summary>
#
# $\partial/\partial q_i$ of $\sum q r+\beta\sum p\log q-\lambda\sum q$ is $r_i+\beta p_i/q_i-\lambda=0$.
# </details>
#
# <details><summary>Solution: code</summary>
#
# ```python
# q = tuned["k3 as loss"]
# multiplier = REWARD + BETA * UNIFORM / q  # lambda, the same for every answer
# assert multiplier.std() < 1e-3
# ```
# </details>
#
# <details><summary>Solution: open</summary>
#
# With the held weight the expectation is on-policy again: all stay. Clipped, the weight is no longer
# $q/q_{\text{old}}$, and what is followed is in general no divergence. `k1` as a loss, which did nothing, then
# does something, and `k1` weighted no longer rests at the reference: their $g'$ is not 0 at $x=0$.
# </details>

# %% [markdown]
# ## 7. Check

# %%
assert table["k3", "loss"] == "forward KL" and table["k1", "loss"] == "no gradient"
REVERSE = [("k1", "reward"), ("k1", "weighted"), ("k2", "loss"), ("k3", "weighted")]
assert sorted(how for how, d in table.items() if d == "reverse KL") == REVERSE
assert not any(valid)
assert max(ways["k1 as loss"]) - min(ways["k1 as loss"]) < 1e-12
assert ways["k1 as reward"][-1] < 1e-3 and ways["k3 as loss"][-1] < 1e-3
assert ways["k2 as reward"][-1] > ways["k2 as reward"][0] < ways["k3 as reward"][-1]
assert torch.allclose(tuned["k1 as reward"], tilted, atol=1e-4)
assert torch.allclose(tuned["k3 as weighted"], tilted, atol=1e-4)
assert tuned["k3 as loss"][0] > 30 * tilted[0]
print("all checks hold")
