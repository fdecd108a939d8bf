"""A page for each named loss, and their gallery, from docs/site/losses.json, which
docs/site/save_losses.py computes: text of MkDocs with pictures and formulas in HTML.
"""

from __future__ import annotations

import json
import shlex
from html import escape
from pathlib import Path

import numpy as np
from math_core import LatexToMathML
from save_losses import RATIOS, RESIDUALS

from divergence_lab.report import drawing
from divergence_lab.report.single_bump import LOG_TARGET, POINTS
from divergence_lab.report.typeset import sentence
from divergence_lab.theory.catalogue.named import LOSSES, NamedLoss

SAVED = Path(__file__).resolve().parent / "losses.json"
# (zero-forcing, zero-avoiding) -> the class as a heading; what depends on parameters comes last
CLASSES = {
    (True, False): "Zero-forcing",
    (False, True): "Zero-avoiding",
    (True, True): "Both",
    (False, False): "Neither",
    None: "Depends on its parameters",
}
SAYS = {
    "Zero-forcing": "Mass where the target has none costs without bound, a missed mode does not.",
    "Zero-avoiding": "A mode that is missed altogether costs without bound, mass where the target "
    "has none does not.",
    "Both": "Both mistakes cost without bound.",
    "Neither": "Neither mistake costs without bound.",
    "Depends on its parameters": "The page of each says for which values it is what.",
}
VERDICTS = {
    "valid": "a valid loss",
    "zero_forcing": "zero-forcing",
    "zero_avoiding": "zero-avoiding",
    "convex": "convex",
    "symmetric": "symmetric divergence",
    "even": "even loss",
    "bounded_gradient": "bounded gradient",
}
MATHML = LatexToMathML()
ANSWERS = {True: "yes", False: "no", None: "undecided"}


def pages() -> dict[str, str]:
    """File name -> text: the gallery, and one for each named loss."""
    saved = json.loads(SAVED.read_text(encoding="utf-8"))
    found = {f"losses/{entry.name}.md": page(entry, saved[entry.name]) for entry in LOSSES}
    return {"losses/index.md": gallery(saved), **found}


def navigation() -> list:
    """The entries of the site's table of contents: by class."""
    saved = json.loads(SAVED.read_text(encoding="utf-8"))
    groups = [
        {heading: [{entry.name: f"losses/{entry.name}.md"} for entry in entries]}
        for heading, entries in by_class(saved).items()
    ]
    return ["losses/index.md", *groups]


def by_class(saved: dict) -> dict[str, list[NamedLoss]]:
    found: dict[str, list[NamedLoss]] = {heading: [] for heading in CLASSES.values()}
    for entry in LOSSES:
        found[class_of(saved[entry.name])].append(entry)
    return found


def class_of(saved: dict) -> str:
    pair = tuple(saved["verdicts"][kind]["holds"] for kind in ("zero_forcing", "zero_avoiding"))
    return CLASSES[None if None in pair else pair]


def gallery(saved: dict) -> str:
    """Every loss with its curve, by class."""
    lines = [
        f"# The {len(LOSSES)} named losses",
        "",
        "By what they do to modes. Each picture is the loss over the residual "
        "x = log(target/model), from −4 to 4. Click it for its divergence, its proofs and its "
        "source text. `divergence-lab catalogue` prints the same list.",
    ]
    for heading, entries in by_class(saved).items():
        cards = "".join(card(entry, saved[entry.name]) for entry in entries)
        lines += ["", f"## {heading}", "", SAYS[heading], "", f'<div class="losses">{cards}</div>']
    return "\n".join(lines)


def card(entry: NamedLoss, saved: dict) -> str:
    first = saved["curves"][0]
    picture = drawing.sketch(f"g(x) of {first['text']}", RESIDUALS, numbers(first["g"]))
    name = saved["divergence"] or ""
    return (
        f'<a class="loss" href="{entry.name}.html"><b>{escape(first["text"])}</b>{picture}'
        f"<small>{escape(name)}</small></a>"
    )


def page(entry: NamedLoss, saved: dict) -> str:
    """One loss: formula, pictures, verdicts with proof, when to use it, how to export it."""
    first = saved["curves"][0]["text"]
    quoted, of_all = shlex.quote(first), shlex.quote(saved["text"])
    where = " and ".join(sentence(one) for one in entry.where)
    lines = [
        f"# {saved['text']}",
        "",
        f"$$g(x) = {saved['g']}$$",
        "",
        *([f"for {where}.", ""] if where else []),
        f"**When to use it.** {sentence(entry.use[0].upper() + entry.use[1:])}.",
        "",
        minimises(saved),
        "",
        *(pictures(one) for one in saved["curves"]),
        "",
        "## What is proved",
        "",
        table(saved["verdicts"]),
        "",
        proofs(saved["verdicts"]),
        "",
        "## Take it",
        "",
        "```bash",
        f"divergence-lab derive {of_all} --steps",
        f"divergence-lab export {quoted} --form torch --out loss.py",
        f"divergence-lab train {quoted} --env hypergrid:2x8",
        "```",
        "",
        "```python",
        "import divergence_lab as dl",
        "",
        f'loss = dl.to_torch("{first}")  # g of a tensor of residuals, log(target/model)',
        "```",
        "",
        f"Source: {sentence(entry.reference)}.",
    ]
    return "\n".join(lines)


def minimises(saved: dict) -> str:
    name, factor = saved["divergence"], saved["factor"]
    times = f"{sentence(str(factor))} times the" if factor not in (None, "1", 1) else "the"
    of_name = "" if "divergence" in (name or "") else " divergence"
    said = (
        f"It minimises {times} **{escape(name)}**{of_name}"
        if name
        else "It minimises an f-divergence without a common name"
    )
    if saved["f"] is None:
        for_all = " for all values of the parameters" if "(" in saved["text"] else ""
        return f"{said}. No closed form of its generator was found{for_all}."
    return f"{said}, with the generator\n\n$$f(t) = {saved['f']}$$"


def pictures(one: dict) -> str:
    """g, f and the best single bump at one value of the parameters."""
    g, f = numbers(one["g"]), numbers(one["f"])
    step = POINTS[1] - POINTS[0]
    laws = [drawing.Curve("target", POINTS, np.exp(LOG_TARGET) / step, filled=True)]
    if one["law"] is not None:
        laws.append(drawing.Curve("best bump", POINTS[::2], numbers(one["law"]) / step))
    top_g, top_f = (
        drawing.nice_top(float(np.nanmax(values, initial=0.0)))
        for values in (g[np.abs(RESIDUALS) <= 3], f[RATIOS >= 0.1])
    )
    three = (
        drawing.chart(
            "loss g(x)", [drawing.Curve("g", RESIDUALS, g)], (-4, 4), (0, top_g), "residual x"
        ),
        drawing.chart(
            "generator f(t)", [drawing.Curve("f", RATIOS, f)], (0, 4), (0, top_f), "ratio t"
        ),
        drawing.chart("the best single bump", laws, (-5, 5), (0, 0.8), "state"),
    )
    said = f"<code>{escape(one['text'])}</code>. {escape(one['words'])}"
    return (
        '<figure class="three"><div data-search-exclude>'  # numbers at axes are no words
        f"{''.join(f'<div>{each}</div>' for each in three)}</div>"
        f"<figcaption>{said}</figcaption></figure>"
    )


def numbers(values: list) -> np.ndarray:
    return np.array([np.nan if one is None else one for one in values])


def table(verdicts: dict) -> str:
    rows = "".join(
        f"<tr><td>{words}</td><td><b>{answer(one)}</b></td>"
        f"<td>{sentence(one['because'])} <small>[{one['status']}]</small></td></tr>"
        for kind, words in VERDICTS.items()
        for one in [verdicts[kind]]
    )
    return f'<table class="verdicts"><tbody>{rows}</tbody></table>'


def answer(verdict: dict) -> str:
    if verdict["condition"] and verdict["holds"] is None:
        return f"if {sentence(verdict['condition'])}"
    return ANSWERS[verdict["holds"]]


def proofs(verdicts: dict) -> str:
    """The steps that the checker replayed, folded away."""
    shown = {kind: one for kind, one in verdicts.items() if one["steps"]}
    if not shown:
        return ""
    parts = [
        f"<p><b>{VERDICTS[kind]}: {ANSWERS[one['holds']]}</b></p>"
        + "".join(f"<div>{set_step(step)}</div>" for step in one["steps"])
        + (f"<p>and {rest} more</p>" if (rest := one["count"] - len(one["steps"])) else "")
        for kind, one in shown.items()
    ]
    summary = "<summary>The steps of each proof, as the checker replays them</summary>"
    return f'<details class="note">{summary}{"".join(parts)}</details>'


def set_step(tex: str) -> str:
    return MATHML.convert_with_local_state(tex, displaystyle=True)
