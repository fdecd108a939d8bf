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
import shlex
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from markupsafe import Markup
from matplotlib.figure import Figure

from divergence_lab import __version__, outputs
from divergence_lab.bridge import TorchLoss, generator_to_torch, to_torch
from divergence_lab.graphs import ambient
from divergence_lab.graphs.dag import PointedDAG
from divergence_lab.report import drawing, findings, plots, single_bump, study, typeset
from divergence_lab.report.palette import CLASSES
from divergence_lab.report.study import CONVERGED, ENVIRONMENT, RATES, Study, converged
from divergence_lab.results.result import runs
from divergence_lab.theory.answers.derivation import to_json
from divergence_lab.theory.divergence.loss import Loss
from divergence_lab.theory.divergence.loss import loss as read_loss
from divergence_lab.theory.divergence.reading import as_losses
from divergence_lab.theory.expressions import ExpressionError, write
from divergence_lab.theory.verdicts.verdict import Verdict, Verdicts

FIGURES = ("single_bumps", "loss_and_generator", "convergence", "learned_laws")
PICTURES = [f"{name}.{kind}" for name in FIGURES for kind in ("svg", "png")]
WRITTEN = ("report.html", "results.json", *PICTURES)


@ambient.plain_torch()
def write_report(
    losses: Mapping[str, Loss | str] | Sequence[Loss | str] | Loss | str,
    out: str | Path,
    *,
    env: str = ENVIRONMENT,
    quick: bool = False,
    device: str = "auto",
    budget: float = 20.0,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Run the whole study for `losses` and write it to the folder `out`: report.html, every figure,
    results.json; returns what results.json holds.

    `losses`: a list of losses, as texts or `Loss`, or name -> loss, each with a value for every
    parameter; `device`: auto, cpu or cuda;
    `env`: a two-dimensional hyper-grid; `quick`: a tenth of the training; `budget`: processor
    seconds of the search for each loss. Training that was stopped goes on; a report that is there
    is refused, unless `overwrite` replaces it. Raises an InputError where a loss, the grid or the
    folder can't be used.

        >>> import tempfile, divergence_lab as dl
        >>> from pathlib import Path
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     sorted(dl.write_report(["quadratic"], folder, quick=True))
        ['convergence', 'derivations', 'divergences', 'quick', 'theorem', 'training']
    """
    losses, out = as_losses(losses, budget), outputs.folder_named(out)
    torch_losses = {
        name: to_torch(loss) for name, loss in losses.items()
    }  # bad losses end here, before any work
    study.grid(env)
    with outputs.held(out, WRITTEN):
        if not overwrite:  # what a killed report drew stands beside its run
            outputs.must_be_free(out, WRITTEN[: 1 if (out / "run").exists() else None])
        given = {"env": env, "quick": quick, "device": device, "budget": budget}
        found = study.run_study(losses, torch_losses, out / "run", overwrite=overwrite, **given)
        study.say("drawing")
        figures = draw(found, torch_losses, out)
        summary = summarise(found)
        text = json.dumps(summary, indent=1, allow_nan=False)
        outputs.write_atomically(out / "results.json", text.encode(), b"\n")
        page = render(found, figures, command_of(losses, env, quick, out))
        outputs.write_atomically(out / "report.html", page.encode())
    return summary


def command_of(losses: Mapping[str, Loss], env: str, quick: bool, out: Path) -> str:
    """The command that makes this report again."""
    words = ["divergence-lab", "report", *(_readable(name, loss) for name, loss in losses.items())]
    words += ["--env", env] * (env != ENVIRONMENT) + ["--quick"] * quick + ["--out", str(out.name)]
    return shlex.join(words)


def _readable(name: str, given: Loss) -> str:
    """The name, where the command line reads it as this loss; else its formula."""
    try:
        same = read_loss(name).expression == given.expression
    except ExpressionError:
        same = False
    return name if same else write(given.expression)


def summarise(found: Study) -> dict[str, Any]:
    """results.json: numbers that are not finite are strings in SymPy syntax."""
    result = found.result
    median = {
        name: float(np.median(result.metrics["tv"][i, :, -1]))
        for i, name in enumerate(result.losses)
    }
    steps = {one.name: list(one.steps) for one in findings.speeds(found)}
    return _json_ready(
        {
            "quick": found.quick,
            "derivations": {
                name: to_json(derivation) for name, derivation in found.derivations.items()
            },
            "theorem": found.theorem,
            "training": {
                "runs": runs(found.both),
                "seconds": result.seconds,
                "config": dict(found.both.config),
                "trajectories_per_second": result.trajectories_per_second,
                "environment": dict(result.environment),
            },
            "convergence": {
                "threshold_tv": CONVERGED,
                "median_tv": median,
                "best_loss": min(median, key=lambda name: median[name]),
                "converged": {
                    name: converged(result)[i].tolist() for i, name in enumerate(result.losses)
                },
                "learning_rates": list(RATES),
                "steps_to_threshold": steps,
            },
            "divergences": found.divergences,
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


def draw(found: Study, torch_losses: Mapping[str, TorchLoss], out: Path) -> dict[str, Path]:
    """Every figure as SVG and PNG in `out`; name -> its SVG."""
    residuals = np.linspace(-3, 3, 301)
    ratios = np.geomspace(0.02, 20, 301)
    losses = {
        name: study.on_arrays(torch_loss)(residuals) for name, torch_loss in torch_losses.items()
    }
    generators = {
        name: study.on_arrays(generator_to_torch(derivation.divergence))(ratios)
        for name, derivation in found.derivations.items()
    }
    fits = {n: fit for n, fit in found.bumps.items() if isinstance(fit, single_bump.NarrowFit)}
    drawn = (
        _bells(found, fits),
        plots.loss_and_generator(residuals, losses, ratios, generators),
        plots.convergence(found.result, CONVERGED),
        plots.learned_laws(found.result),
    )
    return {
        name: plots.save(figure, out / name)[0] for name, figure in zip(FIGURES, drawn) if figure
    }


def _bells(found: Study, fits: Mapping[str, single_bump.NarrowFit]) -> Figure | None:
    """Of the losses that have a best bump, coloured by class where all are decided."""
    classes = {name: findings.class_of(found.derivations[name].verdicts) for name in fits}
    decided = all(pair in CLASSES for pair in classes.values())
    return plots.bells(fits, classes if decided else None) if fits else None


def bump_picture(fit: single_bump.NarrowFit | str) -> str:
    """The target with two modes as an area, the best single bump as a line: SVG that follows a
    light or a dark page.
    """
    step = single_bump.POINTS[1] - single_bump.POINTS[0]
    curves = [
        drawing.Curve(
            "target", single_bump.POINTS, np.exp(single_bump.LOG_TARGET) / step, filled=True
        )
    ]
    if isinstance(fit, single_bump.NarrowFit):
        curves.append(drawing.Curve("best single bump", single_bump.POINTS, fit.law() / step))
    return drawing.chart("", curves, (-5, 5), (0, 0.8), "state")


# --- the page


def render(found: Study, figures: Mapping[str, Path], command: str) -> str:
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
    environment.filters.update(
        math=lambda *given: Markup(typeset.expression(*given)),
        formula=lambda text: Markup(typeset.formula(text)),
        sentence=lambda text: Markup(typeset.sentence(text)),
        answer=_answer,
        sig=_significant,
        opening=_opening,
        bump=bump_picture,
        whole=lambda number: f"{number:,}",
    )
    result, grid = found.result, study.grid(str(found.result.config["env"]))
    rows = [_row(found, index, name) for index, name in enumerate(result.losses)]
    best = min(rows, key=lambda row: row["median_tv"])
    lowest = {label: min(row["measures"][label] for row in rows) for label in study.MEASURES}
    speeds = findings.speeds(found)
    at = findings.level(result)
    way = {}
    if at is not None:
        way = {
            name: findings.on_the_way(result, index, at) for index, name in enumerate(result.losses)
        }
    return environment.get_template("report.html.jinja").render(
        rows=rows,
        best=best,
        lowest=lowest,
        measures=[*study.MEASURES, study.OWN],
        quick=found.quick,
        result=result,
        n_members=converged(result).size,
        n_converged=int(converged(result).sum()),
        n_modes=len(grid.modes),
        grid=grid_in_words(grid),
        threshold=CONVERGED,
        rates=RATES,
        speeds=speeds,
        speed_words=findings.speed_in_words(speeds),
        far=study.FAR,
        way=way,
        level=at,
        class_words=findings.class_in_words(found, way) if way else [],
        next_steps=findings.next_steps(found),
        theorem_environment=study.THEOREM_ENVIRONMENT,
        environment=result.config["env"],
        command=command,
        version=__version__,
        made=datetime.now().astimezone().strftime("%-d %B %Y, %H:%M %Z"),
        settings=_settings(result.config),
        figure={
            name: "data:image/svg+xml;base64," + base64.b64encode(path.read_bytes()).decode()
            for name, path in figures.items()
        },
    )


def _row(found: Study, index: int, name: str) -> dict[str, Any]:
    """What the page says of one loss."""
    result, derivation = found.result, found.derivations[name]
    final, fit = result.metrics["tv"][index, :, -1], found.bumps[name]
    arrived = converged(result)[index]
    return {
        "name": name,
        "derivation": derivation,
        "class": class_in_words(derivation.verdicts),
        "character": character_in_words(derivation.verdicts),
        "colour": CLASSES.get(findings.class_of(derivation.verdicts), ("", "#7F7F7F"))[1],
        "fit": fit,
        "bump": single_bump.words(fit) if isinstance(fit, single_bump.NarrowFit) else fit,
        "manner": single_bump.manner(fit) if isinstance(fit, single_bump.NarrowFit) else None,
        "theorem": found.theorem[index],
        "median_tv": float(np.median(final)),
        "worst_tv": float(final.max()),
        "n_converged": int(arrived.sum()),
        "unconverged": [(result.seeds[k], float(final[k])) for k in np.flatnonzero(~arrived)],
        "modes": result.modes_found[index].tolist(),
        "log_z_error": float(np.median(np.abs(result.log_z[index] - (result.log_z_true or 0.0)))),
        "measures": {
            label: float(np.median(values)) for label, values in found.divergences[name].items()
        },
    }


def class_in_words(verdicts: Verdicts) -> str:
    """zero-forcing, zero-avoiding, both, neither, or what is undecided."""
    pair = findings.class_of(verdicts)
    if None not in pair:
        return CLASSES[pair][0]
    words = zip(("zero-forcing", "zero-avoiding"), pair)
    return ", ".join(f"{word}: {_SAID[holds]}" for word, holds in words)


CHARACTERS = {
    (True, False): "zero-forcing, not zero-avoiding",
    (False, True): "zero-avoiding, not zero-forcing",
    (True, True): "both zero-forcing and zero-avoiding",
    (False, False): "neither zero-forcing nor zero-avoiding",
}


def character_in_words(verdicts: Verdicts) -> str:
    """Both names with what holds of them, for a reader who sees no table beside it."""
    return CHARACTERS.get(findings.class_of(verdicts), class_in_words(verdicts))


def grid_in_words(grid: PointedDAG) -> str:
    """What a trajectory does there, for a reader who does not know hyper-grids."""
    assert grid.coordinates is not None
    side = int(grid.coordinates.max()) + 1
    return (
        f"This is a grid of {side}×{side} cells: a trajectory starts in one corner, adds 1 to one "
        f"coordinate at each step, and stops where it likes. The target is highest in "
        f"{len(grid.modes)} of the cells, the modes."
    )


# the settings of a run that a reader asks for, in words
SETTINGS = {
    "env": "environment", "objective": "objective", "policy": "policy", "steps": "training steps",
    "batch": "trajectories a step", "sampler": "sampler", "backward": "backward policy",
    "learning_rate_log_z": "learning rate of log Z", "initial_log_z": "log Z at the start",
    "decay": "learning rates fall as", "max_grad_norm": "gradients cut at", "dtype": "numbers",
}  # fmt: skip
IN_FULL = {
    ("objective", "tb"): "trajectory balance (tb)",
    ("sampler", "on"): "on-policy",
    ("decay", 1.0): "(1 − step/steps)",
}


def _settings(config: Mapping[str, Any]) -> dict[str, str]:
    return {
        words: IN_FULL.get((key, value), f"{value:.4g}" if isinstance(value, float) else str(value))
        for key, words in SETTINGS.items()
        if (value := config.get(key)) is not None
    }


_SAID = {True: "yes", False: "no", None: "undecided"}


def _answer(verdict: Verdict) -> str:
    return _SAID[verdict.holds]


def _opening(because: str) -> str:
    """A sentence that begins with a word begins with a capital; one that begins with a formula
    does not.
    """
    word = because.split(" ", 1)[0]
    return because[:1].upper() + because[1:] if len(word) > 1 and word.isalpha() else because


def _significant(value: float, digits: int = 3) -> str:
    if not math.isfinite(value):
        return "∞" if value > 0 else "−∞" if value < 0 else "–"
    mantissa, _, power = f"{value:.{digits}g}".partition("e")
    mantissa = mantissa.replace("-", "−")
    return f"{mantissa}·10{str(int(power)).translate(RAISED)}" if power else mantissa


RAISED = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")
