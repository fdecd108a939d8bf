"""The command `bench`: rates beside other libraries, held against the goals, as a table or as
JSON.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from divergence_lab.cli import arguments, train
from divergence_lab.inputs import InputError

if TYPE_CHECKING:  # torch is loaded only when the command runs
    from divergence_lab.bench.compare import Bench, Row


def add_commands(command: arguments.AddCommand) -> None:
    """Add `bench`."""
    command(
        "bench",
        _bench,
        "measure speed and memory beside other libraries, in the same run",
        "divergence-lab bench --against torchgfn,gfnx --json > bench.json",
        arguments.option(
            "--against",
            default="torchgfn,gfnx",
            metavar="PEER,...",
            help="libraries to measure beside ours, '' for none; one that is not installed is "
            "named",
        ),
        arguments.DEVICE,
        arguments.option(
            "--quick",
            action="store_true",
            help="small sizes: shows what is measured, and is not a result",
        ),
        arguments.option(
            "--keep",
            metavar="FILE",
            help="write each measurement to FILE, a line of JSON, as soon as it is done; what the "
            "file has already is not measured again",
        ),
        arguments.JSON,
    )


def _bench(options: argparse.Namespace) -> int:
    from divergence_lab.bench.compare import bench

    against = [name.strip() for name in options.against.split(",") if name.strip()]

    def progress(label: str) -> None:
        if sys.stderr.isatty():
            print(f"\r\033[K{label}", end="", file=sys.stderr, flush=True)

    try:
        measured = bench(
            against,
            device=options.device,
            quick=options.quick,
            progress=progress,
            keep=options.keep and Path(options.keep),
        )
    except OSError as error:
        raise InputError(
            f"--keep {options.keep}: {error.strerror}; name a file that can be written"
        ) from error
    progress("")
    print(arguments.json_text(as_json(measured)) if options.json else as_text(measured))
    return arguments.DONE


def as_json(measured: Bench) -> dict[str, Any]:
    """The document of `bench --json`; a number that is not finite is the string "oo"."""
    return {
        "machine": dict(measured.machine),
        "rows": [train.finite_json({**asdict(row), "met": row.met}) for row in measured.rows],
        "not_installed": list(measured.missing),
        "seconds": measured.seconds,
    }


def as_text(measured: Bench) -> str:
    """A table of what was measured, with the ratios, the goals and whether they were met."""
    machine = measured.machine
    versions = {
        name: number for of_peer in machine["peers"].values() for name, number in of_peer.items()
    }
    lines = [
        f"{machine['gpu'] or machine['cpu']}, {machine['cores']} cores, "
        f"{machine['threads']} threads, torch "
        f"{machine['torch']}"
        + "".join(f", {name} {number}" for name, number in versions.items() if name != "torch"),
        *measured.missing,
        "",
    ]
    titles = ("what", "on", "ours", "theirs", "ratio", "goal", "met", "")
    table = [titles, *(_cells(row) for row in measured.rows)]
    widths = [max(len(cells[column]) for cells in table) for column in range(len(titles))]
    for cells in table:
        aligned = [
            cell.rjust(width) if 2 <= place <= 5 else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ]
        lines.append("  ".join(aligned).rstrip())
    return "\n".join([*lines, "", f"{measured.seconds:.0f} s"])


def _cells(row: Row) -> tuple[str, ...]:
    goal = (
        ""
        if row.goal is None
        else f"{'>=' if row.bound == 'at least' else '<='} {_number(row.goal)}"
    )
    against = "" if row.against is None else f"against {row.against}"
    return (
        row.what,
        row.environment,
        f"{_number(row.ours)} {row.unit}",
        "" if row.theirs is None else f"{_number(row.theirs)} {row.unit}",
        "" if row.ratio is None else f"{row.ratio:.2f}" if row.ratio < 10 else f"{row.ratio:.0f}",
        goal,
        {True: "yes", False: "no", None: ""}[row.met],
        "; ".join(part for part in (against, row.note) if part),
    )


def _number(value: float) -> str:
    if value == float("inf"):
        return "oo"
    if value >= 1e5:
        return f"{value / 1e6:.3g}M"
    return f"{value:.3g}" if value < 1000 else f"{value:.0f}"
