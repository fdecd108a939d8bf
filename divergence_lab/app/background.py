"""What takes seconds, run beside the page: the full derivation, source text, a small GFlowNet.

Nothing here draws.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

import numpy as np

from divergence_lab.theory.answers.derivation import Derivation, derive
from divergence_lab.theory.budget.asking import OutOfTime, SearchFailed, within
from divergence_lab.theory.divergence.loss import Loss, loss
from divergence_lab.theory.expressions import ExpressionError
from divergence_lab.theory.expressions.syntax import shown

Answer = TypeVar("Answer")
READ_SECONDS, DERIVE_SECONDS = 5.0, 6.0
# Two threads that import a package and one of its modules at the same time may each find the
# other's half done.
_IMPORTING = threading.Lock()
SIDE, STEPS, BATCH = 8, 400, 32


class Stopped(Exception):
    """The page has moved on: nobody waits for this answer any more."""


@dataclass(frozen=True, eq=False)
class Learned:
    """Exact laws [SIDE, SIDE] after STEPS steps; total variation [K] at `steps` [K]; modes found
    of all.
    """

    target: np.ndarray
    law: np.ndarray
    steps: np.ndarray
    total_variation: np.ndarray
    modes: tuple[int, int]


@lru_cache(maxsize=64)
def read(text: str) -> Loss:
    """The loss that a text names or writes. Raises ExpressionError."""
    return answer(
        READ_SECONDS,
        loss,
        text,
        f"it could not be read within {READ_SECONDS:g} s of processor time: try a simpler loss",
        "it could not be read",
    )


def answer(
    seconds: float, ask: Callable[[str], Answer], text: str, too_slow: str, failed: str
) -> Answer:
    """ask(text) in a process that can be ended. Raises ExpressionError with one clear line."""
    try:
        return within(seconds, ask, text)
    except OutOfTime:
        raise ExpressionError(f"{shown(text)}: {too_slow}") from None
    except SearchFailed as failure:
        if isinstance(failure.__cause__, ExpressionError):
            raise failure.__cause__ from None
        raise ExpressionError(f"{shown(text)}: {failed}: {failure}") from None


@lru_cache(maxsize=64)
def derivation(text: str) -> Derivation:
    """Everything `derive` says within DERIVE_SECONDS. Raises ExpressionError."""
    return derive(read(text), budget=DERIVE_SECONDS)


@lru_cache(maxsize=64)
def torch_text(text: str) -> str:
    """The loss as a torch file that stands alone.

    Raises ExpressionError and NotRepresentable, both ValueErrors.
    """
    with _IMPORTING:  # torch: a second that the page does not wait for
        from divergence_lab.bridge.export import export
    return export(read(text), "torch")


def latex_text(found: Derivation) -> str:
    """g, g' and f for a paper."""
    with _IMPORTING:
        from divergence_lab.bridge.export import latex
    return latex(found)


def learn(text: str, progress: Callable[[int, int], None]) -> Learned:
    """A GFlowNet on the 8x8 hyper-grid, trained from scratch by trajectory balance with this loss
    on its own samples.

    `progress(step, steps)` may raise Stopped. Raises ValueError where the loss can't be trained
    with.
    """
    with _IMPORTING:
        from divergence_lab.bridge import to_torch
        from divergence_lab.graphs.spaces.hypergrid import hypergrid
        from divergence_lab.training.loop import train
    graph = hypergrid(2, SIDE)
    result = train(
        {"g": to_torch(read(text))},
        graph,
        seeds=1,
        steps=STEPS,
        batch=BATCH,
        evaluations=20,
        device="cpu",
        progress=progress,
    )
    laws = [np.zeros((SIDE, SIDE)) for _ in range(2)]
    for law, values in zip(laws, (result.target, result.terminal[0, 0])):
        law[tuple(result.coordinates.T)] = values
    return Learned(
        *laws,
        result.steps,
        result.metrics["tv"][0, 0],
        (int(result.modes_found[0, 0]), len(graph.modes)),
    )
