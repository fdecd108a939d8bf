"""What the page asks of torch, in a process that has it: source text, a small GFlowNet.

The page itself never imports torch: it stays small, and its sliders share its one interpreter with
nobody who computes.
"""

import contextlib
import queue
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from divergence_lab.app.learned import BATCH, SIDE, Learned
from divergence_lab.bridge.export import export, latex
from divergence_lab.bridge.torch_loss import to_torch
from divergence_lab.graphs.spaces.hypergrid import hypergrid
from divergence_lab.theory.answers.derivation import Derivation
from divergence_lab.theory.divergence.loss import loss
from divergence_lab.training.loop import train

EVALUATIONS = 20


def torch_text(text: str) -> str:
    """The loss as a torch file that stands alone."""
    return export(loss(text), "torch")


def latex_text(found: Derivation) -> str:
    """g, g' and f for a paper."""
    return latex(found)


def learn(text: str, steps: int) -> Iterator[int | Learned]:
    """How many steps were made, again and again, and at the end what was learned: a GFlowNet on the
    8x8 hyper-grid, trained by trajectory balance with this loss on its own samples.
    """
    graph, losses = hypergrid(2, SIDE), {"g": to_torch(loss(text))}
    made: queue.SimpleQueue[int] = queue.SimpleQueue()
    settings = {"steps": steps, "batch": BATCH, "evaluations": EVALUATIONS, "device": "cpu"}

    def tell(step: int, _: int) -> None:
        made.put(step)

    with ThreadPoolExecutor(1) as beside:
        training = beside.submit(train, losses, graph, seeds=1, progress=tell, **settings)
        while not training.done() or not made.empty():
            with contextlib.suppress(queue.Empty):
                yield made.get(timeout=0.2)
    result = training.result()
    laws = [np.zeros((SIDE, SIDE)) for _ in range(2)]
    for law, values in zip(laws, (result.target, result.terminal[0, 0])):
        law[tuple(result.coordinates.T)] = values
    modes = int(result.modes_found[0, 0]), len(graph.modes)
    yield Learned(*laws, result.steps, result.metrics["tv"][0, 0], modes)
