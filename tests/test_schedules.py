"""Losses that change on the way, and Linex near alpha x = 0."""

import mpmath
import pytest
import torch

from divergence_lab.graphs import hypergrid
from divergence_lab.training.loop import train
from divergence_lab.training.schedules import (
    Schedule,
    ScheduleError,
    anneal_linex,
    blend,
    linex,
    then,
)


@pytest.mark.parametrize("alpha", [0.0, 1e-9, -1e-5, 1e-3, 0.25, -0.5, 1.0, 2.0, -1.0])
def test_linex_has_all_its_digits_for_every_alpha(alpha):
    points = [sign * 10.0**k for sign in (-1, 1) for k in range(-8, 2)] + [
        0.0,
        0.25,
        -0.25,
        0.2499,
        1.0,
    ]
    x = torch.tensor(points, dtype=torch.float64, requires_grad=True)
    value = linex(x, alpha)
    (slope,) = torch.autograd.grad(value.sum(), x)
    with mpmath.workdps(60):
        for point, got, rise in zip(points, value.tolist(), slope.tolist(), strict=True):
            u, a = mpmath.mpf(alpha) * mpmath.mpf(point), mpmath.mpf(alpha)
            exact = (mpmath.exp(u) - u - 1) / a**2 if alpha else mpmath.mpf(point) ** 2 / 2
            steep = mpmath.expm1(u) / a if alpha else mpmath.mpf(point)
            assert got == pytest.approx(float(exact), rel=1e-13)
            assert rise == pytest.approx(float(steep), rel=1e-13)


def test_schedules_start_and_end_where_they_say():
    x = torch.linspace(-2, 2, 9, dtype=torch.float64)
    first, second = (lambda x: x**2 / 2), (lambda x: torch.expm1(x) - x)
    for shape in ("linear", "cosine"):
        mixed = blend(first, second, shape=shape)
        torch.testing.assert_close(mixed.at(0.0)(x), first(x))
        torch.testing.assert_close(mixed.at(1.0)(x), second(x))
        torch.testing.assert_close(mixed.at(0.5)(x), (first(x) + second(x)) / 2)
        moved = anneal_linex(1.0, 0.0, shape=shape)
        torch.testing.assert_close(moved.at(0.0)(x), second(x))
        torch.testing.assert_close(moved.at(1.0)(x), first(x))
        torch.testing.assert_close(moved.at(0.5)(x), linex(x, 0.5))
    assert not torch.allclose(
        blend(first, second, shape="linear").at(0.1)(x), blend(first, second).at(0.1)(x)
    )
    switched = then(first, second, 0.25)
    torch.testing.assert_close(switched.at(0.2499)(x), first(x))
    torch.testing.assert_close(switched.at(0.25)(x), second(x))
    torch.testing.assert_close(switched(x), first(x))
    for bad in (lambda: then(first, second, 1.5), lambda: blend(first, second, shape="wavy")):
        with pytest.raises(ScheduleError):
            bad()


def test_a_schedule_trains_as_its_parts_would():
    settings = {"seeds": 1, "batch": 8, "evaluations": 2, "progress": False, "steps": 60}
    first, second = (lambda x: x**2 / 2), (lambda x: torch.expm1(x) - x)
    graph = hypergrid(2, 4)
    result = train(
        {
            "first": first,
            "late": then(first, second, 0.99),
            "early": then(first, second, 0.01),
            "second": second,
        },
        graph,
        **settings,
    )
    first_law, late, early, second_law = result.terminal[:, 0]
    # one step of the other loss moves little; all but one step of it moves nearly as far as the
    # loss itself
    assert abs(late - first_law).sum() < abs(late - second_law).sum() / 2
    assert abs(early - second_law).sum() < abs(early - first_law).sum() / 2


@pytest.mark.parametrize(
    "given",
    [{}, {"exact": True}, {"objective": "db", "policy": "mlp", "width": 4, "evaluate": "visited"}],
)
def test_a_run_tells_its_schedule_the_fraction_that_is_over(given):
    """k / steps before step k."""
    told = []

    def at(fraction):
        told.append(fraction)
        return torch.square

    schedule = Schedule("told", at)
    train(
        {"told": schedule},
        hypergrid(2, 3),
        seeds=1,
        steps=8,
        batch=4,
        device="cpu",
        progress=False,
        **given,
    )
    assert told[-8:] == [k / 8 for k in range(8)]
