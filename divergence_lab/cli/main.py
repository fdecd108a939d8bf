"""The command line: `divergence-lab COMMAND ...`. Reads arguments, calls the library, prints.

Exit codes: 0 done; 1 ran, and a check it made does not hold; 2 bad input, with one line on standard
error. torch is imported only by the commands that train or verify.
"""

import argparse
import contextlib
import os
import re
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

from divergence_lab.cli import (
    audit,
    bench,
    check,
    compare,
    derive,
    design,
    molecules,
    report,
    theory,
    train,
    verify,
)
from divergence_lab.cli.arguments import BAD_INPUT, DONE, Option
from divergence_lab.inputs import InputError
from divergence_lab.signals import Stopped, end_at_signals
from divergence_lab.theory.budget.asking import allow_fork
from divergence_lab.theory.expressions.syntax import shown

# in the order of --help
COMMANDS = (derive, compare, check, verify, train, theory, design, audit, bench, molecules, report)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(BAD_INPUT, f"{self.prog}: {message}; see {self.prog} --help\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command (`sys.argv` where none is given); returns the exit code.

    0 done; 1 ran, and a check it made does not hold; 2 bad input, told in one line on standard
    error.

        >>> main(["export", "quadratic", "--form", "latex"])  # doctest: +ELLIPSIS
        % x = log p_B - log p_F (target over model), t = e^x; needs amsmath
        ...
        0
    """
    parser = _parser()
    given = sys.argv[1:] if arguments is None else arguments
    if arguments is None:
        end_at_signals()  # this process is the command and nothing else
        allow_fork()
    # an expression may begin with a minus sign: with a space before it, argparse does not take it
    # for an option
    options = parser.parse_args(
        [f" {word}" if re.match(r"-[^-h]|-h.", word) else word for word in given]
    )
    try:
        done = options.run(options)
        if sys.stdout is not None:
            sys.stdout.flush()  # a full disk is told here, and not when Python ends
        return done
    except BrokenPipeError:
        _drop_output()
        return DONE
    except OSError as error:
        _drop_output()
        where = f"{shown(str(error.filename))}: " if error.filename else ""
        print(
            f"{parser.prog} {options.command}: "
            f"{where}{' '.join(str(error.strerror or error).split())}",
            file=sys.stderr,
        )
        return BAD_INPUT
    except Stopped as stopped:
        resume = " with --resume" if getattr(options, "resume", None) is False else ""
        print(
            f"{parser.prog} {options.command}: {stopped}; the same command{resume} goes on from "
            "there",
            file=sys.stderr,
        )
        return 128 + stopped.number
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except InputError as error:  # anything else is not the user's doing: a traceback helps
        print(f"{parser.prog} {options.command}: {' '.join(str(error).split())}", file=sys.stderr)
        return BAD_INPUT


def _drop_output() -> None:
    """What can't be written any more is not tried again when Python ends."""
    if sys.stdout is None:  # it was closed before Python started
        return
    try:
        sys.stdout.flush()
    except OSError:
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="divergence-lab", description="What a GFlowNet's regression loss really minimises."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(
        name: str,
        run: Callable[[argparse.Namespace], int],
        summary: str,
        example: str,
        *options: Option,
    ) -> None:
        added = commands.add_parser(
            name,
            help=summary,
            description=summary,
            epilog=f"example: {example}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        added.set_defaults(run=run)
        for names, settings in options:
            added.add_argument(*names, **settings)

    for module in COMMANDS:
        module.add_commands(command)
    return parser


if __name__ == "__main__":
    sys.exit(main())
