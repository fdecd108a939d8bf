"""Computes what the pages of the named losses show: python docs/site/save_losses.py [NAME ...]

Into docs/site/losses.json: what `derive` says of each, with the steps of every proof; curves of g
and f; the best single bump. The pages are made from that file whenever the site is built, so that
building it derives nothing.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

from divergence_lab.report.free_loss import FreeLoss
from divergence_lab.report.single_bump import NoFit, best_fit, words
from divergence_lab.theory.answers.derivation import derive, to_json
from divergence_lab.theory.answers.wording import step_in_latex
from divergence_lab.theory.catalogue.named import LOSSES, NamedLoss, lookup
from divergence_lab.theory.divergence.loss import loss
from divergence_lab.theory.expressions import write_latex

HERE = Path(__file__).resolve().parent
RESIDUALS = np.linspace(-4, 4, 81)
RATIOS = np.concatenate([np.geomspace(1e-4, 0.05, 12), np.linspace(0.05, 4, 80)[1:]])
KINDS = (
    "valid",
    "convex",
    "zero_forcing",
    "zero_avoiding",
    "symmetric",
    "even",
    "bounded_gradient",
)


def main() -> None:
    file = HERE / "losses.json"
    known = json.loads(file.read_text()) if file.exists() and sys.argv[1:] else {}
    for entry in LOSSES:
        if not sys.argv[1:] or entry.name in sys.argv[1:]:
            known[entry.name] = of_entry(entry)
            print(entry.name, flush=True)
    ordered = {entry.name: known[entry.name] for entry in LOSSES if entry.name in known}
    file.write_text(json.dumps(ordered, indent=0, ensure_ascii=False) + "\n")


def name_at(entry: NamedLoss, values: str) -> str:
    return f"{entry.name}({values})" if values else entry.name


def examples(entry: NamedLoss) -> list[str]:
    """Texts of the loss with numbers for its parameters: at most three."""
    if not entry.parameters:
        return [entry.name]
    values = list(entry.parameters.values())
    first = entry.examples or (", ".join(filter(None, values)),)
    return [name_at(entry, one) for one in first[:3]]


def of_entry(entry: NamedLoss) -> dict:
    """The family for all its parameters, and curves at examples."""
    letters = name_at(entry, ", ".join(entry.parameters))
    read = lookup(letters)
    assert read is not None
    found = derive(loss(letters), budget=40)
    document = to_json(found)
    generator = found.divergence.generator
    return {
        "text": letters,
        "g": write_latex(read[1]),
        "f": None if generator is None else write_latex(generator),
        "divergence": document["divergence"],
        "factor": document.get("factor"),
        "verdicts": {kind: verdict(found, kind) for kind in KINDS},
        "curves": [curves(text) for text in examples(entry)],
    }


def verdict(found, kind: str) -> dict:
    one = getattr(found.verdicts, kind)
    steps = [] if one.condition else [step_in_latex(step) for step in one.steps[:8]]
    return {
        "holds": one.holds,
        "condition": one.condition,
        "status": one.status,
        "because": one.because,
        "steps": steps,
        "count": len(one.steps),
    }


def curves(text: str) -> dict:
    read = loss(text)
    shape = FreeLoss(text, read)
    with np.errstate(over="ignore", invalid="ignore"):
        g, f = shape.value(RESIDUALS), RATIOS * shape.integral(np.log(RATIOS))
    try:
        fit = best_fit(shape.integral)
        bump = {"law": rounded(fit.law()[::2]), "words": words(fit)}
    except NoFit as reason:
        bump = {"law": None, "words": str(reason)}
    return {"text": text, "g": rounded(g), "f": rounded(f), **bump}


def rounded(values: np.ndarray) -> list[float | None]:
    """To four figures; None where it is not finite."""
    return [float(f"{one:.4g}") if np.isfinite(one) else None for one in values]


if __name__ == "__main__":
    main()
