"""The command `report`, the main job: derive, decide, verify, train, compare, draw."""

import argparse
from pathlib import Path

from divergence_lab.cli.arguments import (
    CHECK_FAILED,
    DONE,
    AddCommand,
    add_loss_options,
    print_json,
    read_losses,
)


def add_commands(command: AddCommand) -> None:
    """Add `report`."""
    one = command(
        "report",
        _report,
        "the main job: derive, decide, verify, train, compare, draw",
        "divergence-lab report quadratic 'exp(x)-x-1' --out report",
    )
    one.add_argument("losses", nargs="*", metavar="LOSS", help="default: the paper's four losses")
    one.add_argument(
        "--env",
        default="hypergrid:2x8",
        metavar="ENV",
        help="a two-dimensional grid; hypergrid:2x12:paper hides its modes behind rewards of "
        "1e-6 (hypergrid:2x8)",
    )
    one.add_argument(
        "--out", default="report", metavar="DIR", help="folder for report.html and figures (report)"
    )
    one.add_argument(
        "--quick", action="store_true", help="a tenth of the training: a look, not a result"
    )
    one.add_argument("--open", action="store_true", help="open report.html in the browser")
    one.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="(auto)")
    add_loss_options(one)


def _report(options: argparse.Namespace) -> int:
    import webbrowser

    from divergence_lab.report.page import write_report

    summary = write_report(
        read_losses(options),
        Path(options.out),
        env=options.env,
        quick=options.quick,
        device=options.device,
        budget=options.budget,
    )
    page = Path(options.out) / "report.html"
    if options.json:
        print_json(summary)
    else:
        print(f"wrote {page}")
    if options.open:
        webbrowser.open(page.resolve().as_uri())
    return DONE if all(row["holds"] for row in summary["theorem"]) else CHECK_FAILED
