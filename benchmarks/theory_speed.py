"""Time to a derivation with proved verdicts, beside plain SymPy: python benchmarks/theory_speed.py [--limit S]

For every loss of the catalogue (and of a golden table given with --table): our `derive`, reading and certificates
included, against `integrate` for f(t) = t int_1^t g'(log s)/s^2 ds followed by `limit` at its two ends, in a process
that is killed after --limit seconds. SymPy's f is held against an enclosure of f at five ratios. Prints a table in Markdown
with the totals.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from pathlib import Path

import sympy as sp
from plain_sympy import derive_plainly

from divergence_lab.theory import catalogue
from divergence_lab.theory.budget import OutOfTime, SearchFailed, within
from divergence_lab.theory.derivation import derive
from divergence_lab.theory.expressions import ExpressionError
from divergence_lab.theory.loss import Loss, loss
from divergence_lab.theory.symbols import x
from divergence_lab.theory.values import value

RATIOS = tuple(sp.Rational(n, 7) for n in (1, 4, 10, 25, 90))
VERDICTS = ("valid", "convex", "zero_forcing", "zero_avoiding", "symmetric", "even", "bounded_gradient")


def ours(text: str) -> tuple[float, str]:
    """(seconds, outcome) of everything we say of a loss."""
    started = time.perf_counter()
    derivation = derive(loss(text))
    seconds = time.perf_counter() - started
    undecided = [name for name in VERDICTS if getattr(derivation.verdicts, name).status == "undecided"]
    closed = "closed form" if derivation.divergence.generator is not None else "enclosed values"
    return seconds, closed + (", all proved" if not undecided else ", undecided: " + " ".join(undecided))


def plainly(entry: Loss, limit: float) -> tuple[float, str]:
    """(seconds, outcome) of plain SymPy."""
    started = time.perf_counter()
    try:
        f, *_ = within(limit, derive_plainly, entry.expression, x)
        outcome = "f and both limits"
    except OutOfTime:
        outcome = "no end"
    except SearchFailed as failure:
        outcome = str(failure.__cause__ or failure) if isinstance(failure.__cause__, ValueError) else "error: " + str(failure)
    seconds = time.perf_counter() - started
    if outcome == "f and both limits" and not entry.parameters and not agrees(entry, f):
        outcome = "wrong f"
    return seconds, " ".join(outcome.replace("|", "/").split())[:50]


def agrees(entry: Loss, f: sp.Expr) -> bool:
    """SymPy's f against enclosures, to 10 digits."""
    (t,) = f.free_symbols
    for ratio in RATIOS:
        expected, found = sp.Float(value(entry, ratio, 20).value, 20), sp.N(f.subs(t, ratio), 20)
        if not found.is_number or not abs(found - expected) < sp.Float("1e-10") * (1 + abs(expected)):
            return False
    return True


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--limit", type=float, default=20.0, help="seconds that plain SymPy gets for a loss (20)")
    parser.add_argument("--table", help="a JSON list of objects with a key g: further losses")
    parser.add_argument("--ours-only", action="store_true", help="leave plain SymPy out")
    options = parser.parse_args()
    names = [f"{family.name}({example})" if example else family.name for family in catalogue.LOSSES
             for example in (family.examples or (", ".join(family.parameters.values()),))]
    if options.table:
        names += [row["g"] for row in json.loads(Path(options.table).read_text(encoding="utf-8"))]
    total, slowest, plain_total, n, seen = 0.0, 0.0, 0.0, 0, {}
    print(f"{os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}, SymPy {sp.__version__}\n")
    print("| loss | ours, s | outcome | plain SymPy, s | outcome |\n|---|---|---|---|---|")
    for text in names:
        try:
            seconds, outcome = ours(text)
        except ExpressionError as error:
            print(f"| `{text}` | | refused: {error} | | |")
            continue
        n, total, slowest = n + 1, total + seconds, max(slowest, seconds)
        if options.ours_only:
            print(f"| `{text}` | {seconds:.2f} | {outcome} | | not run |", flush=True)
            continue
        entry = loss(text)
        again = entry.expression in seen  # a golden loss that the catalogue has too
        plain_seconds, plain = seen.setdefault(entry.expression, None) or plainly(entry, options.limit)
        seen[entry.expression] = plain_seconds, plain
        plain_total += 0 if again else plain_seconds
        print(f"| `{text}` | {seconds:.2f} | {outcome} | {plain_seconds:.2f} | {plain} |", flush=True)
    print(f"\nOurs: {n} losses in {total:.0f} s, slowest {slowest:.1f} s.")
    if seen:
        found = sum(outcome == "f and both limits" for _, outcome in seen.values())
        wrong = sum(outcome == "wrong f" for _, outcome in seen.values())
        print(f"Plain SymPy: f and both limits for {found} of {len(seen)} different losses, a wrong f for {wrong}, in "
              f"{plain_total:.0f} s.")


if __name__ == "__main__":
    main()
