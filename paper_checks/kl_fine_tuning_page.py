"""The page and the figure of kl_fine_tuning.py, from its committed runs.json alone."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from saying import listed, points_of, say

from divergence_lab.report.plots import COLOURS, DASHES, MARKERS, STYLE, save
from divergence_lab.results.storage import write_atomically

EXACT = 1e-10  # in total variation
APART = 1e-3
IN = {"loss": "in the loss", "reward": "in the reward", "weighted": "weighted"}
REVERSE, FORWARD = "reverse KL", "forward KL"
PLACES = tuple(IN)


@dataclass(frozen=True, eq=False)
class Ways:
    """runs.json, and what is to be known of it."""

    content: dict[str, Any]

    def of(self, group: str, column: str) -> np.ndarray:
        """One column of the nine cells of a group, [9] or [9, R]."""
        return np.array([run[column] for run in self.content["runs"] if run["group"] == group])

    @property
    def names(self) -> list[str]:
        """k1 in the loss, ..."""
        return [f"{one['term']} {IN[one['place']]}" for one in self.content["said"]["on-policy"]]

    @property
    def divergences(self) -> list[str | None]:
        """What each cell minimises; None: no f-divergence, or its gradient vanishes."""
        return [one["divergence"] for one in self.content["said"]["on-policy"]]

    def cells(self, divergence: str | None) -> list[int]:
        """Those that minimise it."""
        return [k for k, name in enumerate(self.divergences) if name == divergence]

    def gaps(self, group: str) -> np.ndarray:
        """[9, 9]: cell trained, cell whose prediction it is held against."""
        return np.array(self.content["gaps"][group])

    def same(self, way: str) -> np.ndarray:
        """[9, 9]: has the package the same generator for both?"""
        said = [one["generator"] for one in self.content["said"][way]]
        return np.equal.outer(np.array(said), np.array(said))


def draw(ways: Ways) -> Figure:
    """Left and middle: both divergences on the way, on-policy and with clipped weights; right: what
    the reward cost.
    """
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(10.4, 4.2), layout="constrained")
        FigureCanvasAgg(figure)
        left, middle, right = figure.subplots(1, 3)
        for axes, group, title in (
            (left, "sequences", "the term alone"),
            (middle, "another older, clipped", "draws of an older policy, weights clipped"),
        ):
            _lines(axes, ways, group, "reverse", "forward")
            axes.set(title=title, xlim=(-0.05, 2.1), ylim=(-0.05, 2.6))
            axes.set(xlabel="KL(q||p), nats", ylabel="KL(p||q), nats")
        _lines(right, ways, "sequences, rewarded", "reverse", "reward")
        for name, limit in ways.content["limits"].items():
            if name.startswith("sequences"):
                right.plot(limit["reverse"], limit["reward"], "k+", markersize=13, zorder=5)
        right.set(xlabel="KL(q||p), nats", ylabel="mean reward", title="with a reward")
        handles, labels = left.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=3)
    return figure


def _lines(axes: Axes, ways: Ways, group: str, across: str, up: str) -> None:
    """A line a cell, with marks at places of their own where lines meet."""
    a, b = ways.of(group, across), ways.of(group, up)
    for cell, name in enumerate(ways.names):
        term, place = divmod(cell, len(PLACES))
        axes.plot(
            a[cell],
            b[cell],
            color=COLOURS[(0, 2, 1)[term]],
            linestyle=DASHES[place],
            linewidth=1.5,
            marker=MARKERS[place],
            markersize=5,
            markevery=(cell % 5, 5),
            fillstyle="none",
            label=name,
        )


def findings(ways: Ways) -> list[str]:
    """What the numbers say, with the conditions of each sentence."""
    return [*_of_sequences(ways), *_of_tokens(ways), *_of_older_policies(ways), *_of_rewards(ways)]


def _of_sequences(ways: Ways) -> list[str]:
    names, gaps, same = ways.names, ways.gaps("sequences"), ways.same("on-policy")
    reverse, forward = ways.cells(REVERSE), ways.cells(FORWARD)
    moved, lost = ways.of("sequences", "moved"), ways.of("sequences", "lost")
    before, after = (ways.of("sequences", "forward")[:, k] for k in (0, -1))
    k1, k2_reward, k2_weighted, k3_reward = (
        names.index(n)
        for n in ("k1 in the loss", "k2 in the reward", "k2 weighted", "k3 in the reward")
    )
    return [
        say(
            f"Terms of whole sequences: {listed(names[k] for k in reverse)} go the way of plain gradient descent on KL(q||p), and "
            f"{listed(names[k] for k in forward)} that of descent on KL(p||q). At no recorded step are the two laws further "
            f"apart than a total variation of {max(gaps[k, k] for k in reverse + forward):.0e}.",
            len(reverse) == 4 and [names[k] for k in forward] == ["k3 in the loss"],
            max(gaps[k, j] for k in reverse for j in reverse) < EXACT,
            max(gaps[k, k] for k in forward) < EXACT,
            all(moved[k] > 0.1 for k in reverse + forward),
        ),
        say(
            f"The control: held against what another cell is said to minimise, no cell comes nearer than {gaps[~same].min():.2f} on its whole way.",
            gaps[~same].min() > 0.01,
        ),
        say(
            f"k1 in the loss moves nothing: after {ways.content['steps']:,} steps the law is within {moved[k1]:.0e} of where it began.",
            moved[k1] < EXACT,
            ways.content["said"]["on-policy"][k1]["zero_gradient"],
        ),
        say(
            f"{listed(names[k] for k in (k2_reward, k2_weighted, k3_reward))} minimise no f-divergence. They follow the formula that the package gives of them all the same "
            f"({max(gaps[k, k] for k in (k2_reward, k2_weighted, k3_reward)):.0e}), and away from the reference: the penalties in the reward drive out what the policy has too little of. "
            f"KL(p||q) goes from {before[k3_reward]:.2f} past {after[k3_reward]:.0f} with k3, where it was stopped, and to {after[k2_reward]:.1f} with k2; {lost[k3_reward]} and {lost[k2_reward]} of "
            f"{ways.content['vocabulary'] ** ways.content['depth']} sequences fall below a thousandth of their share.",
            all(gaps[k, k] < EXACT for k in (k2_reward, k2_weighted, k3_reward)),
            all(ways.divergences[k] is None for k in (k2_reward, k2_weighted, k3_reward)),
            after[k3_reward] > 15 and after[k2_reward] > 2 * before[k2_reward],
            min(lost[k3_reward], lost[k2_reward]) > 0,
        ),
        say(
            f"k2 weighted brings most of the law to the reference and leaves the rest out: KL(q||p) ends at {ways.of('sequences', 'reverse')[k2_weighted, -1]:.2f}, KL(p||q) at {after[k2_weighted]:.2f}; "
            "all that minimise a divergence end at 0 to rounding.",
            after[k2_weighted] > 1,
            np.abs(after[reverse + forward]).max() < EXACT,
        ),
    ]


def _of_tokens(ways: Ways) -> list[str]:
    names, gaps = ways.names, ways.gaps("tokens")
    cells = [k for k in range(9) if k % 3 != 1]
    held = [k for k in cells if ways.divergences[k]]
    first, others = 1, (4, 7)
    return [
        say(
            f"Terms of tokens, in the loss and weighted, descend the divergence between the two laws of the next token in each prefix, weighted by visits that are held, to {max(gaps[k, k] for k in cells):.0e}. "
            f"Their way is not that of whole sequences: with {listed(names[k] for k in held if ways.divergences[k] == REVERSE)} it is up to {min(gaps[k, first] for k in held if ways.divergences[k] == REVERSE):.3f} from descent on KL(q||p).",
            max(gaps[k, k] for k in cells) < EXACT,
            min(gaps[k, first] for k in held) > APART,
        ),
        say(
            f"In the reward k1 of tokens, counted in the return of its own and all earlier ones, is the reverse KL of whole sequences again ({gaps[first, first]:.0e}). k2 and k3 are not what k2 and k3 of sequences are: "
            f"{gaps[others[0], others[0]]:.2f} and {gaps[others[1], others[1]]:.2f} away.",
            gaps[first, first] < EXACT,
            min(gaps[k].min() for k in others) > 0.01,
        ),
    ]


def _of_older_policies(ways: Ways) -> list[str]:
    names, older = ways.names, {k: np.array(v) for k, v in ways.content["older"].items()}
    at_zero = [one["at_0"] != "0" for one in ways.content["said"]["on-policy"]]
    pulled = [k for k in range(9) if at_zero[k]]
    still = [k for k in range(9) if not at_zero[k]]
    groups = ("older, clipped", "another older, clipped")
    pull = np.array([ways.of(group, "pull_at_reference") for group in groups])
    end = ways.of(groups[1], "from_reference")
    settled = [k for k in still if ways.divergences[k]]
    audited = ways.gaps("reference, clipped")
    apart = audited[~ways.same("reference, clipped")].min()
    return [
        say(
            f"Draws of an older policy, each with the held weight q/older, change nothing ({older['held'].max():.0e} off the on-policy way).",
            older["held"].max() < EXACT,
        ),
        say(
            f"With these weights clipped to 0.8 to 1.2 the way depends on who drew: two older policies take a cell apart by {older['by whom'].min():.2f} to {older['by whom'].max():.2f}. "
            f"At the reference, where all ought to rest, {listed(names[k] for k in pulled)}, whose slope (k' in the loss, k' - k weighted) is not 0 at x = 0, have a gradient (its largest component {pull[:, pulled].min():.2f} or more), the other {len(still)} none: "
            f"{listed(f'{names[k]} ends at a total variation of {end[k]:.2f} from the reference' for k in pulled)}, {listed(names[k] for k in settled)} within {end[settled].max():.0e} of it.",
            older["by whom"].min() > 0.01,
            pull[:, pulled].min() > 0.01 and pull[:, still].max() < 1e-14,
            min(end[pulled]) > 0.1 and max(end[settled]) < 0.01,
        ),
        say(
            f"Where the weights are a function of the residual a clip only changes the divergence. On draws from the reference, weights q/p of at most 2, each of the nine follows the formula that `audit --sampler backward --clip-ratio 0,2` "
            f"finds of it, to {audited.diagonal().max():.0e} (the nearest other: {apart:.2f} away).",
            audited.diagonal().max() < EXACT,
            apart > 0.01,
        ),
    ]


def _of_rewards(ways: Ways) -> list[str]:
    limits, strength = ways.content["limits"], ways.content["strength"]
    names = ways.names
    of = {
        name: {group: np.array(off) for group, off in limit["off"].items()}
        for name, limit in limits.items()
    }
    whole, each = "sequences, rewarded", "tokens, rewarded"
    reverse, (forward,) = ways.cells(REVERSE), ways.cells(FORWARD)
    in_prefixes = [k for k in reverse if k % 3 != 1]
    gaps = [ways.gaps(whole).diagonal(), np.delete(ways.gaps(each).diagonal(), (4, 7))]
    reward = ways.of(whole, "reward")[:, -1]
    tilted = of["sequences, reverse"]
    return [
        say(
            f"With a reward r, and the term {strength:g} times, the ways are again those of descent on what is said (to {max(g.max() for g in gaps):.0e}, k2 and k3 of tokens in the reward aside), and they end where that is least. "
            f"Reverse KL of sequences, in all four forms: within {tilted[whole][reverse].max():.0e} of the tilted reference p exp(r/{strength:g}), which a GFlowNet with this reward learns. "
            f"k3 in the loss: within {of['sequences, forward'][whole][forward]:.0e} of {strength:g} p/(l - r), and {tilted[whole][forward]:.2f} from the tilted one.",
            max(g.max() for g in gaps) < EXACT,
            tilted[whole][reverse].max() < 0.01,
            of["sequences, forward"][whole][forward] < 0.01,
            tilted[whole][forward] > 0.05,
        ),
        say(
            f"Per token k1 in the reward keeps the tilted reference ({tilted[each][1]:.0e}). {listed(names[k] for k in in_prefixes)} do not: they end within {of['tokens, reverse'][each][in_prefixes].max():.0e} of the policy that takes p(a|s) exp(Q/{strength:g}) in each prefix, "
            f"Q the reward to be expected, since visits are held and what the term will cost later is not seen; that is {tilted[each][in_prefixes].min():.3f} from the tilted reference. k3 in the loss of tokens ends within {of['tokens, forward'][each][forward]:.0e} of {strength:g} p(a|s)/(l - Q).",
            tilted[each][1] < 0.01,
            of["tokens, reverse"][each][in_prefixes].max() < 0.005,
            tilted[each][in_prefixes].min() > 0.01,
            of["tokens, forward"][each][forward] < 0.01,
        ),
        say(
            f"k1 in the loss holds nothing: the mean reward goes to {reward[0]:.2f}, that of the tilted reference is {limits['sequences, reverse']['reward']:.2f}.",
            reward[0] > limits["sequences, reverse"]["reward"] + 0.05,
        ),
    ]


def render(ways: Ways, short: bool = False) -> str:
    """The page as text; a `short` run need not carry its sentences."""
    content = ways.content
    size = content["vocabulary"] ** content["depth"]
    lines = [
        "# KL terms in fine-tuning, in small",
        "",
        f"A policy writes {content['depth']} tokens of {content['vocabulary']}, one softmax a prefix: {size} sequences, all enumerated, in float64. Another such policy is the reference p. "
        "Made by `python",
        f"paper_checks/kl_fine_tuning.py --preset standard`: {content['steps']:,} steps of plain gradient descent at rate {content['rate']:g} on what a training code differentiates, draws and weights held, of k1, k2 and k3 "
        "in the",
        "loss, in the reward and weighted; and beside it descent on the divergence whose generator `derive --placement` or `audit --placement` names. "
        "[P29](../docs/propositions.md#p29) and [P30](../docs/propositions.md#p30)",
        'are the propositions, [KL terms](../docs/kl_terms.md) the guide, [lesson 11](../notebooks/11_kl_terms_in_fine_tuning.ipynb) the lesson. x = log(p/q); "of tokens": x and k are taken of each token and summed.',
        "",
        points_of(lambda: findings(ways), short),
        "",
        "![Both divergences on the way, and reward against divergence](kl_fine_tuning.png)",
        "",
        "*Left and middle: all start at the same point, on the right, and the reference is at 0, 0; lines that leave at the top do not come back. Four of them are one, so that marks stand at places of their own. Middle: weights q/older clipped to 0.8 to 1.2, "
        "the older policy neither the start nor the reference. Right: all start at the reference, on the left; crosses: where reverse and forward KL ought to end.*",
        "",
        "| term | minimises | off what is said | KL(q‖p) at the end | KL(p‖q) | of tokens, off what is said | KL(q‖p) | KL(p‖q) |",
        "|---|---|--:|--:|--:|--:|--:|--:|",
    ]
    for k, one in enumerate(content["said"]["on-policy"]):
        said = one["divergence"] or ("nothing" if one["zero_gradient"] else "no f-divergence")
        cells = [
            f"{ways.gaps(group)[k, k]:.0e} | {shown(ways.of(group, 'reverse')[k, -1])} | {shown(ways.of(group, 'forward')[k, -1])}"
            for group in ("sequences", "tokens")
        ]
        lines.append(f"| {ways.names[k]} | {said} | {' | '.join(cells)} |")
    lines += [
        "",
        '"Off what is said": the largest total variation, at any recorded step, between the law that is trained and that which descends the formula. Of tokens in the reward it is held against the formula of sequences.',
        "Not done: sampled batches, PPO's own clip (which stops a gradient rather than a weight), and weights clipped per token.",
    ]
    return "\n".join(lines) + "\n"


def shown(divergence: float) -> str:
    """Two digits; 0 where only rounding is left."""
    return "0" if abs(divergence) < EXACT else f"{divergence:.2g}"


def read(folder: Path) -> Ways:
    """All that is committed."""
    return Ways(json.loads((folder / "runs.json").read_text()))


def write_page(folder: Path, page: Path, short: bool) -> None:
    """The page, and its figure as SVG and PNG beside it."""
    ways = read(folder)
    save(draw(ways), page.with_suffix(""))
    write_atomically(page, render(ways, short).encode())
