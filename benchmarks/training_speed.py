"""Where evaluating visited states alone begins to pay: python benchmarks/training_speed.py
[--members M]

For hyper-grids of 2 and 4 dimensions and three batch sizes: ms an iteration of `train` (TB, MLP
2x256), the policy evaluated at all S states or at the visited ones, beside S / (B T), the states
for each visit that there can be at the most.  `train(evaluate="auto")` decides by
settings.CROSSOVER.  Prints Markdown.
"""

from __future__ import annotations

import argparse

import torch

from divergence_lab.bench.measuring import in_turns, our_training
from divergence_lab.graphs.texts import graph_from_text
from divergence_lab.training.settings import CROSSOVER

GRIDS = ("2x8", "2x16", "2x32", "2x64", "4x4", "4x6", "4x8", "4x10", "4x12")
BATCHES = (4, 16, 64)
LARGEST = 2**16  # state evaluations of all members beyond which one way is not worth waiting for


def half_square(x: torch.Tensor) -> torch.Tensor:
    return x * x / 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--members", type=int, default=4)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    options = parser.parse_args()
    threads = torch.get_num_threads()
    print(
        f"CROSSOVER = {CROSSOVER:g}; {options.members} members, {options.device}, "
        f"{threads} threads\n"
    )
    print("| grid | S | B | S / (B T) | all states, ms | visited, ms | faster |")
    print("|---|---:|---:|---:|---:|---:|---|")
    for size in GRIDS:
        graph = graph_from_text(f"hypergrid:{size}")
        for batch in BATCHES:
            given = {
                "policy": "mlp",
                "batch": batch,
                "seeds": options.members,
                "device": options.device,
            }
            ways = (
                ("all states", "visited")
                if graph.n_states * options.members <= LARGEST
                else ("visited",)
            )
            runs = {
                way: our_training(graph, {"quadratic": half_square}, evaluate=way, **given)
                for way in ways
            }
            found = in_turns({way: (lambda run=run: run(5)) for way, run in runs.items()}, 3)
            shown = [
                f"{found[way] / 5 * 1e3:.1f}" if way in found else "-"
                for way in ("all states", "visited")
            ]
            density = graph.n_states / (batch * graph.max_steps)
            faster = min(found, key=found.__getitem__) if len(found) > 1 else "-"
            cells = (size, graph.n_states, batch, f"{density:.2f}", *shown, faster)
            print(f"| {' | '.join(map(str, cells))} |", flush=True)


if __name__ == "__main__":
    main()
