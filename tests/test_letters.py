"""Constants written alike, collected and as letters: equal functions, and near ones."""

import random

import mpmath
import pytest
import sympy as sp

from divergence_lab.theory.checker.facts import proofs
from divergence_lab.theory.checker.facts.normal_form import vanishes
from divergence_lab.theory.expressions.parsing import parse, parse_number
from divergence_lab.theory.expressions.printing import shortest
from divergence_lab.theory.expressions.symbols import x
from divergence_lab.theory.expressions.unified import collected, in_factors, in_letters, unified
from divergence_lab.theory.verdicts import signs
from tests.written_differently import NUMBERS

NEAR = "1/10**60"
# f = 0 for all real x, with the place at which it is put out of order
ZEROS = [
    "sqrt(1+(sqrt(2)-1)*x**2) - sqrt(x**2+1+sqrt(2)+{})*sqrt(sqrt(2)-1)",
    "log(1+log(8)*x**2) - log(x**2+1/(3*log(2))) - log(3*log(2)+{})",
    "x/sqrt((3-2*sqrt(2))*x**2+17-12*sqrt(2)+{}) - x/(sqrt(3-2*sqrt(2))*sqrt(x**2-2*sqrt(2)+3))",
    "(x**2+sqrt(3)/3)**(3/2)*3**(3/4) - (sqrt(3)*x**2+1+{})**(3/2)",
    "exp((log(2)+log(3))*x) - exp((log(6)+{})*x)",
    "exp(x*(tanh(1)+(sqrt(5)-1)*(sqrt(5)+1)/4)) - exp(x)*exp((exp(2)-1)/(exp(2)+1)*x)*(1+{})",
    "exp(-x/(3-2*sqrt(2))) - exp(x/(2*sqrt(2)-3+{}))",
    "3**(1/4)*3**(1/2)*x - 3**(3/4)*x*(1+{})",
    "sqrt(1+x**2)*(1+x**2)**(1/3) - (1+x**2)**(5/6)*(1+{})",
]


@pytest.mark.parametrize("text", ZEROS)
def test_what_is_0_in_disguise_is_proved_and_what_is_nearly_0_is_not(text):
    f, other = parse(text.format("0"), x), parse(text.format(NEAR), x)
    proofs.prove_zero(f, x, -sp.oo, sp.oo)
    with pytest.raises(proofs.Rejected):
        proofs.prove_zero(other, x, -sp.oo, sp.oo)
    assert not proofs.is_identity(other, x)


def test_constants_that_differ_a_little_stay_two():
    for one, other in NUMBERS:
        a, b = parse_number(one), parse_number(f"({other})+{NEAR}")
        f = x**2 * a - x**2 * b
        assert collected(f) != 0 and unified(sp.exp(a * x) - sp.exp(b * x)) != 0
        letters = in_letters(sp.exp(a * x) - sp.exp(b * x))[1]
        assert len(letters) == 2 or unified(a).is_Rational
        assert collected(x**2 * a - x**2 * parse_number(other)) == 0


def test_negative_factors_stay_under_logarithms_and_roots():
    u = sp.log(-sp.sqrt(2) * x**2 - sp.sqrt(3) * x)  # real for x in (-sqrt(3/2), 0) alone
    point = sp.Rational(-1, 2)
    assert abs(sp.N(collected(u).subs(x, point) - u.subs(x, point), 30)) < 1e-25
    v = sp.sqrt(-sp.sqrt(2) * x**2 - sp.sqrt(3) * x)
    assert abs(sp.N(collected(v).subs(x, point) - v.subs(x, point), 30)) < 1e-25


def _function(draw: random.Random, depth: int = 3) -> str:
    """A real function of x: sums, products, quotients, roots and exponentials with constants."""
    c = draw.choice(draw.choice(NUMBERS))
    if depth == 0:
        return draw.choice(
            ["x", "x**2", c, f"({c})*x", f"exp(({c})*x)", f"exp(-({c})*x)", f"tanh(({c})*x)"]
        )
    a, b = (_function(draw, depth - 1) for _ in range(2))
    return draw.choice(
        [
            f"({a})+({b})",
            f"({a})-({c})*({b})",
            f"({a})*({b})",
            f"({a})/(1+({c})*({b})**2)",
            f"sqrt(({c})+({a})**2)",
            f"log(({c})+({a})**2)",
            f"(1+({a})**2)**(-3/2)",
        ]
    )


def _values_agree(f: sp.Expr, g: sp.Expr) -> bool:
    with mpmath.workdps(60):
        for point in (sp.Rational(-7, 5), sp.Rational(3, 7), sp.Rational(9, 4)):
            a, b = (mpmath.mpmathify(sp.N(e.subs(x, point), 50)) for e in (f, g))
            if abs(a - b) > mpmath.mpf(10) ** -35 * (1 + abs(a)):
                return False
    return True


def _forms_agree(seeds: range) -> None:
    for seed in seeds:
        f = parse(_function(random.Random(seed), random.Random(seed).choice([1, 2, 3])), x)
        if f.has(x):
            form, meaning = in_letters(f)
            for g in (collected(f), unified(f), form.xreplace(dict(meaning)), in_factors(f)):
                assert _values_agree(f, g), (seed, f, g)
            assert _values_agree(f, signs.factored(f)), (seed, f)


def test_every_form_is_the_same_function():
    _forms_agree(range(20))


@pytest.mark.slow
def test_every_form_of_two_hundred_is_the_same_function():
    _forms_agree(range(1_000, 1_200))


def test_short_numbers_are_the_same_numbers():
    for seed in range(80):
        draw = random.Random(seed)
        c, d, e = (f"({draw.choice(draw.choice(NUMBERS))})" for _ in range(3))
        number = parse_number(f"{c}*{d}-{e}/{c}+tanh({d})*{e}")
        assert _values_agree(number, shortest(number)), (seed, number)


def test_what_is_too_large_is_not_factored():
    text = "+".join(f"(exp(sqrt({n})*x)+x**{k})**3" for k, n in enumerate((2, 3, 5, 7, 11), 2))
    f = parse(f"({text})**2 - 1", x)
    assert in_factors(f) == f


def test_roots_that_are_powers_of_one():
    three = sp.Integer(3)
    assert vanishes(three ** sp.Rational(1, 4) * x * sp.sqrt(3) - x * three ** sp.Rational(3, 4), x)
    assert not vanishes(three ** sp.Rational(1, 4) * x - x * three ** sp.Rational(3, 4), x)
    u = 1 + x**2
    assert not vanishes(sp.sqrt(u) * sp.cbrt(u) - u ** sp.Rational(2, 3), x)
