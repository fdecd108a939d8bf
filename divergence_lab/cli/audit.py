"""The command `audit`: which divergence does a torch callable really minimise?"""

from __future__ import annotations

import argparse
import contextlib
import math
import os
import sys
import textwrap
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

from divergence_lab.cli.arguments import (
    ANSWERS,
    BAD_INPUT,
    CHECK_FAILED,
    DONE,
    JSON,
    AddCommand,
    at_work,
    json_text,
    option,
    say,
    seconds,
)
from divergence_lab.inputs import InputError, number_in, one_line
from divergence_lab.theory.answers import wording

if TYPE_CHECKING:  # torch, and what the user names, are loaded only when the command runs
    from divergence_lab.audit.placed.standing import Standing
    from divergence_lab.audit.result import Audit
    from divergence_lab.theory.verdicts.verdict import Verdict

WIDTH = 118
_FED = {"target/model": "log(target/model)", "model/target": "log(model/target)"}


def add_commands(command: AddCommand) -> None:
    """Add `audit`."""
    command(
        "audit",
        _audit,
        "say which divergence a torch loss really minimises; IMPORTS AND RUNS it",
        "divergence-lab audit torch.nn:MSELoss --residual target/model",
        option(
            "callable",
            metavar="SUBJECT",
            nargs="?",
            help="e.g. my_losses:loss, path/to/losses.py:loss or 'my_losses:Loss(0.5)'; the module "
            "is imported and the callable is run: audit only code that you would run; preset:NAME "
            "is a loss or KL estimator of a popular library",
        ),
        option(
            "--residual",
            choices=("target/model", "model/target"),
            help="what the callable is fed: log p_B - log p_F (target/model) or log p_F - log p_B "
            "(model/target); a preset brings its own",
        ),
        option(
            "--presets",
            action="store_true",
            help="list the presets: which library, where, what each is fed and where it stands",
        ),
        option(
            "--range",
            type=_range,
            default=(-100.0, 100.0),
            metavar="LO,HI",
            help="the residuals log p_B - log p_F to look at (-100,100)",
        ),
        option(
            "--dtype",
            choices=("float64", "float32", "bfloat16", "float16"),
            default="float64",
            help="the dtype to run it in (float64)",
        ),
        option(
            "--feed",
            type=lambda text: tuple(word.strip() for word in text.split(",")),
            metavar="W,...",
            help="what to pass as its arguments, in their order: residual, log_pf, log_pb, pf, pb, "
            "mask (ones), or a constant, log_z=0 (found out from the callable: residual, or log "
            "p_B and log p_F in the order that --residual names them)",
        ),
        option(
            "--bind",
            action="append",
            default=[],
            metavar="NAME=VALUE",
            help="the value of a keyword argument, delta=2.0 (repeatable)",
        ),
        option(
            "--item",
            metavar="KEY",
            help="which part of a returned tuple or dict to train on: 0, loss, losses.kl",
        ),
        option(
            "--summed",
            action="store_true",
            help="the callable contains the weights itself and is summed over objects, like "
            "torch's kl_div of probabilities",
        ),
        option(
            "--placement",
            metavar="P",
            help="where the term stands: loss, reward (a penalty, held, times grad log p_F) or "
            "weighted (times p_F/sg(p_F)) (default: loss)",
        ),
        option(
            "--sampler",
            default="on",
            metavar="S",
            help="who draws: on (the model), backward (the target), power:B, mixture:E (on)",
        ),
        option(
            "--baseline",
            metavar="B",
            help="what training subtracts from it: none, mean (of the batch, the draw itself "
            "included; mean:8 in a batch of 8) or leave-one-out (default: none)",
        ),
        option(
            "--clip-ratio",
            type=_ratios,
            metavar="LO,HI",
            help="draws are weighted by p_F/mu, held and clipped to this range; mu is --sampler's "
            "law, or an older policy",
        ),
        option(
            "--per",
            metavar="O",
            help="the residual is of a whole sequence, or of each token (default: sequence)",
        ),
        option(
            "--budget",
            type=seconds,
            default=20.0,
            metavar="S",
            help="processor seconds for the derivation (20)",
        ),
        option(
            "--time-limit",
            type=seconds,
            default=300.0,
            metavar="S",
            help="seconds after which a callable that does not come back is given up (300)",
        ),
        JSON,
    )


def _range(text: str) -> tuple[float, float]:
    try:
        low, high = (number_in(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is not of the form -100,100") from None
    return low, high


def _ratios(text: str) -> tuple[float, float]:
    low, _, high = text.partition(",")
    try:
        ends = number_in(low), math.inf if high.strip() in ("oo", "inf") else number_in(high)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is not of the form 0.8,1.2") from None
    return ends


def _audit(options: argparse.Namespace) -> int:
    with at_work("loading torch"):
        from divergence_lab.audit.auditing import audit
        from divergence_lab.audit.presets.named import is_preset, listed
        from divergence_lab.audit.subjects.loading import read_bound

    if options.presets:
        print(json_text(listed()) if options.json else _presets(listed()))
        return DONE
    if options.callable is None:
        raise InputError("a SUBJECT is missing: write module:callable, or preset:NAME (--presets)")
    if options.residual is None and not is_preset(options.callable):
        raise InputError(
            "--residual is missing: write --residual target/model where it is fed "
            "log p_B - log p_F, --residual model/target where it is fed log p_F - log p_B"
        )
    if "" not in sys.path:
        sys.path.insert(0, "")  # as `python -m` does: a module in the current folder can be named
    doing = at_work(f"auditing {one_line(options.callable, 60)}")
    with doing, _given_up_after(options.time_limit, options.callable):
        audited = audit(
            options.callable,
            options.residual,
            options.range,
            options.dtype,
            options.budget,
            options.feed,
            options.summed,
            read_bound(options.bind),
            options.item,
            placement=options.placement,
            sampler=options.sampler,
            baseline=options.baseline,
            clip_ratio=options.clip_ratio,
            per=options.per,
        )
    if options.json:
        print(json_text(audited.to_json()))
    else:
        say(describe(audited))
    return CHECK_FAILED if audited.gradient_check is False else DONE


def _presets(rows: list[dict[str, str]]) -> str:
    """The presets, a line each, and where each formula stands in its library."""
    lines = []
    for row in rows:
        stands = f"{row['placement']}, per {row['per']}"
        stands += "" if row["baseline"] == "none" else f", {row['baseline']} baseline"
        lines.append(f"preset:{row['name']}")
        lines += _row("", f"{row['formula']}, r = {_FED[row['residual']]}; in the {stands}")
        lines += _row("", f"{row['library']} {row['version']}: {row['source']}")
    return "\n".join(lines)


@contextlib.contextmanager
def _given_up_after(limit: float, name: str) -> Iterator[None]:
    """End the process with one line if foreign code hangs: no exception reaches a thread that
    sleeps or computes in C.
    """

    def stop() -> None:
        os.write(
            2,
            f"divergence-lab audit: {name[:60]} was not done after {limit:g} s: it hangs "
            "or is too slow to be "
            "run some hundred times; allow more with --time-limit\n".encode(),
        )
        os._exit(BAD_INPUT)

    watch = threading.Timer(limit, stop)
    watch.daemon = True
    watch.start()
    try:
        yield
    finally:
        watch.cancel()


def describe(audited: Audit) -> str:
    """The audit as text."""
    other = audited.under_the_other_sign
    lines = [
        f"{audited.name}, fed {', '.join(audited.feed)} (--residual {audited.residual}), was "
        f"run in {audited.dtype} on "
        f"[{audited.range[0]:g}, {audited.range[1]:g}]" + _standing(audited.standing),
        *_row(
            "loss",
            f"g(x) = {audited.effective_loss}   {_where(audited)}with x = log p_B - log p_F"
            if audited.effective_loss
            else "not identified",
        ),
        *_shipped(audited),
        *_row(
            "divergence", "none" if audited.because else _named(audited.divergence, audited.factor)
        ),
        *(_row("because", audited.because) if audited.because else ()),
        *_row("zero-forcing", _answer(audited.zero_forcing)),
        *_row("zero-avoiding", _answer(audited.zero_avoiding)),
        *_row("documented", _documented(audited)),
        *_row(
            "other sign",
            _named(other.divergence, other.factor)
            + _character(other.zero_forcing, other.zero_avoiding),
        ),
    ]
    if audited.max_gradient_error is not None:
        # of an error that is rounding, the digits are the machine's
        agrees, size = (
            ("that", f"below {audited.gradient_tolerance:.0e}")
            if audited.gradient_check
            else ("NOT that", f"{audited.max_gradient_error:.0e}")
        )
        lines += _row(
            "gradient",
            f"{agrees} of the divergence on random simplices, relative error {size}"
            + _flipped(audited),
        )
    lines += _row("digits", _digits(audited))
    for note in audited.notes:
        lines += _row("note", note)
    if audited.effective_loss is None:
        character = _character(*audited.if_it_goes_on)
        if character:
            straight = "g' is constant or straight up to the end of the range; if it goes on so:"
            lines += _row("by its ends", straight + character)
        lines += _row(
            "slopes", ", ".join(f"g'({point:g}) = {slope:.4g}" for point, slope in audited.slopes)
        )
        if audited.spline:
            lines += _row(
                "spline", ", ".join(f"f({ratio:g}) = {value:g}" for ratio, value in audited.spline)
            )
    for problem in audited.problems:
        where = (
            f"x = {problem.low:g}"
            if problem.low == problem.high
            else f"{problem.low:g} <= x <= {problem.high:g}"
        )
        lines += _row("PROBLEM", f"{problem.kind}, {where}: {problem.detail}")
    lines += [] if audited.problems else _row("problems", "none found")
    for missing in audited.not_checked:
        lines += _row("not checked", missing)
    return "\n".join(lines)


def _where(audited: Audit) -> str:
    """The stretch on which it is the effective loss, where that is not all of the range."""
    if audited.holds_on is None or audited.holds_on == audited.range:
        return ""
    return f"on [{audited.holds_on[0]:.6g}, {audited.holds_on[1]:.6g}] only, "


def _shipped(audited: Audit) -> list[str]:
    """The row of the loss as it is shipped, where it has more pieces."""
    shipped = audited.as_shipped
    if shipped is None:
        return []
    whole = (shipped.low, shipped.high) == audited.range
    where = "" if whole else f" on [{shipped.low:.6g}, {shipped.high:.6g}]"
    named = "" if shipped.divergence is None else f": {_named(shipped.divergence, shipped.factor)}"
    character = _character(shipped.zero_forcing.holds, shipped.zero_avoiding.holds)
    if not whole:
        character = ""
    return _row("as shipped", f"g(x) = {shipped.loss}{where}{named}{character}")


def _digits(audited: Audit) -> str:
    """In which dtypes digits are lost, and where."""
    kept = [name for name, lost in audited.in_dtypes if lost == ()]
    told = [f"kept in {', '.join(kept)}"] if kept else []
    for name, lost in audited.in_dtypes:
        stretches = [
            f"{'no number' if one.kind == 'not_finite' else 'lost'} on [{one.low:g}, {one.high:g}]"
            for one in lost or ()
        ]
        told += [f"{name}: {', '.join(stretches)}"] if stretches else []
    return "; ".join(told) or "nothing to compare with"


def _standing(standing: Standing) -> str:
    """Where it stands, who draws, what is subtracted and clipped, where that is not the usual."""
    told = {"reward": "as a penalty held in the reward", "weighted": "times p_F/sg(p_F)"}
    parts = [told.get(standing.placement, "")]
    parts.append("per token" if standing.per == "token" else "")
    parts.append(f"drawn by {standing.weighting.weight}" if standing.sampler != "on" else "")
    if standing.clip:
        low, high = (f"{end:g}" for end in standing.clip)
        parts.append(f"with held weights clipped to [{low}, {high}]")
    parts.append(f"less the {standing.baseline} baseline" if standing.baseline != "none" else "")
    return "".join(f", {part}" for part in parts if part)


def _flipped(audited: Audit) -> str:
    if audited.flipped_sign_error is None:
        return ""
    passes = audited.flipped_sign_error <= audited.gradient_tolerance
    return f"; {'with the sign flipped too' if passes else 'not with the sign flipped'}"


def _row(label: str, text: str) -> list[str]:
    return textwrap.wrap(
        f"  {label:<14}{text}",
        WIDTH,
        subsequent_indent=" " * 16,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _named(divergence: str | None, factor: str | None) -> str:
    return wording.times(factor or "1", divergence) if divergence else "no known name"


def _character(forcing: bool | None, avoiding: bool | None) -> str:
    both = (("zero-forcing", forcing), ("zero-avoiding", avoiding))
    words = [f"{'' if held else 'not '}{word}" for word, held in both if held is not None]
    return f" ({', '.join(words)})" if words else ""


def _documented(audited: Audit) -> str:
    if audited.documented is None:
        return "nothing that names a divergence or its character"
    return (
        audited.documented
        + {True: " (as found)", False: " (NOT what was found)", None: ""}[audited.documented_holds]
    )


def _answer(verdict: Verdict) -> str:
    return f"{ANSWERS[verdict.holds]}, {verdict.because} [{verdict.status}]"
