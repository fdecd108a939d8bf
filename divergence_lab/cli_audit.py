"""The command `audit`: which divergence a torch loss that somebody ships really minimises."""

from __future__ import annotations

import argparse
import json
import os
import sys
import textwrap
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # torch is loaded only when the command runs
    from divergence_lab.audit import Audit
    from divergence_lab.theory.verdict import Verdict

DONE, CHECK_FAILED = 0, 1
WIDTH = 110


def add_command(command: Callable[..., argparse.ArgumentParser],
                seconds: Callable[[str], float] = float) -> None:
    """Add `audit`.  `seconds` reads a positive number of seconds."""
    one = command(
        "audit",
        _audit,
        "find which divergence a torch loss really minimises, and where its gradient fails. "
        "This imports and RUNS the callable: audit only code that you would run",
        "divergence-lab audit torch.nn.functional:mse_loss --residual model/target",
    )
    one.add_argument("callable", metavar="MODULE:CALLABLE",
                     help="a function, an nn.Module or a class, 'my_losses:MyLoss(0.5)'; modules are also looked for here")
    one.add_argument("--residual", required=True, choices=("target/model", "model/target"),
                     help="what it receives: log(target/model) = log p_B - log p_F, or log(model/target)")
    one.add_argument("--range", type=_range, default=None, metavar="LO,HI",
                     help="residuals log p_B - log p_F to look at (-100,100)")
    one.add_argument("--dtype", choices=("float32", "float64"), default="float32", help="(float32)")
    one.add_argument("--feed", metavar="NAME,...",
                     help="its arguments in order, of residual, log_pf, log_pb, pf, pb (residual; two arguments: log p of "
                     "both in the order of --residual)")
    one.add_argument("--summed", action="store_true",
                     help="it is summed over objects and holds the weights itself, as kl_div does, instead of being "
                     "averaged over samples of the model")
    one.add_argument("--budget", type=seconds, default=10.0, metavar="S", help="seconds for the theory of the loss (10)")
    one.add_argument("--json", action="store_true", help="one JSON document on standard output")


def _range(text: str) -> tuple[float, float]:
    parts = text.split(",")
    try:
        low, high = (float(part) for part in parts)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is not of the form LO,HI, e.g. --range=-50,50") from None
    return low, high


def _audit(options: argparse.Namespace) -> int:
    from divergence_lab.audit import audit, audit_to_json
    from divergence_lab.audit.auditing import RANGE

    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    feed = [word.strip() for word in options.feed.split(",")] if options.feed else None
    found = audit(options.callable.strip(), options.residual, options.range or RANGE, options.dtype, options.budget,
                  feed, options.summed)
    if options.json:
        json.dump(audit_to_json(found), sys.stdout, indent=1, allow_nan=False)
        print()
    else:
        print(as_text(found))
    return CHECK_FAILED if found.gradient_check is False else DONE


def as_text(found: Audit) -> str:
    """The audit in lines."""
    from divergence_lab.theory.expressions import write

    main, other = found.derivation, found.other
    lines = [f"{found.name}  fed {', '.join(found.fed)} ({found.residual}), {found.dtype}, x in "
             f"[{found.range[0]:g}, {found.range[1]:g}]"]
    rows: list[tuple[str, str]] = []
    if main is None:
        rows += [("effective loss", "not identified"), ("because", found.because)]
    else:
        name = f"  = {main.loss.name}" if main.loss.name else ""
        rows += [("effective loss", f"g(x) = {write(main.loss.expression)}{name}, for x from {found.holds[0]:.4g} to "
                  f"{found.holds[1]:.4g}"), ("divergence", _called(main))]
    if found.surrogate:
        rows.append(("surrogate", "its value is not g: only the gradient is that of the effective loss"))
    rows += [("zero-forcing", _answer(found.zero_forcing)), ("zero-avoiding", _answer(found.zero_avoiding))]
    if other is not None:
        rows.append(("other sign", f"{_called(other)}; zero-forcing {_word(other.verdicts.zero_forcing)}, zero-avoiding "
                     f"{_word(other.verdicts.zero_avoiding)}"))
    if found.documented:
        told = {True: "agrees", False: "NOT what was found", None: "can't be told"}
        agrees = None if found.documented_holds is None else found.documented_holds
        rows.append(("docstring", f"{found.documented} ({told[agrees]})"))
    if found.max_gradient_error is not None:
        rows.append(("gradients", f"within {found.max_gradient_error:.0e} of those of this divergence, on random simplices"))
    rows += [("problem" if p.kind else "", f"{p.kind} [{p.low:g}, {p.high:g}]: {p.detail}") for p in found.problems]
    if not found.problems:
        rows.append(("problems", "none"))
    for label, text in rows:
        lines.append(textwrap.fill(text, WIDTH, initial_indent=f"  {label:<15}", subsequent_indent=" " * 17,
                                   break_long_words=False, break_on_hyphens=False))
    return "\n".join(lines)


def _called(derivation) -> str:
    found = derivation.divergence
    if found.name is None:
        return "one without a common name"
    return found.name if found.factor in (None, 1) else f"{found.factor} x {found.name}"


def _word(verdict: Verdict) -> str:
    return {True: "yes", False: "no", None: "undecided"}[verdict.holds]


def _answer(verdict: Verdict) -> str:
    return f"{_word(verdict)}: {verdict.because} [{verdict.status}]"
