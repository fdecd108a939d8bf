"""The commands `design` (wishes in, losses out, every wish proved) and `export` (a loss as source
text).
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sympy as sp

from divergence_lab.cli.arguments import (
    ANSWERS,
    DONE,
    JSON,
    LOSS_OPTIONS,
    AddCommand,
    at_work,
    json_text,
    option,
    positive,
    read_each,
    say,
    seconds,
)
from divergence_lab.inputs import InputError, number_in, one_line, read_bytes, read_input
from divergence_lab.outputs import must_be_new, write_alone
from divergence_lab.theory.answers import wording
from divergence_lab.theory.design.wishes import DesignError
from divergence_lab.theory.expressions import write
from divergence_lab.theory.expressions.syntax import shown

if TYPE_CHECKING:
    from divergence_lab.theory.design.proofs import Designed
    from divergence_lab.theory.divergence.loss import Loss

BUDGET = 12.0  # as `search.BUDGET`, which is not imported before it is needed
FORMS = ("torch", "jax", "torchgfn", "recursion", "trl", "gfnx", "optax", "latex")


class _Either(argparse.BooleanOptionalAction):
    """--wish or --no-wish; both at once contradict each other."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: Any = None) -> None:
        before = getattr(namespace, self.dest)
        super().__call__(parser, namespace, values, option_string)
        if before not in (None, getattr(namespace, self.dest)):
            raise argparse.ArgumentError(self, f"{option_string} contradicts what was asked before")


def add_commands(command: AddCommand) -> None:
    """Add both commands."""
    command(
        "design",
        _design,
        "find losses with the properties you want, each one proved",
        "divergence-lab design --zero-forcing --zero-avoiding --symmetric-divergence",
        option(
            "--zero-forcing",
            action=_Either,
            default=None,
            help="D_f is infinite where the model covers what the target does not",
        ),
        option(
            "--zero-avoiding",
            action=_Either,
            default=None,
            help="D_f is infinite where the model drops what the target has",
        ),
        option("--symmetric-divergence", action="store_true", help="D_f(p||q) = D_f(q||p)"),
        option("--even-loss", action="store_true", help="g(-x) = g(x)"),
        option("--bounded-gradient", action="store_true", help="|g'| stays below some number"),
        option(
            "--bounded-second-moment",
            action="store_true",
            help="g'(x)^2 e^(-x) bounded on x > 0: the second moment of the score at a "
            "dropped mode",
        ),
        option("--curvature", metavar="C", help="the curvature g''(0)"),
        option(
            "--penalty",
            nargs="+",
            action="extend",
            default=[],
            metavar="X:VALUE",
            help="g(X) = VALUE (repeatable)",
        ),
        option(
            "--tradeoff",
            nargs="+",
            action="extend",
            default=[],
            metavar="A:B[:R]",
            help="g(A) = R g(B), R = 1 if not given (repeatable)",
        ),
        option(
            "--residuals",
            metavar="FILE",
            help="numbers log(target/model), one a line or as .npy: the loss of the class nearest "
            "to their score",
        ),
        *(
            option(
                f"--{side}-growth",
                metavar="G",
                help=f"how g grows at {end}: linear, quadratic, power:3, exponential:1/2",
            )
            for side, end in (("left", "-oo"), ("right", "oo"))
        ),
        option("--smooth", action="store_true", help="g'' is continuous: no kink, no jump of g''"),
        option(
            "--max-terms",
            type=positive,
            metavar="N",
            help="at most N terms in the formula, counted over all its pieces",
        ),
        option(
            "--tolerance",
            default="1/1000",
            metavar="R",
            help="relative error allowed in penalties that can't be met exactly (1/1000)",
        ),
        option("--count", type=positive, default=3, metavar="N", help="at most N losses (3)"),
        option(
            "--budget",
            type=seconds,
            default=BUDGET,
            metavar="S",
            help=f"processor seconds of the whole search ({BUDGET:g})",
        ),
        JSON,
    )
    command(
        "export",
        _export,
        "write a loss as source text that stands alone: torch, JAX, drop-ins for other libraries, "
        "LaTeX",
        "divergence-lab export 'linex(1/2)' --form torch --out my_loss.py",
        option("losses", nargs=1, metavar="LOSS", help="a catalogue name or an expression in x"),
        option("--form", choices=FORMS, default="torch", help="what to write it for"),
        option("--out", metavar="FILE", help="where to write it (default: standard output)"),
        option("--overwrite", action="store_true", help="replace the file that is there"),
        *LOSS_OPTIONS,
    )


# --- design


def _design(options: argparse.Namespace) -> int:
    wishes: dict[str, Any] = dict(
        zero_forcing=options.zero_forcing,
        zero_avoiding=options.zero_avoiding,
        symmetric=options.symmetric_divergence,
        even=options.even_loss,
        bounded_gradient=options.bounded_gradient,
        bounded_second_moment=options.bounded_second_moment,
        left_growth=options.left_growth,
        right_growth=options.right_growth,
        smooth=options.smooth,
        max_terms=options.max_terms,
    )
    numbers = {"curvature": options.curvature, "penalties": _penalties(options.penalty)}
    wishes |= {name: value for name, value in numbers.items() if value}
    with at_work("looking for losses with these properties, and proving them"):
        designs = _search(options, wishes)
    if options.json:
        from divergence_lab.theory.design.proofs import designed_to_json

        print(json_text([designed_to_json(entry) for entry in designs]))
    else:
        say("\n\n".join(described(entry) for entry in designs))
    return DONE


def _search(options: argparse.Namespace, wishes: dict[str, Any]) -> list[Designed]:
    from divergence_lab.theory.design.search import design

    if options.tradeoff or options.residuals:
        return [_from_data(options, wishes)]
    return design(**wishes, count=options.count, budget=options.budget, tolerance=options.tolerance)


def _from_data(options: argparse.Namespace, wishes: dict[str, Any]) -> Designed:
    """The loss of the class that meets the trade-offs, or the nearest to the residuals."""
    from divergence_lab.theory.design.from_data import fit_to_residuals, fit_to_tradeoffs

    if options.tradeoff and options.residuals:
        raise DesignError("--tradeoff and --residuals: give one of them, each fixes the loss")
    if options.tradeoff:
        return fit_to_tradeoffs(
            [_tradeoff(text) for text in options.tradeoff],
            options.budget,
            options.tolerance,
            **wishes,
        )
    return fit_to_residuals(_numbers(options.residuals), options.budget, **wishes)


def _tradeoff(text: str) -> tuple[str, str, str]:
    """ "-3:2" -> ("-3", "2", "1"): at -3 weigh as much as at 2."""
    parts = [part.strip() for part in text.split(":")]
    if len(parts) not in (2, 3) or not all(parts):
        raise DesignError(
            f"--tradeoff {shown(text.strip())} is not of the form A:B or A:B:R, such as "
            "-3:2 or -3:2:1/2"
        )
    return parts[0], parts[1], parts[2] if len(parts) == 3 else "1"


def _numbers(path: str) -> Sequence[float]:
    """The numbers in a text file (blanks, commas or line ends between them) or a .npy file."""
    import numpy as np

    try:
        if not path.endswith(".npy"):
            return _numbers_of_lines(read_input(path))
        array = np.lib.format.read_array(io.BytesIO(read_bytes(path)), allow_pickle=False)
        if array.dtype.kind not in "iuf":
            raise ValueError(f"its entries are of type {array.dtype}")
        return array.ravel().astype(float).tolist()
    except InputError as error:
        raise DesignError(f"--residuals: {error}; name a file that can be read") from None
    except (ValueError, MemoryError) as error:  # a header may claim any size
        raise DesignError(
            f"--residuals {shown(path)}: {error}; give numbers alone, one a line"
        ) from None


def _numbers_of_lines(text: str) -> list[float]:
    """Raises ValueError that names the line of what is no number."""
    found = []
    for count, line in enumerate(text.splitlines(), 1):
        try:
            found += [number_in(word) for word in line.replace(",", " ").split()]
        except ValueError as error:
            raise ValueError(f"line {count}: {error}") from None
    return found


def _penalties(texts: Sequence[str]) -> dict[str, str]:
    """["-3:2", "1:1/2"] -> {"-3": "2", "1": "1/2"}."""
    penalties: dict[str, str] = {}
    for text in texts:
        at, colon, value = (part.strip() for part in text.partition(":"))
        if not (at and colon and value):
            raise DesignError(
                f"--penalty {shown(text.strip())} is not of the form X:VALUE, such as -3:2"
            )
        if at in penalties:
            raise DesignError(
                f"--penalty: two penalties are given at x = {shown(at)}: keep one of them"
            )
        penalties[at] = value
    return penalties


def described(entry: Designed) -> str:
    """A designed loss as text: the loss, its divergence, and each wish with the reason why it is
    met.
    """
    divergence, verdicts = entry.derivation.divergence, entry.derivation.verdicts
    lines = [f"g(x) = {write(entry.loss.expression)}"]
    if divergence.name:
        multiple = wording.times(write(divergence.factor or sp.S.One), divergence.name)
        lines.append(f"  divergence    {multiple}")
    lines.append(
        f"  generator     f(t) = {write(divergence.generator)}"
        if divergence.generator is not None
        else "  generator     no closed form found (derive LOSS --at T encloses values of f)"
    )
    named = (
        ("zero-forcing", verdicts.zero_forcing),
        ("zero-avoiding", verdicts.zero_avoiding),
        ("symmetric", verdicts.symmetric),
        ("even", verdicts.even),
        ("bounded g'", verdicts.bounded_gradient),
    )
    lines.append(
        "  verdicts      "
        + ", ".join(f"{label}: {ANSWERS[verdict.holds]}" for label, verdict in named)
    )
    width = max((len(met.wish) for met in entry.met), default=0)
    lines += [
        f"  wish          {met.wish:<{width}}  {met.status}: {met.because}" for met in entry.met
    ]
    return "\n".join(lines)


# --- export


def _export(options: argparse.Namespace) -> int:
    with at_work(f"reading {one_line(options.losses[0], 60)}"):
        ((name, loss),) = read_each(options, options.losses).values()
    path = Path(options.out) if options.out else None
    if path is not None and not options.overwrite:
        must_be_new(path, ", or add --overwrite")
    with at_work(f"writing {one_line(options.losses[0], 60)} for {options.form}"):
        source = _source(loss, options)
    if path is not None:
        try:
            write_alone(path, source.encode(), replace=options.overwrite)
        except OSError as error:
            raise InputError(
                f"{shown(options.out)}: {error.strerror}; name a file that can be written"
            ) from None
    if options.json:
        document = {
            "name": name,
            "loss": write(loss.expression),
            "form": options.form,
            "source": source,
            "out": options.out,
        }
        print(json_text(document))
    elif options.out:
        print(f"wrote {one_line(options.out)}")
    else:
        print(source, end="")
    return DONE


def _source(loss: Loss, options: argparse.Namespace) -> str:
    from divergence_lab.bridge.export import export

    return export(loss, options.form, options.budget)
