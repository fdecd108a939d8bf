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
# # From g to f and back, and how a proof looks
#
# A loss $g$ on the residual $x = \log p_B - \log p_F$ minimises a divergence with a generator $f$.
#
# This lesson shows two facts. **$f$ is an area under a curve made of $g'$**, so that $f(0)$ and $f'(\infty)$
# can be read off the tails of $g'$. And **every verdict comes with a proof that a small checker replays**, so
# that one need not believe the program that found it.
#
# You need derivatives, integrals and lesson 01. Reading takes 15 minutes, with the exercises 40.

# %%
import json
import subprocess
import sys

import numpy as np
import sympy as sp

import divergence_lab as dl
from divergence_lab.theory.answers import check

x, t = sp.symbols("x t", real=True)

# %% [markdown]
# ## 1. f is an area
#
# The definition is $f(t) = t\int_1^t g'(\log s)\,s^{-2}\,ds$. Put $s = e^v$ and $t = e^u$:
#
# $$f(e^u) = e^u \int_0^u g'(v)\,e^{-v}\,dv .$$
#
# **To the right.** $f(t)/t$ is the area under $g'(v)e^{-v}$ from 0 to $u = \log t$. The whole area is the
# price of a unit of lost target mass:
#
# $$f'(\infty)=\lim_{t\to\infty} \frac{f(t)}{t} = \int_0^\infty g'(v)\,e^{-v}\,dv .$$
#
# **To the left.** For $u<0$ turn the integral round and put $v=u+w$:
#
# $$f(e^u)=-\int_u^0 g'(v)\,e^{u-v}\,dv=-\int_0^{|u|} g'(u+w)\,e^{-w}\,dw .$$
#
# For $u\to-\infty$ that is an average of $-g'$ far out to the left, with weights $e^{-w}$ that sum to 1. So
# **$f(0)=-g'(-\infty)$**, whenever that limit exists.

# %%
NAMES = ("quadratic", "linex(1)")
V = np.linspace(-4, 6, 401)
loss_of = {name: sp.sympify(str(dl.loss(name).expression), {"x": x}) for name in NAMES}
f_of = {name: sp.sympify(str(dl.divergence(name).generator), {"t": t}) for name in NAMES}
lines = {
    name: (sp.lambdify(x, sp.diff(loss_of[name], x))(V), sp.lambdify(t, f_of[name])(np.exp(V)))
    for name in NAMES
}
dl.plots.areas(lines, V)

# %% [markdown]
# **What to see.** For the quadratic loss $g'(v)=v$, and $e^{-v}$ wins: the area ends at 1, so lost mass costs
# at most its amount (right panel, to the right). For `linex(1)` $g'(v)=e^v-1$ cancels $e^{-v}$: the area
# grows for ever. To the left it is the other way round: $-g'=1-e^{v}$ tends to 1, $-v$ to infinity. The two
# are mirror images, as reverse and forward KL must be.

# %% [markdown]
# ## 2. The same without the integral
#
# Differentiate twice and the integral is gone:
#
# $$g'(\log t) = t f'(t)-f(t),\qquad f''(t) = \frac{g''(\log t)}{t^2} .$$
#
# So $g$ is convex exactly when $f$ is, and from $f$ to $g'$ it is algebra. Here is the way back.


# %%
def loss_from(f):
    """g(x) = int_0^x (t f' - f)(e^v) dv, with f normalised to f'(1) = 0 first."""
    f = f - sp.diff(f, t).subs(t, 1) * (t - 1)
    slope = (t * sp.diff(f, t) - f).subs(t, sp.exp(x))
    return sp.expand(sp.integrate(sp.expand(sp.simplify(slope)), (x, 0, x)))


for f in (f_of["quadratic"], f_of["linex(1)"], t * sp.log(t), (sp.sqrt(t) - 1) ** 2):
    g = loss_from(f)
    print(f"f = {f!s:<20} g = {g!s:<28} {dl.divergence(str(g))}")

# %% [markdown]
# The third line was normalised: $t\log t$ became $t\log t-(t-1)$. Adding $b(t-1)$ to $f$ adds
# $b\,(|p_B|-|p_F|)$ to $D_f$, the difference of the two total masses. **That is harmless for two laws of
# equal mass only.** In lesson 04 $p_F$ has the mass $Z$, which is learned, and $p_B$ the mass $\sum R$: there
# $b$ would pull at $\log Z$. For every loss of this course $g'(0)=0$, so $f'(1)=0$.

# %% [markdown]
# ## 3. A verdict and its proof
#
# On the command line, `derive` says everything about a loss. Take $e^x - x - 1 + x^2/2$, which is both
# zero-forcing and zero-avoiding.


# %%
def lab(*arguments):
    """What `divergence-lab ARGUMENTS` prints."""
    command = [sys.executable, "-m", "divergence_lab", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


honest = json.loads(lab("derive", "exp(x) - x - 1 + x**2/2", "--json"))[0]
for question in ("zero_forcing", "zero_avoiding"):
    print(question, honest[question]["holds"], "-", honest[question]["because"])
    for step in honest[question]["steps"]:
        print("    ", step["claim"])

# %% [markdown]
# Read the last one. The integrand of $f'(\infty)$ is compared with a simpler one whose integral is known to
# be infinite: a limit that a person can check.
#
# ## 4. Be a forger
#
# The program that *finds* such steps uses guesses, samples and a computer algebra system. Nothing it says is
# believed. A second, smaller program replays the steps with guaranteed enclosures and uses nothing of the
# first. Can we make it accept that this loss is **not** zero-avoiding?


# %%
def forged(*keys, to):
    """The honest document with one entry changed, found by its keys."""
    document = place = json.loads(json.dumps(honest))
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = to
    return document


ATTEMPTS = {
    "nothing changed": honest,
    "the answer": forged("zero_avoiding", "holds", to=False),
    "a limit in the proof": forged("zero_avoiding", "steps", 0, "limit", to="0"),
    "the proof thrown away": forged("zero_avoiding", "steps", to=[]),
    "the price f(0)": forged("f_at_zero", to="1"),
    "the generator": forged("generator", to="t*log(t) - t + 1"),
}
outcomes = {what: check(document)[0].failures for what, document in ATTEMPTS.items()}
for what, failures in outcomes.items():
    print(f"{what:<24}", f"REJECTED: {failures[0].why}" if failures else "accepted")

# %% [markdown]
# **What to see.** Two attempts are stopped by a *seal*. It is a hash, anyone can make it anew; it shows an edit
# and proves nothing. The others are stopped by mathematics: what is claimed does not follow, or is not true.
# That is what would stop a forger who also makes the seal anew.

# %% [markdown]
# ## 5. Your turn
#
# Total variation has the generator $f(t)=|t-1|/2$. Which loss minimises it? Use $g' = tf'-f$ on each side of
# $t=1$, and write $g$ as text.

# %%
my_g = ...

# %%
if my_g is not ...:
    assert dl.gradients_agree(my_g, "Abs(t - 1)/2"), "not its gradient yet: mind the factor"
    print("right")

# %% [markdown]
# ## 6. Exercises
#
# **Pencil.** From $g'(-\infty)$ and the area: is $g=|x|$ zero-forcing? Is $g=e^{x/2}-x/2-1$ zero-avoiding?
#
# **Code.** Take $f=(t-1)^2/2+3(t-1)$ through `loss_from`, with and without the line that normalises. Which of
# the two has its minimum at $x=0$?
#
# **Open.** The checker believes nothing of the search. What must one still believe in order to trust it?
#
# <details><summary>Solution of "Your turn"</summary>
#
# $t>1$: $t/2-(t-1)/2=1/2$. $t<1$: $-t/2-(1-t)/2=-1/2$. So $g'=\mathrm{sign}(x)/2$. (The loss `absolute`,
# $|x|$, minimises twice the total variation.)
#
# ```python
# my_g = "Abs(x)/2"
# ```
# </details>
#
# <details><summary>Solution: pencil</summary>
#
# $g'(-\infty)=-1$: $f(0)=1$ is finite, not zero-forcing. $g'e^{-x}=\tfrac12(e^{-x/2}-e^{-x})$ has the area
# $\tfrac12(2-1)=\tfrac12$: finite, not zero-avoiding.
# </details>
#
# <details><summary>Solution: code</summary>
#
# Without it $g'(0)=3$: the loss falls to the left of 0 for ever and pulls $\log Z$ away. Normalised it is
# half the loss of Pearson's chi-square, as without the $3(t-1)$.
#
# ```python
# assert sp.simplify(loss_from((t - 1) ** 2 / 2 + 3 * (t - 1)) - loss_from((t - 1) ** 2 / 2)) == 0
# ```
# </details>
#
# <details><summary>Solution: open</summary>
#
# Its own code, the interval arithmetic under it, the language it reads formulas with, Python and the
# machine. Less than the whole, but not nothing: docs/certificates.md lists it.
# </details>

# %% [markdown]
# ## 7. Check

# %%
slope, generator = lines["quadratic"]
area = np.array([np.trapezoid(v * np.exp(-v), v) for v in (np.linspace(0, u, 20001) for u in V)])
assert np.allclose(area, generator * np.exp(-V), atol=1e-4)  # the area is f(t)/t, on both sides
for name in NAMES:  # f'' t^2 = g''(log t), and the way back ends where it began
    curvature = sp.diff(loss_of[name], x, 2).subs(x, sp.log(t))
    assert sp.simplify(sp.diff(f_of[name], t, 2) * t**2 - curvature) == 0
    assert sp.simplify(loss_from(f_of[name]) - loss_of[name]) == 0
assert [what for what, failures in outcomes.items() if not failures] == ["nothing changed"]
assert honest["zero_forcing"]["holds"] and honest["zero_avoiding"]["holds"]
print("all checks hold")
