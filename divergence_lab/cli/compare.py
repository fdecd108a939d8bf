"""The command `compare`: what separates two losses, as text, JSON and a picture."""

import argparse
import io
from pathlib import Path

from divergence_lab.cli.arguments import (
    ANSWERS,
    DONE,
    LOSS_OPTIONS,
    AddCommand,
    at_work,
    json_text,
    option,
    read_each,
    say,
)
from divergence_lab.inputs import InputError, one_line
from divergence_lab.outputs import write_alone
from divergence_lab.theory.expressions import write
from divergence_lab.theory.inequalities import bounds, hockey_stick
from divergence_lab.theory.inequalities.comparison import (
    POLICY,
    TARGET,
    Character,
    Comparison,
    compare,
    comparison_to_json,
    exchanged,
    number_text,
    status_of_bound,
)

PICTURES = (".png", ".svg", ".pdf")
ENDS = {
    "t -> oo": ", where the target has mass and the model has none",
    "t -> 0": ", where the model has mass and the target has none",
    "t -> 1": ", where the two laws are nearly equal",
}
BIASED = {"down": "biased down", "up": "biased up", "either": "biased either way", None: "biased"}
KEPT = {True: "the policy keeps its direction", False: "the policy turns", None: "undecided"}
REPELS = {True: "may repel", False: "never repels", None: "undecided"}


def add_commands(command: AddCommand) -> None:
    """Add `compare`."""
    command(
        "compare",
        _compare,
        "say what separates two losses: constants, total variation, log Z, verdicts",
        "divergence-lab compare quadratic 'linex(1/2)' --plot compared.png",
        option("losses", nargs=2, metavar="LOSS", help="a catalogue name or an expression"),
        option(
            "--plot",
            metavar="FILE",
            help="draw how both weigh the hockey sticks, into a new .png, .svg or .pdf",
        ),
        *LOSS_OPTIONS,
    )


def _compare(options: argparse.Namespace) -> int:
    if options.plot and not options.plot.lower().endswith(PICTURES):
        raise InputError(f"--plot {options.plot}: the name must end in {', '.join(PICTURES)}")
    if options.plot and Path(options.plot).exists():
        raise InputError(f"--plot {options.plot} exists: nothing is overwritten; name a new file")
    with at_work(f"comparing {one_line(' and '.join(options.losses), 60)}"):
        read = read_each(options, options.losses)
        (first, first_loss), (second, second_loss) = (read[text] for text in options.losses)
        names = (first, second)
        comparison = compare(first_loss, second_loss, options.budget)
    if options.json:
        print(json_text(comparison_to_json(comparison)))
    else:
        say("\n".join(_in_words(names, comparison)))
    if options.plot:  # last, so that what was found is not lost with it
        _draw(names, comparison, options.plot)
    return DONE


def _draw(names: tuple[str, ...], comparison: Comparison, file: str) -> None:
    from divergence_lab.report.plots import hockey_sticks

    curves = {}
    for name, character in zip(names, comparison.losses):
        if character.sticks is None:
            raise InputError(
                f"--plot: no hockey sticks of {name}: {character.absent['hockey_sticks']}"
            )
        curves[name] = {
            side: (
                *hockey_stick.sampled(density),
                [(float(atom.u), float(atom.weight)) for atom in atoms],
            )
            for side, (density, atoms) in character.sticks.sides().items()
        }
    drawn = io.BytesIO()
    hockey_sticks(curves).savefig(drawn, format=file.lower()[-3:], dpi=200)
    write_alone(Path(file), drawn.getvalue(), replace=False)


# --- in words


def _in_words(names: tuple[str, ...], comparison: Comparison) -> list[str]:
    first_by_second, second_by_first = comparison.bounds
    lines = [
        f"f1: {names[0]}, f2: {names[1]}",
        f"  D_f1 <= c D_f2    {_bound(first_by_second)}",
        f"  D_f2 <= c D_f1    {_bound(exchanged(second_by_first))}",
    ]
    if not comparison.best_for_laws:
        lines.append("                    a kink at 0: for laws of equal mass a smaller c may do")
    for kind in comparison.differing():
        answers = [ANSWERS[character.verdicts[kind].holds] for character in comparison.losses]
        lines.append(f"  {kind.replace('_', '-'):<16}  {answers[0]} for f1, {answers[1]} for f2")
    return lines + [
        line
        for name, character in zip(names, comparison.losses)
        for line in (name, *_character(character))
    ]


def _bound(constant: bounds.Constant) -> str:
    status = status_of_bound(constant)
    where = ENDS.get(constant.where, "") if constant.holds is not None else ""
    if constant.holds is None:
        value = "undecided"
    elif constant.holds is False:
        value = "no finite c"
    elif constant.exact is not None:
        value = f"c = {write(constant.exact)}"
    else:
        value = f"{constant.low or 0:.10g} <= c <= {constant.high:.10g}"
    return f"{value}: {constant.because}{where} [{status}]"


def _character(character: Character) -> list[str]:
    lines = [f"  total variation   {_total_variation(character)}"]
    if (linear := character.total_variation.linear) and linear.holds:
        lines.append(f"                    sum |p - q| <= c D_f for c = {_number(linear)}")
    lines.append(f"  log Z             {_bias(character)}: {character.bias.because}")
    if character.optimum:
        value = number_text(character.optimum.log_z, 6)
        target, policy = (f"({', '.join(map(str, law))})" for law in (TARGET, POLICY))
        how = "" if character.optimum.guaranteed else ", the best that a scan found"
        lines.append(
            f"                    log Z = {value} at p_B = {target}, P = {policy}; log Z* = 0{how}"
        )
    lines += [
        f"  wrong log Z       {KEPT[character.direction.holds]}: {character.direction.because}",
        f"                    {REPELS[character.repelling.holds]}: {character.repelling.because}",
    ]
    lines += [
        f"  {what.replace('_', ' '):<17} none: {why}" for what, why in character.absent.items()
    ]
    undecided = [kind for kind, verdict in character.verdicts.items() if verdict.holds is None]
    return lines + ([f"  undecided         {', '.join(undecided)}"] if undecided else [])


def _bias(character: Character) -> str:
    if character.bias.holds is None:
        return "undecided"
    return BIASED[character.bias.direction] if character.bias.holds else "unbiased"


def _total_variation(character: Character) -> str:
    bound = character.total_variation
    if bound.exact == 0:
        return f"no c > 0 in D_f >= c*(sum |p - q|)^2: {bound.because} [proved]"
    if bound.exact is not None:
        return f"D_f >= {write(bound.exact)}*(sum |p - q|)^2, the best constant [proved]"
    if bound.low is None:
        return f"undecided: {bound.because}"
    end = "" if bound.high is None else f", and no c above {bound.high:.6g} serves"
    return f"D_f >= {bound.low:.6g}*(sum |p - q|)^2{end} [enclosed]"


def _number(constant: bounds.Constant) -> str:
    return f"{constant.high:.6g}" if constant.exact is None else write(constant.exact)
