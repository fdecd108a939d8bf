"""The gradient theorem for losses given as theory: where theory, the bridge and the exact
GFlowNet meet.
"""

import dataclasses
import functools
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sympy as sp
from tqdm import tqdm

from divergence_lab.bridge.generators import generator_to_torch, integral_to_torch
from divergence_lab.bridge.torch_loss import to_torch
from divergence_lab.gflownet import samplers as drawing
from divergence_lab.gflownet.listed.exact import EnumerationError
from divergence_lab.gflownet.objectives import ObjectiveError, objective
from divergence_lab.graphs import ambient, dag, texts
from divergence_lab.inputs import InputError, at_commas, did_you_mean, is_whole, kind_of
from divergence_lab.theorem.check import TOLERANCE, Check, Scheme, Theory, check
from divergence_lab.theorem.objects import Listing, list_objects
from divergence_lab.theory.budget.asking import check_budget
from divergence_lab.theory.divergence import closed_form, loss, reading
from divergence_lab.theory.divergence import weightings as weighing

# What `all` stands for.
OBJECTIVES = (
    "tb",
    "db",
    "subtb(0.9)",
    "fm",
    "vargrad",
    "fl-db",
    "fl-subtb(0.9)",
    "modified-db",
    "modified-subtb(0.9)",
)
SAMPLERS = (
    "on",
    "backward",
    "mixture:1/4",
    "power:1/2",
    "drawn:on",
    "drawn:epsilon:0.1",
    "drawn:tempered:2",
    "drawn:mixture:0.25",
    "drawn:replay:0.5",
)
SAMPLER_FORMS = (
    "on, backward, mixture:E, power:B, powers:A,B (objects weighted by p_F and p_B), or "
    "drawn:S (as training draws "
    f"them), with S one of {drawing.FORMS}"
)


class VerifyError(InputError):
    """A question that `verify` cannot answer; one line that says what to do."""


@ambient.plain_torch()
def verify(
    losses: Mapping[str, loss.Loss | str] | Sequence[loss.Loss | str] | loss.Loss | str,
    env: str | dag.PointedDAG = "hypergrid:2x4",
    *,
    objectives: str | Iterable[str] = "tb",
    samplers: str | Iterable[str] = "on",
    seed: int = 0,
    budget: float = 20.0,
    divergences: Mapping[str, closed_form.Divergence] | None = None,
    progress: bool | None = None,
) -> list[dict[str, Any]]:
    """grad sum_o mu g(x), mu held constant, against what theory gives: all objects listed, float64,
    no sampling.

        losses       a list of losses, as texts or `Loss`, or name -> loss; each with a value for
                     every parameter
        env          a graph or its text, small enough to list its trajectories
        objectives   one or several, such as "tb", "db", "subtb(0.9)"; "all": every one that the
                     graph allows
        samplers     how objects o are weighted by mu: one or several of on, backward, mixture:E,
                     power:B, powers:A,B, or drawn:S as training draws them; "all": every kind
        seed         of the random point at which gradients are compared
        budget       processor seconds to derive each divergence
        divergences  name -> Divergence, where it is known already
        progress     show a bar on standard error; None: if that is a terminal

    One row for each objective, sampler and loss, with the keys of `verify --json`.  `groups` has
    one entry for each group of parameters that theory tells apart; `max_gradient_error` is the
    largest of theirs, relative to the largest component, `flipped_sign_error` that of the first.
    Proofs: docs/theorem.md.  Raises VerifyError, EnvironmentTextError and NotRepresentable.

        >>> (row,) = verify("exp(x) - x - 1", "tree:2x2")
        >>> row["holds"], row["max_gradient_error"] < 1e-9, row["flipped_sign_error"] > 0.1
        (True, True, True)
    """
    check_budget(budget)
    texts.refuse_as_losses(losses)
    losses, graph = reading.as_losses(losses, budget), texts.as_graph(env)
    called = env if isinstance(env, str) else graph.name
    schemes = [_scheme(text) for text in _wished(samplers, SAMPLERS)]
    dag.refuse_zero_rewards(graph)
    if not is_whole(seed, 0, 2**63 - 1):
        raise VerifyError(f"seed is {seed!r}; give a whole number from 0 to 2**63 - 1")
    wished = _listed(objectives)
    listings = []
    for text in _wished(wished, OBJECTIVES):
        try:
            listings.append(list_objects(graph, objective(text)))
        except (ObjectiveError, EnumerationError) as error:
            if wished != ["all"]:
                raise VerifyError(str(error)) from error
    if not listings:
        raise VerifyError(
            f"{called} has too many trajectories for any objective; take a smaller graph"
        )
    names = list(losses)
    divergence_of = {
        name: (divergences or {}).get(name) or closed_form.divergence(losses[name], budget)
        for name in names
    }
    rows = []
    shown = sys.stderr.isatty() if progress is None else progress
    with tqdm(
        total=len(schemes) * len(listings), disable=not shown, file=sys.stderr, leave=False
    ) as bar:
        for scheme in schemes:
            theories = [
                _theory(losses[name], divergence_of[name], scheme, budget) for name in names
            ]
            for listing in listings:
                bar.set_description(f"{listing.objective.name}, sampler {scheme.name}")
                checks = list(check(listing, theories, scheme, seed))
                rows += [
                    _row(name, called, listing, scheme, [one for k, one in checks if k == number])
                    for number, name in enumerate(names)
                ]
                bar.update()
    return rows


def _wished(texts: str | Iterable[str], every: tuple[str, ...]) -> list[str]:
    wished = _listed(texts)
    return list(every) if wished == ["all"] else wished


def _listed(texts: str | Iterable[str]) -> list[str]:
    """One text as the list of it."""
    listed = at_commas(texts) if isinstance(texts, str) else texts
    listed = list(listed) if isinstance(listed, Iterable) else []
    if not listed or not all(isinstance(text, str) for text in listed):
        raise VerifyError(
            f"give objectives and samplers as a text or a list of texts, not as {kind_of(texts)}"
            + (" with none" if listed == [] == texts else "")
        )
    return listed


def _row(
    name: str, env: str, listing: Listing, scheme: Scheme, checks: list[Check]
) -> dict[str, Any]:
    if not all(one.is_finite for one in checks):
        raise VerifyError(
            f"{name}: its numbers leave float64 at the residuals of {env}, so nothing is compared; "
            "take a graph whose rewards lie nearer to each other, or another loss"
        )
    groups = [_group(one, scheme) for one in checks]
    return {
        "loss": name,
        "objective": listing.objective.name,
        "env": env,
        "sampler": scheme.name,
        "max_gradient_error": max(one.error for one in checks),
        "flipped_sign_error": checks[0].flipped,
        "holds": all(one.holds for one in checks),
        # where no group moves anything, nothing has been checked
        "controls_fail": any(group["moves"] for group in groups)
        and all(group["controls_fail"] for group in groups)
        and _factor_control_fails(checks),
        "objects": listing.n_objects,
        "groups": groups,
    }


def _group(checked: Check, scheme: Scheme) -> dict[str, Any]:
    # a control that could not be off says nothing, and is not asked
    controls = [] if checked.even or checked.still else [checked.flipped]
    controls += [] if checked.live is None else [checked.live]
    return {
        "parameters": checked.group.label,
        "statement": statement(checked, scheme),
        "max_gradient_error": checked.error,
        "holds": checked.holds,
        "divergence_alone_error": checked.plain,
        "divergence_alone": checked.plain_holds,
        "flipped_sign_error": checked.flipped,
        "live_weights_error": checked.live,
        "live_factor_error": checked.live_factor,
        "controls_fail": all(error > TOLERANCE for error in controls),
        "moves": not checked.still,
    }


def _factor_control_fails(checks: list[Check]) -> bool:
    """Off for one group at least: for a single one its terms may cancel, as they do for SubTB on
    a diamond.
    """
    asked = [one.live_factor for one in checks if one.live_factor is not None]
    return not asked or max(asked) > TOLERANCE


def statement(checked: Check, scheme: Scheme) -> str:
    """What theory says the gradient is: in words of p_F, p_B, and c = mu/p_F, which is held
    constant.
    """
    on_policy = scheme.terms == ((1.0, 1.0, 0.0),)
    pair = "p_B||p_F" if on_policy else "c p_B||c p_F" if scheme.terms is None else "p_B||p_F, mu"
    letters = {"forward": "f", "backward": "g o log"}
    if checked.group.role in letters:
        return f"D_{{{letters[checked.group.role]}}}({pair})"
    return f"D_{{f}}({pair}), p_B held + D_{{g o log}}({pair}), p_F held"


def _scheme(text: str) -> Scheme:
    """The text of a sampler -> how objects are weighted."""
    kind, _, rest = text.strip().partition(":")
    try:
        if kind == "drawn" and rest:
            return Scheme(text, None, drawing.sampler(rest))
        if kind in ("epsilon", "tempered", "replay"):
            return Scheme(f"drawn:{text}", None, drawing.sampler(text))
        weighting = weighing.weighting(text)
    except ValueError as error:
        forms = [form.partition(":")[0] for form in weighing.FORMS.split(", ")]
        kinds = [name for name in (*forms, *drawing.WORDS, "drawn") if name != kind]
        said = did_you_mean(kind, kinds) or f"; use {SAMPLER_FORMS}"
        raise VerifyError(f"sampler {text!r} is not known{said}") from error
    numbers = [float(number) for number in weighting.numbers]
    terms = {
        "on": lambda: ((1.0, 1.0, 0.0),),
        "power": lambda: ((1.0, 1.0 - numbers[0], numbers[0]),),
        "powers": lambda: ((1.0, numbers[0], numbers[1]),),
        "mixture": lambda: ((1.0 - numbers[0], 1.0, 0.0), (numbers[0], 0.0, 1.0)),
    }
    if weighting.kind not in terms:
        raise VerifyError(
            f"sampler {text!r}: the parameters of P_B are a group of every row; use {SAMPLER_FORMS}"
        )
    return Scheme(text, terms[weighting.kind]())


def _theory(
    loss: loss.Loss, found: closed_form.Divergence, scheme: Scheme, budget: float
) -> Theory:
    """One loss in torch; under a sampler with a divergence of its own, the generator that the
    theory engine derives.
    """
    integral = functools.cache(lambda power: integral_to_torch(loss, power))
    generators = {}
    if scheme.terms is not None and len(scheme.terms) == 1 and scheme.terms[0][2] != 0:
        _, a, b = scheme.terms[0]
        trained = dataclasses.replace(loss, gauge=(sp.S.Zero, sp.S.Zero))  # as `to_torch` has it
        equivalent = closed_form.divergence(
            weighing.on_policy_equivalent(trained, weighing.weighting(scheme.name)), budget
        )
        generators[a, b] = generator_to_torch(equivalent)
    return Theory(to_torch(loss), generator_to_torch(found), integral, generators)
