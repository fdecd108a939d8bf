"""Figure 5 of the paper, molecules: mean reward and diversity under four losses and four
objectives.

    python paper_checks/figure5_molecules.py                                      quick, on QED: only that it runs
    python paper_checks/figure5_molecules.py --preset standard --data DIR         the sEH proxy, weights in DIR
    python paper_checks/figure5_molecules.py --page                               the page again, from committed results

Two parts.  exact: the 3,150 molecules of up to 4 blocks of a published subset (T12), every number
by dynamic programming over all states, nothing sampled but the training trajectories.  sampled:
molecules of 2 to 8 of all 105 blocks, by a message-passing policy.  DIR is a folder with
blocks_PDB_105.json and, for the sEH proxy, best_params.pkl.gz; without the weights the reward is
QED, whose results are named so, and without DIR the fragments are of this package, and there is no
exact part.  Finished runs are kept below the folder of results and skipped when asked for again, a
sampled run that was stopped goes on; --parts exact or --parts sampled runs one part; --gather
trains nothing and takes what is finished.  --as released, of the sampled part: the losses that the
released code really uses, where FM, TB and DB never look at the one that was chosen; SubTB's
residuals clipped at 10, gradients never cut (here at norm 10), and log Z learned at the rate of all
else; its results stand beside the others.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import sys
from pathlib import Path

import numpy as np
import torch

import divergence_lab as dl
from divergence_lab.graphs.dag import GraphError
from divergence_lab.graphs.molecules.chemistry import MoleculeError
from divergence_lab.results.provenance import environment
from divergence_lab.results.storage import write_atomically
from divergence_lab.theory.divergence.transforms import clip

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import figure5_page  # noqa: E402
import presets  # noqa: E402

CHECK = "figure5_molecules"
LOSSES = {
    "Quadratic": "quadratic",
    "Linex(1)": "linex(1)",
    "Linex(1/2)": "linex(1/2)",
    "Shifted-Cosh": "shifted_cosh",
}
OBJECTIVES = ("tb", "db", "subtb(0.99)", "fm")
PARTS = ("exact", "sampled")
EPSILON, BATCH, RATE = 0.05, 4, 5e-4  # the paper's
TABLE_RATE, TABLE_RATE_LOG_Z = 0.03, 0.1
BEST, DRAWS = 0.05, 1000
RESIDUAL_HIGH = 10  # of SubTB in the released code
SIZES = {
    # exact part: subset, blocks, seeds, sampled steps, exact steps; sampled part: seeds, steps,
    # width, depth
    "quick": {
        "space": ("A8", 3),
        "seeds": 2,
        "table_steps": 60,
        "exact_steps": 20,
        "steps": 6,
        "net_seeds": 1,
        "width": 16,
        "depth": 2,
        "keep": 20,
    },
    "standard": {
        "space": ("T12", 4),
        "seeds": 5,
        "table_steps": 800,
        "exact_steps": 250,
        "steps": 1_000,
        "net_seeds": 3,
        "width": 32,
        "depth": 3,
        "keep": 100,
    },
    "paper": {
        "space": ("T12", 4),
        "seeds": 5,
        "table_steps": 50_000,
        "exact_steps": 600,
        "steps": 50_000,
        "net_seeds": 4,
        "width": 256,
        "depth": 10,
        "keep": 1000,
    },
}


def losses(objective: str, as_released: bool = False) -> dict:
    """The four losses in torch.

    `as_released`: what the released code uses under each name, where only subtb looks at it, and
    clips its residuals at 10.
    """
    chosen = {name: dl.loss(text) for name, text in LOSSES.items()}
    if as_released and objective.startswith("subtb"):
        chosen = {name: clip(loss, RESIDUAL_HIGH) for name, loss in chosen.items()}
    elif as_released:
        chosen = dict.fromkeys(LOSSES, dl.loss("quadratic"))
    return {name: dl.to_torch(loss) for name, loss in chosen.items()}


# --- exact


def law_measures(
    law: np.ndarray, raw: np.ndarray, reward: np.ndarray, alike: np.ndarray
) -> dict[str, np.ndarray]:
    """What Figure 5 shows, of exact laws [.., X] over molecules: nothing is drawn.

    mean_reward = sum q R, mean_raw = sum q raw; similarity = sum_xy q(x) q(y) Tanimoto(x, y), of
    two independent draws. best_mass: of the BEST share of molecules by R; best_reward,
    best_similarity: the same of the law given that it is among these; best_found = sum over these
    of 1 - (1 - q)^DRAWS, how many of them turn up in DRAWS draws.
    """
    best = np.argsort(-reward, kind="stable")[: max(2, round(BEST * reward.size))]
    some = law[..., best]
    mass = some.sum(axis=-1)
    given = some / mass[..., None]

    def similarity(q: np.ndarray, table: np.ndarray) -> np.ndarray:
        return ((q @ table) * q).sum(axis=-1)

    return {
        "mean_reward": law @ reward,
        "mean_raw": law @ raw,
        "similarity": similarity(law, alike),
        "best_mass": mass,
        "best_reward": given @ reward[best],
        "best_similarity": similarity(given, alike[np.ix_(best, best)]),
        "best_found": (1 - (1 - some) ** DRAWS).sum(axis=-1),
    }


def exact_part(folder: Path, data: Path, size: dict, device: str, gather: bool = False) -> None:
    """exact.csv and exact.json: tables of all states, trained by samples (seeds) and by expected
    gradients (none).
    """
    from divergence_lab.gflownet.listed.exact import (
        count_trajectories,
        log_partition,
        target_distribution,
    )
    from divergence_lab.graphs.molecules.listed import fragment_space
    from divergence_lab.graphs.molecules.similarity import BITS, RADIUS, fingerprints, tanimoto

    space = fragment_space(data, *size["space"])
    graph, target = space.graph, target_distribution(space.graph)
    reward = np.exp(graph.log_reward[graph.terminal_states])
    prints = fingerprints(space.molecules)
    alike = tanimoto(prints, prints).astype(np.float64)

    def measured(law: np.ndarray) -> dict[str, np.ndarray]:
        return {
            "tv": dl.metrics.total_variation(law, target),
            "kl_forward": dl.metrics.kl(target, law),
            "kl_reverse": dl.metrics.kl(law, target),
            **law_measures(law, space.raw, reward, alike),
        }

    ways = {
        "sampled": {
            "sampler": f"epsilon:{EPSILON}",
            "batch": BATCH,
            "seeds": size["seeds"],
            "steps": size["table_steps"],
            "learning_rate": TABLE_RATE,
            "learning_rate_log_z": TABLE_RATE_LOG_Z,
            "decay": 0.0,
            "evaluations": 6,
        },
        "exact": {"exact": True, "seeds": 1, "steps": size["exact_steps"], "evaluations": 8},
    }
    done = []
    for way, settings in ways.items():
        for objective in OBJECTIVES:
            path = folder / "runs" / f"exact-{way}-{objective}.json"
            if gather and not _finished(path, settings):
                continue
            if not _finished(path, settings):
                rows, seconds = _table_run(graph, objective, settings, measured, device)
                _write(path, {"rows": rows, "seconds": seconds, "settings": settings})
                print(
                    f"exact space, {way} training, {objective}: {seconds:.0f} s",
                    file=sys.stderr,
                    flush=True,
                )
            done.append((way, objective, json.loads(path.read_text())))
    if not done:
        print(
            f"no run of the exact part is finished in {folder / 'runs'}: nothing gathered",
            file=sys.stderr,
        )
        return
    table = [(way, objective, *row) for way, objective, run in done for row in run["rows"]]
    tag = tag_of(space.reward)
    _write_csv(
        folder / f"exact{tag}.csv",
        ("training", "objective", "loss", "seed", "step", "metric", "value"),
        table,
    )
    about = {
        "space": "x".join(map(str, size["space"])),
        "reward": space.reward,
        "molecules": len(space.molecules),
        "states": graph.n_states,
        "edges": int(graph.edges.child.size),
        "trajectories": count_trajectories(graph),
        "log_z": log_partition(graph),
        "stemless_spread": float(space.spread.max()),
        "without_stems": int((space.spread > 0).sum()),
        "fingerprint": f"Morgan, radius {RADIUS}, {BITS} bits, Tanimoto",
        "best_share": BEST,
        "draws": DRAWS,
        "best_count": max(2, round(BEST * reward.size)),
        "target": {key: float(value[0]) for key, value in measured(target[None]).items()},
        "uniform": {
            key: float(value[0])
            for key, value in measured(np.full((1, target.size), 1 / target.size)).items()
        },
        "settings": {way: run["settings"] for way, _, run in done},
        "seconds": {f"{way} {objective}": run["seconds"] for way, objective, run in done},
        "environment": environment(torch.device(device)),
    }
    _write(folder / f"exact{tag}.json", about)


def _table_run(graph, objective: str, settings: dict, measured, device: str) -> tuple[list, float]:
    rows: list = []

    def look(step: int, laws: torch.Tensor) -> None:
        for name, values in measured(laws.cpu().numpy()).items():
            for loss, of_loss in zip(LOSSES, values.tolist(), strict=True):
                rows.extend(
                    (loss, seed, step, name, float(f"{value:.6g}"))
                    for seed, value in enumerate(of_loss)
                )

    found = dl.train(
        losses(objective), graph, objective=objective, device=device, on_laws=look, **settings
    )
    for loss, ok in zip(LOSSES, found.finite.tolist(), strict=True):
        rows.extend(
            (loss, seed, settings["steps"], "finite", float(one)) for seed, one in enumerate(ok)
        )
    return rows, found.seconds


def tag_of(reward: str) -> str:
    """What the names of results end with: nothing for sEH, -qed for QED."""
    return "-qed" if reward.startswith("QED") else ""


def _finished(path: Path, settings: dict) -> bool:
    return path.exists() and json.loads(path.read_text()).get("settings") == settings


# --- files


def _write(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, (json.dumps(content, indent=1) + "\n").encode())


def _write_csv(path: Path, head: tuple[str, ...], rows: list) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(head)
    writer.writerows(rows)
    write_atomically(path, text.getvalue().encode())


def main(argv: list[str] | None = None) -> int:
    options = presets.arguments(__doc__, argv, _more)
    folder, data = presets.folder(CHECK, options.preset, options.out), options.data
    device = (
        options.device
        if options.device != "auto"
        else "cuda"
        if torch.cuda.is_available()
        else "cpu"
    )
    if not options.page:
        size = SIZES[options.preset]
        if data is None:
            print(
                "no --data: QED and fragments of this package, not sEH, and no exact part",
                file=sys.stderr,
            )
        try:
            if data is not None and "exact" in options.parts:
                exact_part(folder, Path(data), size, device, options.gather)
            if "sampled" in options.parts:
                from figure5_sampled import sampled_part

                sampled_part(
                    folder, data, size, device, losses, options.way == "released", options.gather
                )
        except (GraphError, MoleculeError) as error:
            print(error, file=sys.stderr)
            return 2
    if options.preset == "quick" and not options.page:
        print(
            f"quick: {' and '.join(options.parts if data else ['sampled'])} ran; results "
            f"in {folder}"
        )
        return 0
    if options.out is None:
        figure5_page.write(HERE / "results" / CHECK, HERE / f"{CHECK}.md")
    return 0


def _more(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data",
        metavar="DIR",
        help="folder of the published blocks and, for the sEH proxy, weights",
    )
    parser.add_argument(
        "--parts", type=presets.some_of(PARTS), default=PARTS, help="exact, sampled or both (both)"
    )
    parser.add_argument(
        "--as",
        dest="way",
        choices=("here", "released"),
        default="here",
        help="the sampled part as the released code does it (as this package does it)",
    )


if __name__ == "__main__":
    sys.exit(main())
