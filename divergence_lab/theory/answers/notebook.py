"""A derivation as a notebook shows it: formulas in LaTeX, verdicts as a table."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

from divergence_lab.theory.answers import wording
from divergence_lab.theory.expressions import write, write_latex
from divergence_lab.theory.expressions.printing import in_signs
from divergence_lab.theory.verdicts.parameter_numbers import Cases, Number
from divergence_lab.theory.verdicts.verdict import ANSWERS

if TYPE_CHECKING:
    from divergence_lab.theory.answers.derivation import Derivation

SHOWN = {
    "valid": "valid",
    "convex": "convex",
    "zero_forcing": "zero-forcing",
    "zero_avoiding": "zero-avoiding",
    "symmetric": "symmetric",
    "even": "even",
    "bounded_gradient": "bounded g′",
}

# numbers as `wording.ends_of` calls them -> as they are typeset
_NUMBERS = {
    "f(0+)": "f(0⁺)",
    "f'(oo)": "f′(∞)",
    "g''(0)": "g″(0)",
    "g''(0-)": "g″(0⁻)",
    "g''(0+)": "g″(0⁺)",
}


def html_of(found: Derivation) -> str:
    """Loss, divergence, the verdicts with their reasons, the numbers at the ends."""
    loss, divergence, verdicts = found.loss, found.divergence, found.verdicts
    rows = [("loss", html.escape(loss._repr_latex_()), "")]
    closed = html.escape(divergence._repr_latex_()) or wording.no_generator(verdicts)
    rows.append(("generator", closed, ""))
    rows.append(("divergence", html.escape(_name(found)), ""))
    for kind, label in SHOWN.items():
        verdict = getattr(verdicts, kind)
        answer = "depends" if verdict.condition else ANSWERS[verdict.holds]
        why = f"{html.escape(in_signs(verdict.because))} [{verdict.status}]"
        rows.append((label, f"<b>{answer}</b>", why))
    for label, number in wording.ends_of(verdicts):
        rows.append((_NUMBERS[label], html.escape(_number(number)), ""))
    rows += [(f"f({v.ratio})", f"{v.value} ± {v.radius}", "") for v in found.values]
    rows += [("not found", "", html.escape(sentence)) for sentence in found.lost]
    body = "".join(
        f"<tr><th>{label}</th>"
        + (f"<td>{first}</td><td>{why}</td></tr>" if why else f"<td colspan=2>{first}</td></tr>")
        for label, first, why in rows
    )
    return f"<table>{body}</table>"


def _name(found: Derivation) -> str:
    factor = found.divergence.factor
    times = "" if factor in (None, 1) else f"{in_signs(write(factor))} × "
    return f"{times}{found.divergence}"


def _number(number: Number) -> str:
    if isinstance(number, Cases):
        return "; ".join(
            f"{_number(value)} if {in_signs(condition)}" for condition, value in number.cases
        )
    return "unknown" if number is None else f"${write_latex(number)}$"
