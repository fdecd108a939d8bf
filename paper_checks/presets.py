"""What every check that trains shares: how much of it to run, and where its results lie.

    quick      seconds to a few minutes on 2 cores: that everything runs.  Written below runs/paper, never committed.
    standard   an hour or two on 2 cores for all checks together.  Committed below
    paper_checks/results.
    paper      the paper's settings in full, for a GPU.  Committed below paper_checks/results where it was run.

A check reads its page's numbers from the committed results alone, so that a page never shows what
was not run.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).resolve().parent
NAMES = ("quick", "standard", "paper")


def arguments(
    description: str,
    argv: list[str] | None = None,
    more: Callable[[argparse.ArgumentParser], None] | None = None,
) -> argparse.Namespace:
    """--preset, --device, --out and --page, which draws the page again from committed results and
    trains nothing.

    `more` adds the options of one check.
    """
    parser = argparse.ArgumentParser(
        description=description.strip(), formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--preset", choices=NAMES, default="quick", help="how much to run (quick)")
    parser.add_argument(
        "--device", choices=("auto", "cpu", "cuda"), default="auto", help="where to train (auto)"
    )
    parser.add_argument("--out", type=Path, help="the folder of results (by preset, as said above)")
    parser.add_argument(
        "--page", action="store_true", help="only draw the page and figures from committed results"
    )
    parser.add_argument(
        "--gather",
        action="store_true",
        help="train nothing: take what was run so far, and draw the page",
    )
    if more:
        more(parser)
    return parser.parse_args(argv)


def some_of(names: tuple[str, ...]) -> Callable[[str], tuple[str, ...]]:
    """The type of an option that takes some of these names, joined by commas."""

    def read(text: str) -> tuple[str, ...]:
        given = [word.strip() for word in text.split(",")]
        if wrong := [word for word in given if word not in names]:
            raise argparse.ArgumentTypeError(f"{wrong[0]!r} is none of {', '.join(names)}")
        return tuple(name for name in names if name in given)

    return read


def folder(check: str, preset: str, out: Path | None = None) -> Path:
    """Where the results of one check lie: `check` is its file's name without .py."""
    if out is not None:
        return out
    return (
        HERE.parent / "runs" / "paper" / check
        if preset == "quick"
        else HERE / "results" / check / preset
    )
