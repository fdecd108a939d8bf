"""Loss -> torch: accuracy against 40-digit mpmath, in both precisions, near 0 and far out."""

import mpmath
import pytest
import torch

from divergence_lab.bridge import NotRepresentable, formula, generator_to_torch, to_torch
from divergence_lab.bridge.formula import _polylog
from divergence_lab.theory.divergence.closed_form import divergence
from divergence_lab.theory.divergence.loss import loss
from divergence_lab.theory.expressions.parsing import parse
from divergence_lab.theory.expressions.symbols import x

# text -> (g, g') in mpmath, written by hand
LOSSES = {
    "x**2/2": (lambda v: v**2 / 2, lambda v: v),
    "exp(x) - x - 1": (lambda v: mpmath.exp(v) - v - 1, lambda v: mpmath.exp(v) - 1),
    "4*exp(x/2) - 2*x - 4": (
        lambda v: 4 * mpmath.exp(v / 2) - 2 * v - 4,
        lambda v: 2 * mpmath.exp(v / 2) - 2,
    ),
    "exp(x) + exp(-x) - 2": (
        lambda v: mpmath.exp(v) + mpmath.exp(-v) - 2,
        lambda v: mpmath.exp(v) - mpmath.exp(-v),
    ),
    "log(cosh(x))": (lambda v: mpmath.log(mpmath.cosh(v)), mpmath.tanh),
    "sqrt(1 + x**2) - 1": (
        lambda v: mpmath.sqrt(1 + v**2) - 1,
        lambda v: v / mpmath.sqrt(1 + v**2),
    ),
    "log(1 + exp(x)) - x/2": (
        lambda v: mpmath.log((1 + mpmath.exp(v)) / 2) - v / 2,
        lambda v: 1 / (1 + mpmath.exp(-v)) - mpmath.mpf(1) / 2,
    ),
    "Abs(x)**(3/2)": (
        lambda v: abs(v) ** mpmath.mpf(1.5),
        lambda v: mpmath.sign(v) * 1.5 * mpmath.sqrt(abs(v)),
    ),
    "Piecewise((x**2/2, x < 0), (exp(x) - x - 1, True))": (
        lambda v: v**2 / 2 if v < 0 else mpmath.exp(v) - v - 1,
        lambda v: v if v < 0 else mpmath.exp(v) - 1,
    ),
    "Piecewise((x**2/2, Abs(x) <= 1), (Abs(x) - 1/2, True))": (
        lambda v: v**2 / 2 if abs(v) <= 1 else abs(v) - 0.5,
        lambda v: max(-1, min(1, v)),
    ),
    "Abs(x)": (abs, mpmath.sign),
    "x*atan(x)": (lambda v: v * mpmath.atan(v), lambda v: mpmath.atan(v) + v / (1 + v**2)),
}
POINTS = [sign * 10.0 ** (k / 9) for k in range(-54, 18) for sign in (1, -1)] + [80.0, -80.0]
TOLERANCE = {torch.float32: 1e-6, torch.float64: 1e-10}


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("text", LOSSES)
def test_accuracy_from_a_millionth_to_eighty(text, dtype):
    g, g_prime = LOSSES[text]
    points = torch.tensor(POINTS, dtype=dtype, requires_grad=True)
    values = to_torch(loss(text))(points)
    (gradients,) = torch.autograd.grad(values.sum(), points)
    assert values.dtype == dtype
    with mpmath.workdps(60):
        for point, value, gradient in zip(points.tolist(), values.tolist(), gradients.tolist()):
            for got, wanted in (
                (value, g(mpmath.mpf(point))),
                (gradient, g_prime(mpmath.mpf(point))),
            ):
                assert abs(got - wanted) <= TOLERANCE[dtype] * abs(wanted), (point, got, wanted)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("text", LOSSES)
def test_far_out_the_gradient_is_finite_keeps_its_sign_and_does_not_shrink(text, dtype):
    points = torch.tensor(
        [80.0, 100.0, 1000.0, 1e6, -80.0, -100.0, -1000.0, -1e6], dtype=dtype, requires_grad=True
    )
    values = to_torch(loss(text))(points)
    (gradients,) = torch.autograd.grad(values.sum(), points)
    assert torch.isfinite(values).all() and torch.isfinite(gradients).all()
    assert torch.equal(gradients.sign(), points.detach().sign())
    at_80, far = gradients[[0, 4]].abs(), gradients[[2, 6]].abs()
    assert (far >= 0.999 * at_80).all()


def test_at_zero():
    for text in LOSSES:
        point = torch.zeros(1, requires_grad=True)
        value = to_torch(loss(text))(point)
        value.backward()
        assert value.item() == 0.0 and point.grad.item() == 0.0


def test_the_plain_formula_would_have_failed():
    """The control: without the three ranges, float32 loses everything near 0 and far out."""
    plain = formula(parse("exp(x) - x - 1", x), x)
    assert plain(torch.tensor(1e-4)).item() == 0.0
    assert to_torch(loss("exp(x) - x - 1"))(torch.tensor(1e-4)).item() == pytest.approx(
        5e-9, rel=1e-4
    )
    assert torch.isinf(formula(parse("log(cosh(x))", x), x)(torch.tensor(200.0)))


def test_shapes_and_vmap():
    g = to_torch(loss("exp(x) - x - 1"))
    residuals = torch.randn(3, 4, 5, generator=torch.Generator().manual_seed(0))
    assert torch.equal(torch.vmap(g)(residuals), g(residuals))
    assert torch.allclose(
        torch.vmap(torch.func.grad(lambda r: g(r).sum()))(residuals), g.gradient(residuals)
    )


@pytest.mark.parametrize(
    "text, why", [("linex(alpha)", "has no value"), ("polylog(3/2, -exp(x))*x", "polylog")]
)
def test_what_cannot_be_represented_is_refused(text, why):
    with pytest.raises(NotRepresentable, match=why):
        to_torch(loss(text))


def test_integers_are_refused():
    with pytest.raises(TypeError, match="floating point"):
        to_torch(loss("x**2"))(torch.zeros(2, dtype=torch.int64))


@pytest.mark.parametrize("given", [[0.5, 1.0], 0.5])
def test_what_is_no_tensor_is_refused_in_one_line(given):
    with pytest.raises(TypeError, match="residuals must be a tensor, not (list|float): convert"):
        to_torch(loss("x**2/2"))(given)


@pytest.mark.parametrize("text", ["exp(x) - x - 1", "log(1 + x**2)/2", "log(cosh(x))"])
def test_generators_in_torch_obey_the_identity(text):
    """f(t) - t f'(t) = -g'(log t), though neither way of computing f uses it."""
    entry = loss(text)
    f, g = generator_to_torch(divergence(entry, budget=3.0)), to_torch(entry)
    t = torch.tensor([0.01, 0.3, 0.999, 1.5, 20.0], dtype=torch.float64, requires_grad=True)
    value = f(t)
    (slope,) = torch.autograd.grad(value.sum(), t)
    assert torch.allclose(
        value.detach() - t.detach() * slope, -g.gradient(t.log()), atol=1e-11, rtol=1e-9
    )


@pytest.mark.parametrize("rate", ["1", "4", "8", "10", "16", "40"])
def test_the_series_near_0_is_used_only_as_far_as_it_is_right(rate):
    """log(cosh(k x)) has a radius of convergence of pi/(2k): a fixed stretch for all losses
    would be wrong by 0.8.
    """
    function = to_torch(loss(f"log(cosh({rate}*x))"))
    k = mpmath.mpf(rate)
    for size in [10 ** (exponent / 12) for exponent in range(-72, 20)]:
        for point in (-size, size):
            z = torch.tensor([point], dtype=torch.float64, requires_grad=True)
            value = function(z)
            (slope,) = torch.autograd.grad(value.sum(), z)
            with mpmath.workdps(60):
                exact, exact_slope = (
                    mpmath.log(mpmath.cosh(k * mpmath.mpf(point))),
                    k * mpmath.tanh(k * mpmath.mpf(point)),
                )
                assert abs(value.item() - exact) <= 1e-11 * abs(exact) and abs(
                    slope.item() - exact_slope
                ) <= 1e-11 * abs(exact_slope)


@pytest.mark.parametrize("value", [-300.0, -30.0, -1.0, -1e-3, 0.0, 1e-3, 1.0, 5.0, 50.0, 300.0])
def test_the_dilogarithm_is_right(value):
    with mpmath.workdps(200):
        ratio = -mpmath.exp(mpmath.mpf(value))
        for order in (1, 2):
            ours = float(_polylog(order, torch.tensor(float(ratio), dtype=torch.float64)))
            assert ours == pytest.approx(float(mpmath.re(mpmath.polylog(order, ratio))), rel=1e-13)


def test_jsd_in_torch():
    residuals = torch.tensor([-80.0, -3.0, -1e-5, 1e-5, 0.5, 3.0, 80.0], dtype=torch.float64)
    expected = (
        torch.nn.functional.softplus(residuals) - torch.log(torch.tensor(2.0, dtype=torch.float64))
    ) / 2
    torch.testing.assert_close(
        to_torch(loss("jsd")).gradient(residuals), expected, rtol=1e-9, atol=1e-12
    )
