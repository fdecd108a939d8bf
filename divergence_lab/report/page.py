"""The main job: derive, decide, verify, train, compare, draw; one self-contained page and its
parts.

report.html     everything on one page, no network needed
results.json    every number on that page
*.svg, *.png    each figure
run/            the training run as `train --out` writes it
"""

import base64
import json
import math
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import sympy as sp
import torch
from markupsafe import Markup
from sympy.printing.mathml import MathMLPresentationPrinter
from torch import Tensor

from divergence_lab import outputs
from divergence_lab.bridge import TorchLoss, generator_to_torch, to_torch
from divergence_lab.graphs import ambient, dag, texts
from divergence_lab.report import plots
from divergence_lab.results import metrics
from divergence_lab.results.result import Result, runs
from divergence_lab.theorem.verification import verify
from divergence_lab.theory.answers.derivation import Derivation, derive, to_json
from divergence_lab.theory.divergence.loss import Loss
from divergence_lab.theory.expressions.printing import PositiveFirst
from divergence_lab.theory.verdicts.verdict import Verdict
from divergence_lab.training.loop import train

ENVIRONMENT = "hypergrid:2x8"
THEOREM_ENVIRONMENT = "hypergrid:2x4"
SEEDS = 5
CONVERGED = 0.02
QUICK_STEPS = 500
FIGURES = ("loss_and_generator", "convergence", "learned_laws")
PICTURES = [f"{name}.{kind}" for name in FIGURES for kind in ("svg", "png")]
WRITTEN = ("report.html", "results.json", *PICTURES)


@dataclass(frozen=True)
class Study:
    """Everything the page is written from: derivations and the theorem per loss, one training
    run for all.
    """

    derivations: Mapping[str, Derivation]
    theorem: list[dict[str, Any]]
    result: Result
    divergences: dict[str, dict[str, list[float]]]
    quick: bool


@ambient.plain_torch()
def write_report(
    losses: Mapping[str, Loss],
    out: Path,
    *,
    env: str = ENVIRONMENT,
    quick: bool = False,
    device: str = "auto",
    budget: float = 20.0,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Run the whole study for `losses` and write it to the folder `out`: report.html, every figure,
    results.json; returns what results.json holds.

    `losses`: name -> Loss, each with a value for every parameter; `device`: auto, cpu or cuda;
    `env`: a two-dimensional hyper-grid; `quick`: a tenth of the training; `budget`: processor
    seconds of the search for each loss. Training that was stopped goes on; a report that is there
    is refused, unless `overwrite` replaces it. Raises an InputError where a loss, the grid or the
    folder can't be used.

        >>> import tempfile, divergence_lab as dl
        >>> from pathlib import Path
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     losses = {"quadratic": dl.loss("quadratic")}
        ...     sorted(dl.write_report(losses, Path(folder), quick=True))
        ['convergence', 'derivations', 'divergences', 'quick', 'theorem', 'training']
    """
    torch_losses = {
        name: to_torch(loss) for name, loss in losses.items()
    }  # bad losses end here, before any work
    _grid(env)
    with outputs.held(out, WRITTEN):
        if not overwrite:  # what a killed report drew stands beside its run
            outputs.must_be_free(out, WRITTEN[: 1 if (out / "run").exists() else None])
        given = {"env": env, "quick": quick, "device": device, "budget": budget}
        study = run_study(losses, torch_losses, out / "run", overwrite=overwrite, **given)
        _say("drawing")
        figures = draw(study, torch_losses, out)
        summary = summarise(study)
        text = json.dumps(summary, indent=1, allow_nan=False)
        outputs.write_atomically(out / "results.json", text.encode(), b"\n")
        outputs.write_atomically(out / "report.html", render(study, figures).encode())
    return summary


def run_study(
    losses: Mapping[str, Loss],
    torch_losses: Mapping[str, TorchLoss],
    folder: Path | None,
    *,
    env: str = ENVIRONMENT,
    quick: bool = False,
    device: str = "auto",
    budget: float = 20.0,
    overwrite: bool = False,
) -> Study:
    """Derive and decide each loss, verify the theorem, train all together, compare exact laws."""
    graph = _grid(env)
    derivations = {}
    for name, loss in losses.items():
        _say(f"deriving {name}")
        derivations[name] = derive(loss, budget=budget)
    _say(f"verifying the gradient theorem on {THEOREM_ENVIRONMENT}")
    theorem = verify(
        losses,
        THEOREM_ENVIRONMENT,
        budget=budget,
        divergences={name: derivation.divergence for name, derivation in derivations.items()},
    )
    _say(f"training {len(losses)} losses x {SEEDS} seeds on {env} as one batch")
    length = {"steps": QUICK_STEPS} if quick else {}
    kept = {"out": folder, "resume": folder is not None and not overwrite, "overwrite": overwrite}
    result = train(torch_losses, graph, seeds=SEEDS, device=device, **kept, **length)
    return Study(derivations, theorem, result, exact_divergences(result, derivations), quick)


def _grid(env: str) -> dag.PointedDAG:
    graph = texts.graph_from_text(env)
    if graph.coordinates is None or graph.coordinates.shape[1] != 2:
        raise texts.EnvironmentTextError(
            f"the report draws two-dimensional grids, not {env}; take hypergrid:2x8 or "
            "hypergrid:2x12:paper"
        )
    return graph


def _say(what: str) -> None:
    if sys.stderr.isatty():
        print(f"{what} ...", file=sys.stderr)


# --- comparison

# What the table compares: divergence from the target p to the learned law q, each over the terminal
# states.
MEASURES = {
    "total variation": metrics.total_variation,
    "forward KL": metrics.kl,
    "reverse KL": lambda p, q: metrics.kl(q, p),
    "Jensen-Shannon": metrics.jensen_shannon,
    "Hellinger": metrics.hellinger,
    "Pearson chi-square": metrics.chi2,
    "Neyman chi-square": lambda p, q: metrics.chi2(q, p),
}
OWN = "its own D_f"


def exact_divergences(
    result: Result, derivations: Mapping[str, Derivation]
) -> dict[str, dict[str, list[float]]]:
    """loss -> measure -> its value for each seed: D(target || learned law), exact over all
    terminal states.
    """
    table: dict[str, dict[str, list[float]]] = {}
    for index, name in enumerate(result.losses):
        learned = result.terminal[index]
        table[name] = {
            label: measure(result.target, learned).tolist() for label, measure in MEASURES.items()
        }
        verdicts = derivations[name].verdicts
        table[name][OWN] = metrics.f_divergence(
            _on_arrays(generator_to_torch(derivations[name].divergence)),
            result.target,
            learned,
            f_at_zero=_number(verdicts.f_at_zero),
            slope_at_infinity=_number(verdicts.slope_at_infinity),
        ).tolist()
    return table


def _on_arrays(function: Callable[[Tensor], Tensor]) -> Callable[[np.ndarray], np.ndarray]:
    return lambda values: function(torch.from_numpy(np.ascontiguousarray(values))).detach().numpy()


def _number(exact: sp.Expr | None) -> float:
    return math.nan if exact is None else float(exact)


def converged(result: Result) -> np.ndarray:
    """[L, N]: the total variation of the exact learned law ended below CONVERGED, with every
    number finite.
    """
    return (result.metrics["tv"][..., -1] < CONVERGED) & result.finite


def summarise(study: Study) -> dict[str, Any]:
    """results.json: numbers that are not finite are strings in SymPy syntax."""
    result = study.result
    median = {
        name: float(np.median(result.metrics["tv"][i, :, -1]))
        for i, name in enumerate(result.losses)
    }
    return _json_ready(
        {
            "quick": study.quick,
            "derivations": {
                name: to_json(derivation) for name, derivation in study.derivations.items()
            },
            "theorem": study.theorem,
            "training": {
                "runs": runs(result),
                "seconds": result.seconds,
                "config": dict(result.config),
                "trajectories_per_second": result.trajectories_per_second,
                "environment": dict(result.environment),
            },
            "convergence": {
                "threshold_tv": CONVERGED,
                "median_tv": median,
                "best_loss": min(median, key=median.get),
                "converged": {
                    name: converged(result)[i].tolist() for i, name in enumerate(result.losses)
                },
            },
            "divergences": study.divergences,
        }
    )


def _json_ready(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _json_ready(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_json_ready(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "nan" if math.isnan(value) else "oo" if value > 0 else "-oo"
    return value


# --- figures


def draw(study: Study, torch_losses: Mapping[str, TorchLoss], out: Path) -> dict[str, Path]:
    """Every figure of the page as SVG and PNG in `out`; name -> its SVG."""
    residuals = np.linspace(-3, 3, 301)
    ratios = np.geomspace(0.02, 20, 301)
    losses = {name: _on_arrays(torch_loss)(residuals) for name, torch_loss in torch_losses.items()}
    generators = {
        name: _on_arrays(generator_to_torch(derivation.divergence))(ratios)
        for name, derivation in study.derivations.items()
    }
    drawn = (
        plots.loss_and_generator(residuals, losses, ratios, generators),
        plots.convergence(study.result, CONVERGED),
        plots.learned_laws(study.result),
    )
    return {name: plots.save(figure, out / name)[0] for name, figure in zip(FIGURES, drawn)}


# --- the page


def render(study: Study, figures: Mapping[str, Path]) -> str:
    """report.html: figures inlined, formulas as MathML, no script and no link to anything
    outside.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("divergence_lab.report", "."),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters.update(math=_math, answer=_answer, sig=_significant, readable=_readable)
    result = study.result
    final = result.metrics["tv"][..., -1]
    rows = [
        {
            "name": name,
            "derivation": study.derivations[name],
            "theorem": study.theorem[index],
            "median_tv": float(np.median(final[index])),
            "worst_tv": float(final[index].max()),
            "n_converged": int(converged(result)[index].sum()),
            "unconverged": [
                (result.seeds[k], float(final[index, k]))
                for k in np.flatnonzero(~converged(result)[index])
            ],
            "modes": result.modes_found[index].tolist(),
            "log_z_error": float(np.median(np.abs(result.log_z[index] - result.log_z_true))),
            "measures": {
                label: float(np.median(values)) for label, values in study.divergences[name].items()
            },
        }
        for index, name in enumerate(result.losses)
    ]
    best = min(rows, key=lambda row: row["median_tv"])
    lowest = {label: min(row["measures"][label] for row in rows) for label in MEASURES}
    return environment.get_template("report.html.jinja").render(
        rows=rows,
        best=best,
        lowest=lowest,
        measures=[*MEASURES, OWN],
        quick=study.quick,
        result=result,
        n_members=final.size,
        n_converged=int(converged(result).sum()),
        threshold=CONVERGED,
        theorem_environment=THEOREM_ENVIRONMENT,
        environment=result.config["env"],
        figure={
            name: "data:image/svg+xml;base64," + base64.b64encode(path.read_bytes()).decode()
            for name, path in figures.items()
        },
    )


def _math(expression: sp.Expr | None, left: str) -> Markup:
    """MathML of `left` = expression; `left` is one of the fixed names below, never user text."""
    if expression is None:
        return Markup("<em>no closed form found</em>")
    body = (
        _MathWriter()
        .doprint(expression)
        .replace("&ExponentialE;", "e")
        .replace("<mo>-</mo>", "<mo>&#8722;</mo>")
    )
    return Markup(f'<math displaystyle="true"><mrow>{_NAMES[left]}{body}</mrow></math>')


class _MathWriter(PositiveFirst, MathMLPresentationPrinter):
    def _print_Piecewise(self, expr):
        """Cases behind one line (a brace stretches only where the reader has a mathematical
        font).
        """
        table = self.dom.createElement("mtable")
        for value, condition in expr.args:
            row = self.dom.createElement("mtr")
            for content in (
                self._print(value),
                self._words("otherwise") if condition == sp.true else self._print(condition),
            ):
                cell = self.dom.createElement("mtd")
                cell.appendChild(content)
                row.appendChild(cell)
            table.appendChild(row)
        return table

    def _words(self, words: str):
        text = self.dom.createElement("mtext")
        text.appendChild(self.dom.createTextNode(words))
        return text


def _readable(reason: str) -> str:
    """Reasons are written in plain ASCII for the terminal; on a page infinity and powers have
    their own signs.
    """
    return (
        re.sub(r"\bint\b", "∫", re.sub(r"\boo\b", "∞", reason))
        .replace("**", "^")
        .replace("''", "″")
        .replace("'(", "′(")
        .replace("g' ", "g′ ")
    )


_NAMES = {
    "g": "<mi>g</mi><mo>(</mo><mi>x</mi><mo>)</mo><mo>=</mo>",
    "g'": "<msup><mi>g</mi><mo>&#8242;</mo></msup><mo>(</mo><mi>x</mi><mo>)</mo><mo>=</mo>",
    "g''": "<msup><mi>g</mi><mo>&#8243;</mo></msup><mo>(</mo><mi>x</mi><mo>)</mo><mo>=</mo>",
    "f": "<mi>f</mi><mo>(</mo><mi>t</mi><mo>)</mo><mo>=</mo>",
    "f0": "<mi>f</mi><mo>(</mo><mn>0</mn><mo>+</mo><mo>)</mo><mo>=</mo>",
    "foo": "<msup><mi>f</mi><mo>&#8242;</mo></msup><mo>(</mo><mi>&#8734;</mi><mo>)</mo><mo>=</mo>",
}


def _answer(verdict: Verdict) -> str:
    return {True: "yes", False: "no", None: "undecided"}[verdict.holds]


def _significant(value: float, digits: int = 3) -> str:
    if not math.isfinite(value):
        return "∞" if value > 0 else "–∞" if value < 0 else "?"
    return f"{value:.{digits}g}"
