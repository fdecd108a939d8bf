"""Loss -> source text that stands alone: torch, JAX, torchgfn, LaTeX.

    export(loss, "torch")    one file that imports nothing but torch: loss(residual), its gradient g'(residual)

The text does what `bridge.TorchLoss` does, operation for operation, with the same ranges, measured when the bridge
built it: a Taylor polynomial near 0, the formula, a straight line far out. JAX has no float64 unless it is switched
on, so its text computes in the residual's own dtype, with ranges that are measured for float32 too.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable

import sympy as sp
import torch

from divergence_lab.bridge import (
    CHECK_POINTS,
    LARGEST_SLOPE,
    NotRepresentable,
    TorchLoss,
    _coefficients,
    _last_below,
    _Side,
    _truth,
    formula,
    to_torch,
)
from divergence_lab.export_text import JAX, TORCH, formula_lines
from divergence_lab.theory.derivation import Derivation, derive
from divergence_lab.theory.expressions import ExpressionError, write, write_latex
from divergence_lab.theory.loss import Loss
from divergence_lab.theory.pieces import Pieces
from divergence_lab.theory.symbols import x

FORMS = ("torch", "jax", "torchgfn", "latex")
# Radii of the Taylor polynomial among which the best in float32 is chosen; 0 is the formula alone.
RADII = (0.0, 0.125, 0.25, 0.375, 0.5, 0.75, 1.0, 2.0)
# The formula in float32 is trusted as far out as its relative error stays below this.
SINGLE_TOLERANCE = 1e-6
# Libraries overflow at slightly different residuals: the straight line begins a little before.
MARGIN = 0.97
# Residuals at which float32 is measured: the bridge's, and both sides of each radius, where polynomial and formula are worst.
SINGLE_POINTS = tuple(sorted({*CHECK_POINTS, *(radius * share for radius in RADII[1:] for share in (0.97, 1.0, 1.001, 1.03))}))
# Columns of a line with Taylor coefficients.
WIDTH = 110
SMALLEST_CHECKED, LARGEST_CHECKED = 1e-6, 80.0


def export(loss: Loss, form: str = "torch", budget: float = 10.0) -> str:
    """Source text that computes g(x), x = log p_B - log p_F, in one of FORMS; `budget`: processor seconds to find f for LaTeX.

    Raises ExpressionError for another form, NotRepresentable (a ValueError) where the accuracy can't be reached.
    """
    if form not in FORMS:
        raise ExpressionError(f"the form {form[:40]!r} is not known: choose one of {', '.join(FORMS)}")
    if form == "latex":
        return latex(derive(loss, budget=budget))
    built = to_torch(loss)
    return {"torch": _torch, "jax": _jax, "torchgfn": _torchgfn}[form](built)


def _function(name: str, says: str, lines: list[str]) -> str:
    return f'\ndef {name}(z):\n    """{says}"""\n    ' + "\n    ".join(lines) + "\n\n"


def _near_text(sides: tuple[_Side, _Side]) -> str:
    """((radius, coefficients), (radius, coefficients)) of the left and the right Taylor polynomial."""
    texts = [f"({side.near!r}, {tuple(side.coefficients)!r})" for side in sides]
    whole = f"2 * ({texts[0]},)" if texts[0] == texts[1] else f"({', '.join(texts)})"
    return "\n".join(textwrap.wrap(whole, WIDTH, subsequent_indent=" " * 8, break_long_words=False))


# --- torch ---------------------------------------------------------------------------------------------------

_HEAD = '''"""g(x) = {formula}

x = log p_B - log p_F = log(target/model), of any shape, float32 or float64; elementwise.
{promise}
Beyond ENDS g goes on as a straight line: its gradient stays finite and keeps its sign.
Written by divergence-lab export.
"""
'''

_NEAR = '''
def _near_zero(z, answer, sides):
    """Near 0, where the formula cancels, the Taylor polynomial; sides: (radius, coefficients) left and right of 0."""
    for sign, (radius, coefficients) in zip((-1, 1), sides):
        if radius > 0:
            series = {prefix}.full_like(z, coefficients[-1])
            for coefficient in reversed(coefficients[:-1]):
                series = series * z + coefficient
            answer = {prefix}.where((sign * z >= 0) & ({prefix}.abs(z) <= radius), series, answer)
    return answer

'''

_TORCH_FUNCTION = '''
def _ends(residual):
    if residual.dtype not in ENDS:
        raise TypeError(f"residuals must be float32 or float64, not {residual.dtype}: convert them with .float()")
    return ENDS[residual.dtype]


def value(residual):
    """g(residual), without autograd."""
    exact = residual.detach().double()
    inside = exact.clamp(*_ends(residual))
    beyond = exact - inside
    answer = _value(inside)
    answer = torch.where(beyond == 0, answer, answer + _slope(inside) * beyond)
    limit = torch.finfo(residual.dtype).max
    return answer.clamp(-limit, limit).to(residual.dtype)


def gradient(residual):
    """g'(residual), without autograd."""
    inside = residual.detach().double().clamp(*_ends(residual))
    return @SLOPE@.to(residual.dtype)


class _Loss(torch.autograd.Function):
    """Forward g, backward g': the gradient never passes through the formula of g."""

    generate_vmap_rule = True

    @staticmethod
    def forward(residual):
        return value(residual)

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(*inputs)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, upstream):
        (residual,) = ctx.saved_tensors
        return upstream * gradient(residual)


def loss(residual):
    """g(residual), elementwise; the gradient is g'(residual)."""
    return _Loss.apply(residual)
'''

_RANGE = "where 1e-6 <= |x| <= 80 and |g'| <= 1e35."
_PROMISE = f"Computed in float64 inside: relative error below 1e-6 in float32 {_RANGE}"


def _torch(built: TorchLoss, imports: str = "import torch\n") -> str:
    ends = ", ".join(f"{dtype}: {built.ends[dtype]!r}" for dtype in LARGEST_SLOPE)
    source = _HEAD.format(formula=write(built.loss.expression), promise=_PROMISE)
    source += f"\n{imports}\nENDS = {{{ends}}}\n\n"
    if any(side.near > 0 for side in (*built.values, *built.slopes)):
        source += _NEAR.format(prefix="torch")
    for name, mark, function, sides in (("_value", "g", built.loss.pieces, built.values),
                                        ("_slope", "g'", built.loss.derivative, built.slopes)):
        lines = formula_lines(function, TORCH)
        near = any(side.near > 0 for side in sides)
        lines.append(f"return _near_zero(z, answer, {_near_text(sides)})" if near else "return answer")
        source += _function(name, f"{mark} for z in float64, within ENDS.", lines)
    slope = "torch.where(inside == 0, 0.0, _slope(inside))" if built.kink_at_zero else "_slope(inside)"
    return source + _TORCH_FUNCTION.replace("@SLOPE@", slope)


_TORCHGFN = '''

class ExportedLoss(RegressionLoss):
    """g(-scores): torchgfn's scores are log p_F - log p_B = log(model/target), the other sign of x.

    Give it to a GFlowNet of torchgfn as loss_fn=ExportedLoss().
    """

    def __call__(self, residuals):
        return loss(-residuals)
'''


def _torchgfn(built: TorchLoss) -> str:
    return _torch(built, "import torch\nfrom gfn.gflownet.losses import RegressionLoss\n") + _TORCHGFN


# --- JAX -----------------------------------------------------------------------------------------------------

_JAX_FUNCTION = '''
def _split(residual):
    residual = jnp.asarray(residual)
    if residual.dtype.name not in ENDS:
        raise TypeError(f"residuals must be float32 or float64, not {residual.dtype}: convert them with .astype")
    return residual, jnp.clip(residual, *ENDS[residual.dtype.name])


@jax.custom_jvp
def loss(residual):
    """g(residual), elementwise; the gradient is g'(residual)."""
    residual, inside = _split(residual)
    beyond = residual - inside
    answer = _value(inside)
    answer = jnp.where(beyond == 0, answer, answer + _slope(inside) * beyond)
    limit = jnp.finfo(residual.dtype).max
    return jnp.clip(answer, -limit, limit)


def gradient(residual):
    """g'(residual)."""
    _, inside = _split(residual)
    return @SLOPE@


@loss.defjvp
def _loss_jvp(primals, tangents):
    return loss(*primals), gradient(*primals) * tangents[0]
'''


def _jax(built: TorchLoss) -> str:
    functions = (built.loss.pieces, built.loss.derivative)
    measured = [[_single(function, sign) for sign in (-1, 1)] for function in functions]
    single = [tuple(side for side, _ in sides) for sides in measured]
    worst = max(error for sides in measured for _, error in sides)
    reach = [min(value.far, slope.far) for value, slope in zip(*single)]
    steepest = LARGEST_SLOPE[torch.float32]
    left, right = (_last_below(functions[1], sign, steepest, far) for sign, far in zip((-1, 1), reach))
    for sign, end in ((-1, left), (1, right)):
        slope = _truth(functions[1], sign * end)
        if end < LARGEST_CHECKED and (slope is None or abs(slope) < steepest / 10):
            raise NotRepresentable(f"{built.loss.expression} can't be evaluated in float32 beyond x = "
                                   f"{sign * end:.3g}: export it for torch, which computes in float64")
    ends = {"float32": (_towards_zero(-left), _towards_zero(right)), "float64": built.ends[torch.float64]}
    promise = f"Computed in the dtype of x: measured relative error in float32 below {_rounded_up(worst)}\n{_RANGE}"
    source = _HEAD.format(formula=write(built.loss.expression), promise=promise)
    source += f"\nimport jax\nimport jax.numpy as jnp\n\nENDS = {ends!r}\n"
    tables = {}
    for name, wide, narrow in (("_value", built.values, single[0]), ("_slope", built.slopes, single[1])):
        if any(side.near > 0 for side in (*wide, *narrow)):
            tables[name] = f"{name[1:].upper()}_NEAR_ZERO"
            source += f'{tables[name]} = {{"float32": {_near_text(narrow)},\n    "float64": {_near_text(wide)}}}\n'
    source += "\n" + (_NEAR.format(prefix="jnp") if tables else "")
    for name, mark, function in zip(("_value", "_slope"), ("g", "g'"), functions):
        lines = formula_lines(function, JAX)
        table = f"{tables[name]}[z.dtype.name]" if name in tables else None
        lines.append(f"return _near_zero(z, answer, {table})" if table else "return answer")
        source += _function(name, f"{mark} within ENDS.", lines)
    slope = "jnp.where(inside == 0, 0.0, _slope(inside))" if built.kink_at_zero else "_slope(inside)"
    return source + _JAX_FUNCTION.replace("@SLOPE@", slope)


def _single(function: Pieces, sign: int) -> tuple[_Side, float]:
    """The side in float32 arithmetic, and its largest relative error where 1e-6 <= |x| <= 80 and it is in use."""
    plain = formula(function.as_expression(), x)
    points = torch.tensor([sign * point for point in SINGLE_POINTS], dtype=torch.float32)
    truth = [_truth(function, float(point)) for point in points]
    left, after = function.split_at_zero()
    beside = after.pieces[0] if sign > 0 else left.pieces[-1]
    end = abs(float(beside.high if sign > 0 else beside.low))
    coefficients = _coefficients(beside)
    by_formula = _errors(plain(points).tolist(), truth)
    best: tuple[float, float] | None = None
    for radius in RADII:
        if radius > 0 and (coefficients is None or radius > end):
            break
        errors = _errors(_series(points, coefficients).tolist(), truth) if radius > 0 else by_formula
        near = max((e for e, p in zip(errors, SINGLE_POINTS) if SMALLEST_CHECKED <= p <= max(radius, 1e-3)), default=0.0)
        rest = max((e for e, p in zip(by_formula, SINGLE_POINTS) if max(radius, 1e-3) < p <= 4.0), default=0.0)
        if best is None or max(near, rest) < 0.99 * best[0]:
            best = (max(near, rest), radius)
    radius = best[1]
    inside = [(p, e) for p, e in zip(SINGLE_POINTS, by_formula) if p > max(radius, SMALLEST_CHECKED)]
    limit = max(SINGLE_TOLERANCE, 1.01 * best[0])
    count = next((i for i, (_, error) in enumerate(inside) if not error <= limit), len(inside))
    if count == 0 or not best[0] < 1e-4:
        raise NotRepresentable(f"{function.as_expression()} can't be evaluated in float32: export it for torch, which "
                               "computes in float64")
    used = max([best[0], *(error for p, error in inside[:count] if p <= LARGEST_CHECKED)])
    far = inside[count - 1][0]
    if count < len(inside):
        far = _last_right(plain, function, sign, limit, far, inside[count][0])
    return _Side(plain, coefficients if radius > 0 else (), radius, far), used


def _last_right(plain: Callable, function: Pieces, sign: int, limit: float, low: float, high: float) -> float:
    """How far out the formula in float32 is right, between a residual where it is and one where it is not."""
    for _ in range(24):
        middle = (low + high) / 2
        point = torch.tensor([sign * middle], dtype=torch.float32)
        (error,) = _errors(plain(point).tolist(), [_truth(function, float(point))])
        low, high = (middle, high) if error <= limit else (low, middle)
    return MARGIN * low


def _errors(computed: list[float], truth: list[float | None]) -> list[float]:
    return [abs(got - wanted) / max(abs(wanted), 1e-300) if wanted is not None and math.isfinite(got) else math.inf
            for got, wanted in zip(computed, truth)]


def _series(z: torch.Tensor, coefficients: tuple[float, ...]) -> torch.Tensor:
    total = torch.full_like(z, coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        total = total * z + coefficient
    return total


def _towards_zero(number: float) -> float:
    """A float32 number not farther out: an end is compared with float32 residuals."""
    rounded = torch.tensor(number, dtype=torch.float32)
    if abs(float(rounded)) > abs(number):
        rounded = torch.nextafter(rounded, torch.zeros(()))
    return float(rounded)


def _rounded_up(error: float) -> str:
    """Two digits, thrice what was seen: other points and the exp and log of other libraries may be worse."""
    return f"{max(3 * error, 6e-7):.1e}"


# --- LaTeX ---------------------------------------------------------------------------------------------------

def latex(found: Derivation) -> str:
    """g, g' and, where a closed form was found, f, as one align* environment."""
    rows = (("g(x)", found.loss.expression), ("g'(x)", found.slope), ("f(t)", found.divergence.generator))
    lines = [rf"{mark} &= {write_latex(what)}" for mark, what in rows if what is not None]
    named, factor = found.divergence.name, found.divergence.factor
    note = f"% D_f is {'' if factor == 1 else f'{write(factor)} times '}{named}\n" if named else ""
    return ("% x = log p_B - log p_F (target over model), t = e^x; needs amsmath\n" + note
            + "\\begin{align*}\n" + " \\\\\n".join(lines) + "\n\\end{align*}\n")
