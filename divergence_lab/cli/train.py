"""The commands `train` (losses and schedules of losses, objectives, samplers; files and a table of
the runs) and `sweep` (many runs, here or on a cluster, each done once).
"""

import argparse
import math
import re
import sys
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from divergence_lab.cli.arguments import (
    DONE,
    AddCommand,
    add_loss_options,
    positive,
    print_json,
    read_each,
)
from divergence_lab.inputs import InputError


def add_commands(command: AddCommand) -> None:
    """Add `train` and `sweep`."""
    one = command(
        "train",
        _train,
        "train losses x learning rates x seeds as one batch and compute the exact learned laws",
        "divergence-lab train quadratic 'linex(1)' --env hypergrid:2x8 --seeds 5 --out runs/first",
    )
    one.add_argument(
        "losses",
        nargs="+",
        metavar="LOSS",
        help="a catalogue name, an expression in x, or a schedule: 'linex(1->0)', 'linex(1) "
        "then shifted_cosh at 0.3', "
        "'linex(1) into quadratic'",
    )
    one.add_argument(
        "--env", required=True, help="hypergrid:4x8, bits:16x4, dag:FILE.json, generated:..."
    )
    one.add_argument(
        "--objective",
        default="tb",
        metavar="O,...",
        help="tb, vargrad, db, subtb(0.9), fm, fl-db, tied-db, modified-db ... (tb)",
    )
    one.add_argument(
        "--sampler",
        default="on",
        metavar="S",
        help="on, epsilon:E, tempered:T, backward, mixture:B, replay:B, with commas",
    )
    one.add_argument(
        "--backward", default="uniform", help="P_B: uniform, learned, maxent (uniform)"
    )
    one.add_argument(
        "--exact", action="store_true", help="the expected on-policy gradient, no sampling"
    )
    one.add_argument("--seeds", type=positive, default=5, metavar="N", help="seeds 0 ... N-1 (5)")
    one.add_argument("--steps", type=positive, metavar="N", help="gradient steps")
    one.add_argument("--batch", type=positive, metavar="B", help="trajectories a step and member")
    one.add_argument(
        "--learning-rate", metavar="R,...", help="every loss is trained at each of these"
    )
    one.add_argument(
        "--policy",
        choices=("tabular", "mlp", "transformer", "mpnn"),
        help="(tabular; mlp where states are not listed); transformer for generated:bits, "
        "mpnn for blocks",
    )
    one.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="(auto)")
    one.add_argument(
        "--deterministic", action="store_true", help="the same bits in every run on one device"
    )
    one.add_argument(
        "--out", metavar="DIR", help="folder for config.json, metrics.csv, terminal.npz ..."
    )
    one.add_argument(
        "--resume", action="store_true", help="continue the run in --out from its checkpoint"
    )
    add_loss_options(one)

    two = command(
        "sweep",
        _sweep,
        "run every point of a grid of settings once, on a cluster or here, and gather "
        "the results in one table",
        "divergence-lab sweep grid.json --out runs/grid --workers 4",
    )
    two.add_argument(
        "file",
        metavar="FILE",
        help='JSON: {"fixed": {"env": ..}, "grid": {"objective": ["tb", "db"]}}',
    )
    two.add_argument(
        "--out", required=True, metavar="DIR", help="a folder for each run, and table.csv"
    )
    two.add_argument(
        "--cluster",
        default="auto",
        choices=("auto", "slurm", "local", "none"),
        help="auto: Slurm where it is, else processes here; none: this process (auto)",
    )
    two.add_argument(
        "--workers", type=positive, default=2, metavar="N", help="runs at the same time (2)"
    )
    two.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="(auto)")
    two.add_argument(
        "--hours", type=positive, default=24, metavar="H", help="longest run, for Slurm (24)"
    )


def _train(options: argparse.Namespace) -> int:
    from divergence_lab.graphs.dag import PointedDAG
    from divergence_lab.graphs.texts import space_from_text
    from divergence_lab.results.result import NeverMoved, never_moved, runs
    from divergence_lab.results.storage import save_all
    from divergence_lab.training.loop import train
    from divergence_lab.training.schedule_texts import read_schedules

    if options.resume and not options.out:
        raise InputError("--resume needs --out DIR, the folder of the run to continue")
    losses = read_schedules(options.losses, lambda texts: read_each(options, texts))
    space = space_from_text(options.env)
    objectives = [text.strip() for text in re.split(r",(?![^(]*\))", options.objective)]
    if len(set(objectives)) < len(objectives):
        raise InputError(
            f"--objective {options.objective}: an objective is named twice; name each once"
        )
    chosen = {
        key: getattr(options, key)
        for key in ("steps", "batch")
        if getattr(options, key) is not None
    }
    chosen["policy"] = options.policy or ("tabular" if isinstance(space, PointedDAG) else "mlp")
    chosen |= {
        key: getattr(options, key)
        for key in ("seeds", "sampler", "backward", "exact", "device", "deterministic")
    }
    if options.learning_rate:
        chosen["learning_rate"] = [_rate(text) for text in options.learning_rate.split(",")]
    results = []
    for objective in objectives:
        folder = Path(options.out) if options.out else None
        if folder is not None and len(objectives) > 1:
            folder = folder / objective
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NeverMoved)  # told below
            results.append(
                train(
                    losses, space, objective=objective, out=folder, resume=options.resume, **chosen
                )
            )
    for line in (line for result in results for line in never_moved(result)):
        print(f"divergence-lab train: {line}", file=sys.stderr)
    if options.out and len(objectives) > 1:
        save_all(results, options.out)
    table = [row for result in results for row in runs(result)]
    seconds = sum(result.seconds for result in results)
    drawn = sum(result.trajectories_per_second * result.seconds for result in results)
    if options.json:
        document = {
            "runs": [finite_json(row) for row in table],
            "seconds": seconds,
            "trajectories_per_second": drawn / seconds,
            "device": results[0].environment["device"],
        }
        print_json(document)
        return DONE
    _print_table(table)
    rate = f"{drawn / seconds:,.0f} trajectories a second" if drawn else "nothing sampled,"
    print(
        f"{seconds:.1f} s, {rate} on {results[0].environment['device']}"
        + (f"; written to {options.out}" if options.out else "")
    )
    return DONE


def _rate(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InputError(
            f"--learning-rate {text[:40]!r} is not a number; give 0.03 or 0.01,0.03"
        ) from None


def _print_table(table: Sequence[Mapping[str, Any]]) -> None:
    several = {key: len({row[key] for row in table}) > 1 for key in ("objective", "learning_rate")}
    columns = [("objective", "<", 18, "")] if several["objective"] else []
    columns += [("loss", "<", 28, ""), ("seed", ">", 4, "")]
    if several["learning_rate"]:
        columns.append(("learning_rate", ">", 13, ".4g"))
    shown = {
        "tv": ".4f",
        "kl_forward": ".4g",
        "mean_log_reward": ".4g",
        "log_z_bound": ".3f",
        "log_z": ".3f",
        "log_z_true": ".3f",
        "modes_found": "",
    }
    columns += [
        (key, ">", max(8, len(key)), form)
        for key, form in shown.items()
        if any(row.get(key) is not None for row in table)
    ]
    titles = {
        "tv": "TV",
        "kl_forward": "KL(target||model)",
        "modes_found": "modes",
        "log_z": "log Z",
        "log_z_true": "true",
    }
    print(
        " ".join(
            f"{titles.get(key, key):{side}{max(width, len(titles.get(key, '')))}}"
            for key, side, width, _ in columns
        )
    )
    for row in table:
        cells = []
        for key, side, width, form in columns:
            value = row.get(key)
            text = "-" if value is None else f"{value:{form}}"
            cells.append(f"{text:{side}{max(width, len(titles.get(key, '')))}}")
        print(
            " ".join(cells)
            + (
                ""
                if row["finite"] and row["moved"]
                else "   not finite"
                if row["moved"]
                else "   never moved"
            )
        )


def finite_json(row: Mapping[str, Any]) -> dict[str, Any]:
    """JSON has no infinity: numbers that are not finite become the strings "oo", "-oo", "nan"."""
    words = {float("inf"): "oo", float("-inf"): "-oo"}
    return {
        key: words.get(value, "nan" if math.isnan(value) else value)
        if isinstance(value, float)
        else value
        for key, value in row.items()
    }


def _sweep(options: argparse.Namespace) -> int:
    from divergence_lab.training.sweeps import read_sweep, sweep

    table = sweep(
        read_sweep(options.file),
        options.out,
        cluster=options.cluster,
        workers=options.workers,
        device=options.device,
        hours=options.hours,
    )
    if sys.stderr.isatty():
        print(file=sys.stderr)
    print(f"results of every run in {table}")
    return DONE
