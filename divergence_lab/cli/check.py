"""The command that re-verifies what derive printed: `check FILE`.

    standard output    one line for each field that was not verified, and what holds
    standard error     the first thing that does not hold, with its place

Nothing of the document reaches the terminal but through `in_line`: one short line of plain
characters.
"""

import argparse
import sys
from typing import Any

from divergence_lab.cli.arguments import (
    CHECK_FAILED,
    DONE,
    JSON,
    AddCommand,
    at_work,
    json_text,
    option,
    seconds,
)
from divergence_lab.inputs import InputError, read_json
from divergence_lab.theory.answers.questions import check_all
from divergence_lab.theory.checker.documents import Report

SHOWN, SHOWN_REASON = 60, 400


def add_commands(command: AddCommand) -> None:
    """Add the command."""
    command(
        "check",
        _check,
        "check the proofs that derive --json wrote, with code that uses nothing of the search",
        "divergence-lab derive quadratic --json > proofs.json; divergence-lab check proofs.json",
        option(
            "file", metavar="FILE", help="a file written by derive --json, or - for standard input"
        ),
        option(
            "--budget",
            type=seconds,
            default=60.0,
            metavar="S",
            help="processor seconds for each loss",
        ),
        JSON,
    )


def in_line(text: str, limit: int = SHOWN) -> str:
    """Text of a document as one short line of plain characters: no escape, no line end, nothing
    that turns the writing.
    """
    safe = "".join(c if c.isascii() and c.isprintable() else "?" for c in text[: limit + 1])
    return safe if len(safe) <= limit else safe[: limit - 3] + "..."


def _check(options: argparse.Namespace) -> int:
    entries = read_document(options.file)
    rows, failed = [], False
    reports = check_all(entries, options.budget)
    for place, entry in enumerate(entries, 1):
        with at_work(f"checking loss {place} of {len(entries)}"):
            report = next(reports)
        rows.append(_row(entry, report))
        if not options.json:
            for field in rows[-1]["not_verified"]:
                print(f"not verified: loss {place}: {field}")
        if report.failures and not failed:
            failed = True
            print(f"loss {place}, {rows[-1]['loss']}: {rows[-1]['failed']}", file=sys.stderr)
    if options.json:
        print(json_text(rows))
    elif not failed:
        whole = not any(row["not_verified"] for row in rows)
        print(
            f"{'everything' if whole else 'all that was verified'} holds ({len(rows)} "
            f"loss{'es' if len(rows) != 1 else ''})"
        )
    return CHECK_FAILED if failed else DONE


def _row(entry: dict[str, Any], report: Report) -> dict[str, Any]:
    return {
        "loss": in_line(str(entry.get("name") or _subject(entry))),
        "holds": not report.failures,
        "not_verified": [in_line(field) for field in report.not_verified],
        "failed": in_line(str(report.failures[0]), SHOWN_REASON) if report.failures else None,
    }


def _subject(entry: dict[str, Any]) -> Any:
    """The loss, or the generator of which invert found none in time."""
    return entry.get("given") if entry.get("loss") is None else entry["loss"]


def read_document(file: str) -> list[dict[str, Any]]:
    """The objects in a file, one at least. Raises InputError for whatever derive does not write."""
    called = in_line(file)
    try:
        document = read_json(file)
    except InputError as error:
        raise InputError(f"{error}: name a file written by derive --json") from None
    entries = document if isinstance(document, list) else [document]
    if not entries:
        raise InputError(
            f"{called} is an empty list: there is no loss to check; name a file written "
            "by derive --json"
        )
    for place, entry in enumerate(entries, 1):
        if not isinstance(entry, dict) or not isinstance(_subject(entry), str):
            raise InputError(
                f"{called}: entry {place} is not an object with a loss: name a file written "
                "by derive --json"
            )
    return entries
