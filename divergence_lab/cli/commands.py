"""The command line: `divergence-lab COMMAND ...`. Reads arguments, calls the library, prints.

Exit codes: 0 done; 1 ran, and a check it made does not hold; 2 bad input, with one line on standard
error. torch is imported only by the commands that train or verify.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from divergence_lab.cli import audit as cli_audit
from divergence_lab.cli import bench as cli_bench
from divergence_lab.cli import check as cli_check
from divergence_lab.cli import design as cli_design
from divergence_lab.cli import molecules as cli_molecules
from divergence_lab.cli import sweep as cli_sweep
from divergence_lab.cli import theory as cli_theory
from divergence_lab.cli import train as cli_train
from divergence_lab.cli import verify as cli_verify
from divergence_lab.theory.answers.derivation import (
    Derivation,
    read_ratios,
    to_json,
    undecided_to_json,
)
from divergence_lab.theory.answers.questions import Reading, TooSlow, Unfinished, derive_all, read
from divergence_lab.theory.answers.weightings import sampler
from divergence_lab.theory.answers.wording import ends_in_words, step_in_latex
from divergence_lab.theory.budget.asking import allow_fork
from divergence_lab.theory.catalogue.named import PAPER_LOSSES
from divergence_lab.theory.divergence.loss import GAUGE_UNSEEN, Loss
from divergence_lab.theory.expressions.parsing import ExpressionError, shown, write, write_latex
from divergence_lab.theory.expressions.symbols import x
from divergence_lab.theory.verdicts.verdict import Verdict, cites_of

DONE, CHECK_FAILED, BAD_INPUT = 0, 1, 2


class UsageError(ValueError):
    """Arguments that don't fit together; the message says what to do."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(BAD_INPUT, f"{self.prog}: {message}; see {self.prog} --help\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    parser = _parser()
    given = sys.argv[1:] if arguments is None else arguments
    if arguments is None:
        allow_fork()  # this process is the command and nothing else
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
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except ValueError as error:
        if not isinstance(error, _input_errors()):
            raise  # not the user's doing: a traceback helps to report it
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


def _input_errors() -> tuple[type[ValueError], ...]:
    """The errors that mean bad input; those of the torch rooms only once these are loaded."""
    kinds: list[type[ValueError]] = [
        ExpressionError,
        UsageError,
        cli_check.CheckError,
        cli_train.TrainUsageError,
    ]
    if "divergence_lab.bridge" in sys.modules:
        from divergence_lab.bridge import NotRepresentable

        kinds.append(NotRepresentable)
    if "divergence_lab.verification" in sys.modules:
        from divergence_lab.theorem.verification import VerifyError

        kinds.append(VerifyError)
    if "divergence_lab.audit.subjects" in sys.modules:
        from divergence_lab.audit.subjects import AuditError

        kinds.append(AuditError)
    if "divergence_lab.sweeps" in sys.modules:
        from divergence_lab.training.sweeps import SweepError

        kinds.append(SweepError)
    if "divergence_lab.graphs.molecules.chemistry" in sys.modules:
        from divergence_lab.graphs.molecules.chemistry import MoleculeError

        kinds.append(MoleculeError)
    if "divergence_lab.bench" in sys.modules:
        from divergence_lab.bench.compare import BenchError
        from divergence_lab.bench.peers import PeerError

        kinds += [BenchError, PeerError]
    if "divergence_lab.training" in sys.modules:
        from divergence_lab.training.checkpoints import CheckpointError
        from divergence_lab.training.schedules import ScheduleError
        from divergence_lab.training.settings import TrainingError

        kinds += [CheckpointError, ScheduleError, TrainingError]
    if "divergence_lab.graphs.texts" in sys.modules:
        from divergence_lab.gflownet.listed.exact import EnumerationError
        from divergence_lab.graphs.dag import GraphError
        from divergence_lab.graphs.texts import EnvironmentTextError

        kinds += [EnumerationError, GraphError, EnvironmentTextError]
    return tuple(kinds)


# --- arguments


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="divergence-lab", description="What a GFlowNet's regression loss really minimises."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, run, summary: str, example: str) -> argparse.ArgumentParser:
        added = commands.add_parser(
            name,
            help=summary,
            description=summary,
            epilog=f"example: {example}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        added.set_defaults(run=run)
        return added

    one = command(
        "derive",
        _derive,
        "derive the divergence of a loss and decide its character",
        "divergence-lab derive 'exp(x) - x - 1' linex(1/2) --at 0.1,2",
    )
    one.add_argument(
        "losses", nargs="+", metavar="LOSS", help="a catalogue name or an expression in x"
    )
    one.add_argument("--at", metavar="T,T,...", help="ratios at which f is enclosed")
    one.add_argument(
        "--digits", type=_positive, default=30, metavar="N", help="digits of these values (30)"
    )
    one.add_argument(
        "--sampler",
        default="on",
        metavar="S",
        help="how objects are weighted: on (by p_F), backward (by p_B), power:B, powers:A,B, "
        "mixture:E, or "
        "learned_backward:B for the parameters of p_B; B may be a parameter (on)",
    )
    one.add_argument("--steps", action="store_true", help="print the steps of every proof")
    one.add_argument("--latex", action="store_true", help="print formulas as LaTeX")
    _loss_options(one)

    cli_check.add_command(command, _seconds)

    cli_verify.add_command(command, _loss_options, _read_losses)

    cli_train.add_command(command, _loss_options, _read_each, _positive)

    cli_theory.add_commands(command, _loss_options, _describe)

    cli_design.add_commands(command, _loss_options, _read_each, _positive, _seconds)

    cli_audit.add_command(command, _seconds)

    cli_bench.add_command(command)

    cli_molecules.add_command(command)

    cli_sweep.add_command(command, _positive)

    four = command(
        "report",
        _report,
        "the main job: derive, decide, verify, train, compare, draw",
        "divergence-lab report quadratic 'exp(x)-x-1' --out report",
    )
    four.add_argument("losses", nargs="*", metavar="LOSS", help="default: the paper's four losses")
    four.add_argument(
        "--env",
        default="hypergrid:2x8",
        metavar="ENV",
        help="a two-dimensional grid; hypergrid:2x12:paper hides its modes behind rewards of "
        "1e-6 (hypergrid:2x8)",
    )
    four.add_argument(
        "--out", default="report", metavar="DIR", help="folder for report.html and figures (report)"
    )
    four.add_argument(
        "--quick", action="store_true", help="a tenth of the training: a look, not a result"
    )
    four.add_argument("--open", action="store_true", help="open report.html in the browser")
    four.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="(auto)")
    _loss_options(four)
    return parser


def _loss_options(parser: argparse.ArgumentParser) -> None:
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
        type=_seconds,
        default=20.0,
        metavar="S",
        help="processor seconds of the search for each loss; what takes longer is undecided (20)",
    )
    parser.add_argument("--json", action="store_true", help="one JSON document on standard output")


def _positive(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not int(text[:9]) > 0 or len(text) > 9:
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is not a positive whole number")
    return int(text)


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value < 1e6:
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is not a positive number of seconds")
    return value


def _read_losses(options: argparse.Namespace) -> dict[str, Loss]:
    """name -> loss, in the order given; the paper's four where none is given."""
    return dict(_read_each(options, options.losses or PAPER_LOSSES).values())


def _read_each(options: argparse.Namespace, texts: Sequence[str]) -> dict[str, tuple[str, Loss]]:
    """text -> (name, loss): the catalogue's name where one was typed, else the text itself."""
    found = _readings(options, texts)
    for slow in (entry for entry in found.values() if isinstance(entry, Unfinished)):
        raise TooSlow(
            f"{shown(slow.text)}: {slow.because}; write it more simply, or raise --budget"
        )
    return {text: (entry.name, entry.loss) for text, entry in found.items()}


def _readings(options: argparse.Namespace, texts: Sequence[str]) -> dict[str, Reading | Unfinished]:
    values = {}
    for setting in options.values:
        name, equals, value = setting.partition("=")
        if not equals or not name.strip() or not value.strip():
            raise UsageError(f"--set {setting[:40]!r} is not of the form alpha=1/3")
        values[name.strip()] = value
    found = {text: read(text, options.assume, values, options.budget) for text in texts}
    unused = set(values).difference(
        *(entry.parameters for entry in found.values() if isinstance(entry, Reading))
    )
    if unused and not any(isinstance(entry, Unfinished) for entry in found.values()):
        raise UsageError(f"--set {min(unused)}: no loss has a parameter of that name")
    return found


def _print_json(document: Any) -> None:
    json.dump(document, sys.stdout, indent=1, allow_nan=False)
    print()


# --- derive


def _derive(options: argparse.Namespace) -> int:
    chosen = sampler(options.sampler, options.assume)
    ratios = read_ratios(options.at) if options.at else ()
    if options.digits > 1000:
        raise UsageError(f"--digits {options.digits} is more than 1000: ask for fewer")
    by_text = _readings(options, options.losses)
    readings = [by_text[text] for text in options.losses]
    found = derive_all(readings, chosen, ratios, options.digits, options.budget)
    cli_theory.tell_lost("derive", "loss", found)
    if options.json:
        sampling = {"sampler": options.sampler, "weighted_by": chosen.weight}
        _print_json(
            [
                {
                    **undecided_to_json(answer.text, answer.because),
                    **sampling,
                    "sampled_loss": answer.text,
                }
                if isinstance(answer, Unfinished)
                else {**to_json(answer), **sampling, "sampled_loss": write(entry.loss.expression)}
                for entry, answer in zip(readings, found)
            ]
        )
        return DONE
    for entry, answer in zip(readings, found):
        if isinstance(answer, Unfinished):
            print(f"{answer.text}\n  {answer.because}\n")
            continue
        if chosen.kind != "on":
            print(
                f"{entry.name} with objects weighted by {chosen.weight} acts like this "
                "loss weighted by p_F:"
            )
        print(_describe(entry.name, answer, options.latex, options.steps), end="\n\n")
    return DONE


def _describe(name: str, derivation: Derivation, latex: bool, steps: bool = False) -> str:
    shown = write_latex if latex else write
    entry, found, verdicts = derivation.loss, derivation.divergence, derivation.verdicts
    lines = [name, f"  loss          g(x) = {shown(entry.expression)}"]
    if any(part != 0 for part in entry.gauge):
        left_out = shown(entry.gauge[0] + entry.gauge[1] * x)
        lines.append(f"  gauge         {left_out} was left out of g: {GAUGE_UNSEEN}")
    lines.append(
        f"  generator     f(t) = {shown(found.generator)}"
        if found.generator is not None
        else "  generator     no closed form found (values of f can still be enclosed: --at)"
    )
    if found.name:
        lines.append(
            f"  divergence    {'' if found.factor == 1 else f'{found.factor} x '}{found.name}"
        )
    for label, kind, verdict in (
        ("valid", "validity", verdicts.valid),
        ("convex", "convex", verdicts.convex),
        ("zero-forcing", "zero_forcing", verdicts.zero_forcing),
        ("zero-avoiding", "zero_avoiding", verdicts.zero_avoiding),
        ("symmetric", "symmetric", verdicts.symmetric),
        ("even", "even", verdicts.even),
        ("bounded g'", "bounded_gradient", verdicts.bounded_gradient),
    ):
        lines.append(f"  {label:<13} {_answer(verdict)}")
        if steps:
            lines += [
                f"                  {step_in_latex(step) if latex else step.claim}"
                for step in verdict.steps
            ]
            lines += (
                [f"                  by {' and '.join(cited)}"]
                if (cited := cites_of(kind, verdict))
                else []
            )
    ends = (
        ("f(0+)", verdicts.f_at_zero),
        ("f'(oo)", verdicts.slope_at_infinity),
        ("g''(0)", verdicts.curvature_at_zero),
    )
    lines += ends_in_words(ends, shown)
    if derivation.dual_loss is not None:
        lines.append(
            f"  swapped       {shown(derivation.dual_loss)} (the loss of the divergence "
            "with its arguments swapped)"
        )
    lines += [f"  f({v.ratio}) = {v.value} +- {v.radius}" for v in derivation.values]
    lines += [f"  not found     {sentence}" for sentence in derivation.lost]
    return "\n".join(lines)


def _answer(verdict: Verdict) -> str:
    word = (
        "depends"
        if verdict.condition
        else {True: "yes", False: "no", None: "undecided"}[verdict.holds]
    )
    return f"{word:<10} {verdict.because} [{verdict.status}]"


# --- report


def _report(options: argparse.Namespace) -> int:
    import webbrowser

    from divergence_lab.report.page import write_report

    summary = write_report(
        _read_losses(options),
        Path(options.out),
        env=options.env,
        quick=options.quick,
        device=options.device,
        budget=options.budget,
    )
    page = Path(options.out) / "report.html"
    if options.json:
        _print_json(summary)
    else:
        print(f"wrote {page}")
    if options.open:
        webbrowser.open(page.resolve().as_uri())
    return DONE if all(row["holds"] for row in summary["theorem"]) else CHECK_FAILED


if __name__ == "__main__":
    sys.exit(main())
