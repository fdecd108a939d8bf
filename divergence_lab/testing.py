"""For other people's test suites: a test that a loss minimises the divergence that it should.

    assert_divergence(my_loss, "reverse KL", residual="model/target")

It is `audit` with an assertion: the callable is run, its gradient identified, and the divergence,
the gradient on random simplices and the problems are held against what is expected.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Iterator
from typing import TYPE_CHECKING, Any

from divergence_lab.inputs import InputError, shown
from divergence_lab.theory.catalogue.divergences import DIVERGENCES

if TYPE_CHECKING:
    from divergence_lab.audit.result import Audit

_KINDS = (
    "dead_gradient",
    "wrong_sign_gradient",
    "not_finite",
    "cancellation",
    "not_zero_at_zero",
    "not_differentiable",
    "class_changed",
)


def assert_divergence(
    fn: Callable[..., Any] | str,
    divergence: str,
    residual: str = "target/model",
    placement: str = "loss",
    *,
    factor: str | None = None,
    allow: Collection[str] = (),
    **options: Any,
) -> Audit:
    """AssertionError unless fn minimises this D_f(p_B||p_F), its gradient is that of D_f, and the
    audit finds no problem.

    fn: a torch callable, or a text as `audit` takes it. divergence: a name such as "reverse KL";
    up to a positive factor, unless `factor` names it ("2", "1/2"). residual: what fn receives,
    "target/model" (log p_B - log p_F) or "model/target". placement: where fn stands, "loss",
    "reward" or "weighted". allow: kinds of problems that may be there, such as "cancellation".
    options: those of `audit` (range, dtype, feed, ...). Returns the audit, for more assertions.
    Raises InputError for what can't be asked.

        >>> import torch
        >>> found = assert_divergence(
        ...     torch.nn.functional.mse_loss, "reverse KL", residual="model/target"
        ... )
        >>> found.zero_forcing.holds
        True
    """
    __tracebackhide__ = True
    from divergence_lab.audit.auditing import audit

    for kind in allow:
        if kind not in _KINDS:
            raise InputError(
                f"allow: {shown(str(kind))} is no kind of problem: {', '.join(_KINDS)}"
            )
    found = audit(fn, residual, placement=placement, **options)
    failures = list(_failures(found, divergence, factor, allow))
    if failures:
        where = f"residual={residual!r}, placement={placement!r}"
        raise AssertionError("\n  ".join([f"{found.name} ({where}):", *failures]))
    return found


def _near(divergence: str) -> str:
    """What the catalogue calls a divergence of this name, or a sentence that it knows none."""
    known = [entry.name for entry in DIVERGENCES]
    family = divergence.partition(" with ")[0].strip().lower()
    if family in (name.lower() for name in known):
        return ""
    near = difflib.get_close_matches(divergence, known, 1)
    meant = f"; did you mean {near[0]!r}?" if near else f": there are {', '.join(known)}"
    return f" (no divergence of the catalogue is called {shown(divergence)}{meant})"


def _failures(
    found: Audit, divergence: str, factor: str | None, allow: Collection[str]
) -> Iterator[str]:
    """What is not as expected, a sentence each."""
    if found.divergence is None:
        because = getattr(found, "because", None) or found.zero_forcing.because
        yield f"it minimises no divergence that was identified, not {divergence}: {because}"
    elif found.divergence.lower() != divergence.strip().lower():
        other = found.under_the_other_sign.divergence
        turned = " (with the other sign of the residual it would)" if other == divergence else ""
        yield f"it minimises {_times(found)}, not {divergence}{turned}{_near(divergence)}"
    elif factor is not None and found.factor != str(factor):
        yield f"it minimises {_times(found)}, not {factor} x {divergence}"
    if found.gradient_check is False:
        yield (
            "its gradient on random simplices is not that of the divergence: relative error "
            f"{found.max_gradient_error:.2g}"
        )
    for problem in found.problems:
        if problem.kind not in allow:
            yield f"{problem.kind} from {problem.low:g} to {problem.high:g}: {problem.detail}"


def _times(found: Audit) -> str:
    plain = found.factor in (None, "1")
    return str(found.divergence) if plain else f"{found.factor} x {found.divergence}"
