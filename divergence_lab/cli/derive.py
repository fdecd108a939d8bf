"""The command `derive`: the divergence of a loss and its character, as text or as JSON."""

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import Any

from divergence_lab.cli.arguments import (
    ANSWERS,
    AT,
    DONE,
    LATEX,
    LOSS_OPTIONS,
    AddCommand,
    at_work,
    json_text,
    option,
    positive,
    read_all,
    say,
)
from divergence_lab.inputs import InputError, one_line
from divergence_lab.theory.answers import derivation, placements, questions, wording
from divergence_lab.theory.divergence import closed_form, loss, weightings
from divergence_lab.theory.expressions import write, write_latex, x
from divergence_lab.theory.verdicts.verdict import Verdict, cites_of


def add_commands(command: AddCommand) -> None:
    """Add `derive`."""
    command(
        "derive",
        _derive,
        "say which f-divergence a loss minimises and what it does to modes, with proofs",
        "divergence-lab derive 'exp(x) - x - 1' 'linex(1/2)' --at 0.1,2",
        option("losses", nargs="+", metavar="LOSS", help="a catalogue name or an expression in x"),
        AT,
        option(
            "--digits", type=positive, default=30, metavar="N", help="digits of these values (30)"
        ),
        option(
            "--sampler",
            default="on",
            metavar="S",
            help="how objects are weighted: on (by p_F), backward (by p_B), power:B, powers:A,B, "
            "mixture:E, or "
            "learned_backward:B for the parameters of p_B; B may be a parameter (on)",
        ),
        option(
            "--placement",
            metavar="P",
            help="read the expression as a term k(x) that stands in the loss, as a penalty in the "
            "reward (held, times grad log p_F), or weighted by p_F/sg(p_F); k1, k2, k3 name the "
            "estimators of the reverse KL",
        ),
        option("--steps", action="store_true", help="print the steps of every proof"),
        LATEX,
        *LOSS_OPTIONS,
    )


def _derive(options: argparse.Namespace) -> int:
    weighting = weightings.weighting(options.sampler, options.assume)
    ratios = derivation.read_ratios(options.at) if options.at else ()
    if options.digits > 1000:
        raise InputError(f"--digits {options.digits} is more than 1000: ask for fewer")
    with at_work(f"deriving {one_line(', '.join(options.losses), 60)}"):
        by_text = read_all(options, options.losses, _reader(options))
        readings = [by_text[text] for text in options.losses]
        answers = questions.derive_all(readings, weighting, ratios, options.digits, options.budget)
    tell_lost("derive", "loss", answers)
    if options.json:
        print(json_text([_row(*pair, weighting, options) for pair in zip(readings, answers)]))
        return DONE
    for entry, answer in zip(readings, answers):
        if isinstance(answer, questions.Unfinished):
            print(f"{answer.text}\n  {answer.because}\n")
            continue
        assert not isinstance(entry, questions.Unfinished)  # else its answer is unfinished too
        if isinstance(entry, placements.Term) or weighting.kind != "on":
            print(_acts_like(entry, weighting))
        tell = print if options.latex else say
        tell(described(entry.name, answer, options.latex, options.steps))
        if isinstance(entry, placements.Term):
            tell(_placed(entry, weighting, answer), end="")
        print()
    return DONE


def _reader(options: argparse.Namespace) -> Callable[..., Any]:
    """What reads the text of a loss, or of a term that stands somewhere."""
    if options.placement is None:
        return questions.read
    return lambda text, *given: questions.read_placed(text, options.placement, *given)


def _acts_like(entry: questions.Reading | placements.Term, weighting: weightings.Weighting) -> str:
    where = placements.WHERE[entry.placement] if isinstance(entry, placements.Term) else ""
    drawn = "" if weighting.kind == "on" else f" with objects weighted by {weighting.weight}"
    return f"{entry.name}{where}{drawn} acts like this loss weighted by p_F:"


def _placed(
    term: placements.Term, weighting: weightings.Weighting, answer: derivation.Derivation
) -> str:
    """Whether the expected gradient vanishes, and why the term minimises no f-divergence."""
    said = placements.to_json(term, weighting.weight, answer)
    zero = f"  zero gradient {ANSWERS[said['zero_gradient']]}\n"
    return zero + (f"  because       {said['because']}\n" if said["because"] else "")


def _row(
    entry: questions.Reading | placements.Term | questions.Unfinished,
    answer: derivation.Derivation | questions.Unfinished,
    weighting: weightings.Weighting,
    options: argparse.Namespace,
) -> dict[str, Any]:
    """The object of a loss: what is derived, the sampler, and where a term stands."""
    done, sampled = None, None
    if isinstance(answer, questions.Unfinished):
        row = derivation.undecided_to_json(answer.text, answer.because)
        sampled = answer.text
    else:
        row, done = derivation.to_json(answer), answer
    if isinstance(entry, questions.Reading) and done:
        # on-policy no gradient sees the straight part, under other samplers it is weighted too
        straight = 0 if weighting.kind == "on" else entry.loss.gauge[1] * x
        sampled = write(entry.loss.expression + straight)
    row |= {
        "sampler": options.sampler,
        "weighted_by": weighting.weight,
        "sampled_loss": sampled if options.placement is None else None,
    }
    if isinstance(entry, placements.Term):
        row |= placements.to_json(entry, weighting.weight, done)
    return row


def described(
    name: str, derivation: derivation.Derivation, latex: bool, steps: bool = False
) -> str:
    """A derivation as text: loss, divergence, verdicts, the numbers at the ends."""
    shown = write_latex if latex else write
    entry, divergence, verdicts = derivation.loss, derivation.divergence, derivation.verdicts
    lines = [name, f"  loss          g(x) = {shown(entry.expression)}"]
    if any(part != 0 for part in entry.gauge):
        left_out = shown(entry.gauge[0] + entry.gauge[1] * x)
        lines.append(f"  gauge         {left_out} was left out of g: {loss.GAUGE_UNSEEN}")
    if verdicts.pieces and entry.continued:
        points = ", ".join(shown(point) for point in entry.continued)
        lines.append(f"  continued     by its limit where the formula has no value: x = {points}")
    lines.append(
        f"  generator     f(t) = {shown(divergence.generator)}"
        if divergence.generator is not None
        else f"  generator     {wording.no_generator(verdicts)}"
    )
    if divergence.name:
        lines.append(f"  divergence    {_multiple(divergence, verdicts.valid)}")
    for label, kind, verdict in (
        ("valid", "validity", verdicts.valid),
        ("convex", "convex", verdicts.convex),
        ("zero-forcing", "zero_forcing", verdicts.zero_forcing),
        ("zero-avoiding", "zero_avoiding", verdicts.zero_avoiding),
        ("symmetric", "symmetric", verdicts.symmetric),
        ("even", "even", verdicts.even),
        ("bounded g'", "bounded_gradient", verdicts.bounded_gradient),
    ):
        lines.append(f"  {label:<13} {_answer(verdict)}")
        if steps:
            lines += [
                f"                  {wording.step_in_latex(step) if latex else step.claim}"
                for step in verdict.steps
            ]
            if cited := cites_of(kind, verdict):
                lines.append(f"                  by {' and '.join(cited)}")
    lines += wording.ends_in_words(wording.ends_of(verdicts), shown)
    if derivation.dual_loss is not None:
        lines.append(
            f"  swapped       {shown(derivation.dual_loss)} (the loss of the divergence "
            "with its arguments swapped)"
        )
    lines += [f"  f({v.ratio}) = {v.value} +- {v.radius}" for v in derivation.values]
    lines += [f"  not found     {sentence}" for sentence in derivation.lost]
    return "\n".join(lines if latex else wording.readable(lines))


def _multiple(divergence: closed_form.Divergence, valid: Verdict) -> str:
    """ "2*a x forward KL", and where the factor is positive if it is not for all parameters."""
    factor = divergence.factor
    if factor is None or factor == 1:
        return f"{divergence.name}"
    shown = f"({write(factor)})" if factor.is_Add else write(factor)
    always = valid.holds or factor.is_positive
    where = "" if always else f", a positive multiple where {write(factor)} > 0"
    return wording.times(shown, f"{divergence.name}") + where


def _answer(verdict: Verdict) -> str:
    word = "depends" if verdict.condition else ANSWERS[verdict.holds]
    return f"{word:<10} {verdict.because} [{verdict.status}]"


def tell_lost(
    command: str, what: str, found: Sequence[derivation.Derivation | questions.Unfinished]
) -> None:
    """One line on standard error for everything that is missing for lack of time."""
    for position, entry in enumerate(found, 1):
        for sentence in (entry.because,) if isinstance(entry, questions.Unfinished) else entry.lost:
            print(f"divergence-lab {command}: {what} {position}: {sentence}", file=sys.stderr)
