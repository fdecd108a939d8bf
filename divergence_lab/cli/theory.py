"""The commands that need theory alone: `invert` (a generator's loss) and `catalogue` (everything
that has a name).
"""

import argparse
import textwrap
from collections.abc import Sequence
from typing import Any

import sympy as sp

from divergence_lab.cli import arguments, derive
from divergence_lab.inputs import one_line
from divergence_lab.theory.answers.derivation import (
    Derivation,
    read_ratios,
    to_json,
    undecided_to_json,
)
from divergence_lab.theory.answers.questions import Unfinished, invert_text, parameters_of_generator
from divergence_lab.theory.catalogue import named as catalogue
from divergence_lab.theory.divergence.inversion import Inversion
from divergence_lab.theory.expressions import ExpressionError, t, write

MAX_DIGITS = 1000
COLUMNS = 100  # of the catalogue as text
LOSS_VERDICTS = (
    "valid",
    "convex",
    "zero_forcing",
    "zero_avoiding",
    "symmetric",
    "even",
    "bounded_gradient",
)
DIVERGENCE_VERDICTS = ("zero_forcing", "zero_avoiding", "symmetric")


def add_commands(command: arguments.AddCommand) -> None:
    """Add both commands."""
    command(
        "invert",
        _invert,
        "find the loss that minimises a given f-divergence",
        "divergence-lab invert 't*log(t)' 'Abs(t - 1)/2' --at 0.1,2",
        arguments.option(
            "generators",
            nargs="+",
            metavar="GENERATOR",
            help="an expression in the ratio t, or the name of a divergence ('Jensen-Shannon')",
        ),
        arguments.AT,
        arguments.option(
            "--digits",
            type=arguments.positive,
            default=30,
            metavar="N",
            help="digits of these values",
        ),
        arguments.LATEX,
        *arguments.LOSS_OPTIONS,
    )
    command(
        "catalogue",
        _catalogue,
        "list every named loss and divergence with its verdicts",
        "divergence-lab catalogue --json",
        arguments.JSON,
    )


# --- invert


def _invert(options: argparse.Namespace) -> int:
    if not 0 < options.digits <= MAX_DIGITS:
        raise ExpressionError(f"--digits {options.digits} is not between 1 and {MAX_DIGITS}")
    ratios = read_ratios(options.at) if options.at else ()
    with arguments.at_work(f"inverting {one_line(', '.join(options.generators), 60)}"):
        answers = invert_all(
            options.generators,
            options.assume,
            arguments.read_values(options),
            ratios,
            options.digits,
            options.budget,
        )
    derive.tell_lost(
        "invert",
        "generator",
        [entry if isinstance(entry, Unfinished) else entry[1] for entry in answers],
    )
    if options.json:
        print(
            arguments.json_text(
                [
                    {
                        "given": entry.text,
                        "normalised": None,
                        **undecided_to_json(None, entry.because),
                        "closed_form": False,
                    }
                    if isinstance(entry, Unfinished)
                    else inversion_to_json(*entry)
                    for entry in answers
                ]
            )
        )
        return arguments.DONE
    for entry in answers:
        if isinstance(entry, Unfinished):
            print(f"f(t) = {entry.text}\n  {entry.because}\n")
            continue
        inversion, derivation = entry
        told = derive.described(f"f(t) = {write(inversion.given)}", derivation, options.latex)
        (print if options.latex else arguments.say)(told)
        if inversion.gauge != (0, 0):
            constant, slope = inversion.gauge
            multiple = t - 1 if slope == 1 else sp.Mul(slope, t - 1, evaluate=False)
            removed = constant if slope == 0 else constant + multiple
            print(
                f"  normalised    {write(removed)} was taken off f: constant where both "
                "laws are normalised"
            )
        print()
    return arguments.DONE


def invert_all(
    generators: list[str],
    assumptions: list[str],
    values: dict[str, str],
    at: Sequence[sp.Expr],
    digits: int,
    budget: float,
) -> list[tuple[Inversion, Derivation] | Unfinished]:
    """Each generator inverted within the budget; each parameter of `values` must be of some one."""
    parameters_of = (
        {text: parameters_of_generator(text, assumptions, budget) for text in generators}
        if values
        else {}
    )
    parameters = [name for names in parameters_of.values() if names for name in names]
    if None not in parameters_of.values() and (unused := set(values) - set(parameters)):
        raise ExpressionError(f"--set {min(unused)}: no generator has a parameter of that name")
    return [
        invert_text(
            text,
            assumptions,
            {name: values[name] for name in values if name in (parameters_of[text] or ())},
            at,
            digits,
            budget,
        )
        for text in generators
    ]


def inversion_to_json(inversion: Inversion, derivation: Derivation) -> dict[str, Any]:
    """The object of `derive --json` and what was given: given = normalised + constant + slope*(t
    - 1).
    """
    return {
        "given": write(inversion.given),
        "normalised": write(inversion.generator),
        **to_json(derivation),
        "gauge": {"constant": write(inversion.gauge[0]), "slope": write(inversion.gauge[1])},
        "closed_form": inversion.closed,
    }


# --- catalogue


def _catalogue(options: argparse.Namespace) -> int:
    if options.json:
        print(arguments.json_text(catalogue_to_json()))
        return arguments.DONE
    for row in catalogue_to_json():
        parameters = (
            f"({', '.join(row['parameters'])})"
            if row["kind"] == "loss" and row["parameters"]
            else ""
        )
        print(f"{row['name']}{parameters}  [{row['kind']}]\n" + _wrapped("formula", row["formula"]))
        if row["kind"] == "divergence":
            print(_wrapped("in sums", row["sums"]) + "\n" + _wrapped("loss", row["loss"]))
        print(_wrapped("reference", row["reference"]))
        if row["use"]:
            print(_wrapped("use", row["use"]))
        names = LOSS_VERDICTS if row["kind"] == "loss" else DIVERGENCE_VERDICTS
        print(
            _wrapped("verdicts", _in_words({name.replace("_", "-"): row[name] for name in names}))
            + "\n"
        )
    return arguments.DONE


def _in_words(verdicts: dict[str, dict[str, Any]]) -> str:
    """valid, convex; zero-forcing if alpha <= 0; not even, symmetric"""
    groups = [
        ", ".join(name for name, verdict in verdicts.items() if verdict["holds"] is True),
        *(
            f"{name} if {verdict['condition']}"
            for name, verdict in verdicts.items()
            if verdict["holds"] is None
        ),
        ", ".join(name for name, verdict in verdicts.items() if verdict["holds"] is False),
    ]
    if groups[-1]:
        groups[-1] = f"not {groups[-1]}"
    return "; ".join(group for group in groups if group)


def _wrapped(label: str, text: str) -> str:
    return textwrap.fill(
        text,
        COLUMNS,
        initial_indent=f"  {label:<14}",
        subsequent_indent=" " * 16,
        break_long_words=False,
        break_on_hyphens=False,
    )


def catalogue_to_json() -> list[dict[str, Any]]:
    """Every entry; a verdict holds, does not, or holds exactly under its condition on the
    parameters.
    """
    losses = [
        {
            "name": entry.name,
            "kind": "loss",
            "formula": entry.loss,
            "reference": entry.reference,
            "use": entry.use,
            "parameters": dict(entry.parameters),
            "where": list(entry.where),
            "special": dict(entry.special),
            "divergences": {
                f"{entry.name}({at})" if at else entry.name: name
                for at, name in entry.divergences.items()
            },
            **{name: _verdict(getattr(entry.expected, name)) for name in LOSS_VERDICTS},
        }
        for entry in catalogue.LOSSES
    ]
    divergences = [
        {
            "name": entry.name,
            "kind": "divergence",
            "formula": entry.generator,
            "sums": entry.formula,
            "reference": entry.reference,
            "use": None,
            "loss": entry.loss,
            "parameters": {entry.parameter: None} if entry.parameter else {},
            "where": list(entry.where),
            **{name: _verdict(getattr(entry, name)) for name in DIVERGENCE_VERDICTS},
        }
        for entry in catalogue.DIVERGENCES
    ]
    return losses + divergences


def _verdict(known: bool | str) -> dict[str, Any]:
    plain = isinstance(known, bool)
    return {"holds": known if plain else None, "condition": None if plain else known}
