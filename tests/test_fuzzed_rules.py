"""Certificates of every newer rule, mutated at random: the checker rejects them, or what they say
is true, as mpmath sees it.
"""

import functools
import itertools
import random
import re

import mpmath as mp
import pytest
import sympy as sp

from divergence_lab.theory.checker.parametric import check_parametric
from divergence_lab.theory.checker.replay import (
    MALFORMED,
    check_verdict,
    check_without_pieces,
    read_parts,
)
from divergence_lab.theory.divergence.loss import loss
from divergence_lab.theory.expressions import parse, x
from divergence_lab.theory.expressions.parsing import parse_number
from divergence_lab.theory.expressions.printing import write
from divergence_lab.theory.verdicts import plain
from divergence_lab.theory.verdicts.parameters import ask_for_parameters
from divergence_lab.theory.verdicts.verdict import verdict_to_json
from tests.families import DIGITS, Member, holds
from tests.forgeries import mutated
from tests.two_parameters import is_true

# rule: (loss, assumptions, kinds)
BARRON = "abs(a-2)/a*(((x/c)**2/abs(a-2)+1)**(a/2)-1)"
RULES = {
    "points and jumps": [
        ("x**2 + atan(1/(x - 1))", (), ("convex", "zero_forcing", "symmetric")),
        ("0**Abs(x - 1) + x**2", (), ("validity", "symmetric")),
        ("x**2 + log((x - 1)**2)", (), ("validity", "zero_avoiding", "even")),
        ("log(1 + x)", (), ("validity", "zero_forcing")),
        ("(x**2 - 1)/(x - 1) + x**2", (), ("validity", "convex")),
    ],
    "crossings": [
        ("Min(exp(x) - x - 1, x**2)", (), ("validity", "convex", "symmetric")),
        ("Max(x**2/2, exp(x) - x - 1)", (), ("convex", "zero_avoiding")),
        ("Max(exp(x) - 1, -x)", (), ("convex", "bounded_gradient")),
    ],
    "scales": [
        ("(exp(10**30*x) - 1)**2", (), ("validity", "convex", "zero_forcing")),
        ("log(1 + 10**(-30)*x**2)", (), ("convex", "bounded_gradient")),
        ("Piecewise((x**2, x < 10**50), (2*10**50*x - 10**100, True))", (), ("convex",)),
    ],
    "tails": [
        ("polylog(3, -exp(x)) + x**2", (), ("zero_forcing", "zero_avoiding", "bounded_gradient")),
        ("gamma(2 + exp(x))", (), ("zero_forcing", "zero_avoiding")),
        ("x*erf(x) + x**2*exp(-x)", (), ("zero_forcing", "bounded_gradient")),
        ("log(gamma(2 + x**2)) + x**2", (), ("zero_forcing", "zero_avoiding")),
    ],
    "even and symmetric": [
        ("exp(Abs(x)**p)-1", ("p > 0",), ("symmetric",)),
        ("exp(a*x)*x**2 + x**2", (), ("even", "symmetric")),
        ("a*(exp(x/2) - x/2 - 1)", ("a > 0",), ("symmetric", "even")),
        ("a*log(cosh(x))", ("a > 0",), ("even", "symmetric")),
    ],
    "Barron with a scale": [(BARRON, ("c > 0",), ("zero_forcing", "convex"))],
    "two parameters": [
        ("b*(exp(a*x)-a*x-1)", (), ("convex", "zero_avoiding")),
        ("(exp(a*x)-1)*(exp(b*x)-1)", (), ("zero_forcing", "even")),
    ],
    "a > b": [
        ("cosh(a*x)-cosh(b*x)", ("b > 0", "a > b"), ("zero_avoiding", "zero_forcing")),
        ("cosh(a*x)-cosh(b*x)", ("a > 0", "b > 0"), ("validity", "zero_forcing")),
    ],
}
MANY = 20


@functools.cache
def certificates(rule):
    """(loss, assumptions, kind, verdict) of a rule, each accepted as it is."""
    found = []
    for text, assumptions, kinds in RULES[rule]:
        entry = loss(text, assumptions)
        for kind in kinds:
            asked = (
                ask_for_parameters(kind, entry, 60.0)
                if entry.parameters
                else plain.ask_one(kind, entry)
            )
            verdict = verdict_to_json(asked, kind)
            assert verdict["status"] != "undecided", (text, kind, asked.because)
            assert accepts(entry, kind, verdict), (text, kind)
            found.append((entry, kind, verdict))
    return found


@functools.lru_cache(maxsize=20)
def parts_of(entry):
    pieces = list(plain.texts_of_pieces(entry))
    return read_parts({"loss": write(entry.expression), "pieces": pieces}) if pieces else []


def accepts(entry, kind, verdict):
    text = write(entry.expression)
    try:
        if entry.parameters:
            check_parametric(kind, verdict, text, entry.assumptions)
        elif parts := parts_of(entry):
            check_verdict(kind, verdict, parts)
        else:
            check_without_pieces(kind, verdict, text)
    except MALFORMED:
        return False
    return True


# --- what is said, in numbers


def is_right(entry, kind, verdict, forged, source):
    """What a mutated verdict says, at points drawn at random."""
    if entry.parameters:
        return all(
            answer_of(forged, pair) is expected
            for pair in drawn_parameters(entry, verdict, source)
            if (expected := holds(kind, Member(write(entry.expression), pair))) is not None
        )
    return forged["holds"] is verdict["holds"] and all(
        is_true_step(entry, step, verdict) for step in forged["steps"]
    )


def answer_of(verdict, pair):
    condition = verdict["condition"]
    return verdict["holds"] if condition is None else is_true(condition, pair)


def drawn_parameters(entry, verdict, source):
    """Values that are assumed: on both sides of every number in the certificate, and on it."""
    texts = " ".join(text for step in verdict["steps"] for text in step.values())
    numbers = {mp.mpf(n) for n in re.findall(r"(?<![\w/.~])\d+(?![\w/.])", texts)} | {mp.mpf(1)}
    near = sorted(n + o for n in numbers for o in (mp.mpf(0), mp.mpf("0.05"), -mp.mpf("0.05")))
    names = [parameter.name for parameter in entry.parameters]
    pairs = [
        dict(zip(names, values))
        for values in itertools.product([*near, -near[-1]], repeat=len(names))
    ]
    allowed = [p for p in pairs if all(is_true(text, p) for text in entry.assumptions)]
    return source.sample(allowed, min(6, len(allowed)))


def is_true_step(entry, step, verdict):
    """The numbers and formulas of a step on a plain loss are those of g."""
    if any(step == other for other in verdict["steps"]):
        return True
    if step["rule"] == "limit" and step["of"] == "slope":
        return is_function_of(entry, step["f"]) and is_limit(entry, step)
    for key in ("limit", "jump", "value", "total", "end", "diverges"):
        if key in step and not any(
            is_same_number(step[key], o[key]) for o in verdict["steps"] if key in o
        ):
            return False
    return all(is_function_of(entry, step[key]) for key in ("f", "left", "right") if key in step)


def is_limit(entry, step):
    """g' is near it far out, or moves towards it."""
    g, way = sp.lambdify(x, entry.expression, "mpmath"), 1 if step["end"] == "oo" else -1
    near, far = (mp.diff(g, way * mp.mpf(at)) for at in (20, 40))
    if step["limit"] in ("oo", "-oo"):
        sign = 1 if step["limit"] == "oo" else -1
        return sign * far > 1 and sign * (far - near) > 0
    return abs(far - mp.mpf(sp.N(parse_number(step["limit"]), 60))) < mp.mpf("0.1")


def is_same_number(one, other):
    if one == other:
        return True
    if {"oo", "-oo"} & {one, other}:
        return False
    values = [mp.mpf(sp.N(parse_number(text), 60)) for text in (one, other)]
    return abs(values[0] - values[1]) < mp.mpf(10) ** -50


def is_function_of(entry, text):
    """One of the functions derived from g is this one, at two of some points of its piece."""
    f, g = (sp.lambdify(x, e, "mpmath") for e in (parse(text, x), entry.expression))
    close = [0] * 6
    for p in (mp.mpf(n) / 7 for n in (-40, -23, -9, 4, 15, 48)):
        (g0, g1, g2), (m1, m2) = (
            [mp.diff(g, p, n) for n in range(3)],
            [mp.diff(g, -p, n) for n in (1, 2)],
        )
        derived = (g0, g1, g2, g1 * mp.exp(-p), g1 + m1, g2 - mp.exp(p) * m2)
        for k, value in enumerate(derived):
            close[k] += abs(f(p) - value) < mp.mpf(10) ** -12 * (1 + abs(value))
    return max(close) >= 2


def fuzz(rule, count, seed):
    """How many mutated certificates were accepted; fails at the first that says what is false."""
    source, tried, accepted = random.Random(f"{rule} {seed}"), 0, []
    while tried < count:
        entry, kind, verdict = source.choice(certificates(rule))
        what, forged = mutated(verdict, kind, source)
        if forged == verdict:
            continue
        tried += 1
        if accepts(entry, kind, forged):
            accepted.append(what)
            with mp.workdps(DIGITS if entry.parameters else 60):
                assert is_right(entry, kind, verdict, forged, source), (
                    entry.expression,
                    kind,
                    what,
                )
    return accepted


@pytest.mark.parametrize("rule", ["points and jumps", "crossings", "tails", "a > b"])
def test_some_mutated_certificates_are_rejected_or_true(rule):
    fuzz(rule, 3, seed=1)


@pytest.mark.slow
@pytest.mark.parametrize("rule", RULES)
def test_mutated_certificates_are_rejected_or_true(rule):
    accepted = fuzz(rule, MANY, seed=2)
    print(f"{rule}: {MANY} mutations, {len(accepted)} accepted: {accepted}")
