"""Table 2 of the paper, recomputed: four losses, their divergences, their character.

    python paper_checks/table2_losses.py        prints the tables and writes table2_losses.md beside this file

The paper is Hu, Zhang, Li and Huang, "Beyond Squared Error", ICLR 2025 (arXiv 2410.02596, version
1). Claimed values are typed in from it. f is recomputed from the claimed g, g from the claimed f,
so neither column leans on itself. Two expressions agree when their difference simplifies to 0;
nothing is rounded. Exit code 1: something that should agree does not, or a known slip is no slip.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import sympy as sp

import divergence_lab as dl
from divergence_lab.theory.divergence.integrals import integral_from_zero
from divergence_lab.theory.divergence.recognition import derivative_of_generator
from divergence_lab.theory.expressions.parsing import parse, parse_number
from divergence_lab.theory.expressions.printing import write
from divergence_lab.theory.expressions.symbols import t, x

REPORT = Path(__file__).with_suffix(".md")
SEARCH_SECONDS = 10.0

# Definition of the alpha-divergence, before Table 2; alpha = 0 and 1 are its limits.
ALPHA_GENERATOR = "-t**alpha/(alpha*(1 - alpha)) + t/(1 - alpha) + 1/alpha"
ALPHAS = ("-1", "1/3", "1/2", "2", "3")
# Its two chi-square members, which the paper also writes out.
CHI_SQUARES = {"-1": "(t - 1)**2/(2*t)", "2": "(t - 1)**2/2"}


@dataclass(frozen=True)
class PaperLoss:
    """One line of Table 2 as printed, with the paper's t = log p_B - log p_F written x.

    `generator_of_name`: the paper's generator of the divergence it names; None where it names none.
    """

    name: str
    g: str
    f: str
    f_at_zero: str
    slope_at_infinity: str
    zero_forcing: bool
    zero_avoiding: bool
    divergence: str
    generator_of_name: str | None


TABLE_2 = (
    PaperLoss(
        "Quadratic",
        "x**2/2",
        "t - log(t) - 1",
        "oo",
        "1",
        True,
        False,
        "reverse KL (alpha to 0)",
        "t - log(t) - 1",
    ),
    PaperLoss(
        "Linex(1)",
        "exp(x) - x - 1",
        "t*log(t) - t + 1",
        "1",
        "oo",
        False,
        True,
        "forward KL (alpha to 1)",
        "t*log(t) - t + 1",
    ),
    PaperLoss(
        "Linex(1/2)",
        "4*exp(x/2) - 2*x - 4",
        "2*t - 4*sqrt(t) + 2",
        "2",
        "2",
        False,
        False,
        "alpha-divergence, alpha = 1/2",
        ALPHA_GENERATOR.replace("alpha", "(1/2)"),
    ),
    PaperLoss(
        "Shifted-Cosh",
        "exp(x) + exp(-x) - 2",
        "t*log(t) - t/2 + 1/(2*t)",
        "oo",
        "oo",
        True,
        True,
        "none named",
        None,
    ),
)

# Section 4.3 writes the generator of the forward KL divergence like this.
SLIP = "t*log(t) - t - 1"


@dataclass(frozen=True)
class Row:
    """One claim beside what was recomputed. `agrees` is None where the paper claims nothing."""

    subject: str
    quantity: str
    place: str
    claimed: str
    recomputed: str
    agrees: bool | None
    known_slip: bool = False

    @property
    def as_expected(self) -> bool:
        return self.agrees is None or self.agrees is not self.known_slip

    @property
    def answer(self) -> str:
        if self.agrees is None:
            return "(not claimed)"
        if self.known_slip:
            return "yes, unexpectedly" if self.agrees else "no: a slip of the paper"
        return "yes" if self.agrees else "**NO**"


# --- recomputing


def same(a: sp.Expr, b: sp.Expr) -> bool:
    """Is a = b exactly? Infinities equal only themselves."""
    if a.is_infinite or b.is_infinite:
        return a == b
    return sp.simplify(sp.expand(a - b)) == 0


def number(text: str) -> sp.Expr:
    return sp.oo if text == "oo" else parse_number(text)


def loss_of(generator: sp.Expr) -> sp.Expr:
    """g(x) = int_0^x (t f'(t) - f(t)) at t = e^v dv: the converse of Theorem 4.1 (Remark 4.3)."""
    slopes = derivative_of_generator(generator)
    return integral_from_zero(slopes, time.monotonic() + SEARCH_SECONDS).as_expression()


def named(found: dl.Divergence) -> str:
    return str(found) if found.factor in (None, 1) else f"{found.factor} x {found}"


def yes(holds: bool | None) -> str:
    return {True: "yes", False: "no", None: "undecided"}[holds]


def code(text: str) -> str:
    """Markdown takes the stars of `2*t**2` for emphasis unless they are code."""
    return f"`{text}`"


def expression_row(
    subject: str,
    quantity: str,
    place: str,
    claimed: sp.Expr,
    recomputed: sp.Expr | None,
    printed: str | None = None,
) -> Row:
    """A claim that is an expression or a number; `printed` is how the paper writes it."""
    agrees = recomputed is not None and same(claimed, recomputed)
    text = "not found" if recomputed is None else code(write(recomputed))
    return Row(subject, quantity, place, code(printed or write(claimed)), text, agrees)


def verdict_row(
    subject: str, quantity: str, place: str, claimed: bool, recomputed: bool | None
) -> Row:
    return Row(subject, quantity, place, yes(claimed), yes(recomputed), recomputed is claimed)


def table_rows(claims: tuple[PaperLoss, ...]) -> Iterator[Row]:
    for claim in claims:
        name, place, f = claim.name, "Table 2", parse(claim.f, t)
        found = dl.divergence(dl.loss(claim.g))
        verdicts = dl.decide(found.loss, found.generator)
        yield expression_row(name, "g", place, parse(claim.g, x), loss_of(f), claim.g)
        yield expression_row(name, "f", place, f, found.generator, claim.f)
        ends = (
            ("f(0)", claim.f_at_zero, verdicts.f_at_zero),
            ("f'(oo)", claim.slope_at_infinity, verdicts.slope_at_infinity),
        )
        for quantity, claimed, recomputed in ends:
            yield expression_row(name, quantity, place, number(claimed), recomputed)
        yield verdict_row(
            name, "zero-forcing", place, claim.zero_forcing, verdicts.zero_forcing.holds
        )
        yield verdict_row(
            name, "zero-avoiding", place, claim.zero_avoiding, verdicts.zero_avoiding.holds
        )
        agrees = None
        if claim.generator_of_name is not None:
            agrees = same(parse(claim.generator_of_name, t), found.generator)
        yield Row(name, "divergence", place, claim.divergence, named(found), agrees)


def alpha_rows() -> Iterator[Row]:
    """Linex(alpha) and the alpha-divergence: with alpha a symbol, at its two limits and at five
    values.
    """
    place, formula = "alpha-divergence", parse(ALPHA_GENERATOR, t)
    (alpha,) = formula.free_symbols - {t}
    general = dl.divergence(dl.loss("linex(alpha)"))
    yield expression_row("Linex(alpha)", "f", place, formula, general.generator, ALPHA_GENERATOR)
    for limit, kl in (("0", "t - log(t) - 1"), ("1", "t*log(t) - t + 1")):
        reached = sp.limit(formula, alpha, number(limit))
        yield expression_row(f"alpha to {limit}", "f", "Table 2", parse(kl, t), reached, kl)
    for text in ALPHAS:
        name, value = f"Linex({text})", number(text)
        found = dl.divergence(dl.loss(f"linex({text})"))
        verdicts = dl.decide(found.loss, found.generator)
        yield expression_row(name, "f", place, formula.subs(alpha, value), found.generator)
        if text in CHI_SQUARES:
            chi_square = CHI_SQUARES[text]
            yield expression_row(
                name, "f", "chi-square", parse(chi_square, t), found.generator, chi_square
            )
        forcing, avoiding = bool(value <= 0), bool(value >= 1)
        yield verdict_row(
            name, "zero-forcing", "rule: alpha <= 0", forcing, verdicts.zero_forcing.holds
        )
        yield verdict_row(
            name, "zero-avoiding", "rule: alpha >= 1", avoiding, verdicts.zero_avoiding.holds
        )


def slip_rows() -> Iterator[Row]:
    """Section 4.3's generator of forward KL against the derived one, and its value at 1, which
    must be 0.
    """
    slip, derived = parse(SLIP, t), dl.divergence(dl.loss("linex(1)")).generator
    at_one = ("f(1)", slip.subs(t, 1), derived.subs(t, 1))
    for quantity, claimed, recomputed in (("f", slip, derived), at_one):
        yield Row(
            "forward KL",
            quantity,
            "Section 4.3",
            code(write(claimed)),
            code(write(recomputed)),
            same(claimed, recomputed),
            known_slip=True,
        )


def curvatures() -> dict[str, sp.Expr]:
    """g''(0) of each loss: D_f = g''(0)/2 times chi-square near the target."""
    return {claim.name: dl.decide(dl.loss(claim.g)).curvature_at_zero for claim in TABLE_2}


def split_of_shifted_cosh() -> tuple[sp.Expr, sp.Expr]:
    """f of Shifted-Cosh minus those of Linex(1) and Linex(-1); the same for g. Both must be 0."""
    names = ("shifted_cosh", "linex(1)", "linex(-1)")
    cosh, one, minus_one = (dl.divergence(dl.loss(name)) for name in names)
    in_f = cosh.generator - one.generator - minus_one.generator
    in_g = cosh.loss.expression - one.loss.expression - minus_one.loss.expression
    return sp.simplify(in_f), sp.simplify(in_g)


# --- the report


@dataclass(frozen=True)
class Report:
    table: tuple[Row, ...]
    alpha: tuple[Row, ...]
    slips: tuple[Row, ...]
    curvatures: dict[str, sp.Expr]
    split: tuple[sp.Expr, sp.Expr]

    @property
    def unexpected(self) -> list[Row]:
        return [row for row in (*self.table, *self.alpha, *self.slips) if not row.as_expected]

    @property
    def holds(self) -> bool:
        return not self.unexpected and self.split == (0, 0)


def recompute(claims: tuple[PaperLoss, ...] = TABLE_2) -> Report:
    return Report(
        tuple(table_rows(claims)),
        tuple(alpha_rows()),
        tuple(slip_rows()),
        curvatures(),
        split_of_shifted_cosh(),
    )


def markdown(rows: tuple[Row, ...]) -> str:
    head = "| loss | what | place | claimed | recomputed | agrees |\n|---|---|---|---|---|---|\n"
    return head + "\n".join(
        f"| {r.subject} | {r.quantity} | {r.place} | {r.claimed} | {r.recomputed} | {r.answer} |"
        for r in rows
    )


def render(report: Report) -> str:
    claims = [row for row in (*report.table, *report.alpha) if row.agrees is not None]
    agreeing = sum(row.agrees for row in claims)
    in_f, in_g = map(write, report.split)
    curvatures = ", ".join(f"{name} {write(value)}" for name, value in report.curvatures.items())
    return f"""# Table 2: the losses and their divergences

Written by `python paper_checks/table2_losses.py`. The residual x = log p_B - log p_F is the paper's t; the
ratio is t = e^x. Expressions are compared symbolically, not at sample points.

**{agreeing} of {len(claims)} claims agree. One known slip. {len(report.unexpected)} surprises.**

## Table 2

g is recomputed from the claimed f, everything else from the claimed g.

{markdown(report.table)}

## The alpha family

Linex(alpha) is `(exp(alpha*x) - alpha*x - 1)/alpha**2`. Its f is the paper's alpha-divergence as it stands:
no factor and no multiple of t - 1 is left over. This holds for a symbolic alpha and so for every alpha but 0
and 1, where the formula has its limits, the two KL divergences.

{markdown(report.alpha)}

## Slips

{markdown(report.slips)}

A generator must vanish at t = 1, where model and target agree. Table 2 has it right.

## What the table does not say

g''(0) is: {curvatures}.
Near the target D_f is g''(0)/2 times the chi-square divergence, so Shifted-Cosh pulls twice as hard there.
With plain gradient descent at an equal learning rate its step is twice as long: such a comparison compares
step sizes too.

Shifted-Cosh is Linex(1) plus Linex(-1): what remains is {in_g} in g and {in_f} in f. Its divergence is the
forward KL divergence plus half the Neyman chi-square divergence. The first makes it zero-avoiding, the second
zero-forcing.
"""


def main(out: Path = REPORT, claims: tuple[PaperLoss, ...] = TABLE_2) -> int:
    report = recompute(claims)
    text = render(report)
    out.write_text(text)
    print(text)
    for row in report.unexpected:
        values = f"claimed {row.claimed}, recomputed {row.recomputed}"
        print(f"unexpected: {row.subject}, {row.quantity}: {values}", file=sys.stderr)
    return 0 if report.holds else 1


if __name__ == "__main__":
    sys.exit(main())
