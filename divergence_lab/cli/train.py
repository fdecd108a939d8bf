"""The commands `train` (losses and schedules of losses, objectives, samplers; files and a table of
the runs) and `sweep` (many runs, here or on a cluster, each done once).
"""

from __future__ import annotations

import argparse
import contextlib
import math
import sys
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from divergence_lab.cli.arguments import (
    CHECK_FAILED,
    DEVICE,
    DONE,
    LOSS_OPTIONS,
    OVERWRITE,
    AddCommand,
    at_work,
    json_text,
    option,
    positive,
    read_each,
)
from divergence_lab.inputs import InputError, at_commas, number_in, read_json

if TYPE_CHECKING:  # torch is loaded only when the command runs
    from divergence_lab.graphs.dag import PointedDAG
    from divergence_lab.graphs.generated import GeneratedDAG
    from divergence_lab.results.result import Result


def add_commands(command: AddCommand) -> None:
    """Add `train` and `sweep`."""
    command(
        "train",
        _train,
        "train several losses together and compute exactly what each has learned",
        "divergence-lab train quadratic 'linex(1)' --env hypergrid:2x8 --seeds 5 --out runs/first",
        option(
            "losses",
            nargs="+",
            metavar="LOSS",
            help="a catalogue name, an expression in x, or a loss that changes during the run: "
            "'linex(1->0)', 'linex(1) then shifted_cosh at 0.3', 'linex(1) into quadratic'",
        ),
        option(
            "--env",
            required=True,
            metavar="ENV",
            help="what to train on: hypergrid:2x8, bits:8x4, sets:8x3, tree:2x4, molecules:T3, "
            "dag:FILE.json, or too large to list: generated:bits:120x8",
        ),
        option(
            "--objective",
            default="tb",
            metavar="O,...",
            help="tb, vargrad, db, 'subtb(0.9)', fm, fl-db, tied-db, modified-db ..., several "
            "with commas",
        ),
        option(
            "--sampler",
            default="on",
            metavar="S",
            help="who draws the trajectories: on (the policy), epsilon:E, tempered:T, backward, "
            "mixture:B, "
            "replay:B, several with commas",
        ),
        option(
            "--backward",
            default="uniform",
            metavar="P_B",
            help="the backward policy: uniform, learned or maxent",
        ),
        option(
            "--exact",
            action="store_true",
            help="follow the expected on-policy gradient: nothing is sampled",
        ),
        option("--seeds", type=positive, default=5, metavar="N", help="train seeds 0 ... N-1"),
        option("--steps", type=positive, default=5000, metavar="N", help="gradient steps"),
        option(
            "--batch",
            type=positive,
            default=64,
            metavar="B",
            help="trajectories in each step, for each loss and seed",
        ),
        option(
            "--learning-rate",
            type=_numbers,
            metavar="R,...",
            help="train every loss at each of these (default: 0.03 for a table, 0.001 for a "
            "network, "
            "1/4 or 1 for an exact table)",
        ),
        option(
            "--clamp-log-reward",
            type=_number,
            metavar="LOW",
            help="train with max(log R, LOW), as R may be 0; the results are held against R itself",
        ),
        option(
            "--policy",
            choices=("tabular", "mlp", "transformer", "mpnn"),
            help="transformer is for generated:bits, mpnn for molecules of blocks (default: "
            "tabular, or "
            "mlp where the states are not listed)",
        ),
        DEVICE,
        option(
            "--deterministic",
            action="store_true",
            help="give the same bits in every run on one device",
        ),
        option(
            "--out",
            metavar="DIR",
            help="write config.json, metrics.csv, terminal.npz and environment.json there",
        ),
        option(
            "--resume", action="store_true", help="go on with the run in --out from its checkpoint"
        ),
        OVERWRITE,
        *LOSS_OPTIONS,
    )
    command(
        "sweep",
        _sweep,
        "train at every point of a grid of settings, on a cluster or here; one table of the "
        "results",
        "divergence-lab sweep grid.json --out runs/grid --workers 4",
        option(
            "file",
            metavar="FILE",
            help='JSON: {"fixed": {"env": ..}, "grid": {"objective": ["tb", "db"]}}',
        ),
        option("--out", required=True, metavar="DIR", help="folder for the runs and table.csv"),
        option(
            "--cluster",
            default="auto",
            choices=("auto", "slurm", "local", "none"),
            help="auto: Slurm where there is one, else processes on this machine; none: this "
            "process",
        ),
        option("--workers", type=positive, default=2, metavar="N", help="runs at the same time"),
        DEVICE,
        option(
            "--hours", type=positive, default=24, metavar="H", help="hours that Slurm gives a run"
        ),
    )


def _train(options: argparse.Namespace) -> int:
    if options.resume and not options.out:
        raise InputError("--resume needs --out DIR, the folder of the run to continue")
    with at_work("loading torch, reading the losses and the graph"):
        from divergence_lab.gflownet.objectives import objective as objective_of
        from divergence_lab.graphs.texts import space_from_text
        from divergence_lab.results.result import never_moved
        from divergence_lab.training.schedule_texts import read_schedules

        losses = read_schedules(options.losses, lambda texts: read_each(options, texts))
        space = space_from_text(options.env)
        objectives = [objective_of(text).name for text in at_commas(options.objective)]
    if len(set(objectives)) < len(objectives):
        raise InputError(
            f"--objective {options.objective}: an objective is named twice; name each once"
        )
    results = _train_each(objectives, losses, space, options)
    for line in (line for result in results for line in never_moved(result)):
        print(f"divergence-lab train: {line}", file=sys.stderr)
    _print_results(results, options)
    return DONE


def _train_each(
    objectives: Sequence[str],
    losses: Mapping[str, Any],
    space: PointedDAG | GeneratedDAG,
    options: argparse.Namespace,
) -> list[Result]:
    """One run for each objective; of several, each in a folder of its own in --out, and there the
    files of all of them.
    """
    from divergence_lab import outputs
    from divergence_lab.results.result import NeverMoved
    from divergence_lab.results.storage import write_together
    from divergence_lab.training.loop import WRITTEN, train

    def run(objective: str, folder: str | Path | None) -> Result:
        kept = {"out": folder, "resume": options.resume, "overwrite": options.overwrite}
        return train(losses, space, objective=objective, **kept, **_settings(options, space))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NeverMoved)  # told when all is done
        warnings.showwarning = _show_warning
        if len(objectives) == 1 or not options.out:
            return [run(objective, options.out) for objective in objectives]
        folder = Path(options.out)
        with outputs.held(folder, WRITTEN):
            _must_be_of(objectives, folder, options)
            results = [run(name, folder / name) for name in objectives]
            write_together(results, folder)
        return results


def _must_be_of(objectives: Sequence[str], folder: Path, options: argparse.Namespace) -> None:
    """OutputError where the folder holds other files than those that a run of these objectives
    leaves when all of them are trained.
    """
    from divergence_lab import outputs
    from divergence_lab.training import checkpoints, loop

    if options.overwrite:
        return
    trained = all((folder / one / checkpoints.NAME).exists() for one in objectives)
    if options.resume and trained and not (folder / checkpoints.NAME).exists():
        with contextlib.suppress(ValueError, OSError):
            config = folder / "config.json"
            if not config.exists() or {*read_json(config)} == {*objectives}:
                return
    outputs.must_be_free(folder, loop.WRITTEN, "" if options.resume else " go on with --resume,")


def _show_warning(message: Warning | str, *where: Any) -> None:
    print(f"divergence-lab train: {' '.join(str(message).split())}", file=sys.stderr)


def _settings(options: argparse.Namespace, space: PointedDAG | GeneratedDAG) -> dict[str, Any]:
    """What `train` takes beside losses, graph, objective and folder."""
    from divergence_lab.graphs.dag import PointedDAG

    names = (
        "steps",
        "batch",
        "seeds",
        "sampler",
        "backward",
        "exact",
        "device",
        "deterministic",
        "clamp_log_reward",
    )
    settings = {
        name: getattr(options, name) for name in names if getattr(options, name) is not None
    }
    settings["policy"] = options.policy or ("tabular" if isinstance(space, PointedDAG) else "mlp")
    if options.learning_rate:
        settings["learning_rate"] = options.learning_rate
    return settings


def _print_results(results: Sequence[Result], options: argparse.Namespace) -> None:
    from divergence_lab.results.result import runs
    from divergence_lab.results.summary import rows_of, text_of

    table = [row for result in results for row in runs(result)]
    seconds = sum(result.seconds for result in results)
    drawn = sum(result.trajectories_per_second * result.seconds for result in results)
    device = results[0].environment["device"]
    if options.json:
        document = {
            "runs": [finite_json(row) for row in table],
            "seconds": seconds,
            "trajectories_per_second": drawn / seconds,
            "device": device,
        }
        print(json_text(document))
        return
    print("each loss over its seeds, mean (least to greatest)")
    print(text_of([row for result in results for row in rows_of(result)]), end="\n\n")
    _print_table(table)
    rate = f"{drawn / seconds:,.0f} trajectories a second" if drawn else "nothing sampled,"
    written = f"; written to {options.out}" if options.out else ""
    print(f"{seconds:.1f} s, {rate} on {device}{written}")


def _number(text: str) -> float:
    try:
        return number_in(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _numbers(text: str) -> list[float]:
    return [_number(part) for part in text.split(",")]


# key, title, side, width, format
COLUMNS = (
    ("objective", "objective", "<", 18, ""),
    ("loss", "loss", "<", 28, ""),
    ("seed", "seed", ">", 4, ""),
    ("learning_rate", "learning_rate", ">", 13, ".4g"),
    ("tv", "TV", ">", 8, ".4f"),
    ("kl_forward", "KL(target||model)", ">", 17, ".4g"),
    ("mean_log_reward", "mean_log_reward", ">", 15, ".4g"),
    ("log_z_bound", "log_z_bound", ">", 11, ".3f"),
    ("log_z", "log Z", ">", 8, ".3f"),
    ("log_z_true", "true log Z", ">", 10, ".3f"),
    ("modes_found", "modes", ">", 11, ""),
)


def _print_table(table: Sequence[Mapping[str, Any]]) -> None:
    columns = [column for column in COLUMNS if _worth_showing(column[0], table)]
    print(" ".join(f"{title:{side}{width}}" for _, title, side, width, _ in columns))
    for row in table:
        cells = [
            f"{'-' if row.get(key) is None else format(row[key], form):{side}{width}}"
            for key, _, side, width, form in columns
        ]
        if not row["moved"]:
            cells.append("  never moved")
        elif not row["finite"]:
            cells.append("  not finite")
        print(" ".join(cells))


def _worth_showing(key: str, table: Sequence[Mapping[str, Any]]) -> bool:
    values = {row.get(key) for row in table}
    return len(values) > 1 if key in ("objective", "learning_rate") else values != {None}


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
    from divergence_lab.training.sweeps.gathering import PointsFailed
    from divergence_lab.training.sweeps.points import read_sweep
    from divergence_lab.training.sweeps.sweeping import sweep

    try:
        table = sweep(
            read_sweep(options.file),
            options.out,
            cluster=options.cluster,
            workers=options.workers,
            device=options.device,
            hours=options.hours,
        )
    except PointsFailed as failed:
        print(f"{_new_line()}divergence-lab sweep: {failed}", file=sys.stderr)
        return CHECK_FAILED
    print(_new_line(), end="", file=sys.stderr)
    print(f"results of every run in {table}")
    return DONE


def _new_line() -> str:
    return "\n" if sys.stderr.isatty() else ""  # after the line of the progress
