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
# [![run in the cloud](runner/cloud.svg)](README.md#in-the-cloud)
#
# A loss $g$ on the residual $x = \log p_B - \log p_F$ (target over model) minimises a divergence with a
# generator $f$.
#
# This lesson shows two facts. **$f$ is an area under a curve made of $g'$**, so that one can see in advance
# what a loss does to a lost mode. And **every verdict comes with a proof that a small checker replays**, so
# that one need not believe the program that found it.
#
# You need derivatives and integrals.

# %%
import copy
import sys

import matplotlib.pyplot as plt
import numpy as np
import sympy as sp
from IPython.display import Math, display
from scipy.integrate import quad

import divergence_lab as dl
from divergence_lab.report.palette import CLASSES, DASHES, SCREEN
from divergence_lab.theory.answers.derivation import to_json
from divergence_lab.theory.answers.wording import step_in_latex
from divergence_lab.theory.checker.certificate import claim_of, seal
from divergence_lab.theory.checker.documents import check_one
from divergence_lab.theory.checker.sentences import because_of
from divergence_lab.theory.divergence.inversion import invert
from divergence_lab.theory.expressions.printing import write
from divergence_lab.theory.expressions.symbols import t, x

plt.rcParams.update(SCREEN)

# %% [markdown]
# ## 1. f is an area
#
# The definition is $f(t) = t\int_1^t g'(\log s)\,s^{-2}\,ds$. Put $s = e^v$ and $t = e^u$:
#
# $$f(e^u) = e^u \int_0^u g'(v)\,e^{-v}\,dv .$$
#
# So $f(t)/t$ is the area under the curve $g'(v)e^{-v}$ from 0 to $u = \log t$. The whole area to the right,
#
# $$\int_0^\infty g'(v)\,e^{-v}\,dv = \lim_{t\to\infty} \frac{f(t)}{t} = f'(\infty),$$
#
# is the price of a unit of target mass that the model has lost. If it is infinite, the loss is zero-avoiding.


# %%
def known(name):
    """(g' as a numpy function, f as a numpy function, f'(oo), colour of the class)."""
    loss = dl.loss(name)
    found = dl.divergence(loss)
    verdicts = dl.decide(loss, found.generator)
    slope = sp.lambdify(x, loss.derivative.as_expression(), "numpy")
    _, colour = CLASSES[bool(verdicts.zero_forcing), bool(verdicts.zero_avoiding)]
    return (
        slope,
        sp.lambdify(t, found.generator, "numpy"),
        float(verdicts.slope_at_infinity),
        colour,
    )


TWO = {name: known(name) for name in ("quadratic", "linex(1)")}
SHADED_TO = 2.0  # u = log t
V = np.linspace(0, 8, 401)


def area(slope, to):
    """The area under g'(v) e^(-v) from 0 to `to`, by quadrature."""
    return quad(lambda v: slope(v) * np.exp(-v), 0, to)[0]


for name, (slope, f, at_infinity, _) in TWO.items():
    print(
        f"{name:<10} area to u = 2: {area(slope, SHADED_TO):.6f}   f(e^2)/e^2 = {f(np.exp(2.0)) / np.exp(2.0):.6f}   "
        f"whole area, f'(oo) = {at_infinity}"
    )

# %%
figure, grid = plt.subplots(1, 3, figsize=(7.8, 2.9))
for axes, (name, (slope, _, at_infinity, colour)) in zip(grid, TWO.items()):
    height = slope(V) * np.exp(-V)
    axes.plot(V, height, color=colour)
    axes.fill_between(V, height, color=colour, alpha=0.18, linewidth=0)
    axes.fill_between(V, height, where=SHADED_TO >= V, color=colour, alpha=0.45, linewidth=0)
    axes.set(
        title=f"{name}: the whole area is {'infinite' if np.isinf(at_infinity) else f'{at_infinity:g}'}",
        xlabel="$v$",
        ylabel="$g'(v)\\,e^{-v}$",
        xlim=(0, 8),
        ylim=(0, 1.35),
    )
grid[0].annotate(
    "area to $u=2$\nis $f(e^2)/e^2$",
    (1.2, 0.15),
    (3.0, 0.7),
    fontsize=8,
    arrowprops={"arrowstyle": "-", "color": "#555555"},
)
for (name, (_, f, _, colour)), dashes in zip(TWO.items(), DASHES):
    grid[2].plot(V, f(np.exp(V)) / np.exp(V), color=colour, linestyle=dashes, label=name)
grid[2].axhline(1, color="#777777", linewidth=0.8, linestyle=":")
grid[2].set(title="The area so far, $f(e^u)/e^u$", xlabel="$u = \\log t$", xlim=(0, 8), ylim=(0, 5))
grid[2].legend(loc="upper left")
plt.show()

# %% [markdown]
# **What to see.** For the quadratic loss $g'(v)=v$, and $e^{-v}$ wins: the area ends at 1, so a lost mode
# costs at most its mass. For linex(1) $g'(v)=e^v-1$ cancels $e^{-v}$: the curve stays near 1 and the area
# grows for ever.

# %% [markdown]
# ## 2. The same without the integral
#
# Differentiate twice and the integral is gone:
#
# $$f''(t) = \frac{g''(\log t)}{t^2} .$$
#
# So $g$ is convex exactly when $f$ is. The library finds $f$ by integration; here its answers are held
# against this equation, which involves no integral.

# %%
NAMES = ("quadratic", "linex(1)", "linex(2)", "neyman", "hellinger", "shifted_cosh", "jeffreys")


def equation_error(g, f):
    """f''(t) t^2 - g''(log t), simplified: 0 if f belongs to g."""
    return sp.simplify(sp.expand_log(sp.diff(f, t, 2) * t**2 - sp.diff(g, x, 2).subs(x, sp.log(t))))


pairs = {name: (dl.loss(name).expression, dl.divergence(dl.loss(name)).generator) for name in NAMES}
errors = {name: equation_error(*pair) for name, pair in pairs.items()}
print(f"{'loss':<13} {'g(x)':<36} {'f(t)':<30} difference")
for name, (g, f) in pairs.items():
    print(f"{name:<13} {write(g):<36} {write(f):<30} {errors[name]}")
strangers = equation_error(pairs["quadratic"][0], pairs["linex(1)"][1])
print(f"\ng of quadratic with f of linex(1): {strangers}, which is not 0")

# %% [markdown]
# ## 3. And back
#
# From $f$ to $g'$ it is algebra: $g'(x) = t f'(t) - f(t)$ at $t=e^x$, for an $f$ with $f(1)=f'(1)=0$.
# `invert` takes a name or a formula, and normalises it first: adding $b(t-1)$ to $f$ changes no divergence
# between two laws that sum to 1.

# %%
for given in (
    "forward KL",
    "Jeffreys",
    "t*log(t)",
    "(sqrt(t) - 1)**2",
    "-log((1+t)/2) + t*log(2*t/(1+t))",
):
    found = invert(given)
    print(f"f = {given:<36} g = {write(found.loss.expression):<40} {found.loss.name or ''}")
round_trip = {
    name: sp.simplify(invert(write(f)).loss.expression - g) for name, (g, f) in pairs.items()
}
print("\ng -> f -> g, difference:", round_trip)

# %% [markdown]
# ## 4. A verdict and its proof
#
# `derive` says everything about one loss. Each verdict carries the steps of a proof, as data. Here is the
# loss $e^x - x - 1 + x^2/2$, which is both zero-forcing and zero-avoiding, with the steps written as
# mathematics.

# %%
derived = dl.derive(dl.loss("exp(x) - x - 1 + x**2/2"))
print("divergence:", derived.divergence.name, "  f(t) =", write(derived.divergence.generator))
for question in ("valid", "zero_forcing", "zero_avoiding"):
    verdict = getattr(derived.verdicts, question)
    print(f"\n{question}: {'yes' if verdict else 'no'}, {verdict.status}: {verdict.because}")
    for step in verdict.steps:
        display(Math(step_in_latex(step)))

# %% [markdown]
# Read the last one. The integrand of $f'(\infty)$ is compared with $1/x$: their quotient tends to infinity,
# and $\int^\infty dx/x$ is infinite, so the area is infinite too. The limit is one that a person can check.
#
# ## 5. The checker
#
# The program that *finds* such steps uses guesses, samples and a computer algebra system. Nothing it says is
# believed. A second, smaller program replays the steps with guaranteed enclosures and uses nothing of the
# first. It reads the document that `derive --json` prints.

# %%
honest = to_json(derived)
print("failures in the honest document:", check_one(honest))

# %% [markdown]
# Now be a forger. We want the world to believe that this loss is **not** zero-avoiding.


# %%
def forged(verdict, reseal, **data):
    """The document with data of the first step of the zero-avoiding verdict changed, and its sentences made to fit."""
    document = copy.deepcopy(honest)
    target = document["zero_avoiding"]
    target.update(verdict)
    step = target["steps"][0]
    step.update(data)
    step["claim"] = claim_of(step["rule"], step)
    target["because"] = because_of("zero_avoiding", target["holds"], None, target["steps"])
    if reseal:
        target["seal"] = seal(target)
    return document


ATTEMPTS = {
    "the answer alone": forged({"holds": False}, reseal=False),
    "the answer, and the seal made anew": forged({"holds": False}, reseal=True),
    "answer and comparison, sealed anew": forged(
        {"holds": False}, True, diverges="false", scale="x**2", limit="0"
    ),
    "the limit alone, sealed anew": forged({}, True, limit="1"),
    "a true comparison with another scale": forged({}, False, scale="sqrt(x)"),
    "the same, sealed anew": forged({}, True, scale="sqrt(x)"),
}
outcomes = {what: check_one(document) for what, document in ATTEMPTS.items()}
for what, failures in outcomes.items():
    print(f"{what}\n    {'accepted' if not failures else 'REJECTED: ' + failures[0].why}")

# %% [markdown]
# **What to see.** The seal is a hash, and anyone can make it anew; it shows an edit, it proves nothing. What
# stops the forger is the mathematics: either a step is false, or true steps do not add up to the answer. The
# last attempt is accepted, and rightly so: comparing with $1/\sqrt x$ is another true proof of the same fact.

# %% [markdown]
# ## 6. An exercise
#
# Total variation has the generator $f(t)=|t-1|/2$. Which loss minimises it? Use $g' = tf'-f$ on each side of
# $t=1$, then ask `invert`. Is it zero-forcing, is it zero-avoiding? And will the checker accept "it is
# zero-forcing, since $g'\to-\infty$"?
#
# The solution is in the next cell. Try first.

# %% jupyter={"outputs_hidden": true, "source_hidden": true} tags=["solution", "hide-input"]
# t > 1: t/2 - (t - 1)/2 = 1/2.   t < 1: -t/2 - (1 - t)/2 = -1/2.   So g'(x) = sign(x)/2 and g(x) = |x|/2.
answer = invert("Abs(t - 1)/2").loss
answer_derived = dl.derive(dl.loss("Abs(x)/2"))
print("g(x) =", write(answer.expression), "  divergence:", answer_derived.divergence)
print("zero-forcing: ", answer_derived.verdicts.zero_forcing.because)
print("zero-avoiding:", answer_derived.verdicts.zero_avoiding.because)
lie = to_json(answer_derived)
lie["zero_forcing"]["holds"] = True
lie["zero_forcing"]["steps"][0]["limit"] = "-oo"
lie["zero_forcing"]["steps"][0]["claim"] = claim_of("limit", lie["zero_forcing"]["steps"][0])
lie["zero_forcing"]["seal"] = seal(lie["zero_forcing"])
lie_failures = check_one(lie)
print("the lie:", [failure.why for failure in lie_failures if failure.where == "zero_forcing"])

# %% [markdown]
# ## 7. Check
#
# Every claim of this lesson, as a statement that can fail.

# %%
# The area is f(t)/t, and the whole of it f'(oo): 1 for quadratic, unbounded for linex(1).
for name, (slope, f, _, _) in TWO.items():
    for u in (-1.5, 0.7, 2.0, 6.0):
        assert np.isclose(area(slope, u), f(np.exp(u)) / np.exp(u), rtol=1e-9), (name, u)
assert TWO["quadratic"][2] == 1 and np.isclose(area(TWO["quadratic"][0], 60), 1)
assert TWO["linex(1)"][2] == np.inf and area(TWO["linex(1)"][0], 60) > 58

# The equation holds for each pair, fails for a wrong pair, and the way back ends where it began.
assert all(error == 0 for error in errors.values()) and strangers != 0
assert all(difference == 0 for difference in round_trip.values())
assert invert("t*log(t)").loss.name == "linex(1)"  # t log t is forward KL: t - 1 was the gauge

# The honest document passes; each false one is rejected at the verdict that was forged; the seal alone shows an edit.
assert derived.divergence.name == "Jeffreys" and not check_one(honest)
for what, failures in outcomes.items():
    assert (failures == []) == (what == "the same, sealed anew"), what
    assert all(failure.where == "zero_avoiding" for failure in failures[:1])
assert "seal" in outcomes["a true comparison with another scale"][0].why
assert "seal" not in outcomes["answer and comparison, sealed anew"][0].why

# The exercise.
assert all(answer.expression.subs(x, at) == sp.Abs(at) / 2 for at in (-3, sp.Rational(-1, 7), 0, 2))
assert answer_derived.divergence.name == "total variation"
assert not answer_derived.verdicts.zero_forcing and not answer_derived.verdicts.zero_avoiding
assert any(failure.where == "zero_forcing" for failure in lie_failures) and not check_one(
    to_json(answer_derived)
)

assert "torch" not in sys.modules
print("all checks hold")
