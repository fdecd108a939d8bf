"""The command line: `divergence-lab COMMAND ...`. Reads arguments, calls the library, prints.

Exit codes: 0 done; 1 ran, and a check it made does not hold; 2 bad input, with one line on standard error.
torch is imported only by the commands that train or verify.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from divergence_lab import cli_theory
from divergence_lab.theory import catalogue
from divergence_lab.theory.catalogue import PAPER_LOSSES
from divergence_lab.theory.derivation import Derivation, derive, read_ratios, to_json
from divergence_lab.theory.expressions import ExpressionError, write, write_latex
from divergence_lab.theory.loss import Loss, loss
from divergence_lab.theory.samplers import on_policy_equivalent, sampler
from divergence_lab.theory.verdict import Verdict
from divergence_lab.theory.wording import step_in_latex

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
    # an expression may begin with a minus sign: with a space before it, argparse does not take it for an option
    options = parser.parse_args([f" {word}" if re.match(r"-[^-h]|-h.", word) else word for word in given])
    try:
        return options.run(options)
    except BrokenPipeError:
        return DONE
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except ValueError as error:
        if not isinstance(error, _input_errors()):
            raise  # not the user's doing: a traceback helps to report it
        print(f"{parser.prog} {options.command}: {' '.join(str(error).split())}", file=sys.stderr)
        return BAD_INPUT


def _input_errors() -> tuple[type[ValueError], ...]:
    """The errors that mean bad input; those of the torch rooms only once these are loaded."""
    kinds: list[type[ValueError]] = [ExpressionError, UsageError]
    if "divergence_lab.bridge" in sys.modules:
        from divergence_lab.bridge import NotRepresentable
        kinds.append(NotRepresentable)
    if "divergence_lab.training" in sys.modules:
        from divergence_lab.checkpoints import CheckpointError
        from divergence_lab.settings import TrainingError
        kinds += [CheckpointError, TrainingError]
    if "divergence_lab.graphs.environments" in sys.modules:
        from divergence_lab.gflownet.exact import EnumerationError
        from divergence_lab.graphs.dag import GraphError
        from divergence_lab.graphs.environments import EnvironmentTextError
        kinds += [EnumerationError, GraphError, EnvironmentTextError]
    return tuple(kinds)


# --- arguments -----------------------------------------------------------------------------------------------

def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="divergence-lab", description="What a GFlowNet's regression loss really minimises.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, run, summary: str, example: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=summary, description=summary, epilog=f"example: {example}",
                                    formatter_class=argparse.RawDescriptionHelpFormatter)
        added.set_defaults(run=run)
        return added

    one = command("derive", _derive, "derive the divergence of a loss and decide its character",
                  "divergence-lab derive 'exp(x) - x - 1' linex(1/2) --at 0.1,2")
    one.add_argument("losses", nargs="+", metavar="LOSS", help="a catalogue name or an expression in x")
    one.add_argument("--at", metavar="T,T,...", help="ratios at which f is enclosed")
    one.add_argument("--digits", type=_positive, default=30, metavar="N", help="digits of these values (30)")
    one.add_argument("--sampler", default="on", metavar="S",
                     help="how objects are weighted: on, backward, power:B, mixture:E (on: by p_F)")
    one.add_argument("--steps", action="store_true", help="print the steps of every proof")
    one.add_argument("--latex", action="store_true", help="print formulas as LaTeX")
    _loss_options(one)

    check = command("check", _check, "re-verify every certificate in the output of derive --json",
                    "divergence-lab derive quadratic --json > proofs.json; divergence-lab check proofs.json")
    check.add_argument("file", metavar="FILE", help="a file written by derive --json, or - for standard input")

    two = command("verify", _verify, "check the gradient theorem exactly on an enumerated graph",
                  "divergence-lab verify quadratic 'linex(1)' --env hypergrid:2x4")
    two.add_argument("losses", nargs="*", metavar="LOSS", help="default: the paper's four losses")
    two.add_argument("--env", default="hypergrid:2x4", help="the graph (hypergrid:2x4)")
    two.add_argument("--objective", default="tb", metavar="O,...", help="objectives (tb)")
    two.add_argument("--sampler", default="on", metavar="S", help="how objects are weighted (on: by p_F)")
    _loss_options(two)

    three = command("train", _train, "train losses x seeds as one batch and compute the exact learned laws",
                    "divergence-lab train quadratic 'linex(1)' --env hypergrid:2x8 --seeds 5 --out runs/first")
    three.add_argument("losses", nargs="+", metavar="LOSS", help="a catalogue name or an expression in x")
    three.add_argument("--env", required=True, help="hypergrid:DIMxSIDE[:reward] or dag:FILE.json")
    three.add_argument("--objective", default="tb", metavar="O,...", help="objectives (tb)")
    three.add_argument("--seeds", type=_positive, default=5, metavar="N", help="seeds 0 ... N-1 (5)")
    three.add_argument("--steps", type=_positive, metavar="N", help="gradient steps")
    three.add_argument("--batch", type=_positive, metavar="B", help="trajectories a step and member")
    three.add_argument("--policy", choices=("tabular", "mlp"), default="tabular", help="(tabular)")
    three.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="(auto)")
    three.add_argument("--out", metavar="DIR", help="folder for config.json, metrics.csv, terminal.npz ...")
    three.add_argument("--resume", action="store_true", help="continue the run in --out from its checkpoint")
    _loss_options(three)

    cli_theory.add_commands(command, _loss_options, _describe)

    four = command("report", _report, "the main job: derive, decide, verify, train, compare, draw",
                   "divergence-lab report quadratic 'exp(x)-x-1' --out report")
    four.add_argument("losses", nargs="*", metavar="LOSS", help="default: the paper's four losses")
    four.add_argument("--out", default="report", metavar="DIR", help="folder for report.html and figures (report)")
    four.add_argument("--quick", action="store_true", help="a tenth of the training: a look, not a result")
    four.add_argument("--open", action="store_true", help="open report.html in the browser")
    four.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="(auto)")
    _loss_options(four)
    return parser


def _loss_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--assume", action="append", default=[], metavar="A",
                        help="an assumption on a parameter, 'alpha > 0' (repeatable)")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", dest="values",
                        help="the value of a parameter, alpha=1/3 (repeatable)")
    parser.add_argument("--budget", type=_seconds, default=10.0, metavar="S",
                        help="seconds for each symbolic question (10)")
    parser.add_argument("--json", action="store_true", help="one JSON document on standard output")


def _positive(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 0 < int(text[:9]) or len(text) > 9:
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
    """name -> loss, in the order given: the catalogue's name where one was typed, else the text itself."""
    values = {}
    for setting in options.values:
        name, equals, value = setting.partition("=")
        if not equals or not name.strip() or not value.strip():
            raise UsageError(f"--set {setting[:40]!r} is not of the form alpha=1/3")
        values[name.strip()] = value
    texts = options.losses or PAPER_LOSSES
    known = {text: loss(text, options.assume) for text in texts}
    unused = set(values) - {p.name for entry in known.values() for p in entry.parameters}
    if unused:
        raise UsageError(f"--set {min(unused)}: no loss has a parameter of that name")
    found = {}
    for text, entry in known.items():
        here = {p.name: values[p.name] for p in entry.parameters if p.name in values}
        entry = loss(text, options.assume, here) if here else entry
        found[entry.name if catalogue.lookup(text, options.assume) else text.strip()] = entry
    return found


def _print_json(document: Any) -> None:
    json.dump(document, sys.stdout, indent=1, allow_nan=False)
    print()


# --- derive --------------------------------------------------------------------------------------------------

def _derive(options: argparse.Namespace) -> int:
    chosen = sampler(options.sampler)
    given = _read_losses(options)
    losses = {name: on_policy_equivalent(entry, chosen) for name, entry in given.items()}
    ratios = read_ratios(options.at) if options.at else ()
    if options.digits > 1000:
        raise UsageError(f"--digits {options.digits} is more than 1000: ask for fewer")
    derivations = {name: derive(entry, ratios, options.digits, options.budget) for name, entry in losses.items()}
    if options.json:
        _print_json([{**to_json(derivation), "sampler": options.sampler, "weighted_by": chosen.weight,
                      "sampled_loss": write(given[name].expression)} for name, derivation in derivations.items()])
    else:
        for name, derivation in derivations.items():
            if chosen.kind != "on":
                print(f"{name} with objects weighted by {chosen.weight} acts like this loss weighted by p_F:")
            print(_describe(name, derivation, options.latex, options.steps), end="\n\n")
    return DONE


def _describe(name: str, derivation: Derivation, latex: bool, steps: bool = False) -> str:
    shown = write_latex if latex else write
    entry, found, verdicts = derivation.loss, derivation.divergence, derivation.verdicts
    lines = [name, f"  loss          g(x) = {shown(entry.expression)}"]
    if any(part != 0 for part in entry.gauge):
        lines.append(f"  gauge         {entry.gauge[0]} + ({entry.gauge[1]})*x was removed from the text: no policy "
                     "gradient depends on it")
    lines.append(f"  generator     f(t) = {shown(found.generator)}" if found.generator is not None
                 else "  generator     no closed form found (values of f can still be enclosed: --at)")
    if found.name:
        lines.append(f"  divergence    {'' if found.factor == 1 else f'{found.factor} x '}{found.name}")
    for label, verdict in (("valid", verdicts.valid), ("convex", verdicts.convex),
                           ("zero-forcing", verdicts.zero_forcing), ("zero-avoiding", verdicts.zero_avoiding),
                           ("symmetric", verdicts.symmetric), ("even", verdicts.even),
                           ("bounded g'", verdicts.bounded_gradient)):
        lines.append(f"  {label:<13} {_answer(verdict)}")
        if steps:
            lines += [f"                  {step_in_latex(step) if latex else step.claim}" for step in verdict.steps]
    ends = (("f(0+)", verdicts.f_at_zero), ("f'(oo)", verdicts.slope_at_infinity), ("g''(0)", verdicts.curvature_at_zero))
    lines.append("  ends          " + ", ".join(f"{label} = {'unknown' if v is None else shown(v)}" for label, v in ends))
    if derivation.dual_loss is not None:
        lines.append(f"  swapped       {shown(derivation.dual_loss)} (the loss of the divergence with its arguments swapped)")
    lines += [f"  f({v.ratio}) = {v.value} +- {v.radius}" for v in derivation.values]
    return "\n".join(lines)


def _answer(verdict: Verdict) -> str:
    word = "depends" if verdict.condition else {True: "yes", False: "no", None: "undecided"}[verdict.holds]
    return f"{word:<10} {verdict.because} [{verdict.status}]"


# --- check ---------------------------------------------------------------------------------------------------

def _check(options: argparse.Namespace) -> int:
    from divergence_lab.theory.checker import check
    try:
        text = sys.stdin.read() if options.file == "-" else Path(options.file).read_text(encoding="utf-8")
        document = json.loads(text)
    except OSError as error:
        raise UsageError(f"{options.file}: {error.strerror}; name a file written by derive --json") from None
    except (ValueError, RecursionError):
        raise UsageError(f"{options.file} is not JSON: name a file written by derive --json") from None
    failures = check(document)
    for failure in failures[:1]:
        print(f"{failure.where}: {failure.why}", file=sys.stderr)
    if not failures:
        print(f"every certificate holds ({len(document) if isinstance(document, list) else 1} losses)")
    return CHECK_FAILED if failures else DONE


# --- verify --------------------------------------------------------------------------------------------------

def _verify(options: argparse.Namespace) -> int:
    from divergence_lab.verification import verify
    if options.objective != "tb":
        raise UsageError(f"--objective {options.objective}: only tb is available yet")
    if options.sampler != "on":
        raise UsageError(f"--sampler {options.sampler}: only on (objects weighted by p_F) is available yet")
    rows = verify(_read_losses(options), options.env, options.budget)
    if options.json:
        _print_json(rows)
    else:
        print(f"{'loss':<28} {'gradient error':>15} {'flipped sign':>13}  holds   ({options.env}, tb, weights p_F)")
        for row in rows:
            print(f"{row['loss']:<28} {row['max_gradient_error']:>15.1e} {row['flipped_sign_error']:>13.1e}  "
                  f"{'yes' if row['holds'] else 'NO'}")
    return DONE if all(row["holds"] for row in rows) else CHECK_FAILED


# --- train ---------------------------------------------------------------------------------------------------

def _train(options: argparse.Namespace) -> int:
    from divergence_lab.bridge import to_torch
    from divergence_lab.graphs.environments import graph_from_text
    from divergence_lab.results import runs
    from divergence_lab.training import train
    if options.resume and not options.out:
        raise UsageError("--resume needs --out DIR, the folder of the run to continue")
    losses = {name: to_torch(entry) for name, entry in _read_losses(options).items()}
    chosen = {key: getattr(options, key) for key in ("steps", "batch") if getattr(options, key) is not None}
    result = train(losses, graph_from_text(options.env), objective=options.objective, seeds=options.seeds,
                   policy=options.policy, device=options.device, out=options.out, resume=options.resume, **chosen)
    table = runs(result)
    if options.json:
        _print_json({"runs": [_finite_json(row) for row in table], "seconds": result.seconds,
                     "trajectories_per_second": result.trajectories_per_second,
                     "device": result.environment["device"]})
    else:
        print(f"{'loss':<28} {'seed':>4} {'TV':>8} {'KL(target||model)':>18} {'log Z':>8} {'true':>8} {'modes':>5}")
        for row in table:
            print(f"{row['loss']:<28} {row['seed']:>4} {row['tv']:>8.4f} {row['kl_forward']:>18.4g} "
                  f"{row['log_z']:>8.3f} {row['log_z_true']:>8.3f} {row['modes_found']:>5}"
                  + ("" if row["finite"] else "   not finite"))
        print(f"{result.seconds:.1f} s, {result.trajectories_per_second:,.0f} trajectories a second on "
              f"{result.environment['device']}" + (f"; written to {options.out}" if options.out else ""))
    return DONE


def _finite_json(row: dict[str, Any]) -> dict[str, Any]:
    """JSON has no infinity: numbers that are not finite become the strings "oo", "-oo", "nan"."""
    words = {float("inf"): "oo", float("-inf"): "-oo"}
    return {key: words.get(value, "nan" if math.isnan(value) else value) if isinstance(value, float) else value
            for key, value in row.items()}


# --- report --------------------------------------------------------------------------------------------------

def _report(options: argparse.Namespace) -> int:
    import webbrowser

    from divergence_lab.report import write_report
    summary = write_report(_read_losses(options), Path(options.out), quick=options.quick, device=options.device,
                           budget=options.budget)
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
