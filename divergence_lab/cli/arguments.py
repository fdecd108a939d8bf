"""What the commands share: exit codes, options, numbers and losses read from text, the one JSON
document.
"""

import argparse
import contextlib
import json
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TextIO

from divergence_lab.inputs import InputError, number_in
from divergence_lab.theory.answers.questions import TooSlow, Unfinished, read
from divergence_lab.theory.catalogue.named import PAPER_LOSSES
from divergence_lab.theory.divergence.loss import Loss
from divergence_lab.theory.expressions.printing import in_signs, write
from divergence_lab.theory.expressions.symbols import x
from divergence_lab.theory.expressions.syntax import shown
from divergence_lab.theory.verdicts.verdict import ANSWERS as ANSWERS

DONE, CHECK_FAILED, BAD_INPUT = 0, 1, 2
# name, what runs, one line of help, an example, options: adds a command
AddCommand = Callable[..., None]
# what `add_argument` of argparse takes
Option = tuple[tuple[str, ...], dict[str, Any]]


def option(*names: str, **settings: Any) -> Option:
    """An option or argument of a command, in the words of argparse's `add_argument`."""
    return names, settings


def with_default(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings of an option whose help ends with its default, where it has one to show.

    >>> with_default({"default": 20.0, "help": "seconds"})["help"]
    'seconds (default: 20)'
    """
    default = settings.get("default")
    if default is None or default is False or default == []:
        return settings
    text = ",".join(f"{part:g}" for part in default) if isinstance(default, tuple) else default
    text = f"{text:g}" if isinstance(text, float) else str(text)
    said = settings["help"].removesuffix(f"({text})").rstrip()
    return {**settings, "help": f"{said} (default: {text})".lstrip()}


def positive(text: str) -> int:
    """A whole number above 0, of at most nine digits."""
    if not text.isascii() or not text.isdigit() or not int(text[:9]) > 0 or len(text) > 9:
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is not a positive whole number")
    return int(text)


def seconds(text: str) -> float:
    """A number of seconds above 0."""
    try:
        value = number_in(text)
    except ValueError:
        value = -1.0
    if not 0 < value < 1e6:
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is not a positive number of seconds")
    return value


def with_option(message: str, options: argparse.Namespace) -> str:
    """What is wrong with the input, with the option in front whose text the message quotes, where
    it does not name it.
    """
    named = {
        ([*action.option_strings] or [""])[-1]
        for action in options.parser._actions
        for given in [getattr(options, action.dest, None)]
        if given != action.default and any(shown(part) in message for part in _parts(given))
    }
    if len(named) != 1 or named & {"", *message.split()}:
        return message
    return f"argument {named.pop()}: {message}"


def _parts(given: Any) -> Iterator[str]:
    """The texts given to an option, as they are and what stands between their colons and commas."""
    for text in given if isinstance(given, list) else [given]:
        if isinstance(text, str):
            yield from (text, text.strip(), *filter(None, map(str.strip, re.split("[:,=]", text))))


JSON = option("--json", action="store_true", help="print one JSON document and nothing else")
LATEX = option("--latex", action="store_true", help="print formulas as LaTeX")
AT = option(
    "--at", metavar="T,T,...", help="values of f at these ratios, each with its error bound"
)
OVERWRITE = option(
    "--overwrite", action="store_true", help="replace the results that are in --out already"
)
DEVICE = option(
    "--device",
    choices=("auto", "cpu", "cuda"),
    default="auto",
    help="where it runs; auto: on a GPU where there is one",
)
LOSS_OPTIONS = (
    option(
        "--assume",
        action="append",
        default=[],
        metavar="A",
        help="assume something of parameters, 'alpha > 0' or 'a > b' (repeatable)",
    ),
    option(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        dest="values",
        help="give a parameter a value, alpha=1/3 (repeatable)",
    ),
    option(
        "--budget",
        type=seconds,
        default=20.0,
        metavar="S",
        help="processor seconds for each loss; what is not found by then is undecided",
    ),
    JSON,
)


def read_losses(options: argparse.Namespace) -> dict[str, Loss]:
    """name -> loss, in the order given; the paper's four where none is given."""
    return dict(read_each(options, options.losses or PAPER_LOSSES).values())


def read_each(options: argparse.Namespace, texts: Sequence[str]) -> dict[str, tuple[str, Loss]]:
    """text -> (name, loss): the catalogue's name where one was typed, else the text itself.

    A straight part that is left out of a loss is told: off-policy, and for flows, it counts.
    """
    readings = {}
    for text, entry in read_all(options, texts).items():
        if isinstance(entry, Unfinished):
            raise TooSlow(
                f"{shown(entry.text)}: {entry.because}; write it more simply, or raise --budget"
            )
        readings[text] = (entry.name, entry.loss)
        if entry.loss.gauge[1] != 0:
            print(
                f"divergence-lab {options.command}: {shown(entry.name)}: its straight part "
                f"{write(entry.loss.gauge[1] * x)} is left out; the loss used is "
                f"{write(entry.loss.expression)}",
                file=sys.stderr,
            )
    return readings


def read_values(options: argparse.Namespace) -> dict[str, str]:
    """--set alpha=1/3, as {"alpha": "1/3"}."""
    values: dict[str, str] = {}
    for setting in options.values:
        name, equals, value = setting.partition("=")
        if not equals or not name.strip() or not value.strip():
            raise InputError(f"--set {setting[:40]!r} is not of the form alpha=1/3")
        if name.strip() in values:
            raise InputError(
                f"--set {setting[:40]!r}: {name.strip()} has a value already; keep one"
            )
        values[name.strip()] = value
    return values


def read_all(
    options: argparse.Namespace, texts: Sequence[str], reader: Callable[..., Any] = read
) -> dict[str, Any]:
    """text -> what `reader` read within the budget; some loss must have each parameter of
    --set.
    """
    values = read_values(options)
    found = {text: reader(text, options.assume, values, options.budget) for text in texts}
    whole = [entry for entry in found.values() if not isinstance(entry, Unfinished)]
    known = sorted({name for entry in whole for name in entry.parameters})
    unused = set(values).difference(known)
    if unused and len(whole) == len(found):
        has = f"write one of {', '.join(known)}" if known else "leave --set out"
        raise InputError(f"--set {min(unused)}: no loss has a parameter of that name; {has}")
    return found


# lines that may be typed again, as they stand
_FORMULAS = ("  loss ", "  generator ", "  swapped ", "  normalised ", "g(x) =", "f(t) =")


def say(text: str, end: str = "\n") -> None:
    """Print an answer; sentences have the signs of mathematics where the terminal can show them."""
    if _shows_signs(sys.stdout):
        lines = text.split("\n")
        text = "\n".join(one if one.startswith(_FORMULAS) else in_signs(one) for one in lines)
    print(text, end=end)


def _shows_signs(stream: TextIO) -> bool:
    """A terminal whose encoding has these signs; what is piped stays as it was."""
    if not stream.isatty():
        return False
    try:
        "∫∞≤≥≠→±‖Σ√·⁻ˣ²α".encode(stream.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


@contextlib.contextmanager
def at_work(on: str) -> Iterator[None]:
    """Say what is being done, on standard error where it is a terminal, until it is done."""
    shown_there = sys.stderr is not None and sys.stderr.isatty()
    if shown_there:
        print(f"\r\033[K{on} ...", end="", file=sys.stderr, flush=True)
    try:
        yield
    finally:
        if shown_there:
            print("\r\033[K", end="", file=sys.stderr, flush=True)


def json_text(document: Any) -> str:
    """The one document on standard output."""
    return json.dumps(document, indent=1, allow_nan=False)
