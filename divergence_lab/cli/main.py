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
from typing import Any, NoReturn, TextIO

from divergence_lab import __version__
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
from divergence_lab.cli.arguments import BAD_INPUT, DONE, Option, with_default, with_option
from divergence_lab.inputs import InputError, did_you_mean, missing_package, one_line, shown
from divergence_lab.signals import Stopped, end_at_signals
from divergence_lab.theory.budget.asking import allow_fork

# in the order of --help
COMMANDS = (derive, compare, check, verify, train, theory, design, audit, bench, molecules, report)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        _tell(f"{self.prog}: {message}; see {self.prog} --help")
        self.exit(BAD_INPUT)

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """As argparse's, with the nearest name: its own message is only text."""
        if action.choices is not None and value not in action.choices:
            names = [str(name) for name in action.choices]
            near = did_you_mean(str(value), names) or f": it is one of {', '.join(names)}"
            what = "no command" if action.dest == "command" else "not known"
            raise argparse.ArgumentError(
                None if what == "no command" else action, f"{shown(str(value))} is {what}{near}"
            )

    def refuse(self, unknown: Sequence[str]) -> NoReturn:
        """Tell what is left over: an option that is not there, or one argument too many."""
        names = [*self._option_string_actions]
        option = next((word.partition("=")[0] for word in unknown if word[:2] == "--"), None)
        if option is None:
            self.error(f"{shown(unknown[0].strip())} is one argument too many")
        if option in names:
            self.error(f"{option} belongs behind the name of the command")
        self.error(f"there is no option {shown(option)}{did_you_mean(option, names)}")

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        sys.stdout.flush()  # what --help printed
        super().exit(status, message)


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
    with contextlib.redirect_stdout(_Output(sys.stdout)):
        return _run(parser, given)


def _run(parser: argparse.ArgumentParser, given: Sequence[str]) -> int:
    doing, options = parser.prog, argparse.Namespace()
    try:
        # an expression may begin with a minus sign: with a space before it, argparse does not take
        # it for an option
        options, unknown = parser.parse_known_args(
            [f" {word}" if re.match(r"-[^-h]|-h.", word) else word for word in given]
        )
        if unknown:
            options.parser.refuse(unknown)
        for name, value in vars(options).items():  # what was typed is what is meant
            setattr(options, name, _as_typed(value))
        if options.command is None:
            parser.print_help()
            return DONE
        doing = f"{parser.prog} {options.command}"
        done = options.run(options)
        sys.stdout.flush()  # a full disk is told here, and not when Python ends
        return done
    except BrokenPipeError:  # of standard error
        return DONE
    except OSError as error:
        _drop_output(sys.stdout)
        where = f"{shown(str(error.filename))}: " if error.filename else ""
        _tell(f"{doing}: {where}{error.strerror or error}")
    except (MemoryError, RuntimeError) as error:
        # torch's own, of a GPU, is known by its name alone where torch was not needed
        if not isinstance(error, MemoryError) and type(error).__name__ != "OutOfMemoryError":
            raise
        _tell(f"{doing}: there is not enough memory: ask for less at once")
    except Stopped as stopped:
        resume = " with --resume" if getattr(options, "resume", None) is False else ""
        _tell(f"{doing}: {stopped}; the same command{resume} goes on from there")
        return 128 + stopped.number
    except KeyboardInterrupt:
        _tell("interrupted")
        return 130
    except ModuleNotFoundError as error:
        if (missing := missing_package(error, doing)) is None:
            raise
        _tell(str(missing))
    except InputError as error:  # anything else is not the user's doing: a traceback helps
        _tell(f"{doing}: {with_option(str(error), options)}")
    return BAD_INPUT


def _as_typed(value: Any) -> Any:
    """Without the space that kept argparse from taking it for an option."""
    if isinstance(value, list):
        return [_as_typed(one) for one in value]
    return value[1:] if isinstance(value, str) and value.startswith(" -") else value


# what moves a terminal's cursor, sets its title or turns its writing
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")


class _Output:
    """Standard output, of which no name makes a terminal do anything.

    Once its reader is gone (`| head -1`) what is printed goes nowhere, and the command ends with
    its own exit code.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self.stream = open(os.devnull, "w") if stream is None else stream  # noqa: SIM115
        self.failure: OSError | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def write(self, text: str) -> int:
        text = _CONTROL.sub("?", text)
        try:
            return self.stream.write(text)
        except BrokenPipeError:
            _drop_output(self.stream)
        except OSError as failure:
            self.failure = failure  # argparse looks away
            raise
        except UnicodeEncodeError:  # a name in a terminal that can't show it
            return self.stream.write(text.encode("ascii", "backslashreplace").decode())
        return len(text)

    def flush(self) -> None:
        if self.failure is not None:
            raise self.failure
        try:
            self.stream.flush()
        except BrokenPipeError:
            _drop_output(self.stream)


def _tell(message: str) -> None:
    """One line on standard error, where there is one that takes it."""
    if sys.stderr is None:
        return
    try:
        sys.stderr.write(f"{one_line(message)}\n")
        sys.stderr.flush()
    except OSError:
        _drop_output(sys.stderr)


def _drop_output(stream: TextIO) -> None:
    """What can't be written any more is not tried again when Python ends."""
    try:
        stream.flush()
    except OSError:
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="divergence-lab",
        description="Give it the loss you train your GFlowNet with: it says which f-divergence "
        "that "
        "loss minimises, and proves it.",
        epilog="divergence-lab COMMAND --help says what a command takes, with an example",
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    parser.set_defaults(parser=parser)
    commands = parser.add_subparsers(title="commands", dest="command", metavar="COMMAND")

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
        added.set_defaults(run=run, parser=added)
        for names, settings in options:
            added.add_argument(*names, **with_default(settings))

    for module in COMMANDS:
        module.add_commands(command)
    return parser


if __name__ == "__main__":
    sys.exit(main())
