"""The commands `design` (wished properties -> losses, proved) and `export` (a loss as source text for elsewhere)."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from divergence_lab.theory.expressions import shown, write
from divergence_lab.theory.wishes import DesignError

if TYPE_CHECKING:  # loaded only when a command runs
    from divergence_lab.theory.derivation import Derivation
    from divergence_lab.theory.design import Designed
    from divergence_lab.theory.loss import Loss

DONE = 0
FORMS = ("torch", "jax", "latex", "torchgfn")


def add_commands(command: Callable[..., argparse.ArgumentParser],
                 loss_options: Callable[[argparse.ArgumentParser], None],
                 read_each: Callable[[argparse.Namespace, Sequence[str]], dict[str, tuple[str, Loss]]],
                 describe: Callable[[str, Derivation, bool], str]) -> None:
    """Add both commands. `read_each(options, texts)` gives text -> (name, loss); `describe` is how `derive` shows one."""
    one = command("design", lambda options: _design(options, describe), "losses in closed form that meet every wish, each proved",
                  "divergence-lab design --zero-forcing --zero-avoiding --symmetric-divergence --curvature 1")
    for name in ("zero-forcing", "zero-avoiding"):
        one.add_argument(f"--{name}", action=argparse.BooleanOptionalAction, default=None, help=f"{name}, or not")
    one.add_argument("--symmetric-divergence", action="store_true", help="D_f(p||q) = D_f(q||p)")
    one.add_argument("--even-loss", action="store_true", help="g(-x) = g(x)")
    one.add_argument("--bounded-gradient", action="store_true", help="g' bounded")
    one.add_argument("--bounded-second-moment", action="store_true", help="g'(x)^2 e^(-x) bounded: the score at a dropped mode")
    one.add_argument("--curvature", metavar="C", help="g''(0)")
    one.add_argument("--penalty", action="append", default=[], metavar="X:VALUE", help="g(X) = VALUE (repeatable)")
    for side in ("left", "right"):
        one.add_argument(f"--{side}-growth", metavar="G", help="linear, quadratic, power:3, exponential:1/2")
    one.add_argument("--tradeoff", action="append", default=[], metavar="X:Y:R", help="nearest to g(X) = R g(Y) (repeatable)")
    one.add_argument("--residuals", metavar="FILE", help="nearest to the score of these residuals: numbers in a text file")
    one.add_argument("--count", type=int, default=3, metavar="N", help="how many losses (3)")
    one.add_argument("--tolerance", default="1/1000", metavar="T", help="relative, of penalties (1/1000)")
    one.add_argument("--budget", type=float, default=10.0, metavar="S", help="seconds for the proofs of each loss (10)")
    one.add_argument("--json", action="store_true", help="one JSON document on standard output")

    two = command("export", lambda options: _export(options, read_each), "a loss as source text: torch, JAX, LaTeX, torchgfn",
                  "divergence-lab export linex(1) --form torch > my_loss.py")
    two.add_argument("loss", metavar="LOSS", help="a catalogue name or an expression in x")
    two.add_argument("--form", choices=FORMS, default="torch", help="(torch)")
    loss_options(two)


def _design(options: argparse.Namespace, describe: Callable[[str, Derivation, bool], str]) -> int:
    from divergence_lab.theory.design import designed_to_json
    found = designed(options)
    if options.json:
        _print_json([designed_to_json(entry) for entry in found])
        return DONE
    for entry in found:
        print(describe(entry.loss.name or write(entry.loss.expression), entry.derivation, False))
        for met in entry.met:
            print(f"  wished        {met.wish}: {met.because} [{met.status}]")
        print()
    return DONE


def designed(options: argparse.Namespace) -> list[Designed]:
    """The losses that the options ask for. Raises DesignError."""
    from divergence_lab.theory.design import design
    from divergence_lab.theory.fitting import fit_to_residuals, fit_to_tradeoffs
    wishes = {"zero_forcing": options.zero_forcing, "zero_avoiding": options.zero_avoiding,
              "symmetric": options.symmetric_divergence, "even": options.even_loss,
              "bounded_gradient": options.bounded_gradient, "bounded_second_moment": options.bounded_second_moment,
              "left_growth": options.left_growth, "right_growth": options.right_growth}
    if not 0 < options.budget < 1e6:
        raise DesignError(f"--budget {options.budget:g} is not a positive number of seconds")
    if options.tradeoff and options.residuals:
        raise DesignError("--tradeoff and --residuals clash: each asks for the nearest loss to its own data")
    if options.tradeoff or options.residuals:
        if options.penalty or options.curvature:
            raise DesignError("--penalty and --curvature fix what --tradeoff and --residuals are to find: leave one out")
        if options.residuals:
            return [fit_to_residuals(_numbers(options.residuals), budget=options.budget, **wishes)]
        rows = [_parts(text, 3, "--tradeoff", "-3:2:1") for text in options.tradeoff]
        return [fit_to_tradeoffs(rows, budget=options.budget, tolerance=options.tolerance, **wishes)]
    pairs = [_parts(text, 2, "--penalty", "2:3") for text in options.penalty]
    if len({at for at, _ in pairs}) < len(pairs):
        raise DesignError("--penalty is given twice at the same residual: keep one")
    return design(**wishes, curvature=options.curvature, penalties=dict(pairs), count=options.count, budget=options.budget,
                  tolerance=options.tolerance)


def _parts(text: str, count: int, option: str, example: str) -> list[str]:
    parts = [part.strip() for part in text.split(":")]
    if len(parts) != count or not all(parts):
        raise DesignError(f"{option} {shown(text)} is not of the form {example}")
    return parts


def _numbers(path: str) -> list[float]:
    try:
        return [float(word) for word in Path(path).read_text(encoding="utf-8").replace(",", " ").split()]
    except OSError as error:
        raise DesignError(f"{path}: {error.strerror}; name a text file of residuals") from None
    except ValueError as error:
        raise DesignError(f"{path}: {error}; a file of residuals holds numbers only") from None


def _export(options: argparse.Namespace, read_each) -> int:
    from divergence_lab.export import export
    ((_, loss),) = read_each(options, [options.loss]).values()
    source = export(loss, options.form)
    if options.json:
        _print_json({"loss": write(loss.expression), "form": options.form, "source": source})
    else:
        sys.stdout.write(source)
    return DONE


def _print_json(document: Any) -> None:
    json.dump(document, sys.stdout, indent=1, allow_nan=False)
    print()
