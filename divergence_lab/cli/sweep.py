"""The command `sweep`: many runs, here or on a cluster, each done once."""

from __future__ import annotations

import argparse
import sys

from divergence_lab.cli.arguments import DONE, AddCommand, positive


def add_commands(command: AddCommand) -> None:
    """Add `sweep`."""
    one = command(
        "sweep",
        _sweep,
        "run every point of a grid of settings once, on a cluster or here, and gather "
        "the results in one table",
        "divergence-lab sweep grid.json --out runs/grid --workers 4",
    )
    one.add_argument(
        "file",
        metavar="FILE",
        help='JSON: {"fixed": {"env": ..}, "grid": {"objective": ["tb", "db"]}}',
    )
    one.add_argument(
        "--out", required=True, metavar="DIR", help="a folder for each run, and table.csv"
    )
    one.add_argument(
        "--cluster",
        default="auto",
        choices=("auto", "slurm", "local", "none"),
        help="auto: Slurm where it is, else processes here; none: this process (auto)",
    )
    one.add_argument(
        "--workers", type=positive, default=2, metavar="N", help="runs at the same time (2)"
    )
    one.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="(auto)")
    one.add_argument(
        "--hours", type=positive, default=24, metavar="H", help="longest run, for Slurm (24)"
    )


def _sweep(options: argparse.Namespace) -> int:
    from divergence_lab.training.sweeps import read_sweep, sweep

    table = sweep(
        read_sweep(options.file),
        options.out,
        cluster=options.cluster,
        workers=options.workers,
        device=options.device,
        hours=options.hours,
    )
    if sys.stderr.isatty():
        print(file=sys.stderr)
    print(f"results of every run in {table}")
    return DONE
