"""Time to a derivation with proved verdicts, beside plain SymPy: python benchmarks/theory_speed.py [--limit S]

For every loss of the catalogue (and of a golden table given with --table): our `derive`, certificates included, against
`integrate` for f(t) = t int_1^t g'(log s)/s^2 ds followed by `limit` at its two ends, each in a process of its own that
is killed after --limit seconds. Prints a table in Markdown with the totals.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import sympy as sp

from divergence_lab.theory import catalogue
from divergence_lab.theory.budget import OutOfTime, SearchFailed, within
from divergence_lab.theory.derivation import derive
from divergence_lab.theory.expressions import ExpressionError
from divergence_lab.theory.loss import loss


def plain_sympy(text: str) -> tuple[str, str, str]:
    """f by integrate, f(0+) and f'(oo) by limit, nothing else: what a user of SymPy would type."""
    x, s, t = sp.Symbol("x", real=True), sp.Symbol("s", positive=True), sp.Symbol("t", positive=True)
    slope = sp.diff(loss(text).expression.subs(sp.Symbol("x", real=True), x), x)
    f = t * sp.integrate(slope.subs(x, sp.log(s)) / s**2, (s, 1, t))
    if f.has(sp.Integral):
        raise ValueError("integrate returned an integral")
    return str(f), str(sp.limit(f, t, 0)), str(sp.limit(f / t, t, sp.oo))


def ours(text: str) -> tuple[float, str]:
    started = time.perf_counter()
    derivation = derive(loss(text))
    seconds = time.perf_counter() - started
    verdicts = derivation.verdicts
    open_questions = [name for name in ("valid", "convex", "zero_forcing", "zero_avoiding", "symmetric", "even",
                                        "bounded_gradient") if getattr(verdicts, name).status == "undecided"]
    closed = "closed form" if derivation.divergence.generator is not None else "enclosed values"
    return seconds, closed + (", all proved" if not open_questions else ", undecided: " + " ".join(open_questions))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--limit", type=float, default=10.0, help="seconds that plain SymPy gets for a loss")
    parser.add_argument("--table", help="a JSON list of objects with a key g: further losses")
    parser.add_argument("--ours-only", action="store_true", help="leave plain SymPy out")
    options = parser.parse_args()
    names = [f"{family.name}({example})" if example else family.name for family in catalogue.LOSSES
             for example in (family.examples or (", ".join(family.parameters.values()),))]
    if options.table:
        names += [row["g"] for row in json.loads(Path(options.table).read_text(encoding="utf-8"))]
    total, slowest, found, plain_total, n = 0.0, 0.0, 0, 0.0, 0
    print("| loss | ours, s | outcome | plain SymPy, s | outcome |\n|---|---|---|---|---|")
    for text in names:
        try:
            seconds, outcome = ours(text)
        except ExpressionError as error:
            print(f"| `{text}` | | refused: {error} | | |")
            continue
        n, total, slowest = n + 1, total + seconds, max(slowest, seconds)
        plain, plain_seconds = "not run", 0.0
        if not options.ours_only:
            started = time.perf_counter()
            try:
                within(options.limit, plain_sympy, text)
                plain, found = "f and both limits", found + 1
            except OutOfTime:
                plain = "no end"
            except SearchFailed as failure:
                plain = str(failure)[:40]
            plain_seconds = time.perf_counter() - started
            plain_total += plain_seconds
        print(f"| `{text}` | {seconds:.2f} | {outcome} | {plain_seconds:.2f} | {plain} |", flush=True)
    print(f"\n{n} losses in {total:.0f} s, slowest {slowest:.1f} s; plain SymPy: {found} of {n} in {plain_total:.0f} s")


if __name__ == "__main__":
    main()
