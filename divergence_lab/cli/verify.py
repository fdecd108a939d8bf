"""The command `verify`: the gradient theorem, for every objective, group of parameters and
sampler.
"""

import argparse
from collections import defaultdict
from typing import Any

from divergence_lab.cli.arguments import (
    CHECK_FAILED,
    DONE,
    LOSS_OPTIONS,
    AddCommand,
    at_work,
    json_text,
    option,
    read_losses,
    say,
)


def add_commands(command: AddCommand) -> None:
    """Add `verify`."""
    command(
        "verify",
        _verify,
        "check the theorem without sampling: is the gradient of the loss that of the divergence?",
        "divergence-lab verify quadratic 'linex(1)' --objective all --env hypergrid:2x3",
        option(
            "losses",
            nargs="*",
            metavar="LOSS",
            help="a catalogue name or an expression in x (default: the paper's four losses)",
        ),
        option(
            "--env",
            default="hypergrid:2x4",
            metavar="ENV",
            help="the graph, small enough to list its trajectories",
        ),
        option(
            "--objective",
            default="tb",
            metavar="O,...",
            help="tb, db, fm, vargrad, 'subtb(0.9)' ..., several with commas, or all",
        ),
        option(
            "--sampler",
            action="append",
            metavar="S",
            help="how objects are weighted: on (by p_F), backward (by p_B), mixture:E, power:B; "
            "drawn:S: "
            "as train --sampler S draws them; all; repeatable (default: on)",
        ),
        *LOSS_OPTIONS,
    )


def _verify(options: argparse.Namespace) -> int:
    from divergence_lab.theorem.verification import verify

    with at_work("reading the losses and the graph"):
        losses = read_losses(options)
    rows = verify(
        losses,
        options.env,
        objectives=options.objective,
        samplers=options.sampler or ["on"],
        budget=options.budget,
    )
    if options.json:
        print(json_text(rows))
    elif len(rows) == len({row["loss"] for row in rows}):
        say("\n".join(_losses_in_words(rows)))
    else:
        say("\n".join(_groups_in_words(rows)))
    return DONE if all(row["holds"] and row["controls_fail"] for row in rows) else CHECK_FAILED


def _losses_in_words(rows: list[dict[str, Any]]) -> list[str]:
    first = rows[0]
    width = max(len(row["loss"]) for row in rows)
    lines = [
        f"{first['objective']} on {first['env']}, sampler {first['sampler']}, "
        f"{first['objects']} objects, float64\n",
        f"{'loss':<{width}}  parameters                      gradient of               "
        "error  sign flipped  holds",
    ]
    for row in rows:
        lines += [
            f"{row['loss']:<{width}}  {group['parameters']:<30}  "
            f"{_short(group['statement']):<24}"
            f"  {group['max_gradient_error']:>7.0e}  "
            f"{group['flipped_sign_error']:>12.0e}  {_answer(group)}"
            for group in row["groups"]
        ]
    return [*lines, NOTES]


NOTES = """
  error         largest difference between the gradient of the weighted loss and that of the
                divergence, over the largest component
  sign flipped  the same for g(-x), a control: it must be large, unless the loss is even
  sum           D_f(sg p_B||p_F) + D_{g o log}(p_B||sg p_F), sg = held constant: neither part
                alone is the gradient"""


def _short(statement: str) -> str:
    return "sum of both parts" if " + " in statement else statement


def _answer(group: dict[str, Any]) -> str:
    if not group["controls_fail"]:
        return "NO: a control was accepted that must be rejected"
    return ("yes" if group["moves"] else "yes, moves nothing") if group["holds"] else "NO"


def _groups_in_words(rows: list[dict[str, Any]]) -> list[str]:
    """One line a group, the worst over the losses: the table of what is true for which
    parameters.
    """
    losses = dict.fromkeys(row["loss"] for row in rows)
    lines = [f"{rows[0]['env']}, float64, the worst of {len(losses)} losses: {', '.join(losses)}\n"]
    by_group: dict[tuple[str, str, str], list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        for group in row["groups"]:
            by_group[row["objective"], row["sampler"], group["parameters"]].append(group)
    last = None
    for (objective, sampler, parameters), groups in by_group.items():
        if last != (objective, sampler):
            lines += [
                f"{objective}, sampler {sampler}",
                f"  {'parameters':<30}  D_f alone        error  what holds               "
                "  error   controls",
            ]
            last = (objective, sampler)
        lines.append(_group_in_words(parameters, groups))
    return [
        *lines,
        "\n  D_f alone     is the gradient that of D_f(p_B||p_F)?  What holds is what "
        "theory says instead, and its error",
        "  controls      g(-x) for g(x), and weights that are not held constant: a check that "
        "works rejects both",
    ]


def _group_in_words(parameters: str, groups: list[dict[str, Any]]) -> str:
    alone = "yes" if all(group["divergence_alone"] for group in groups) else "NO"
    worst = max(group["divergence_alone_error"] for group in groups)
    error = max(group["max_gradient_error"] for group in groups)
    holds = _short(groups[0]["statement"]) if all(group["holds"] for group in groups) else "FAILS"
    rejected = all(group["controls_fail"] for group in groups)
    controls = "rejected" if rejected else "ACCEPTED"
    if not any(group["moves"] for group in groups):
        controls = "-, moves nothing"
    return (
        f"  {parameters:<30}  {alone:<9}  {worst:>10.0e}  {holds:<25}  {error:>6.0e}   {controls}"
    )
