"""What the commands share: exit codes, options, numbers and losses read from text, the one JSON
document.
"""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from typing import Any

from divergence_lab.inputs import InputError
from divergence_lab.theory.answers.questions import Reading, TooSlow, Unfinished, read
from divergence_lab.theory.catalogue.named import PAPER_LOSSES
from divergence_lab.theory.divergence.loss import Loss
from divergence_lab.theory.expressions.syntax import shown

DONE, CHECK_FAILED, BAD_INPUT = 0, 1, 2
# name, what runs, one line of help, an example -> the parser of a command
AddCommand = Callable[[str, Callable[[argparse.Namespace], int], str, str], argparse.ArgumentParser]


def add_loss_options(parser: argparse.ArgumentParser) -> None:
    """Add --assume, --set, --budget and --json."""
    parser.add_argument(
        "--assume",
        action="append",
        default=[],
        metavar="A",
        help="an assumption on a parameter, 'alpha > 0' (repeatable)",
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        dest="values",
        help="the value of a parameter, alpha=1/3 (repeatable)",
    )
    parser.add_argument(
        "--budget",
        type=seconds,
        default=20.0,
        metavar="S",
        help="processor seconds of the search for each loss; what takes longer is undecided (20)",
    )
    parser.add_argument("--json", action="store_true", help="one JSON document on standard output")


def positive(text: str) -> int:
    """A whole number above 0, of at most nine digits."""
    if not text.isascii() or not text.isdigit() or not int(text[:9]) > 0 or len(text) > 9:
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is not a positive whole number")
    return int(text)


def seconds(text: str) -> float:
    """A number of seconds above 0."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value < 1e6:
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is not a positive number of seconds")
    return value


def read_losses(options: argparse.Namespace) -> dict[str, Loss]:
    """name -> loss, in the order given; the paper's four where none is given."""
    return dict(read_each(options, options.losses or PAPER_LOSSES).values())


def read_each(options: argparse.Namespace, texts: Sequence[str]) -> dict[str, tuple[str, Loss]]:
    """text -> (name, loss): the catalogue's name where one was typed, else the text itself."""
    found = {}
    for text, entry in read_all(options, texts).items():
        if isinstance(entry, Unfinished):
            raise TooSlow(
                f"{shown(entry.text)}: {entry.because}; write it more simply, or raise --budget"
            )
        found[text] = (entry.name, entry.loss)
    return found


def read_values(options: argparse.Namespace) -> dict[str, str]:
    """--set alpha=1/3, as {"alpha": "1/3"}."""
    values: dict[str, str] = {}
    for setting in options.values:
        name, equals, value = setting.partition("=")
        if not equals or not name.strip() or not value.strip():
            raise InputError(f"--set {setting[:40]!r} is not of the form alpha=1/3")
        values[name.strip()] = value
    return values


def read_all(options: argparse.Namespace, texts: Sequence[str]) -> dict[str, Reading | Unfinished]:
    """text -> what was read within the budget; some loss must have each parameter of --set."""
    values = read_values(options)
    found = {text: read(text, options.assume, values, options.budget) for text in texts}
    unused = set(values).difference(
        *(entry.parameters for entry in found.values() if isinstance(entry, Reading))
    )
    if unused and not any(isinstance(entry, Unfinished) for entry in found.values()):
        raise InputError(f"--set {min(unused)}: no loss has a parameter of that name")
    return found


def print_json(document: Any) -> None:
    """The one document on standard output."""
    json.dump(document, sys.stdout, indent=1, allow_nan=False)
    print()
