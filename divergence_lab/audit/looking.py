"""What kind of callable is it? In which dtypes it runs, how it reduces, what it keeps, whether
each residual is treated by itself.

A callable that is not elementwise is taken where it is known what it minimises: rows of steps,
each for itself or summed first, and a quadratic centred by the mean of its batch (VarGrad).
"""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from divergence_lab.audit.probing import (
    SIGNS,
    Subject,
    chunk,
    feed_arguments,
    returned,
    run,
    slopes,
)
from divergence_lab.audit.subjects.answers import item_to_take
from divergence_lab.audit.subjects.feeding import Layout, arguments_of, one_by_one
from divergence_lab.audit.subjects.jax_functions import as_torch, is_jax
from divergence_lab.audit.subjects.loading import AuditError
from divergence_lab.audit.subjects.watching import (
    counted_state,
    own_parameters,
    random_state,
    same_draws,
)

# Residuals at which it is seen whether the callable treats each by itself; the second batch has far
# companions.
ALONE = (-1.3, -0.7, -0.2, 0.15, 0.4, 0.9, 1.7)
COMPANIONS = (2.6, -2.9, 0.05)
# Levels of log p_F: a loss of the residual alone does not notice them. The first one adds without
# rounding.
LEVELS, FARTHER = (0.0, -1.25, -3.5), (-10.0, -20.0)
AGREEMENT = {torch.float32: 1e-4, torch.float64: 1e-9}


class _NotElementwise(AuditError):
    """The gradient at a residual depends on the others in the batch."""


class _NeverRan(AuditError):
    """It came back from no call, whatever the shape."""


def subject(
    call: Callable[..., Any],
    name: str,
    residual: str,
    feed: Sequence[str] | None = None,
    summed: bool = False,
    item: str | None = None,
) -> Subject:
    """The callable, looked at: what it takes, in which dtypes, how it reduces. Raises AuditError.

    feed: what its arguments are, in turn; found by looking where it is not given. item: which part
    of what it returns is trained.
    """
    if residual not in SIGNS:
        raise AuditError(
            f"--residual {residual!r}: say target/model (log p_B - log p_F) or model/target"
        )
    arguments = arguments_of(call, residual, feed)
    if is_jax(call):
        call = as_torch(call, name)
    told = Subject(call, name, SIGNS[residual], arguments, summed, item=item)
    try:
        return _looked_at(told)
    except _NeverRan:
        single = replace(told, call=one_by_one(call), notes=("it was called with one at a time",))
        if not _runs_singly(single):
            raise
        return _looked_at(single)


def _runs_singly(single: Subject) -> bool:
    try:
        return len(slopes(single, np.array(ALONE), torch.float64)) == len(ALONE)
    except (AuditError, RuntimeError):
        return False


def _looked_at(found: Subject) -> Subject:
    usable = _that_run(found)
    failures = []
    for one in usable:
        try:
            return _seen(one)
        except AuditError as error:
            failures.append(error)
    centred = [replace(one, centred=kind) for one in usable for kind in ("mean", "others")]
    if isinstance(failures[0], _NotElementwise):
        for one in centred:
            if _is_centred(one):
                return _seen(one)
    raise failures[0]


def _that_run(found: Subject) -> list[Subject]:
    """The layouts and dtypes in which it comes back, the plainest first. Raises AuditError."""
    masks = (torch.bool, torch.float32) if any(a.fed == "mask" for a in found.arguments) else ()
    constants = any(not isinstance(a.fed, str) for a in found.arguments)
    runs, failure = [], None
    for bare, mask, rows in itertools.product(
        (False, True) if constants else (False,), masks or (torch.bool,), (False, True)
    ):
        one = replace(found, layout=Layout(rows, mask, bare))
        usable = []
        for dtype in (torch.float64, torch.float32):
            try:
                one = _with_item(one, dtype)
                slopes(one, np.array(ALONE), dtype)
                usable.append(dtype)
            except AuditError as error:
                failure = failure or error
        if usable:
            runs.append(replace(one, dtypes=tuple(usable)))
    if not runs:
        raise _NeverRan(str(failure)) from None
    return runs


def _with_item(found: Subject, dtype: torch.dtype) -> Subject:
    """The part that carries a gradient, where only one does and none was chosen."""
    if found.item is not None:
        return found
    with torch.enable_grad():
        x = torch.tensor(ALONE, dtype=dtype)
        answer = returned(found, feed_arguments(found, torch.zeros_like(x).requires_grad_(), x))
        item = item_to_take(found.name, answer)
    if item is None:
        return found
    said = f"of what it returns, {item!r} is the only part that carries a gradient: that is audited"
    return replace(found, item=item, notes=(*found.notes, said))


def _seen(found: Subject) -> Subject:
    dtype = found.dtypes[0]
    alone = _alone(found, dtype)
    found = _steady(found, alone, dtype)
    found = replace(found, reduction=_reduction(found, alone, dtype))
    if found.layout.rows and not found.centred:
        found = _over_rows(found, dtype)
    found = replace(found, blurred=_depends_on_log_pf_a_little(found, dtype))
    own = own_parameters(found.call)
    if own:
        said = f"it has trainable parameters of its own ({', '.join(own[:4])}): as they stand now"
        found = replace(found, notes=(*found.notes, said))
    if found.centred:
        found = replace(found, notes=(*found.notes, _CENTRED[found.centred]))
    return found


def _alone(found: Subject, dtype: torch.dtype) -> np.ndarray:
    return np.array([slopes(found, np.array([point]), dtype)[0] for point in ALONE])


def _steady(found: Subject, alone: np.ndarray, dtype: torch.dtype) -> Subject:
    """Refuses randomness and state that changes the gradient; says what draws without effect."""
    before = random_state()
    again = _alone(found, dtype)
    draws = random_state() != before
    if not same(alone, again, dtype):
        first, second = same_draws(lambda: _alone(found, dtype))
        what = "is random" if draws and same(first, second, dtype) else "changes from call to call"
        raise AuditError(
            f"the gradient of {found.name} {what}: called again with the same residual it gives "
            "another gradient; audit it without randomness or state (dropout off, no running "
            "statistics)"
        )
    counter = counted_state(found.call, lambda: slopes(found, np.array(ALONE), dtype))
    if counter:
        raise AuditError(
            f"{found.name} depends on how often it was called: {counter} changes with every call, "
            "and at other values of it the gradient is another one; audit it with that fixed"
        )
    if not draws:
        return found
    said = "it draws random numbers; the gradient was the same in every call that was compared"
    return replace(found, notes=(*found.notes, said))


def refuse_where_it_moved(found: Subject, before: np.ndarray) -> None:
    """Raises AuditError where the gradient at ALONE is no longer what it was `before` the audit:
    what it keeps, wherever that is, has passed a turn.
    """
    if not same(before, slopes(found, np.array(ALONE), found.dtypes[0]), found.dtypes[0]):
        raise AuditError(
            f"the gradient of {found.name} was another one after some hundred calls: it depends on "
            "how often it was called, or is random; audit it with that fixed"
        )


def _reduction(found: Subject, alone: np.ndarray, dtype: torch.dtype) -> str:
    count = len(ALONE)
    batch = 2 * count if found.centred else count
    with torch.enable_grad():
        x = torch.tensor(ALONE, dtype=dtype)
        x = torch.cat([x, -x]) if found.centred else x
        size = run(found, feed_arguments(found, torch.zeros_like(x).requires_grad_(), x)).numel()
    if size not in (1, batch):
        raise AuditError(
            f"{found.name} returns {size} numbers for {batch} residuals: it must return "
            "one for each, their mean or their sum"
        )
    together = slopes(found, np.array(ALONE), dtype)
    wider = slopes(found, np.array(ALONE + COMPANIONS), dtype)[:count]
    if same(together, alone, dtype) and same(wider, alone, dtype):
        return "none" if size == batch else "sum"
    if same(together * count, alone, dtype) and same(
        wider * (count + len(COMPANIONS)), alone, dtype
    ):
        return "mean"
    off = np.abs(together - alone)
    worst = int(np.nanargmax(off)) if np.isfinite(off).any() else 0
    raise _NotElementwise(
        f"{found.name} is not elementwise: the gradient at x = {ALONE[worst]:g} is "
        f"{alone[worst]:.6g} alone and {together[worst]:.6g} in a batch, neither the same nor "
        f"1/{count} of it; audit a function that treats each residual by itself"
    )


def _over_rows(found: Subject, dtype: torch.dtype) -> Subject:
    """Are two steps of a row each for itself, or is it a loss of their sum?

    Raises AuditError for anything else, a softmax over the row say.
    """
    a, b = np.array(ALONE), np.array([*ALONE[3:], *ALONE[:3]])
    seen = chunk(found, np.stack([a, b], axis=1), dtype, 0.0)[0]
    by_step = np.stack([slopes(found, a, dtype), slopes(found, b, dtype)], axis=1)
    of_sum = np.repeat(slopes(found, a + b, dtype)[:, None], 2, axis=1)
    of_mean = np.repeat(slopes(found, (a + b) / 2, dtype)[:, None], 2, axis=1)
    for expected, said in (
        (by_step, "each step of a row is treated by itself"),
        (of_sum, "the steps of a row are summed first: x is the residual of a whole sequence"),
        (of_mean, "the steps of a row are averaged first: x is the mean residual of a sequence"),
    ):
        size = float((expected * expected).sum())
        scale = float((seen * expected).sum()) / size if size > 0 else 0.0
        if scale > 0 and same(seen, scale * expected, dtype):
            return replace(found, notes=(*found.notes, f"it was fed rows, [batch, steps]; {said}"))
    raise _NotElementwise(
        f"{found.name} mixes the steps of a row: its gradient at two steps is neither that of each "
        "by itself nor that of their sum; audit a function that treats each residual by itself"
    )


_CENTRED = {
    "mean": "the residual is centred by the mean over the batch, which stands in for log Z: of a "
    "quadratic the expected gradient is (1 - 1/K) times that of the divergence, K the batch size",
    "others": "the residual is centred by the mean of the others in the batch, which stands in "
    "for log Z: of a quadratic the expected gradient keeps that of the divergence",
}


def _is_centred(found: Subject) -> bool:
    """Is the gradient of a batch c (x - mean), with one c > 0 for every batch (times K/(K-1) for
    the mean of the others)?

    Only then is it known what is minimised: centring the residual inside g' is exact for linear
    g' alone.
    """
    dtype, random = found.dtypes[0], np.random.default_rng(0)
    bare, sizes = replace(found, centred=None, reduction="none"), (2, 3, 5, 8)
    scales = []
    for size, spread in zip(sizes, (1, 10, 100, 1), strict=True):
        x = spread * random.normal(size=size)
        try:
            seen = slopes(bare, x, dtype)
        except AuditError:
            return False
        off = x - x.mean()
        scale = float(seen @ off) / float(off @ off)
        # the gradient may be that of a mean or of a sum
        if not scale > 0 or not np.allclose(seen, scale * off, rtol=1e-6, atol=1e-9 * scale):
            return False
        scales.append(scale * ((size - 1) / size if found.centred == "others" else 1.0))
    of_sum, of_mean = np.array(scales), np.array(scales) * np.array(sizes)
    return any(np.ptp(one) <= 1e-6 * one[0] for one in (of_sum, of_mean))


def _depends_on_log_pf_a_little(found: Subject, dtype: torch.dtype) -> bool:
    """Does log p_F itself move the gradient by less than a thousandth? More is refused."""
    if found.fed_residual:
        return False
    blurred = False
    first, *others = (slopes(found, np.array(ALONE), dtype, level) for level in (*LEVELS, *FARTHER))
    for level, other in zip((*LEVELS[1:], *FARTHER), others, strict=True):
        alike = np.isclose(first, other, rtol=1e-3, atol=AGREEMENT[dtype], equal_nan=True)
        blurred |= bool(alike.all()) and not same(first, other, dtype)
        if level in LEVELS and (not alike.all() or not np.isfinite(first).any()):
            at = int(np.argmin(alike & np.isfinite(first)))
            raise AuditError(
                f"{found.name} fed {', '.join(found.feed)} is no function of log p_B - "
                f"log p_F: at x = {ALONE[at]:g} its slope is {first[at]:.4g} for log p_F = 0 and "
                f"{other[at]:.4g} for {level:g}; say with --feed what its arguments are (pf, pb: "
                "probabilities), and --summed if it is summed over objects, not averaged over "
                "the model's samples"
            )
    return blurred


def same(a: np.ndarray, b: np.ndarray, dtype: torch.dtype) -> bool:
    """Do two arrays of slopes agree, to what the dtype can hold?"""
    return np.allclose(a, b, rtol=AGREEMENT[dtype], atol=AGREEMENT[dtype], equal_nan=True)
