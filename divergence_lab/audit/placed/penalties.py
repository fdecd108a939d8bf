"""A callable looked at as what it is where it stands: a penalty in the reward is held, and need not
carry a gradient.
"""

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

from torch import Tensor

from divergence_lab.audit import looking, probing
from divergence_lab.audit.placed.standing import Standing
from divergence_lab.audit.subjects.loading import AuditError


def look_at(
    call: Callable[..., Any],
    name: str,
    residual: str,
    feed: Sequence[str] | None,
    summed: bool,
    item: str | None,
    standing: Standing,
) -> probing.Subject:
    """The callable, looked at; a penalty in the reward need not carry a gradient."""
    try:
        return looking.subject(call, name, residual, feed, summed, item)
    except AuditError as failure:
        if standing.placement != "reward" or "no gradient" not in str(failure):
            raise
        return looking.subject(with_a_gradient(call), name, residual, feed, summed, item)


def with_a_gradient(call: Callable[..., Any]) -> Callable[..., Any]:
    """The penalty with its value and, so that it can be seen to treat each draw by itself, the
    gradient k in each argument; in the reward only the value counts.
    """

    @wraps(call)
    def valued(*given: Any, **named: Any) -> Any:
        value = call(*given, **named)
        if not isinstance(value, Tensor):
            return value
        moving = [one for one in given if isinstance(one, Tensor) and one.requires_grad]
        return value + sum((one - one.detach()) * value for one in moving)

    return valued
