"""What takes seconds, run beside the page: the full derivation, source text, a small GFlowNet.

Nothing here draws.  However many visitors there are, one reading, one derivation and one
computation within this process are under way at a time: so there are few processes, and the sliders
of all share this one with no more than one thread that computes.  What several ask is computed
once.
"""

import functools
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from divergence_lab.theory.answers.derivation import Derivation, derive
from divergence_lab.theory.budget.asking import OutOfTime, SearchFailed, within
from divergence_lab.theory.divergence.loss import Loss, loss
from divergence_lab.theory.expressions import ExpressionError
from divergence_lab.theory.expressions.syntax import shown

Answer = TypeVar("Answer")
READ_SECONDS, DERIVE_SECONDS = 5.0, 6.0
SIDE, STEPS, BATCH = 8, 400, 32
MOST_KNOWN = 64
# Two processes at most are asked at a time, and one thread of this one computes.
READING, DERIVING, COMPUTING = (threading.Lock() for _ in range(3))


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


def carry_on() -> None:
    """What an asker that waits for its answer whatever happens has to say when its turn comes."""


def in_turn(turn: threading.Lock) -> Callable[[Callable[..., Answer]], Callable[..., Answer]]:
    """Those that ask wait for their turn, and the last 64 answers by text need none.

    When its turn comes, the asker's `wanted` may raise Stopped.

        >>> @in_turn(threading.Lock())
        ... def length(text, wanted):
        ...     print("counting")
        ...     return len(text)
        >>> length("abc"), length("abc")
        counting
        (3, 3)
    """

    def of_question(question: Callable[..., Answer]) -> Callable[..., Answer]:
        known: dict[str, Answer] = {}

        @functools.wraps(question)
        def ask(text: str, wanted: Callable[..., None] = carry_on) -> Answer:
            if (found := known.get(text)) is not None:
                return found
            with turn:
                if (found := known.get(text)) is None:
                    found = known[text] = question(text, wanted)
                    if len(known) > MOST_KNOWN:
                        del known[next(iter(known))]
            return found

        return ask

    return of_question


@in_turn(READING)
def read(text: str, wanted: Callable[[], None]) -> Loss:
    """The loss that a text names or writes. Raises ExpressionError."""
    wanted()
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


@in_turn(DERIVING)
def derivation(text: str, wanted: Callable[[], None]) -> Derivation:
    """Everything `derive` says within DERIVE_SECONDS. Raises ExpressionError."""
    wanted()
    return derive(read(text), budget=DERIVE_SECONDS)


@in_turn(COMPUTING)
def torch_text(text: str, wanted: Callable[[], None]) -> str:
    """The loss as a torch file that stands alone.

    Raises ExpressionError and NotRepresentable, both ValueErrors.
    """
    wanted()
    from divergence_lab.bridge.export import export  # torch: the page does not wait for it

    return export(read(text), "torch")


def latex_text(found: Derivation) -> str:
    """g, g' and f for a paper."""
    with COMPUTING:
        from divergence_lab.bridge.export import latex

        return latex(found)


@in_turn(COMPUTING)
def learn(text: str, progress: Callable[[int, int], None]) -> Learned:
    """A GFlowNet on the 8x8 hyper-grid, trained from scratch by trajectory balance with this loss
    on its own samples.

    `progress(step, steps)` may raise Stopped. Raises ValueError where the loss can't be trained
    with.
    """
    progress(0, STEPS)
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
