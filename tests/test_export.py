"""Every exported text is executed and compared with the loss itself at 40 digits."""

import importlib.util
import math
import sys
import types

import mpmath
import pytest
import torch

from divergence_lab import derive
from divergence_lab.bridge import NotRepresentable
from divergence_lab.export import FORMS, export
from divergence_lab.theory.expressions import ExpressionError, write
from divergence_lab.theory.loss import loss

LOSSES = ["quadratic", "linex(1)", "linex(1/2)", "linex(-1)", "shifted_cosh", "jeffreys", "log(cosh(x))", "Abs(x)", "huber(1)",
          "sqrt(x**2 + 1) - 1", "triangular", "quadratic_linex", "x*asinh(x) - sqrt(1 + x**2) + 1", "exponential_absolute",
          "43*exp(x)/70 - 43*x/70 + 8*Abs(x)/53 - 43/70", "2*x**2/49 + 3*log(cosh(4*x))/158 + exp(x) - x - 1"]
SIZES = [1e-6, 3e-5, 1e-3, 0.02, 0.1249, 0.126, 0.4, 1.0, 2.7, 9.0, 33.0, 80.0]
POINTS = torch.tensor([sign * size for size in SIZES for sign in (1, -1)], dtype=torch.float32)


def execute(source: str, name: str) -> types.ModuleType:
    """The text as a module."""
    module = types.ModuleType(name)
    exec(compile(source, name, "exec"), module.__dict__)  # our own text
    return module


def exact(entry, points, order=0):
    """g (or g') at binary numbers, at 40 digits."""
    pieces = entry.derivative if order else entry.pieces
    answers = []
    with mpmath.workdps(80):
        for point in points:
            piece = next(p for p in pieces.pieces if p.high.is_infinite or point < float(p.high))
            answers.append(mpmath.mpf(piece.expression.subs({"x": 0}) if not piece.expression.free_symbols else
                                      piece.expression.evalf(60, subs={next(iter(piece.expression.free_symbols)): mpmath.mpf(point)})))
    return answers


def close(got, wanted, slopes, tolerance):
    """Relative error at most `tolerance` wherever |g'| is within float32's bound."""
    for value, right, slope in zip(got, wanted, slopes):
        if abs(slope) <= 1e35 and abs(right) <= 3e38:
            assert abs(value - right) <= tolerance * abs(right), (value, right)


@pytest.mark.parametrize("text", LOSSES)
def test_the_torch_text_is_the_loss(text):
    entry = loss(text)
    module = execute(export(entry, "torch"), "exported")
    values, slopes = exact(entry, POINTS.tolist()), exact(entry, POINTS.tolist(), 1)
    for dtype, tolerance in ((torch.float32, 1e-6), (torch.float64, 1e-7)):
        residual = POINTS.to(dtype).requires_grad_()
        got = module.loss(residual)
        (gradient,) = torch.autograd.grad(got.sum(), residual)
        assert got.dtype == gradient.dtype == dtype
        close(got.tolist(), values, slopes, tolerance)
        close(gradient.tolist(), slopes, slopes, tolerance)
        far = torch.tensor([-1000.0, 1000.0], dtype=dtype, requires_grad=True)
        (gradient,) = torch.autograd.grad(module.loss(far).sum(), far)
        assert gradient.isfinite().all() and gradient[0] < 0 < gradient[1]
        assert module.loss(torch.zeros(2, 3, dtype=dtype)).abs().max() == 0


def test_the_torch_text_imports_torch_alone():
    for line in export(loss("jeffreys"), "torch").splitlines():
        assert not line.startswith(("import", "from")) or line == "import torch"


@pytest.mark.parametrize("text", LOSSES)
def test_the_torchgfn_class_turns_the_sign(text, monkeypatch):
    if importlib.util.find_spec("gfn") is None:  # the class it derives from, as torchgfn 2.4.1 has it
        from abc import ABC, abstractmethod

        class RegressionLoss(ABC):
            @abstractmethod
            def __call__(self, residuals): ...
        stand_in = types.ModuleType("gfn.gflownet.losses")
        stand_in.RegressionLoss = RegressionLoss
        for name in ("gfn", "gfn.gflownet"):
            monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
        monkeypatch.setitem(sys.modules, "gfn.gflownet.losses", stand_in)
    entry = loss(text)
    module = execute(export(entry, "torchgfn"), "exported")
    scores = (-POINTS).requires_grad_()
    got = module.Loss()(scores)
    (gradient,) = torch.autograd.grad(got.sum(), scores)
    slopes = exact(entry, POINTS.tolist(), 1)
    close(got.tolist(), exact(entry, POINTS.tolist()), slopes, 1e-6)
    close((-gradient).tolist(), slopes, slopes, 1e-6)
    assert isinstance(module.Loss(), sys.modules["gfn.gflownet.losses"].RegressionLoss)


@pytest.mark.parametrize("text", LOSSES)
def test_the_jax_text_is_the_loss(text):
    source = export(loss(text), "jax")
    compile(source, "exported", "exec")
    jax = pytest.importorskip("jax")
    jax.config.update("jax_enable_x64", True)
    module = execute(source, "exported")
    entry, points = loss(text), jax.numpy.asarray(POINTS.numpy())
    slopes = exact(entry, POINTS.tolist(), 1)
    close(jax.jit(module.loss)(points).tolist(), exact(entry, POINTS.tolist()), slopes, 1e-6)
    gradient = jax.jit(jax.vmap(jax.grad(module.loss)))
    close(gradient(points).tolist(), slopes, slopes, 1e-6)
    far = gradient(jax.numpy.asarray([-1000.0, 1000.0], dtype="float32")).tolist()
    assert all(map(math.isfinite, far)) and far[0] < 0 < far[1]


@pytest.mark.parametrize("text", LOSSES)
def test_latex_is_balanced_and_mathtext_draws_it(text):
    entry = loss(text)
    lines = export(entry, "latex").splitlines()
    assert [line.partition("(")[0] for line in lines[:2]] == ["g", "g'"]
    assert (len(lines) == 3) == (derive(entry).divergence.generator is not None)
    for line in lines:
        assert line.count("{") == line.count("}") and line.count(r"\left") == line.count(r"\right")
        if r"\begin" not in line:
            from matplotlib.mathtext import MathTextParser
            MathTextParser("path").parse(f"${line}$")


def test_what_cannot_be_exported_says_so():
    with pytest.raises(ExpressionError, match="choose one of torch, jax, latex, torchgfn"):
        export(loss("quadratic"), "numpy")
    with pytest.raises(NotRepresentable, match="has no value"):
        export(loss("linex(alpha)"), "torch")
    assert len(FORMS) == 4 and write(loss("quadratic").expression) in export(loss("quadratic"), "torch")
