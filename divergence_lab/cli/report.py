"""The command `report`, the main job: derive, decide, verify, train, compare, draw."""

import argparse
from pathlib import Path

from divergence_lab.cli.arguments import (
    CHECK_FAILED,
    DEVICE,
    DONE,
    LOSS_OPTIONS,
    OVERWRITE,
    AddCommand,
    at_work,
    json_text,
    option,
    read_losses,
)


def add_commands(command: AddCommand) -> None:
    """Add `report`."""
    command(
        "report",
        _report,
        "the main job: derive, prove, train and compare losses, all on one HTML page",
        "divergence-lab report quadratic 'exp(x)-x-1' --out report",
        option(
            "losses",
            nargs="*",
            metavar="LOSS",
            help="a catalogue name or an expression in x (default: the paper's four losses)",
        ),
        option(
            "--env",
            default="hypergrid:2x8",
            metavar="ENV",
            help="a two-dimensional grid; hypergrid:2x12:paper hides its modes behind rewards of "
            "1e-6",
        ),
        option(
            "--out", default="report", metavar="DIR", help="folder for report.html and the figures"
        ),
        option(
            "--quick",
            action="store_true",
            help="train a tenth as long: shows what the page is like, and is not a result",
        ),
        option("--open", action="store_true", help="open report.html in the browser"),
        OVERWRITE,
        DEVICE,
        *LOSS_OPTIONS,
    )


def _report(options: argparse.Namespace) -> int:
    import webbrowser

    from divergence_lab.report.page import write_report

    with at_work("reading the losses"):
        losses = read_losses(options)
    summary = write_report(
        losses,
        Path(options.out),
        env=options.env,
        quick=options.quick,
        device=options.device,
        budget=options.budget,
        overwrite=options.overwrite,
    )
    page = Path(options.out) / "report.html"
    print(json_text(summary) if options.json else f"wrote {page}")
    if options.open:
        webbrowser.open(page.resolve().as_uri())
    return DONE if all(row["holds"] for row in summary["theorem"]) else CHECK_FAILED
