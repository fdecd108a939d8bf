"""KL terms in fine-tuning, in small: the way a policy over token trees goes under k1, k2 and k3 in each
placement, against descent on what the package says that it minimises (docs/propositions.md, P29, P30).

    python paper_checks/kl_fine_tuning.py                       the quick preset: that it runs
    python paper_checks/kl_fine_tuning.py --preset standard     committed; a few minutes
    python paper_checks/kl_fine_tuning.py --page                only the page, from committed results

Nothing is sampled: all sequences are enumerated, in float64. On one side stands what a training code
differentiates, draws and weights held; on the other the divergence whose generator `derive_placed`
or `audit` names, differentiated in full. Both take the same steps of plain gradient descent.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import presets
import sympy as sp
import torch
from kl_fine_tuning_page import write_page
from token_tree import (
    CELLS,
    Generator,
    Settings,
    Tree,
    descend,
    of_prefixes,
    of_sequences,
    reverse_kl,
    total_variation,
    trained,
)
from torch import Tensor

from divergence_lab.audit import audit
from divergence_lab.results.storage import write_atomically
from divergence_lab.theory.answers.placements import derive_placed
from divergence_lab.theory.expressions import parse, t

CHECK, RATE, STRENGTH, SEED, SPREAD = "kl_fine_tuning", 1.0, 0.2, 0, 0.7
SIZES = {
    "quick": {"vocabulary": 3, "depth": 2, "steps": 60},
    "standard": {"vocabulary": 3, "depth": 3, "steps": 5_000},
    "paper": {"vocabulary": 3, "depth": 5, "steps": 100_000},
}
# the estimators as a training code writes them
CALLABLES: dict[str, Callable[[Tensor], Tensor]] = {
    "k1": lambda r: -r,
    "k2": lambda r: r**2 / 2,
    "k3": lambda r: torch.exp(r) - r - 1,
}


@dataclass(frozen=True)
class Group:
    """Nine settings, one a cell: of whole sequences or of tokens; who draws (None: the policy), with
    held weights q/drawn clipped to `clip`; with a reward, or the term alone.
    """

    per_token: bool = False
    drawn: str | None = None
    clip: tuple[float, float] = (0.0, math.inf)
    rewarded: bool = False


GROUPS = {
    "sequences": Group(),
    "tokens": Group(per_token=True),
    "older": Group(drawn="start"),
    "older, clipped": Group(drawn="start", clip=(0.8, 1.2)),
    "another older, clipped": Group(drawn="other", clip=(0.8, 1.2)),
    "reference, clipped": Group(drawn="reference", clip=(0.0, 2.0)),
    "sequences, rewarded": Group(rewarded=True),
    "tokens, rewarded": Group(per_token=True, rewarded=True),
}


def settings_of(tree: Tree) -> Settings:
    """All settings of all groups, in order, on one axis."""
    random = torch.Generator().manual_seed(SEED)
    shape = (tree.prefixes, tree.vocabulary)
    laws = {
        name: SPREAD * torch.randn(shape, generator=random, dtype=torch.float64)
        for name in ("reference", "start", "other")
    }
    size = tree.vocabulary**tree.depth
    reward = torch.rand(size, generator=random, dtype=torch.float64)
    drawn = {name: tree.log_sequences(law[None])[0].exp() for name, law in laws.items()}
    groups = [group for group in GROUPS.values() for _ in CELLS]

    def stacked(of: Callable[[Group], Any]) -> Tensor:
        return torch.stack([torch.as_tensor(of(group)) for group in groups])

    return Settings(
        tree,
        cell=torch.arange(len(CELLS)).repeat(len(GROUPS)),
        per_token=stacked(lambda group: group.per_token),
        start=stacked(lambda group: laws["reference" if group.rewarded else "start"]),
        reference=laws["reference"].expand(len(groups), *shape),
        reward=stacked(lambda group: reward * group.rewarded),
        strength=stacked(
            lambda g: torch.tensor(STRENGTH if g.rewarded else 1.0, dtype=torch.float64)
        ),
        drawn=stacked(lambda g: drawn[g.drawn] if g.drawn else torch.full_like(reward, math.nan)),
        clip=stacked(lambda group: torch.tensor(group.clip, dtype=torch.float64)),
    )


def predictions() -> dict[str, list[dict[str, Any]]]:
    """What each cell minimises, by `derive_placed`; and on draws from the reference with weights of
    at most 2, by `audit` of the callable.
    """
    placed = [(term, place, derive_placed(term, place)) for term, place in CELLS]
    audits = [
        (
            term,
            place,
            audit(
                CALLABLES[term],
                residual="target/model",
                placement=place,
                sampler="backward",
                clip_ratio=GROUPS["reference, clipped"].clip,
            ),
        )
        for term, place in CELLS
    ]
    return {
        "on-policy": [
            {
                "term": term,
                "place": place,
                "divergence": found.derivation.divergence.name,
                "generator": str(found.derivation.divergence.generator),
                "at_0": str(found.derivation.loss.gauge[1]),
                "zero_gradient": found.zero_gradient,
                "because": found.because,
            }
            for term, place, found in placed
        ],
        "reference, clipped": [
            {"term": term, "place": place, "generator": found.generator, "because": found.because}
            for term, place, found in audits
        ],
    }


def torch_of(generator: str) -> Generator:
    """f(t) on tensors."""
    f = sp.lambdify(t, parse(generator, t).evalf(17), "torch")
    return lambda ratio: f(ratio) + torch.zeros_like(ratio)


def rows_of(*groups: str) -> list[int]:
    """The rows of these groups on the axis of settings."""
    names = list(GROUPS)
    return [
        len(CELLS) * names.index(group) + cell for group in groups for cell in range(len(CELLS))
    ]


def predicted(
    settings: Settings, said: dict[str, list[dict[str, Any]]], times: list[int]
) -> dict[str, Tensor]:
    """log q [R, 9, O] of descent on what each cell is said to minimise, for each group of which
    something is said.

    Of tokens: the divergence in each prefix, weighted by visits that are held; a penalty in the
    reward, that of whole sequences.
    """
    generators = [torch_of(one["generator"]) for way in said.values() for one in way]
    whole = ["sequences", "older", "reference, clipped", "sequences, rewarded"]
    each = ["tokens", "tokens, rewarded"]
    nine = torch.arange(len(CELLS))
    which = torch.cat([nine + len(CELLS) * (name == "reference, clipped") for name in whole + each])
    of_whole = descend(
        of_sequences(generators, which), settings.take(rows_of(*whole, *each)), times, RATE
    )
    of_each = descend(
        of_prefixes(generators, nine.repeat(len(each))), settings.take(rows_of(*each)), times, RATE
    )
    laws = dict(zip(whole + each, of_whole.split(len(CELLS), dim=1)))
    in_reward = (nine % 3 == 1)[:, None]
    for name, law in zip(each, of_each.split(len(CELLS), dim=1)):
        laws[name] = torch.where(in_reward, laws[name], law)
    return laws


def gaps(seen: Tensor, said: Tensor) -> Tensor:
    """[9, 9]: the largest total variation on the way between what is trained and what is said."""
    return total_variation(seen[:, :, None], said[:, None]).amax(0)


def limits(settings: Settings) -> dict[str, Tensor]:
    """log q of where the rewarded policies ought to end, by what their terms minimise.

    Of sequences: p e^(r/c) and c p/(l - r). Of tokens the same in each prefix, where r is what is
    to be expected of an edge under the limit itself: visits are held, so that what the term costs
    further on is not seen.
    """
    row = rows_of("sequences, rewarded")[0]
    tree, reference, reward = settings.tree, settings.reference[row], settings.reward[row]
    log_p = tree.log_sequences(reference[None])[0]
    return {
        "sequences, reverse": tilted(log_p, reward),
        "sequences, forward": barred(log_p, reward),
        "tokens, reverse": of_prefix_rule(tree, reference, reward, tilted),
        "tokens, forward": of_prefix_rule(tree, reference, reward, barred),
    }


def tilted(log_p: Tensor, reward: Tensor) -> Tensor:
    """log of p e^(r/c), normalised: the largest E_q[r] - c KL(q||p)."""
    return torch.log_softmax(log_p + reward / STRENGTH, dim=-1)


def barred(log_p: Tensor, reward: Tensor) -> Tensor:
    """log of c p/(l - r), l such that it sums to 1: the largest E_q[r] - c KL(p||q)."""
    low, high = reward.max(), reward.max() + STRENGTH  # the sum falls from oo to at most 1
    for _ in range(200):
        middle = (low + high) / 2
        if (STRENGTH * log_p.exp() / (middle - reward)).sum() > 1:
            low = middle
        else:
            high = middle
    return torch.log_softmax(log_p - (high - reward).log(), dim=-1)


def of_prefix_rule(
    tree: Tree, reference: Tensor, reward: Tensor, rule: Callable[[Tensor, Tensor], Tensor]
) -> Tensor:
    """log q [O] of the policy that follows the rule in every prefix, from the leaves to the root."""
    log_p, logits = torch.log_softmax(reference, dim=-1), reference.clone()
    of_edges = torch.zeros_like(log_p).flatten()
    of_edges[tree.edges[:, -1]] = reward
    for prefix in range(tree.prefixes - 1, -1, -1):
        worth = tree.to_come(of_edges.view_as(log_p), torch.softmax(logits, dim=-1))
        logits[prefix] = rule(log_p[prefix], worth[prefix])
    return tree.log_sequences(logits[None])[0]


def run(size: dict[str, int]) -> dict[str, Any]:
    """All that is committed."""
    tree = Tree(size["vocabulary"], size["depth"])
    times = sorted({0, size["steps"], *(round(10 ** (k / 8)) for k in range(60))})
    times = [step for step in times if step <= size["steps"]]
    settings, said = settings_of(tree), predictions()
    laws = descend(trained, settings, times, RATE)
    log_p = tree.log_sequences(settings.reference)
    of_said = predicted(settings, said, times)
    seen = {name: laws[:, rows_of(name)] for name in GROUPS}
    at_reference = Settings(**{**vars(settings), "start": settings.reference})
    pull = slope_at_the_start(at_reference)
    return {
        **size,
        "rate": RATE,
        "strength": STRENGTH,
        "times": times,
        "said": said,
        "runs": [
            {
                "group": group,
                "term": CELLS[cell][0],
                "place": CELLS[cell][1],
                "reverse": digits(reverse_kl(laws[:, row], log_p[row])),
                "forward": digits(reverse_kl(log_p[row].expand_as(laws[:, row]), laws[:, row])),
                "reward": digits((laws[:, row].exp() * settings.reward[row]).sum(-1)),
                "moved": digits(total_variation(laws[:, row], laws[0, row]).amax()),
                "from_reference": digits(total_variation(laws[-1, row], log_p[row])),
                "pull_at_reference": digits(pull[row], 2),
                "lost": int((laws[-1, row] - log_p[row] < -math.log(1e3)).sum()),
            }
            for group in GROUPS
            for cell, row in enumerate(rows_of(group))
        ],
        "gaps": {name: digits(gaps(seen[name], law), 2) for name, law in of_said.items()},
        "older": {
            "held": digits(gaps(seen["older"], seen["sequences"]).diagonal(), 2),
            "clipped": digits(gaps(seen["older, clipped"], seen["sequences"]).diagonal()),
            "by whom": digits(
                gaps(seen["older, clipped"], seen["another older, clipped"]).diagonal()
            ),
        },
        "limits": of_limits(settings, seen, log_p[0]),
    }


def slope_at_the_start(settings: Settings) -> Tensor:
    """[M]: the largest component of what is descended, at the start."""
    logits = settings.start.clone().requires_grad_()
    (slope,) = torch.autograd.grad(trained(settings, logits).sum(), logits)
    return slope.abs().amax((1, 2))


def of_limits(
    settings: Settings, seen: dict[str, Tensor], log_p: Tensor
) -> dict[str, dict[str, Any]]:
    """Of each limit its divergences and reward, and the total variation of each cell's last law."""
    reward = settings.reward[rows_of("sequences, rewarded")[0]]
    return {
        name: {
            "reverse": digits(reverse_kl(law, log_p)),
            "forward": digits(reverse_kl(log_p, law)),
            "reward": digits((law.exp() * reward).sum()),
            "off": {
                group: digits(total_variation(seen[group][-1], law))
                for group in ("sequences, rewarded", "tokens, rewarded")
            },
        }
        for name, law in limits(settings).items()
    }


def digits(values: Tensor, figures: int = 6) -> Any:
    """Numbers of so many figures, in lists like the tensor."""
    if values.ndim:
        return [digits(one, figures) for one in values]
    return float(f"{values.item():.{figures}g}")


def main(argv: list[str] | None = None) -> int:
    chosen = presets.arguments(__doc__, argv)
    results = presets.folder(CHECK, chosen.preset, chosen.out)
    quick = chosen.preset == "quick" and not chosen.page
    if not (chosen.page or chosen.gather):
        results.mkdir(parents=True, exist_ok=True)
        text = json.dumps(run(SIZES[chosen.preset]), separators=(",", ":"))
        write_atomically(results / "runs.json", (text + "\n").encode())
    committed = results if quick or chosen.out else presets.folder(CHECK, "standard")
    page = (
        results / "kl_fine_tuning.md" if quick or chosen.out else Path(__file__).with_suffix(".md")
    )
    write_page(committed, page, quick or bool(chosen.out))
    print(page)
    return 0


if __name__ == "__main__":
    sys.exit(main())
