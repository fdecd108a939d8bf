"""Losses as other people write them: named rightly or not at all, and nothing is missed."""

import numpy as np
import pytest

from divergence_lab.audit import audit
from divergence_lab.audit.identifying import exact_slopes
from divergence_lab.theory.divergence.loss import loss

from .foreign_losses import LOSSES

# One of each sort is read in every run of the tests.
DRAWN = {"huber_bug", "k3_clamped", "barron", "wing"}
POINTS = np.geomspace(0.06, 99.0, 120)
POINTS = np.unique(np.concatenate([-POINTS, POINTS, np.linspace(-98.97, 98.97, 900), [40.02]]))


def differ(a, b):
    """Where two slopes are not the same, rounding aside."""
    with np.errstate(all="ignore"):
        return ~(np.abs(a - b) <= 1e-6 * np.maximum(np.abs(a), np.abs(b)) + 1e-250)


def within(points, low, high):
    return points[(points > low) & (points < high)]


def check_class(found, one):
    """Zero-forcing and zero-avoiding of the loss as shipped."""
    whole = found.as_shipped
    for held, word, shipped, known in (
        (found.zero_forcing.holds, "zero-forcing", "zero_forcing", one.forcing),
        (found.zero_avoiding.holds, "zero-avoiding", "zero_avoiding", one.avoiding),
    ):
        if whole is not None and (whole.low, whole.high) == found.range:
            assert getattr(whole, shipped).holds is known, word
        changed = any(
            p.kind == "class_changed" and word in p.detail and "still" not in p.detail
            for p in found.problems
        )
        assert held is known or changed, word


def check_nothing_is_missed(found, one):
    """Wherever the callable is not the effective loss, a problem covers it."""
    points = within(POINTS, *found.range)
    off = points[
        differ(one.slope(points), exact_slopes(loss(found.effective_loss).derivative, points))
    ]
    for point in off:
        assert any(p.low <= point <= p.high for p in found.problems), point


@pytest.mark.parametrize(
    "one",
    [
        pytest.param(one, id=one.name, marks=[] if one.name in DRAWN else pytest.mark.slow)
        for one in LOSSES
    ],
)
def test_a_foreign_loss(one):
    found = audit(one.call, one.residual, **one.options)
    if one.slope is None:
        assert found.effective_loss is None and found.not_checked
        return
    assert found.effective_loss is not None
    inside = within(POINTS, *found.holds_on)
    named = exact_slopes(loss(found.effective_loss).derivative, inside)
    assert not differ(one.slope(inside), named).any()
    if found.as_shipped is not None:
        there = within(POINTS, found.as_shipped.low, found.as_shipped.high)
        whole = exact_slopes(loss(found.as_shipped.loss).derivative, there)
        assert not differ(one.slope(there), whole).any()
    check_class(found, one)
    check_nothing_is_missed(found, one)
    assert one.divergence in (found.divergence or "", "?")
    assert {problem.kind for problem in found.problems} == set(one.kinds)
    assert found.gradient_check is True


def test_there_are_enough_of_them():
    assert len(LOSSES) >= 60 and len({one.name for one in LOSSES}) == len(LOSSES)
