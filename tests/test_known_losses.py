"""Thousands of losses whose verdicts are known by construction: every verdict is decided, and
decided rightly.
"""

import os

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from divergence_lab.theory.divergence.loss import loss
from divergence_lab.theory.divergence.transforms import clip, mirror, weighted_sum
from divergence_lab.theory.verdicts import plain
from divergence_lab.theory.verdicts.decision import decide
from tests.known_losses import (
    RATES,
    Known,
    cheap_losses,
    cheap_sides,
    known_losses,
    sides,
    symmetric_completion,
    weights,
)

# The number of examples of each test; more with DIVERGENCE_LAB_EXAMPLES, as in make test-slow.
MORE = int(os.environ.get("DIVERGENCE_LAB_EXAMPLES", "1"))
LINEX = [("q",), ("a",), *(("l", rate) for rate in RATES)]


def runs(count):
    # no phase that explains a failure: it would trace every line of the engine from the first
    # example on
    return settings(
        max_examples=count * MORE,
        deadline=None,
        derandomize=True,
        database=None,
        phases=(Phase.explicit, Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )


@pytest.fixture(autouse=True, scope="module")
def verdicts_only():
    """No digits of f'(oo): verdicts alone are asked here, and they do not rest on it."""
    patch = pytest.MonkeyPatch()
    patch.setattr(plain.ends, "slope_at_infinity", lambda *_: None)
    yield
    patch.undo()


def holds(entry, expected):
    found = decide(entry)
    got = {name: getattr(found, name).holds for name in expected}
    assert got == expected, entry.expression
    return found


@runs(250)
@given(cheap_losses)
def test_one_atom_on_either_side(known):
    holds(loss(known.text()), known.verdicts())


@runs(50)
@given(known_losses)
def test_sums_on_either_side(known):
    found = holds(loss(known.text()), known.verdicts())
    assert (found.f_at_zero.is_infinite) is known.verdicts()["zero_forcing"]


@runs(50)
@given(cheap_sides, weights)
def test_mirrors_and_scales(left, factor):
    """The even and the mirrored loss of one side, and any positive multiple."""
    one = Known(left, left)
    holds(mirror(loss(one.text())), one.mirror().verdicts())
    even = Known(left, one.mirror().right)
    assert even.verdicts()["even"]
    holds(loss(even.scaled(factor).text()), even.verdicts())


@runs(50)
@given(sides(LINEX, 1), weights)
def test_symmetric_divergences_and_their_neighbours(left, other):
    """The swap of a left side, on the right, makes the divergence symmetric; another weight
    there does not.
    """
    known = symmetric_completion(tuple((atom, weight) for atom, weight in left))
    if known is None:
        return
    holds(loss(known.text()), {**known.verdicts(), "symmetric": True})
    if other != 1:
        near = Known(known.left, tuple((atom, weight * other) for atom, weight in known.right))
        holds(loss(near.text()), {**near.verdicts(), "symmetric": False})


@runs(30)
@given(cheap_losses, cheap_losses, weights, weights)
def test_positive_combinations(a, b, wa, wb):
    whole = weighted_sum([(f"{wa}", loss(a.text())), (f"{wb}", loss(b.text()))])
    holds(whole, a.scaled(wa).plus(b.scaled(wb)).verdicts())


@runs(30)
@given(cheap_losses, st.sampled_from(["1/2", "1", "2"]))
def test_clipping_leaves_neither_property(known, bound):
    holds(clip(loss(known.text()), bound), known.clipped_verdicts())


@runs(75)
@given(cheap_losses, st.integers(-5, 5), st.integers(-5, 5))
def test_a_gauge_changes_nothing(known, constant, slope):
    """c0 + c1 x is taken off where g'(0) exists."""
    smooth = Known(
        *(
            tuple((a, w) for a, w in side if a != ("a",)) or ((("q",), 1),)
            for side in (known.left, known.right)
        )
    )
    entry = loss(f"{smooth.text()} + {constant} + ({slope})*x")
    assert entry.gauge == (constant, slope)
    holds(entry, smooth.verdicts())


@runs(200)
@given(cheap_sides, cheap_sides, st.sampled_from(["left", "right"]))
def test_a_flipped_side_is_no_loss(left, right, flip):
    found = holds(loss(Known(left, right, flip).text()), {"valid": False})
    assert found.valid.steps


@runs(75)
@given(
    cheap_sides,
    cheap_sides,
    st.sampled_from(["1", "2", "log(3)", "sqrt(2)"]),
    st.integers(1, 3),
    st.booleans(),
    st.sampled_from(["gap", "pole", "logarithm", "root"]),
)
def test_a_break_is_found_and_proved(left, right, place, size, mirrored, kind):
    """A jump, a pole, a logarithm or a root of a negative number somewhere: no loss, by one step
    that the checker proved.
    """
    x = "(-x)" if mirrored else "x"
    extra = {
        "gap": f"Piecewise((0, {x} < {place}), ({size}, True))",
        "pole": f"{size}/({place} - {x})",
        "logarithm": f"log({place} + {x})",
        "root": f"sqrt({place} + {x})",
    }[kind]
    found = holds(loss(f"{Known(left, right).text()} + {extra}"), {"valid": False})
    assert [step.rule for step in found.valid.steps] in (
        ["gap"],
        ["unbounded"],
        ["pole"],
        ["not real"],
    )


@runs(10)
@given(
    cheap_sides,
    st.sampled_from(["1", "1/2", "2"]),
    st.sampled_from(["sqrt(x**2 - 2*{c}*x + {c}**2)", "Abs(x - {c}) - {c}", "Max(x - {c}, 0)**2"]),
)
def test_harmless_kinks_are_never_called_breaks(side, place, kink):
    """What only looks like a break (the root of a square, a kink) is not called one: yes, or
    undecided.
    """
    found = decide(loss(f"{Known(side, side).text()} + x**2*({kink.format(c=place)})**2"))
    assert found.valid.holds is not False or found.valid.steps[0].rule in ("witness", "constant")
