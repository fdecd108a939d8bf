"""A slope that oscillates within bounds has no limit; the ends are decided all the same: P18."""

import pytest
import sympy as sp

from divergence_lab.theory.checker.documents import check
from divergence_lab.theory.checker.facts.proofs import Rejected, prove_bounded
from divergence_lab.theory.expressions.parsing import parse
from divergence_lab.theory.expressions.symbols import x
from tests.forgeries import resealed
from tests.test_points import entry_of

LOSSES = {  # zero-forcing, zero-avoiding, bounded gradient
    "1 - cos(x)": "nny",
    "1 - cos(x) + x**2/(1 + x**2)": "nny",
    "x**2/2 + 1 - cos(x)": "ynn",
    "log(1 + x**2) + sin(x)/8": "nny",
    "exp(x) - x - 1 + cos(x)": "nyn",
}


@pytest.mark.parametrize("text", LOSSES)
def test_the_ends_of_oscillating_losses_are_decided(text):
    entry = entry_of(text)
    kinds = ("zero_forcing", "zero_avoiding", "bounded_gradient")
    assert "".join("yn"[not entry[kind]["holds"]] for kind in kinds) == LOSSES[text]
    assert check(entry) == []


def test_bounds_do_not_show_the_opposite():
    entry = entry_of("1 - cos(x)")
    for kind in ("zero_forcing", "bounded_gradient"):
        forged = {**entry[kind], "holds": not entry[kind]["holds"]}
        assert check({**entry, kind: resealed(forged, kind)})


@pytest.mark.parametrize("text", ["x*cos(x)", "x", "exp(x)*sin(x)", "log(x**2 + 1)*cos(x)"])
def test_what_grows_is_not_bounded(text):
    with pytest.raises(Rejected):
        prove_bounded(parse(text, x), x, sp.oo)
