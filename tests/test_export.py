"""Exported source, written to a file and imported, against 30-digit values of the exact loss."""

import functools
import importlib.util
import json
import math
import random
import subprocess
import sys
import types

import numpy as np
import pytest
import scipy.special
import sympy as sp
import torch
from mpmath import mp

from divergence_lab.bridge import NotRepresentable, to_torch
from divergence_lab.bridge.export import FORMS, export
from divergence_lab.bridge.verified import programs
from divergence_lab.bridge.verified.arithmetic import DOUBLE, NOWHERE, SINGLE
from divergence_lab.bridge.verified.rounding import error_on
from divergence_lab.cli import design as cli_design
from divergence_lab.cli.main import main
from divergence_lab.theory.divergence.loss import loss
from divergence_lab.theory.expressions.symbols import x
from divergence_lab.theory.expressions.syntax import ExpressionError
from tests.torch_hunt import exact_at

LOSSES = [
    "quadratic",
    "linex(1)",
    "linex(1/2)",
    "linex(-2)",
    "shifted_cosh",
    "log(cosh(x))",
    "huber(1)",
    "Abs(x)",
    "x**2/2 + exp(x) - x - 1",
    "sqrt(x**2 + 1) - 1",
    "Piecewise((x**2/2, x < 0), (exp(x) - x - 1, True))",
    "x**4/4",
    "Piecewise((exp(-x) + x - 1, x < 0), (4*exp(x/2) - 2*x - 4, True))",
    "log((1 + exp(x))/2) - x/2",
    "x**2 + Abs(x - 9/5)**(3/2)",  # its kink is next to 1.9, not at a number of any dtype
]
SIZES = [10.0 ** (k / 4) for k in range(-24, 8)] + [
    0.124,
    0.126,
    0.249,
    0.251,
    0.4985,
    0.501,
    0.9,
    0.998,
    1.1,
    1.9,
    2.1,
    70.0,
    80.0,
]


@functools.cache
def exported(text, form="torch"):
    """Each source once: building one takes up to a second."""
    return export(loss(text), form)


@functools.cache
def built(text):
    return to_torch(loss(text))


def imported(source, folder, name="exported"):
    path = folder / f"{name}.py"
    path.write_text(source)
    spec = importlib.util.spec_from_file_location(f"{name}_{abs(hash(source))}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def points():
    """Both signs of every size, as float32 knows them."""
    return torch.tensor(
        [sign * size for size in SIZES for sign in (-1, 1)], dtype=torch.float32
    ).tolist()


def truth(entry):
    """(x, g(x), g'(x)) to 30 digits, where |g'| <= 1e35."""
    g, slope = entry.pieces, entry.derivative
    for point in points():
        k = next(
            k
            for k, piece in enumerate(g.pieces)
            if piece.high == sp.oo or point < float(piece.high)
        )
        at = sp.Rational(point)
        value, gradient = (
            sp.N(part.pieces[k].expression.xreplace({x: at}), 30, maxn=500) for part in (g, slope)
        )
        if abs(gradient) <= 1e35:
            yield point, float(value), float(gradient)


def worst(computed, wanted):
    return max(abs(a - b) / abs(b) if b else abs(a) for a, b in zip(computed, wanted, strict=True))


@pytest.mark.parametrize("text", LOSSES)
def test_torch_source_is_right_in_float32(text, tmp_path):
    entry = loss(text)
    module = imported(exported(text), tmp_path)
    where, values, slopes = zip(*truth(entry))
    residual = torch.tensor(where, dtype=torch.float32, requires_grad=True)
    answer = module.loss(residual)
    answer.sum().backward()
    assert answer.dtype == torch.float32
    assert worst(answer.tolist(), values) <= 1e-6 and worst(residual.grad.tolist(), slopes) <= 1e-6


@pytest.mark.parametrize("text", LOSSES)
def test_torch_source_is_the_bridge_to_the_bit(text, tmp_path):
    module, ours = imported(exported(text), tmp_path), built(text)
    for dtype in (torch.float32, torch.float64):
        residual = torch.tensor([*points(), 0.0, 1e3, -1e3, 1e6, -1e6], dtype=dtype)
        assert torch.equal(module.value(residual), ours.value(residual))
        assert torch.equal(module.gradient(residual), ours.gradient(residual))


@pytest.mark.parametrize("text", LOSSES)
def test_the_gradient_far_out_is_finite_and_has_its_sign(text, tmp_path):
    residual = torch.tensor([1000.0, -1000.0], requires_grad=True)
    answer = imported(exported(text), tmp_path).loss(residual)
    answer.sum().backward()
    assert torch.isfinite(answer).all() and torch.isfinite(residual.grad).all()
    assert residual.grad[0] > 0 > residual.grad[1]


def test_torch_source_imports_torch_alone_and_refuses_other_dtypes(tmp_path):
    source = export(loss("linex(1)"))
    assert [line for line in source.splitlines() if line.startswith(("import", "from"))] == [
        "import torch"
    ]
    module = imported(source, tmp_path)
    with pytest.raises(TypeError, match="floating point"):
        module.loss(torch.tensor([1]))
    single = torch.func.vmap(torch.func.grad(module.loss))(torch.tensor([0.5, -0.5]))
    assert single.tolist() == pytest.approx([math.expm1(0.5), math.expm1(-0.5)], rel=1e-6)


@pytest.mark.parametrize("text", LOSSES)
def test_jax_source_is_right_in_float32(text, tmp_path):
    jax = pytest.importorskip("jax", reason="JAX is not installed: pip install jax")
    entry = loss(text)
    source = exported(text, "jax")
    promised = float(source.split("in float32 below ")[1].split(",")[0])
    module = imported(source, tmp_path)
    where, values, slopes = zip(*truth(entry))
    residual = jax.numpy.array(where, dtype=jax.numpy.float32)
    answer, gradient = jax.jit(jax.vmap(jax.value_and_grad(module.loss)))(residual)
    assert (
        worst(answer.tolist(), values) <= promised and worst(gradient.tolist(), slopes) <= promised
    )
    far = jax.vmap(jax.grad(module.loss))(
        jax.numpy.array([1000.0, -1000.0], dtype=jax.numpy.float32)
    )
    assert jax.numpy.isfinite(far).all() and far[0] > 0 > far[1]


@pytest.mark.parametrize("text", LOSSES)
def test_jax_source_has_the_sides_that_were_measured(text):
    """Without JAX: the text is Python, imports jax alone, and promises an error that is small."""
    source = exported(text, "jax")
    compile(source, "exported.py", "exec")  # syntax only: nothing is run
    assert {line for line in source.splitlines() if line.startswith(("import", "from"))} == {
        "import jax",
        "import jax.numpy as jnp",
    }
    promised = float(source.split("in float32 below ")[1].split(",")[0])
    assert promised <= 1e-5


@pytest.fixture
def numpy_as_jax(monkeypatch):
    """Enough of JAX to run the exported text, in NumPy's float32: what XLA does but for fusing."""
    jax, room = types.ModuleType("jax"), types.ModuleType("jax.scipy.special")

    def custom_jvp(function):
        function.defjvp = lambda rule: rule
        return function

    jax.custom_jvp, jax.numpy, room.erf, room.erfc = (
        custom_jvp,
        np,
        scipy.special.erf,
        scipy.special.erfc,
    )
    jax.scipy = types.SimpleNamespace(special=room)
    jax.lax = types.SimpleNamespace(optimization_barrier=lambda z: z)
    monkeypatch.setitem(sys.modules, "jax", jax)
    monkeypatch.setitem(sys.modules, "jax.numpy", np)


@pytest.mark.parametrize("text", LOSSES)
def test_jax_source_keeps_its_promise_without_jax(text, tmp_path, numpy_as_jax):
    entry = loss(text)
    source = exported(text, "jax")
    promised = float(source.split("in float32 below ")[1].split(",")[0])
    module = imported(source, tmp_path)
    where, values, slopes = zip(*truth(entry))
    for dtype, most in ((np.float32, promised), (np.float64, 1e-12)):
        residual = np.array(where, dtype=dtype)
        with np.errstate(all="ignore"):
            answer, gradient = module.loss(residual), module.gradient(residual)
        assert answer.dtype == dtype == gradient.dtype
        assert worst(answer.tolist(), values) <= most and worst(gradient.tolist(), slopes) <= most
    if text == "linex(1)":  # the control: the mirror image is seen
        assert worst(module.loss(-np.array(where, dtype=np.float64)).tolist(), values) > 0.1


def steep(source: random.Random) -> str:
    """A loss that leaves the range of float32 within 80, often after a part of it has."""
    a, b, k, n = (source.randint(1, most) for most in (9, 60, 4, 4))
    return source.choice(
        [
            f"(exp({a}*x**2) - 1)/(1 + {b}*x**{2 * k})",
            f"(cosh({a}*x) - 1)**{n}/(1 + {b}*x**{2 * k})",
            f"{a}*x*sinh({b}*x)/10**{7 * k} + x**2*exp({a}*x)/{b}",
            f"x**2*cosh(x/{a})**{n}/({b} + cosh({a}*x/5))",
            f"(exp({a}*x) - {a}*x - 1)**{n}/({b} + x**{2 * k}) + x**2",
            f"3*(sqrt(1 + log(cosh({b}*x*exp(x**2/{a})))) - 1)",
            f"sinh(x**2/{a})**2/({b} + x**{2 * k})",
            f"exp({a}*cosh(x/{n}) - {a}) - 1 + {b}*x**2",
            f"x*erfi(x/{a})*{b}",
        ]
    )


def jax_faults(text: str, source: random.Random, tmp_path) -> list[str]:
    """In float32, wherever g and g' are numbers of it, up to their last ones."""
    entry, made = loss(text), exported(text, "jax")
    module = imported(made, tmp_path, f"steep_{abs(hash(text))}")
    promised = float(made.split("below ")[1].split(",")[0])
    most, least = float(np.finfo(np.float32).max), float(np.finfo(np.float32).tiny)
    points = [source.choice((1, -1)) * 10 ** source.uniform(-6, math.log10(80)) for _ in range(24)]
    found = []
    with mp.workdps(400):
        for way in (1, -1):
            low, high = 1e-3, 80.0  # the last number
            for _ in range(3):
                places = np.linspace(low, high, 33).tolist()
                sizes = [
                    exact_at(one, [way * place for place in places])
                    for one in (entry.pieces, entry.derivative)
                ]
                inside = [max(map(abs, both)) < most for both in zip(*sizes)]
                last = max(inside.index(False) - 1, 0) if False in inside else 32
                low, high = places[last], places[min(last + 1, 32)]
            points += [way * low * (1 - 10 ** source.uniform(-6, -1)) for _ in range(6)]
        residual = np.array(points, dtype=np.float32)
        wanted = [exact_at(one, residual.tolist()) for one in (entry.pieces, entry.derivative)]
        with np.errstate(all="ignore"):
            answers = module.loss(residual), module.gradient(residual)
        for k, point in enumerate(residual.tolist()):
            exact = [one[k] for one in wanted]
            if all(least < abs(one) < most for one in exact):
                for true, answer in zip(exact, answers):
                    if not abs(float(answer[k]) - true) <= promised * abs(true) + 4e-36:
                        found.append(f"{text} at {point}: {answer[k]}, not {mp.nstr(true)}")
    return found


@pytest.mark.parametrize("count", [1, pytest.param(12, marks=pytest.mark.slow)])
def test_random_steep_losses_in_float32(count, tmp_path, numpy_as_jax):
    source, wrong, refused = random.Random(count), [], []
    for _ in range(count):
        text = steep(source)
        try:
            wrong += jax_faults(text, source, tmp_path)
        except NotRepresentable as reason:
            refused.append(str(reason))
    print(
        f"{count} steep losses for JAX, seed {count}: {len(wrong)} faults, {len(refused)} refused"
    )
    assert not wrong, "\n".join(wrong[:10])
    assert not refused, "\n".join(refused)


def test_a_constant_that_is_no_number_of_float32_has_no_bound():
    """A Taylor polynomial's -8.6e39 x^32 is a small number, -oo x^32 is not; 10^-50 may be 0."""
    large = programs.polynomial([1.0, 0.0, -8.609341537422139e39], 2)
    assert error_on(large, 1e-6, 1e-5, SINGLE) is NOWHERE
    assert error_on(large, 1e-6, 1e-5, DOUBLE).relative < 1e-15
    for small in (1e-50, 1e-40):
        program = programs.Program(
            (("mul", "x", (small,)), ("mul", 0, (1e30,)), ("mul", 1, (1e30,)))
        )
        bound = error_on(program, 1.0, 2.0, SINGLE)
        assert bound is NOWHERE or bound.absolute >= bound.low


def test_torchgfn_source_turns_the_sign(tmp_path):
    pytest.importorskip(
        "gfn.gflownet.losses", reason="torchgfn is not installed: pip install torchgfn==2.4.1"
    )
    from gfn.gflownet.losses import RegressionLoss

    module = imported(export(loss("linex(1)"), "torchgfn"), tmp_path)
    turned = module.ExportedLoss()
    assert isinstance(turned, RegressionLoss)
    scores = torch.tensor([1.0, -2.0, 100.0, 0.0], requires_grad=True)  # log p_F - log p_B
    answer = turned(scores)
    answer.sum().backward()
    assert answer[:2].tolist() == pytest.approx([math.exp(-1), math.exp(2) - 3], rel=1e-6)
    assert scores.grad[:2].tolist() == pytest.approx([1 - math.exp(-1), 1 - math.exp(2)], rel=1e-6)


def test_torchgfn_source_without_torchgfn(tmp_path, monkeypatch):
    """The same text with a stand-in for the base class: the sign is turned whether or not
    torchgfn is there.
    """
    for name in ("gfn", "gfn.gflownet", "gfn.gflownet.losses"):
        monkeypatch.setitem(sys.modules, name, type(sys)(name))
    sys.modules["gfn.gflownet.losses"].RegressionLoss = object
    module = imported(export(loss("linex(1)"), "torchgfn"), tmp_path)
    scores = torch.tensor([2.0, -2.0], requires_grad=True)
    answer = module.ExportedLoss()(scores)
    answer.sum().backward()
    assert answer.tolist() == pytest.approx([math.exp(-2) + 1, math.exp(2) - 3], rel=1e-6)
    assert scores.grad.tolist() == pytest.approx([1 - math.exp(-2), 1 - math.exp(2)], rel=1e-6)


def from_latex(text):
    """Enough LaTeX for the formulas below, read by hand: fractions, e^{..}, log, roots."""
    import re

    from divergence_lab.theory.expressions.parsing import parse
    from divergence_lab.theory.expressions.symbols import t

    text = text.replace(r"\left", "").replace(r"\right", "").replace(r"\,", "")
    while (frac := re.search(r"\\frac\{([^{}]*)\}\{([^{}]*)\}", text)) or (
        frac := re.search(r"\{([^{}]*)\}", text)
    ):
        inner = f"(({frac[1]})/({frac[2]}))" if frac.lastindex == 2 else f"({frac[1]})"
        text = text[: frac.start()] + inner + text[frac.end() :]
    text = re.sub(r"e\^", "exp", text).replace("^", "**").replace("\\", "")
    text = re.sub(r"(?<=[\d)xt]) +(?=[\dxt(lecs])", "*", text)
    return parse(text, t if "t" in text else x)


@pytest.mark.parametrize("text", ["quadratic", "linex(1)", "linex(1/2)", "x**2/2 + exp(x) - x - 1"])
def test_latex_says_what_the_loss_is(text):
    from divergence_lab.theory.divergence.closed_form import divergence

    entry = loss(text)
    source = export(entry, "latex")
    assert source.count(r"\begin{align*}") == source.count(r"\end{align*}") == 1
    rows = dict(
        row.strip().split(" &= ")
        for row in source.split("align*}")[1].removesuffix(r"\end{").split(r"\\" + "\n")
    )
    assert set(rows) == {"g(x)", "g'(x)", "f(t)"}
    assert sp.simplify(from_latex(rows["g(x)"]) - entry.expression) == 0
    assert sp.simplify(from_latex(rows["g'(x)"]) - sp.diff(entry.expression, x)) == 0
    assert sp.simplify(from_latex(rows["f(t)"]) - divergence(entry, 10.0).generator) == 0


def test_what_cannot_be_exported_is_refused_in_one_line():
    with pytest.raises(ExpressionError, match="choose one of torch, jax"):
        export(loss("quadratic"), "fortran")
    with pytest.raises(NotRepresentable, match="has no value: set it"):
        export(loss("linex(alpha)", ["alpha > 0"]))
    with pytest.raises(NotRepresentable, match="polylog"):
        export(loss("polylog(3/2, -exp(x))*x"))


def test_the_command(capsys, tmp_path):
    assert (
        main(["export", "linex(1/2)", "--form", "torch", "--out", str(tmp_path / "mine.py")]) == 0
    )
    assert "wrote" in capsys.readouterr().out
    code = "import torch, mine; print(mine.loss(torch.tensor([1.0])).item())"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, timeout=850
    )
    assert float(done.stdout) == pytest.approx(4 * math.exp(0.5) - 6, rel=1e-6), done.stderr
    assert main(["export", "linex(alpha)", "--set", "alpha=1/2", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (
        document["source"] == (tmp_path / "mine.py").read_text()
        and document["loss"] == "4*exp(x/2) - 2*x - 4"
    )
    assert main(["export", "linex(alpha)"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert set(FORMS) == {*cli_design.FORMS}
