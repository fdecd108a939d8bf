"""Tables 3 and 4 and Figure 4: bit sequences, three objectives, four losses; modes found and rank
correlation.

    python paper_checks/tables3_4_bits.py --preset quick        that everything runs, on strings of 8 bits
    python paper_checks/tables3_4_bits.py --preset standard     the enumerable twin, and the first steps of the full size
    python paper_checks/tables3_4_bits.py --preset paper        120 bits, 250,000 steps, 5 seeds; for a GPU
    python paper_checks/tables3_4_bits.py --page                the page and its figure, from committed results alone

Runs lie below runs/tables3_4_bits; what was stopped goes on from its checkpoint, what is finished
is not run again, and --gather takes what is finished and trains nothing.  Rows of a committed table
stay until their run is done anew.
"""

from __future__ import annotations

import csv
import io
import json
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tables3_4_bits_page
import torch
from presets import arguments, folder
from torch import Tensor

import divergence_lab as dl
from divergence_lab.gflownet.listed.exact import target_distribution, terminal_distribution
from divergence_lab.gflownet.listed.flow import flow_from_rows
from divergence_lab.gflownet.objectives import objective
from divergence_lab.gflownet.optimiser import unpack
from divergence_lab.gflownet.policies.policy import Heads, Policy
from divergence_lab.gflownet.policies.transformer import transformer
from divergence_lab.gflownet.randomness import uniforms
from divergence_lab.gflownet.rollouts import Rollout, draw_residuals
from divergence_lab.gflownet.samplers import sampler
from divergence_lab.gflownet.visited.residuals import log_terminal
from divergence_lab.graphs.spaces.bits import bits, generated_bits, near_modes
from divergence_lab.results import metrics
from divergence_lab.results.provenance import environment
from divergence_lab.results.result import Result
from divergence_lab.results.storage import write_atomically
from divergence_lab.training import checkpoints
from divergence_lab.training.loop import train

CHECK = "tables3_4_bits"
LOSSES = ("quadratic", "linex(1)", "linex(1/2)", "shifted_cosh")
# as in the released code: F(s0) is the network's, F(x) = R(x), forward-looking flows
OBJECTIVES = {"DB": "tied-fl-db", "TB": "tb", "STB": "tied-fl-subtb(1.5)"}
BATCH, DROPOUT, RATE, WEIGHT_DECAY, CLIP = 16, 0.1, 1e-3, 1e-5, 1e3
# The released code learns log Z as a sum of 64 numbers, each at rate 0.002.  All 64 have the same
# gradient, so Adam moves all by the same step, and their sum by 64 of them: one number at rate
# 0.128 takes the same path.
RATE_LOG_Z = 64 * 0.002
ROUNDS = 10  # backward trajectories behind one estimate of P_T(x)
PROBES = 8  # fresh batches behind the gradient norms


@dataclass(frozen=True)
class Part:
    """Runs of one size: `every`: which flips of the test set; `clip`: of the gradient; None of
    it changes the rest.
    """

    name: str
    n_bits: int
    word: int
    objectives: tuple[str, ...]
    seeds: int
    steps: int
    evaluations: int
    every: int = 1
    clip: float = CLIP
    losses: tuple[str, ...] = LOSSES


ALL = ("DB", "TB", "STB")
PRESETS = {
    "quick": (
        Part("twin", 8, 4, ALL, 1, 30, 3),
        Part("twin, clip 10", 8, 4, ("DB",), 1, 30, 3, clip=10.0, losses=("shifted_cosh",)),
    ),
    "standard": (
        Part("twin", 16, 4, ALL, 5, 1000, 10),
        Part("twin, clip 10", 16, 4, ("DB",), 5, 1000, 10, clip=10.0, losses=("shifted_cosh",)),
        Part("full size, first steps", 120, 8, ("DB",), 1, 600, 6, every=10),
        Part("full size, fewer steps", 120, 8, ALL, 3, 200, 4, every=20),
        # the odd cell, and of the two halves of Shifted-Cosh the one that is none of the four
        # losses
        Part(
            "full size, no clip",
            120,
            8,
            ("DB",),
            3,
            200,
            4,
            every=20,
            clip=1e9,
            losses=("shifted_cosh", "linex(-1)"),
        ),
    ),
    "paper": (Part("full size", 120, 8, ALL, 5, 250_000, 100),),
}


def settings(part: Part, name: str) -> dict[str, Any]:
    """The arguments of `train` for one objective.

    Here an objective sums over its transitions, in the released code DB takes their mean over L
    steps: so that clip and weight decay meet the same gradient, both are multiplied by L.  Adam
    does not see the rest of the factor.
    """
    scale = part.n_bits // part.word if name == "DB" else 1
    return {
        "objective": OBJECTIVES[name],
        "sampler": "epsilon:0.001",
        "policy": "transformer",
        "steps": part.steps,
        "batch": BATCH,
        "learning_rate": RATE,
        "learning_rate_log_z": RATE_LOG_Z,
        "decay": 0.0,
        "max_grad_norm": scale * part.clip,
        "weight_decay": scale * WEIGHT_DECAY,
        "dropout": DROPOUT,
        "initial_log_z": 0.0,
        "initial_log_flow": 0.0,
        "evaluations": part.evaluations,
    }


def where(part: Part, name: str, seed: int, runs: Path) -> Path:
    """The folder of one run."""
    return runs / f"{part.name.replace(', ', '-').replace(' ', '_')}-{part.steps}-{name}-{seed}"


def run(
    part: Part, name: str, seed: int, device: str, runs: Path
) -> tuple[Result, Policy, dict[str, Tensor], float]:
    """Train the losses of one part from one seed, whose modes are of that seed too, and read the
    parameters back.
    """
    space = generated_bits(
        part.n_bits,
        part.word,
        seed=seed,
        name=f"generated:bits:{part.n_bits}x{part.word}:seed{seed}",
    )
    place = where(part, name, seed, runs)
    losses = {loss: dl.to_torch(dl.loss(loss)) for loss in part.losses}
    result = train(
        losses, space, seeds=[seed], device=device, out=place, resume=True, **settings(part, name)
    )
    _, saved = checkpoints.read_file(place / checkpoints.NAME)
    policy = transformer(space, heads=Heads(space.n_actions, 0, name != "TB"), dropout=DROPOUT)
    values = saved["values"].to(result.environment["device"])
    return result, policy, unpack({key: policy.shapes[key] for key in policy.shapes}, values), saved


def correlations(
    part: Part, seed: int, policy: Policy, parameters: dict[str, Tensor]
) -> np.ndarray:
    """Spearman's correlation of the estimated P_T and R on the test set: [M]."""
    device = parameters["log_z"].device
    strings = torch.tensor(
        near_modes(part.n_bits, part.word, seed=seed, every=part.every), device=device
    )
    found = []
    for number, some in enumerate(strings.split(max(1, 2**15 // len(strings[0]) ** 2))):
        shape = (ROUNDS, policy.space.max_steps - 1, len(some))
        found.append(
            log_terminal(
                policy,
                parameters,
                some,
                uniforms([seed], 2**40 + number, shape, device, torch.float32)[0],
            )
        )
    estimate = torch.cat(found, dim=1).cpu().numpy()
    return metrics.spearman(estimate, policy.space.log_reward(strings).cpu().numpy())


@torch.no_grad()
def exact(
    part: Part, name: str, seed: int, policy: Policy, parameters: dict[str, Tensor]
) -> tuple[np.ndarray, np.ndarray]:
    """(total variation to the target, Spearman's correlation over all strings), each [M]: the
    listed space, no sampling.
    """
    graph = bits(part.n_bits, part.word, seed=seed)
    digits = graph.coordinates.reshape(graph.n_states, -1, part.word).astype(np.int64)
    words = np.where(digits[..., 0] == 2, 0, 1 + digits @ (1 << np.arange(part.word - 1, -1, -1)))
    states = torch.tensor(words, device=parameters["log_z"].device)
    listed = Policy("listed", graph, policy.heads, policy.shapes, policy.draw, policy.rows)
    target, tv, rank = target_distribution(graph), [], []
    for member in range(len(parameters["log_z"])):
        one = {key: value[member : member + 1] for key, value in parameters.items()}
        rows = torch.cat(
            [policy.rows(one, part_of[None]) for part_of in states.split(8192)], dim=-1
        ).double()
        one = {key: value.double() for key, value in one.items()}
        law = terminal_distribution(
            graph, flow_from_rows(listed, rows, one, objective(OBJECTIVES[name]), "uniform").log_pf
        )
        tv.append(metrics.total_variation(law[0].cpu().numpy(), target))
        rank.append(metrics.spearman(law[0].cpu().numpy(), target))
    return np.array(tv), np.array(rank)


def probe(
    part: Part, name: str, seed: int, policy: Policy, parameters: dict[str, Tensor]
) -> list[dict[str, float]]:
    """At these parameters, dropout off: gradient norms over fresh batches, and the residuals
    that they come from.
    """
    losses = [dl.to_torch(dl.loss(loss)) for loss in part.losses]
    rollout = Rollout(
        policy, objective(OBJECTIVES[name]), sampler("epsilon:0.001"), "uniform", "visited"
    )
    scale = part.n_bits // part.word if name == "DB" else 1
    norms, residuals, largest = [], [], []
    for number in range(PROBES):
        noise = uniforms(
            [seed],
            2**41 + number,
            (policy.space.max_steps, BATCH),
            parameters["log_z"].device,
            torch.float32,
        )
        leaves = {key: value.detach().clone().requires_grad_() for key, value in parameters.items()}
        found, _ = draw_residuals(
            rollout, leaves, noise.repeat(len(losses), 1, 1), torch.empty(0), 0
        )
        weight = found.weight.expand_as(found.x)
        total = sum(
            (weight[k] * g(found.x[k : k + 1])[0]).sum() / BATCH for k, g in enumerate(losses)
        )
        grads = torch.autograd.grad(total, list(leaves.values()), allow_unused=True)
        norms.append(
            torch.stack([g.reshape(len(g), -1).pow(2).sum(dim=1) for g in grads if g is not None])
            .sum(dim=0)
            .sqrt()
            / scale
        )
        x = found.x.detach().requires_grad_()
        pulls = torch.stack(
            [torch.autograd.grad(g(x[k : k + 1]).sum(), x)[0][k] for k, g in enumerate(losses)]
        )
        pulls = (weight * pulls).abs().flatten(1)
        largest.append(pulls.amax(dim=1) / pulls.sum(dim=1))
        residuals.append(
            found.x.detach().flatten(1)
            if weight.dim() == 0
            else found.x.detach().flatten(1)[:, (weight[0].flatten() > 0)]
        )
    norms, residuals, largest = (
        torch.stack(norms).cpu(),
        torch.cat(residuals, dim=1).cpu(),
        torch.stack(largest).cpu(),
    )
    low, middle, high = torch.quantile(residuals, torch.tensor([0.05, 0.5, 0.95]), dim=1)
    return [
        {
            "gradient_norm": float(norms[:, k].median()),
            "clipped": float((norms[:, k] > part.clip).float().mean()),
            "largest_pull": float(largest[:, k].median()),
            "x_5": float(low[k]),
            "x_50": float(middle[k]),
            "x_95": float(high[k]),
        }
        for k in range(len(losses))
    ]


def records(
    part: Part, name: str, seed: int, device: str, runs: Path
) -> tuple[list[dict], list[dict]]:
    """One record a loss, and one a loss and evaluated step; kept in the folder of the run."""
    kept, of = where(part, name, seed, runs) / "records.json", json.loads(json.dumps(asdict(part)))
    if kept.exists() and (found := json.loads(kept.read_text()))["part"] == of:
        return found["rows"], found["curves"]
    rows, curves = _records(part, name, seed, device, runs)
    write_atomically(
        kept, (json.dumps({"part": of, "rows": rows, "curves": curves}) + "\n").encode()
    )
    return rows, curves


def _records(
    part: Part, name: str, seed: int, device: str, runs: Path
) -> tuple[list[dict], list[dict]]:
    result, policy, parameters, saved = run(part, name, seed, device, runs)
    rank = correlations(part, seed, policy, parameters)
    tv, rank_all = (
        exact(part, name, seed, policy, parameters) if part.n_bits <= 16 else (None, None)
    )
    probed = probe(part, name, seed, policy, parameters)
    at_start = probe(
        part, name, seed, policy, policy.init([seed] * len(part.losses), parameters["log_z"].device)
    )
    # Adam's step over its rate, root mean square over parameters: 1 where gradients agree in sign
    # and size
    count = saved["count"].double()
    step = (
        saved["mean"].double()
        / (1 - 0.9**count)
        / ((saved["square"].double() / (1 - 0.999**count)).sqrt() + 1e-8)
    )
    effective = step.pow(2).mean(dim=1).sqrt()
    modes = result.metrics["modes_found"][:, 0]
    rows, curves = [], []
    for k, loss in enumerate(part.losses):
        key = {
            "part": part.name,
            "bits": f"{part.n_bits}x{part.word}",
            "objective": name,
            "loss": loss,
            "seed": seed,
        }
        full = np.flatnonzero(modes[k] == policy.space.n_modes)
        rows.append(
            {
                **key,
                "steps": part.steps,
                "clip": part.clip,
                "modes_found": int(modes[k, -1]),
                "n_modes": policy.space.n_modes,
                "all_modes_by_step": int(result.steps[full[0]]) if full.size else "",
                "mean_log_reward": float(result.metrics["mean_log_reward"][k, 0, -1]),
                "spearman": float(rank[k]),
                "test_strings": len(
                    near_modes(part.n_bits, part.word, seed=seed, every=part.every)
                ),
                "tv": "" if tv is None else float(tv[k]),
                "spearman_all_strings": "" if tv is None else float(rank_all[k]),
                **{f"start_{name_}": value for name_, value in at_start[k].items()},
                **probed[k],
                "adam_step": float(effective[k]),
                "finite": bool(result.finite[k, 0]),
                "seconds": round(result.seconds, 1),
            }
        )
        for column, step_ in enumerate(result.steps):
            curves.append(
                {
                    **key,
                    "step": int(step_),
                    "modes_found": int(modes[k, column]),
                    "mean_log_reward": float(result.metrics["mean_log_reward"][k, 0, column]),
                }
            )
    return rows, curves


def write(place: Path, rows: list[dict], curves: list[dict], extra: dict[str, Any]) -> None:
    """runs.csv, curves.csv and environment.json, each whole or not at all."""
    place.mkdir(parents=True, exist_ok=True)
    for name, table in (("runs", rows), ("curves", curves)):
        text = io.StringIO()
        columns = list(dict.fromkeys(key for row in table for key in row))
        writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
        writer.writeheader()
        rounded = [
            {k: f"{v:.6g}" if isinstance(v, float) else v for k, v in row.items()} for row in table
        ]
        writer.writerows(rounded)
        write_atomically(place / f"{name}.csv", text.getvalue().encode())
    write_atomically(place / "environment.json", (json.dumps(extra, indent=1) + "\n").encode())


def together(planned: list, done: dict, place: Path) -> tuple[list[dict], list[dict]]:
    """All rows and curves: of the runs that are done, and of the others of this plan what the
    table held before.
    """
    found: tuple[list[dict], list[dict]] = ([], [])
    for number, name in enumerate(("runs", "curves")):
        path, before = place / f"{name}.csv", []
        if path.exists():
            with open(path, newline="") as file:
                before = list(csv.DictReader(file))
        for part, objective_, seed in planned:
            if (part, objective_, seed) in done:
                found[number].extend(done[part, objective_, seed][number])
                continue
            key = {
                "part": part.name,
                "bits": f"{part.n_bits}x{part.word}",
                "objective": objective_,
                "seed": str(seed),
            }
            of_run = [
                row for row in before if all(row[name_] == value for name_, value in key.items())
            ]
            last = max((int(row.get("steps") or row["step"]) for row in of_run), default=0)
            found[number].extend(of_run if last == part.steps else [])
    return found


def main(argv: list[str] | None = None) -> int:
    options = arguments(__doc__, argv)
    if options.page:
        tables3_4_bits_page.write()
        return 0
    place = folder(CHECK, options.preset, options.out)
    runs = Path(__file__).resolve().parents[1] / "runs" / CHECK
    if options.preset == "quick":
        runs = place / "runs"
    device = "cuda" if options.device == "auto" and torch.cuda.is_available() else options.device
    device = "cpu" if device == "auto" else device
    started, done, of_machine = time.monotonic(), {}, environment(torch.device(device))
    of_machine = {k: v for k, v in of_machine.items() if k not in ("platform", "commit")}
    planned = [
        (part, name, seed)
        for part in PRESETS[options.preset]
        for seed in range(part.seeds)
        for name in part.objectives
    ]
    for one in planned:
        if options.gather and not (where(*one, runs) / "config.json").exists():
            continue
        done[one] = records(*one, device, runs)
        # after every run: what was finished before a stop is not lost
        rows, curves = together(planned, done, place)
        write(place, rows, curves, {"preset": options.preset, **of_machine})
        print(
            f"{one[0].name}, {one[1]}, seed {one[2]}: {time.monotonic() - started:.0f} s",
            file=sys.stderr,
        )
    if not done:
        print(f"nothing of the preset {options.preset} is finished in {runs}", file=sys.stderr)
        return 2
    if options.preset != "quick" and options.out is None:
        tables3_4_bits_page.write()
    return 0


if __name__ == "__main__":
    sys.exit(main())
