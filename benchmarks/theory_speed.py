"""Time to a derivation with proved verdicts, beside plain SymPy: python benchmarks/theory_speed.py
[--limit S]

For every loss of the catalogue (and of a golden table given with --table): our `derive`, reading
and certificates included, against `integrate` for f(t) = t int_1^t g'(log s)/s^2 ds followed by
`limit` at its two ends, in a process that is killed after --limit seconds. As many losses at a time
as there are cores (--jobs), each in a process of its own, on both sides. SymPy's f is held against
an enclosure of f at five ratios. Prints a table in Markdown with the totals.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import sympy as sp
from plain_sympy import derive_plainly

from divergence_lab.theory.answers.derivation import derive
from divergence_lab.theory.budget.asking import OutOfTime, SearchFailed, within
from divergence_lab.theory.catalogue import named as catalogue
from divergence_lab.theory.divergence.loss import Loss, loss
from divergence_lab.theory.divergence.values import value
from divergence_lab.theory.expressions.symbols import x
from divergence_lab.theory.expressions.syntax import ExpressionError

RATIOS = tuple(sp.Rational(n, 7) for n in (1, 4, 10, 25, 90))
VERDICTS = (
    "valid",
    "convex",
    "zero_forcing",
    "zero_avoiding",
    "symmetric",
    "even",
    "bounded_gradient",
)


def ours(text: str) -> tuple[float, str]:
    """(seconds, outcome) of everything we say of a loss."""
    started = time.perf_counter()
    derivation = derive(loss(text))
    seconds = time.perf_counter() - started
    undecided = [
        name for name in VERDICTS if getattr(derivation.verdicts, name).status == "undecided"
    ]
    closed = "closed form" if derivation.divergence.generator is not None else "enclosed values"
    return seconds, closed + (
        ", all proved" if not undecided else ", undecided: " + " ".join(undecided)
    )


def refused_or_ours(text: str) -> tuple[float, str] | ExpressionError:
    """As `ours`; a text that is no loss gives the reason instead."""
    try:
        return ours(text)
    except ExpressionError as error:
        return error


def plainly(entry: Loss, limit: float) -> tuple[float, str]:
    """(seconds, outcome) of plain SymPy."""
    started = time.perf_counter()
    try:
        f, *_ = within(limit, derive_plainly, entry.expression, x)
        outcome = "f and both limits"
    except OutOfTime:
        outcome = "no end"
    except SearchFailed as failure:
        outcome = (
            str(failure.__cause__ or failure)
            if isinstance(failure.__cause__, ValueError)
            else "error: " + str(failure)
        )
    seconds = time.perf_counter() - started
    if outcome == "f and both limits" and not entry.parameters and not agrees(entry, f):
        outcome = "wrong f"
    return seconds, " ".join(outcome.replace("|", "/").split())[:50]


def agrees(entry: Loss, f: sp.Expr) -> bool:
    """SymPy's f against enclosures, to 10 digits."""
    (t,) = f.free_symbols
    for ratio in RATIOS:
        expected, found = sp.Float(value(entry, ratio, 20).value, 20), sp.N(f.subs(t, ratio), 20)
        if not found.is_number or not abs(found - expected) < sp.Float("1e-10") * (
            1 + abs(expected)
        ):
            return False
    return True


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--limit", type=float, default=20.0, help="seconds that plain SymPy gets for a loss (20)"
    )
    parser.add_argument("--table", help="a JSON list of objects with a key g: further losses")
    parser.add_argument("--ours-only", action="store_true", help="leave plain SymPy out")
    parser.add_argument(
        "--jobs", type=int, default=os.cpu_count() or 1, help="losses at a time (one a core)"
    )
    options = parser.parse_args()
    names = [
        f"{family.name}({example})" if example else family.name
        for family in catalogue.LOSSES
        for example in (family.examples or (", ".join(family.parameters.values()),))
    ]
    if options.table:
        names += [row["g"] for row in json.loads(Path(options.table).read_text(encoding="utf-8"))]
    print(
        f"{os.cpu_count()} cores, {platform.system()}, Python "
        f"{platform.python_version()}, SymPy {sp.__version__}\n"
    )
    print("| loss | ours, s | outcome | plain SymPy, s | outcome |\n|---|---|---|---|---|")
    with ThreadPoolExecutor(options.jobs) as pool:
        started = time.perf_counter()
        ours_all = list(pool.map(refused_or_ours, names))
        wall = time.perf_counter() - started
        entries = {
            text: loss(text)
            for text, found in zip(names, ours_all)
            if not isinstance(found, ExpressionError)
        }
        different = (
            {} if options.ours_only else {entry.expression: entry for entry in entries.values()}
        )
        started = time.perf_counter()
        seen = dict(
            zip(
                different, pool.map(lambda entry: plainly(entry, options.limit), different.values())
            )
        )
        plain_wall = time.perf_counter() - started
    for text, found in zip(names, ours_all):
        if isinstance(found, ExpressionError):
            print(f"| `{text}` | | refused: {found} | | |")
            continue
        seconds, plain = seen.get(entries[text].expression, (None, "not run"))
        print(
            f"| `{text}` | {found[0]:.2f} | {found[1]} | "
            f"{'' if seconds is None else f'{seconds:.2f}'} | {plain} |"
        )
    times = [found[0] for found in ours_all if not isinstance(found, ExpressionError)]
    print(
        f"\nOurs: {len(times)} losses in {wall:.0f} s, {options.jobs} at a time, slowest "
        f"{max(times):.1f} s."
    )
    if seen:
        found = sum(outcome == "f and both limits" for _, outcome in seen.values())
        wrong = sum(outcome == "wrong f" for _, outcome in seen.values())
        print(
            f"Plain SymPy: f and both limits for {found} of {len(seen)} different "
            f"losses, a wrong f for {wrong}, in "
            f"{plain_wall:.0f} s, ended after {options.limit:g} s each."
        )


if __name__ == "__main__":
    main()
