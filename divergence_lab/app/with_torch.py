"""What the page asks of torch, in a process that has it: source text, a small GFlowNet.

The page itself never imports torch: it stays small, and its sliders share its one interpreter with
nobody who computes.
"""

import contextlib
import queue
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from divergence_lab.app.learned import BATCH, SIDE, UNITS, Learned
from divergence_lab.bridge.export import export, latex
from divergence_lab.theory.answers.derivation import Derivation

EVALUATIONS = 20
SMALL_RATE = 0.03


def torch_text(text: str) -> str:
    """The loss as a torch file that stands alone."""
    return export(text, "torch")


def latex_text(found: Derivation) -> str:
    """g, g' and f for a paper."""
    return latex(found)


def learn(text: str, steps: int) -> Iterator[int | Learned]:
    """How many steps were made, again and again, and at the end what was learned: GFlowNets on the
    8x8 hyper-grid, trained by trajectory balance with this loss on their own samples. A table,
    which can learn the target, then a network of UNITS hidden units, which can't.
    """
    from divergence_lab.graphs.spaces.hypergrid import hypergrid  # torch, which the texts need not

    table = yield from _trained(text, steps)
    small = yield from _trained(
        text, steps, policy="mlp", width=UNITS, depth=1, learning_rate=SMALL_RATE
    )
    yield Learned(
        _on_grid(table, table.target),
        _on_grid(table, table.terminal[0, 0]),
        _on_grid(table, small.terminal[0, 0]),
        table.steps,
        table.metrics["tv"][0, 0],
        small.metrics["tv"][0, 0],
        (int(table.modes_found[0, 0]), len(hypergrid(2, SIDE).modes)),
        int(small.modes_found[0, 0]),
    )


def _trained(text: str, steps: int, **policy: Any) -> Generator[int, None, Any]:
    from divergence_lab.graphs.spaces.hypergrid import hypergrid
    from divergence_lab.training.loop import train

    graph, losses = hypergrid(2, SIDE), {"g": text}
    made: queue.SimpleQueue[int] = queue.SimpleQueue()
    settings = {"steps": steps, "batch": BATCH, "evaluations": EVALUATIONS, "device": "cpu"}

    def tell(step: int, _: int) -> None:
        made.put(step)

    with ThreadPoolExecutor(1) as beside:
        training = beside.submit(train, losses, graph, seeds=1, progress=tell, **settings, **policy)
        while not training.done() or not made.empty():
            with contextlib.suppress(queue.Empty):
                yield made.get(timeout=0.2)
    return training.result()


def _on_grid(result: Any, values: np.ndarray) -> np.ndarray:
    law = np.zeros((SIDE, SIDE))
    law[tuple(result.coordinates.T)] = values
    return law
