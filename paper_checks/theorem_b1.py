"""Theorem B.1 of the paper, recomputed: the generators f_1 to f_4, by who is weighted and who
learns.

    python paper_checks/theorem_b1.py        prints the table and writes theorem_b1.md beside this file

    weights p_F, p_F learns:  f_1(t) = t int_1^t g'(log s)/s^2 ds      weights p_F, p_B learns:  f_2(t) = g(log t)
    weights p_B, p_F learns:  f_3(t) = t g(log t)                      weights p_B, p_B learns:  f_4(t) = int_1^t g'(log s) ds

The paper's formulas give the claimed column. The recomputed one comes from the other direction: f''
= g_b''(log t)/t^2 of the on-policy loss with the same gradient (`derive --sampler`), integrated.
f_1 and f_4 are claimed to be convex for every convex g, f_2 and f_3 for some t only; the ends of
their convex stretches are checked at f'' = 0 exactly, and by enclosures of f'' on both sides. Exit
code 1: something does not agree.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import sympy as sp
from table2_losses import TABLE_2, code, same

import divergence_lab as dl
from divergence_lab.theory.divergence.weightings import on_policy_equivalent, weighting
from divergence_lab.theory.expressions.enclosure import value_at
from divergence_lab.theory.expressions.parsing import parse
from divergence_lab.theory.expressions.printing import write
from divergence_lab.theory.expressions.symbols import t, x

REPORT = Path(__file__).with_suffix(".md")
WHO = {
    "f_1": ("p_F", "p_F", "on"),
    "f_2": ("p_F", "p_B", "learned_backward:0"),
    "f_3": ("p_B", "p_F", "backward"),
    "f_4": ("p_B", "p_B", "learned_backward:1"),
}
# Where the paper says that f_2 and f_3 are convex: (from, to); everywhere unless named.
CONVEX = {
    ("Quadratic", "f_2"): ("0", "E"),
    ("Quadratic", "f_3"): ("exp(-1)", "oo"),
    ("Linex(1)", "f_3"): ("1/2", "oo"),
    ("Linex(1/2)", "f_2"): ("0", "4"),
    ("Linex(1/2)", "f_3"): ("4/9", "oo"),
}
# What appendix B prints in closed form.
PRINTED = {
    ("Linex(1)", "f_2"): "t - log(t) - 1",
    ("Shifted-Cosh", "f_2"): "(t - 1)**2/t",
    ("Shifted-Cosh", "f_3"): "(t - 1)**2",
    ("Quadratic", "f_4"): "t*log(t) - t + 1",
    ("Linex(1)", "f_4"): "(t - 1)**2/2",
    ("Linex(1/2)", "f_4"): "4*t**(3/2)/3 - 2*t + 2/3",
    ("Shifted-Cosh", "f_4"): "(t**2 - 1)/2 - log(t)",
}
PROBES = (
    [sp.Rational(1, 10**k) for k in (6, 3, 2, 1)]
    + [sp.Rational(n, 7) for n in range(2, 60)]
    + [sp.Integer(10) ** k for k in (2, 3, 6)]
)


@dataclass(frozen=True)
class Row:
    """One generator: the paper's formula, what was recomputed, and where it is convex."""

    loss: str
    name: str
    claimed: sp.Expr
    recomputed: sp.Expr | None
    printed: str | None
    convex: tuple[str, str]
    convex_agrees: bool

    @property
    def agrees(self) -> bool:
        if self.recomputed is None or not same(
            gauge_free(self.claimed), gauge_free(self.recomputed)
        ):
            return False
        return self.printed is None or same(parse(self.printed, t), self.claimed)


def gauge_free(generator: sp.Expr) -> sp.Expr:
    """f - f'(1)(t - 1): f_2 to f_4 are known up to a multiple of t - 1, which no divergence of
    equal masses sees.
    """
    return generator - sp.diff(generator, t).subs(t, 1) * (t - 1)


def claimed(name: str, g: sp.Expr) -> sp.Expr:
    """The paper's formula for f_1 to f_4, integrals done by SymPy's antiderivative."""
    at_log = g.subs(x, sp.log(t))
    if name in ("f_2", "f_3"):
        return sp.expand_log(sp.simplify(at_log * (t if name == "f_3" else 1)), force=True)
    slope = sp.simplify(sp.diff(g, x).subs(x, sp.log(t)) / (t**2 if name == "f_1" else 1))
    inner = sp.integrate(sp.expand(slope), t)
    inner = inner - inner.subs(t, 1)
    return sp.expand(t * inner if name == "f_1" else inner)


def convex_on(generator: sp.Expr, ends: tuple[str, str]) -> bool:
    """f'' is 0 at the inner ends, positive at all probes between them and negative at all
    outside.
    """
    second = sp.simplify(sp.diff(generator, t, 2))
    low, high = (sp.oo if end == "oo" else parse(end, t) for end in ends)
    if any(sp.simplify(second.subs(t, end)) != 0 for end in (low, high) if end not in (0, sp.oo)):
        return False
    for probe in PROBES:
        if probe in (low, high):
            continue
        inside = bool(low < probe) and bool(probe < high)
        # an enclosure of f'' at an exact point: its sign is certain or the check fails
        value = value_at(second, t, probe)
        if not (value > 0 if inside else value < 0):
            return False
    return True


def recompute() -> list[Row]:
    """All four generators of the paper's four losses."""
    rows = []
    for claim in TABLE_2:
        entry = dl.loss(claim.g)
        for name, (_, _, who) in WHO.items():
            formula = claimed(name, parse(claim.g, x))
            found = dl.divergence(on_policy_equivalent(entry, weighting(who))).generator
            ends = CONVEX.get((claim.name, name), ("0", "oo"))
            rows.append(
                Row(
                    claim.name,
                    name,
                    formula,
                    found,
                    PRINTED.get((claim.name, name)),
                    ends,
                    convex_on(formula, ends),
                )
            )
    return rows


def render(rows: list[Row]) -> str:
    lines = [
        "# Theorem B.1: f_1 to f_4",
        "",
        "Exact symbolic comparison, no training. Recomputed from the on-policy loss with "
        "the same gradient, up to a",
        "multiple of t - 1.",
        "",
        "| loss | | weights | learns | the paper's formula | agrees | convex for t in | agrees |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        weights, learns, _ = WHO[row.name]
        span = f"({row.convex[0]}, {row.convex[1]})"
        lines.append(
            f"| {row.loss} | {row.name} | {weights} | {learns} | "
            f"{code(write(row.claimed))} | {_yes(row.agrees)} "
            f"| {code(span)} | {_yes(row.convex_agrees)} |"
        )
    return "\n".join(lines) + "\n"


def _yes(agrees: bool) -> str:
    return "yes" if agrees else "**NO**"


def main() -> int:
    rows = recompute()
    text = render(rows)
    REPORT.write_text(text)
    print(text)
    return 0 if all(row.agrees and row.convex_agrees for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
