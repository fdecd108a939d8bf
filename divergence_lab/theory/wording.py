"""The steps of a proof as mathematics, in LaTeX (in plain text a step is its `claim`)."""

from __future__ import annotations

import sympy as sp

from divergence_lab.theory.certificate import Step
from divergence_lab.theory.expressions import parse, parse_number, write_latex
from divergence_lab.theory.symbols import x

_SUBJECTS = {
    "slope": "g'(x)", "curvature": "g''(x)", "weighted slope": "g'(x)\\,e^{-x}", "odd part": "g'(x) + g'(-x)",
    "asymmetry": "g''(x) - e^{x} g''(-x)", "kink at 0": "g'(0+) + g'(0-)",
}


def step_in_latex(step: Step) -> str:
    """One step as a LaTeX formula, without dollar signs."""
    data = dict(step.data)
    of = _SUBJECTS.get(data.get("of", ""), "")
    f = _function(data["f"]) if "f" in data else ""
    where = f"x \\in ({_number(data['low'])}, {_number(data['high'])})" if "low" in data and "parameter" not in data else ""
    match step.rule:
        case "sign":
            return f"{of} = {f} \\{'ge' if data['sign'] == '>= 0' else 'le'} 0, \\quad {where}"
        case "for all":
            return f"{of} = {f} \\ge 0, \\quad {where}, \\text{{ for all parameters}}"
        case "jump":
            at = _number(data["at"])
            return f"g'({at}+) - g'({at}-) = {_number(data['jump'])}"
        case "witness":
            relation = {"< 0": "< 0", "> 0": "> 0", "!= 0": "\\ne 0"}[data["sign"]]
            return f"{of} = {f} {relation} \\quad \\text{{at }} x = {_number(data['at'])}"
        case "limit":
            return f"\\lim_{{x \\to {_number(data['end'])}}} {of} = \\lim {f} = {_number(data['limit'])}"
        case "integral":
            scale, outcome = _function(data["scale"]), "= \\infty" if data["diverges"] == "true" else "< \\infty"
            return (f"\\lim_{{x \\to \\infty}} {f} \\cdot {scale} = {_number(data['limit'])}, \\quad "
                    f"\\int^\\infty \\frac{{dx}}{{{scale}}} {outcome}")
        case "identity":
            return f"{of} = {f} = 0, \\quad {where}"
        case "constant":
            return f"{of} = 0, \\quad {where}"
        case "cell":
            name, answer = data["parameter"], "\\text{yes}" if data["holds"] == "true" else "\\text{no}"
            range_ = f"{_number(data['low'])} < {name} < {_number(data['high'])}" if data["low"] != data["high"] \
                else f"{name} = {_number(data['sample'])}"
            return f"{range_}: {answer}"
    raise ValueError(f"no wording for the rule {step.rule}")


def _function(text: str) -> str:
    return write_latex(parse(text, x))


def _number(text: str) -> str:
    if text in ("oo", "-oo"):
        return "\\infty" if text == "oo" else "-\\infty"
    try:
        return write_latex(parse_number(text))
    except ValueError:  # an end of an interval that is a parameter
        return write_latex(parse(text, sp.Dummy()))
