"""Loss -> source text that stands alone: torch, JAX, what other libraries take, LaTeX.

    export(loss, "torch")    one file that imports nothing but torch

It defines `loss(residual)`, whose gradient is g'(residual).
The text does what `bridge.TorchLoss` does, operation for operation, from the same verified ranges.
JAX has no float64 unless it is switched on, so its text has ranges of its own for float32
arithmetic, verified to the smallest of `SINGLE_TOLERANCES` that can be had, which it states.
"""

import contextlib
import math
import struct

from divergence_lab.bridge import dropins
from divergence_lab.bridge.source import JAX, TORCH, function_source, helpers
from divergence_lab.bridge.verified import arithmetic, programs, stretches
from divergence_lab.bridge.verified.ranges import (
    BEYOND,
    NO_SECOND_DERIVATIVE,
    Verified,
    check_loss,
    functions_of,
    ranges,
    verified,
)
from divergence_lab.inputs import did_you_mean, shown
from divergence_lab.theory.answers.derivation import Derivation, derive
from divergence_lab.theory.budget.asking import OutOfTime, SearchFailed, bounded, check_budget
from divergence_lab.theory.divergence.loss import Loss
from divergence_lab.theory.divergence.reading import as_loss
from divergence_lab.theory.expressions import ExpressionError, Pieces, write, write_latex

FORMS = ("torch", "jax", *dropins.TORCH, *dropins.JAX, "latex")
BUILDING = 60.0  # processor seconds that verifying a text may take at least
SINGLE_TOLERANCES = (2e-6, 6e-6, 2e-5, 1e-4, 1e-3, 1e-2)


def export(loss: Loss | str, form: str = "torch", budget: float = 20.0) -> str:
    """Source text that computes g(x), x = log p_B - log p_F, and its gradient g'(x).

        form     torch     one file that imports nothing but torch: `loss(residual)`
                 jax       the same for JAX, in float32 and float64
                 torchgfn  a loss_fn for a GFlowNet of torchgfn, whose scores have the other sign
                 recursion a TrajectoryBalance of recursionpharma's gflownet with this loss
                 trl       a GRPOTrainer of TRL whose penalty per token is this loss
                 optax     a loss of predictions (log p_F) and targets (log p_B), as optax's are
                 gfnx      the same, in place of the squared error in gfnx's baselines
                 latex     g, g' and f as an align* environment
        budget   processor seconds to find f, which LaTeX alone shows, or to verify a text (then
                 60 at least)

    torch's text computes what `to_torch` does, from the same verified ranges. Raises
    ExpressionError for another form, NotRepresentable (a ValueError) where the accuracy can't be
    reached.

        >>> text = export("x**2/2")
        >>> exec(text, names := {})
        >>> import torch
        >>> names["loss"](torch.tensor([3.0])).item()
        4.5
    """
    if form not in FORMS:
        raise ExpressionError(
            f"the form {shown(str(form))} is not known: choose one of {', '.join(FORMS)}"
            f"{did_you_mean(str(form), FORMS)}"
        )
    check_budget(budget)
    loss = as_loss(loss, budget)
    if form == "latex":
        return latex(derive(loss, budget=budget))
    check_loss(loss)
    try:
        return bounded(max(budget, BUILDING), source_text, loss, form)
    except (OutOfTime, SearchFailed) as failure:
        why = f"not verified within {max(budget, BUILDING):g} s of processor time: raise --budget"
        raise programs.NotRepresentable(
            f"{write(loss.expression)}: {str(failure) or why}"
        ) from None


def source_text(loss: Loss, form: str) -> str:
    """The text of every form but LaTeX, for as long as it takes."""
    built = verified(loss)
    if form in ("jax", *dropins.JAX):
        return _jax(built) + dropins.JAX.get(form, "")
    wanted = dropins.TORCH.get(form)
    if wanted is None:
        return _torch(built)
    return _torch(built, f"import torch\n{wanted.imports}\n") + wanted.text


_HEAD = '''"""g(x) = {formula}

x = log p_B - log p_F = log(target/model), of any shape; elementwise.
{promise}
Written by divergence-lab export.
"""
'''

# --- torch

_TORCH_FUNCTION = '''

def _inside(residual):
    if not isinstance(residual, torch.Tensor):
        raise TypeError(f"residuals must be a tensor, not {type(residual).__name__}: convert them with torch.as_tensor(...)")
    if residual.dtype not in (torch.float64, torch.float32, torch.float16, torch.bfloat16):
        raise TypeError(f"residuals must be floating point numbers, not {residual.dtype}: convert them with .float()")
    return residual.detach().double().clamp(*REACH)


def value(residual):
    """g(residual), without autograd."""
    inside = _inside(residual)
    answer = _value(inside)
    limit = torch.finfo(residual.dtype).max
    for end, at_end, slope, beyond in @ENDS@:
        if abs(end) < limit and abs(at_end) < limit:
            answer = answer + (residual.detach().double() - end).clamp(*beyond) * slope
    return answer.clamp(-limit, limit).to(residual.dtype)


def gradient(residual):
    """g'(residual), without autograd."""
    inside = _inside(residual)
    slope = @SLOPE@
    limit = torch.finfo(residual.dtype).max
    return slope.clamp(-limit, limit).to(residual.dtype)


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
    def backward(ctx, upstream):
        (residual,) = ctx.saved_tensors
        return upstream * _Slope.apply(residual)


class _Slope(torch.autograd.Function):
    """g', which can't be differentiated again: autograd would take it for a constant."""

    generate_vmap_rule = True

    @staticmethod
    def forward(residual):
        return gradient(residual)

    @staticmethod
    def setup_context(ctx, inputs, output):
        pass

    @staticmethod
    def backward(ctx, upstream):
        raise RuntimeError("@SECOND@")


def loss(residual):
    """g(residual), elementwise; the gradient is g'(residual)."""
    return _Loss.apply(residual)
'''  # noqa: E501 (lines of the exported text)

_TORCH_PROMISE = """Verified where 1e-6 <= |x| <= 80 and g, g' are normal numbers of the dtype of x: relative error of g and g' at most
1e-10 in float64, 2e-6 in float32, one rounding in float16 and bfloat16 (the arithmetic inside is float64). Around another
zero than x = 0 the error is relative to the largest term there. Elsewhere finite. Beyond REACH g is a straight line."""  # noqa: E501 (lines of the exported text)


def _torch(built: Verified[stretches.Ranges], imports: str = "import torch\n") -> str:
    ends = tuple(zip(built.reach, built.end_values, built.end_slopes, BEYOND))
    source = _HEAD.format(formula=write(built.loss.expression), promise=_TORCH_PROMISE)
    source += f"\n{imports}\nREACH = {built.reach!r}\n"
    source += helpers([built.values, built.slopes], TORCH)
    source += function_source("_value", "g for z in float64, within REACH.", built.values, TORCH)
    source += function_source("_slope", "g' for z in float64, within REACH.", built.slopes, TORCH)
    slope = (
        "torch.where(inside == 0, 0.0, _slope(inside))" if built.kink_at_zero else "_slope(inside)"
    )
    return source + _filled(_TORCH_FUNCTION, SLOPE=slope, ENDS=repr(ends))


# --- JAX

_JAX_FUNCTION = '''

def _value(z):
    return {"float32": _value_float32, "float64": _value_float64}[z.dtype.name](z)


def _slope(z):
    return {"float32": _slope_float32, "float64": _slope_float64}[z.dtype.name](z)


def _split(residual):
    residual = jnp.asarray(residual)
    if residual.dtype.name not in REACH:
        raise TypeError(f"residuals must be float32 or float64, not {residual.dtype}: convert them with .astype")
    return residual, jnp.clip(residual, *REACH[residual.dtype.name])


@jax.custom_jvp
def loss(residual):
    """g(residual), elementwise; the gradient is g'(residual)."""
    residual, inside = _split(residual)
    limit = jnp.finfo(residual.dtype).max
    beyond = jnp.clip(residual - inside, -limit, limit)
    answer = _value(inside)
    answer = jnp.where(beyond == 0, answer, answer + gradient(inside) * beyond)
    return jnp.clip(answer, -limit, limit)


@jax.custom_jvp
def gradient(residual):
    """g'(residual)."""
    residual, inside = _split(residual)
    limit = jnp.finfo(residual.dtype).max
    return jnp.clip(@SLOPE@, -limit, limit)


@loss.defjvp
def _loss_jvp(primals, tangents):
    return loss(*primals), gradient(*primals) * tangents[0]


@gradient.defjvp
def _gradient_jvp(primals, tangents):
    raise RuntimeError("@SECOND@")
'''  # noqa: E501 (lines of the exported text)

_JAX_PROMISE = """Computed in the dtype of x. Verified where 1e-6 <= |x| <= 80 and g, g' are normal numbers of it: relative error of g and g'
in float32 below {single:.1e}, in float64 at most 1e-10, if JAX's functions in float32 are right to 12 units in the last
place (sinh, cosh to 64; asinh, atanh to 18; erfc to 24), and in float64 as torch's are; in float32 an error of 4e-36 may come
on top, since XLA takes what is below 1.2e-38 for 0. Around another zero than x = 0 the error is relative to the largest term
there. Elsewhere finite. Beyond REACH g is a straight line."""  # noqa: E501 (lines of the exported text)


def _jax(built: Verified[stretches.Ranges]) -> str:
    narrow, tolerances = zip(*(_single(function) for function in functions_of(built.loss)))
    reach = {
        "float32": (
            max(_down(one.reach[0]) for one in narrow),
            min(_down(one.reach[1]) for one in narrow),
        ),
        "float64": built.reach,
    }
    promise = _JAX_PROMISE.format(single=max(tolerances))
    source = _HEAD.format(formula=write(built.loss.expression), promise=promise)
    source += f"\nimport jax\nimport jax.numpy as jnp\n\nREACH = {reach!r}\n"
    source += helpers([*narrow, built.values, built.slopes], JAX)
    for name, mark, single, double in zip(
        ("_value", "_slope"), ("g", "g'"), narrow, (built.values, built.slopes)
    ):
        source += function_source(
            f"{name}_float32", f"{mark} within REACH, in float32.", single, JAX, _up
        )
        source += function_source(
            f"{name}_float64", f"{mark} within REACH, in float64.", double, JAX
        )
    slope = (
        "jnp.where(inside == 0, 0.0, _slope(inside))" if built.kink_at_zero else "_slope(inside)"
    )
    return source + _filled(_JAX_FUNCTION, SLOPE=slope)


def _filled(text: str, **marks: str) -> str:
    """The text with @NAME@ replaced."""
    for mark, instead in (*marks.items(), ("SECOND", NO_SECOND_DERIVATIVE)):
        text = text.replace(f"@{mark}@", instead)
    return text


def _single(function: Pieces) -> tuple[stretches.Ranges, float]:
    """Ranges for float32 arithmetic, and the tolerance they were verified to."""
    *tighter, loosest = SINGLE_TOLERANCES
    for tolerance in tighter:
        with contextlib.suppress(programs.NotRepresentable):
            return ranges(function, arithmetic.SINGLE, tolerance), tolerance
    return ranges(function, arithmetic.SINGLE, loosest), loosest


def _as_single(number: float) -> float:
    """The nearest number of single precision, one near the largest for what lies beyond."""
    found = arithmetic.as_single(number)
    return math.copysign(3.4e38, number) if math.isinf(found) else found


def _up(edge: float) -> float:
    """The first float32 number not below an edge: it parts float32 residuals as the edge does."""
    found = _as_single(edge)
    if found >= edge:
        return found
    bits = struct.unpack("i", struct.pack("f", found))[0]
    return struct.unpack("f", struct.pack("i", bits + (1 if found >= 0 else -1)))[0]


def _down(end: float) -> float:
    """A float32 number not farther out."""
    return _as_single(end * (1 - 2.0**-23))


# --- LaTeX


def latex(found: Derivation) -> str:
    """g, g' and, where a closed form was found, f, as one align* environment."""
    rows = (
        ("g(x)", found.loss.expression),
        ("g'(x)", found.slope),
        ("f(t)", found.divergence.generator),
    )
    lines = [rf"{mark} &= {write_latex(what)}" for mark, what in rows if what is not None]
    named, factor = found.divergence.name, found.divergence.factor
    note = f"% D_f is {'' if factor == 1 else f'{write(factor)} times '}{named}\n" if named else ""
    return (
        "% x = log p_B - log p_F (target over model), t = e^x; needs amsmath\n"
        + note
        + "\\begin{align*}\n"
        + " \\\\\n".join(lines)
        + "\n\\end{align*}\n"
    )
