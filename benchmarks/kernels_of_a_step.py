"""How many kernels one training step launches on a GPU: python benchmarks/kernels_of_a_step.py

Counted without one: on torch's "meta" device every operation goes the way of a GPU and computes
nothing.  Kernels of our own count as they are launched, operations of torch as its CUDA code makes
them; what only looks at a tensor in another way is none.  Prints Markdown: the paper's losses and
five seeds together, from all states and from the visited ones, P_B uniform and learned, and what
takes more.

How many kernels an operation is has been read, not seen: benchmarks/one_step.py shows on a GPU what
there is in truth, which may be more (an older count without such weights gave 2,954 for a step of
TB on 20^4, where an H200 made 3,455).
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from divergence_lab.bench.measuring import prepared
from divergence_lab.bridge import to_torch
from divergence_lab.gflownet import optimiser
from divergence_lab.gflownet.kernels import adam, availability, laws, table_walks, walks
from divergence_lab.graphs.texts import space_from_text
from divergence_lab.theory.catalogue.named import PAPER_LOSSES
from divergence_lab.theory.divergence.loss import loss
from divergence_lab.training import settings
from divergence_lab.training.stepping import make_step, start_progress

GRID, BATCH, SEEDS = "hypergrid:4x8", 16, 5
OBJECTIVES = ("tb", "vargrad", "db", "subtb(0.9)", "fm")
STEPS: dict[str, tuple[str, dict[str, Any]]] = {
    **{
        f"{evaluate}, P_B {backward}": (GRID, {"evaluate": evaluate, "backward": backward})
        for evaluate in ("all states", "visited")
        for backward in ("uniform", "learned")
    },
    "all states, float64": (GRID, {"evaluate": "all states", "dtype": torch.float64}),
    "visited, float64": (GRID, {"evaluate": "visited", "dtype": torch.float64}),
    "visited, half of it replayed": (GRID, {"evaluate": "visited", "sampler": "replay:0.5"}),
    "visited, drawn by P_B": (GRID, {"evaluate": "visited", "sampler": "backward"}),
    "generated grid": ("generated:" + GRID, {}),
    "generated bits": ("generated:bits:16x4", {}),
}
VIEWS = (
    "_reshape_alias", "_unsafe_view", "alias", "as_strided.", "detach", "diagonal.", "empty",
    "expand.", "lift_fresh", "movedim", "new_empty", "permute", "select.", "slice.", "split",
    "squeeze", "t.", "transpose", "unbind", "unfold.", "unsqueeze", "view",
)  # fmt: skip
# operations that torch makes of several kernels on CUDA; others are one
SEVERAL = {
    "argsort": 4, "baddbmm": 2, "constant_pad_nd": 2, "index_add": 2, "index_copy": 2,
    "index_put": 8, "logsumexp": 9, "masked_fill": 2, "scatter": 2, "select_backward": 2,
    "slice_backward": 2, "sort": 4, "_grouped_mm": 2,
}  # fmt: skip


class Kernels(TorchDispatchMode):
    """Counts what would be launched, by name."""

    def __init__(self) -> None:
        super().__init__()
        self.names, self._ours = Counter(), False

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        made = function(*args, **(kwargs or {}))
        name = str(function).removeprefix("aten.")
        first = made[0] if isinstance(made, (tuple, list)) else made
        empty = isinstance(first, Tensor) and first.numel() == 0
        if not self._ours and not empty and not name.startswith(VIEWS):
            self.names[name] += SEVERAL.get(name.partition(".")[0], 1)
            if name.startswith("_log_softmax"):  # it takes memory as it lies
                copies = [one for one in args if isinstance(one, Tensor)]
                self.names["copy for " + name] += sum(not one.is_contiguous() for one in copies)
        return made

    def ours(self, name: str, number: int, make: Callable[..., Any]) -> Callable[..., Any]:
        """`make` in the place of so many kernels of our own."""

        def call(*args: Any, **kwargs: Any) -> Any:
            self._ours, before = True, self._ours
            try:
                return make(*args, **kwargs)
            finally:
                self._ours = before
                self.names[name] += number

        return call


@contextmanager
def as_on_a_gpu() -> Iterator[Kernels]:
    """What is made here goes the way of a GPU with Triton, and is not computed; `with` what is
    yielded it is counted.
    """
    kernels = Kernels()
    with ExitStack() as stack:
        for where, name, instead in (
            (settings, "find_device", lambda name: torch.device("meta")),
            (availability, "usable", lambda device: True),
            (availability, "ours_or_torch", lambda space, kernel, ours, in_torch, agrees: ours()),
            (optimiser, "_kernels_agree", lambda device: True),
            (walks, "walk", kernels.ours("our walk", 1, _walk)),
            (table_walks, "steps", kernels.ours("our walk by table", 1, _steps)),
            (adam, "step", kernels.ours("our Adam", 2, lambda *of: torch.empty_like(of[2]))),
            (laws, "forward", kernels.ours("our law", 1, lambda *of: torch.empty_like(of[1]))),
            (laws, "backward", kernels.ours("its slope", 1, lambda *of: torch.empty_like(of[1]))),
        ):  # fmt: skip
            stack.enter_context(mock.patch.object(where, name, instead))
        yield kernels


def _walk(policy: Any, parameters: Any, chosen: Any, uniforms: Tensor, flows: bool) -> Any:
    members, steps, batch = uniforms.shape
    states = uniforms.new_empty(
        members, steps + 1, batch, len(policy.space.source), dtype=torch.long
    )
    return (states, *(torch.empty_like(uniforms, dtype=kind) for kind in (torch.long, torch.bool)))


def _steps(cumulative: Tensor, next_state: Tensor, uniforms: Tensor) -> Tensor:
    return torch.empty_like(uniforms, dtype=torch.long)


def counted(losses: dict[str, Any], space: Any, **given: Any) -> Counter[str]:
    """The kernels of one training step of all members, by name."""
    with as_on_a_gpu() as kernels:
        run = prepared(space, losses, device="cuda", **given)
        _, advance = make_step(run, start_progress(run, 1))
        advance(0.1)  # constants of the space are made
        with kernels:
            kernels.names.clear()
            advance(0.2)
    return kernels.names


def main() -> int:
    """Print the table."""
    losses = {name: to_torch(loss(name)) for name in PAPER_LOSSES}
    print("| step |", " | ".join(OBJECTIVES), "|\n|---|" + "---:|" * len(OBJECTIVES))
    for what, (text, given) in STEPS.items():
        space = space_from_text(text)
        chosen = {"policy": "mlp", "batch": BATCH, "seeds": SEEDS, **given}
        found = (
            counted(losses, space, objective=objective, **chosen).total()
            for objective in OBJECTIVES
        )
        print(f"| {what} |", " | ".join(map(str, found)), "|", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
