"""What takes seconds, run beside the page: the full derivation, source text, a small GFlowNet.

Nothing here draws, and nothing is computed here but by one process that is asked.  However many
visitors there are, it has one question at a time, that of a typed loss's curves first: so there are
few processes, and the page's own computes nothing but what follows the sliders.  What several ask
is computed once.
"""

import contextlib
import functools
import threading
from collections.abc import Callable, Generator, Iterator
from typing import Any, TypeVar

from divergence_lab.app.learned import Learned
from divergence_lab.inputs import missing_package
from divergence_lab.theory.answers.derivation import Derivation, derive
from divergence_lab.theory.budget.asking import OutOfTime, SearchFailed, stream, within
from divergence_lab.theory.budget.processes import lift_memory_limit
from divergence_lab.theory.divergence.loss import loss
from divergence_lab.theory.expressions import ExpressionError
from divergence_lab.theory.expressions.syntax import shown

Answer = TypeVar("Answer")
READ_SECONDS, DERIVE_SECONDS, TORCH_SECONDS = 5.0, 6.0, 60.0
STEPS, MOST_KNOWN = 400, 64


class Stopped(Exception):
    """The page has moved on: nobody waits for this answer any more."""


class Turns:
    """One at a time; of those that wait, the eager come first."""

    def __init__(self) -> None:
        self.changed, self.taken, self.eager = threading.Condition(), False, 0

    @contextlib.contextmanager
    def turn(self, eager: bool) -> Iterator[None]:
        """This thread's turn, for as long as the block lasts."""
        with self.changed:
            self.eager += eager
            self.changed.wait_for(lambda: not self.taken and (eager or not self.eager))
            self.eager -= eager
            self.taken = True
        try:
            yield
        finally:
            with self.changed:
                self.taken = False
                self.changed.notify_all()


TURNS = Turns()


def carry_on() -> None:
    """What an asker that wants its answer whatever happens has to say when its turn comes."""


def in_turn(
    eager: bool, turns: Turns = TURNS
) -> Callable[[Callable[..., Answer]], Callable[..., Answer]]:
    """Those that ask wait for their turn, and the last 64 answers by text need none.

    When its turn comes, the asker's `wanted` may raise Stopped.

        >>> @in_turn(eager=True)
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
            with turns.turn(eager):
                if (found := known.get(text)) is None:
                    found = known[text] = question(text, wanted)
                    if len(known) > MOST_KNOWN:
                        del known[next(iter(known))]
            return found

        return ask

    return of_question


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


@in_turn(eager=False)
def derivation(text: str, wanted: Callable[[], None]) -> Derivation:
    """Everything `derive` says within DERIVE_SECONDS. Raises ExpressionError."""
    wanted()
    too_slow = f"it could not be read within {READ_SECONDS:g} s of processor time: try a simpler"
    found = answer(READ_SECONDS, loss, text, f"{too_slow} loss", "it could not be read")
    return derive(found, budget=DERIVE_SECONDS)


@in_turn(eager=False)
def torch_text(text: str, wanted: Callable[[], None]) -> str:
    """The loss as a torch file that stands alone. Raises ValueError."""
    wanted()
    *_, found = _with_torch("torch_text", text)
    return found


def latex_text(found: Derivation) -> str:
    """g, g' and f for a paper."""
    with TURNS.turn(eager=False):
        *_, latex = _with_torch("latex_text", found)
    return latex


@in_turn(eager=False)
def learn(text: str, progress: Callable[[int, int], None]) -> Learned:
    """What `with_torch.learn` ends with; `progress(step, steps)` may raise Stopped.

    Raises ValueError where the loss can't be trained with.
    """
    progress(0, STEPS)
    found = None
    with contextlib.closing(_with_torch("learn", text, STEPS)) as parts:
        for found in parts:
            if isinstance(found, int):
                progress(found, STEPS)
    assert isinstance(found, Learned)
    return found


def _with_torch(name: str, *arguments: Any) -> Generator[Any, None, None]:
    """The answers of that function of `with_torch`, as they come. Raises ValueError."""
    try:
        yield from stream([TORCH_SECONDS], asked_with_torch, name, *arguments)
    except OutOfTime:
        raise ValueError(f"it takes more than {TORCH_SECONDS:g} s of processor time") from None
    except SearchFailed as failure:
        if isinstance(failure.__cause__, ValueError):
            raise failure.__cause__ from None
        raise ValueError(str(failure)) from None


def asked_with_torch(name: str, *arguments: Any) -> Iterator[Any]:
    """What the process that is asked does: torch is imported there."""
    lift_memory_limit()
    from divergence_lab.app import with_torch

    try:
        found = getattr(with_torch, name)(*arguments)
        yield from found if isinstance(found, Iterator) else (found,)
    except ModuleNotFoundError as error:
        raise missing_package(error, "training") or error from None
