"""The sampled part of figure5_molecules.py: molecules of 2 to 8 blocks by a message-passing
policy.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

import divergence_lab as dl
from divergence_lab.results.provenance import environment
from divergence_lab.results.storage import write_atomically

OBJECTIVES = ("tb", "db", "subtb(0.99)", "fm")
MAX_BLOCKS, EPSILON, BATCH, RATE = 8, 0.05, 4, 5e-4  # the paper's
# TB's log Z starts as released; flows start at 0, there as here.  Log Z learns faster than as
# released (5e-4), where it could not move by more than 0.5 in 1,000 steps.
LOG_Z, RATE_LOG_Z = 30.0, 0.1
CLIP = 10.0  # the default of `train`; the released code cuts no gradient here
SOME = 1000  # molecules whose similarity is taken, drawn from all of a run
MODES = {"sEH": (6.0, 7.5), "QED": (0.7, 0.8)}  # raw values from which on a scaffold counts


def sampled_part(
    folder: Path,
    data: str | None,
    size: dict,
    device: str,
    losses,
    released: bool,
    gather: bool = False,
) -> None:
    """sampled.json: one record per objective, loss and seed, of all molecules drawn while
    training.
    """
    from divergence_lab.graphs.molecules.generated import generated_molecules

    dag = generated_molecules(MAX_BLOCKS, data)
    rows, seconds = [], {}
    tag = ("-qed" if is_qed(dag.name) else "") + ("-as-released" if released else "")
    for objective in OBJECTIVES:
        path = folder / "runs" / f"sampled-{objective}{tag}.json"
        settings = {
            "space": dag.name,
            **{name: size[name] for name in ("net_seeds", "steps", "width", "depth", "keep")},
            **({"max_grad_norm": None, "learning_rate_log_z": RATE} if released else {}),
        }
        if not path.exists() or json.loads(path.read_text()).get("settings") != settings:
            if gather:
                continue
            key = hashlib.sha256(json.dumps([path.stem, settings]).encode()).hexdigest()[:12]
            found, spent = _run(
                dag,
                data,
                objective,
                size,
                device,
                losses(objective, released),
                path.with_name(key),
                released,
            )
            _write(path, {"rows": found, "seconds": spent, "settings": settings})
            print(f"sampled, {objective}: {spent:.0f} s", file=sys.stderr, flush=True)
        run = json.loads(path.read_text())
        rows += run["rows"]
        seconds[objective] = run["seconds"]
    if len(seconds) < len(OBJECTIVES):
        print(
            f"only {len(seconds)} of {len(OBJECTIVES)} objectives are finished in "
            f"{folder / 'runs'}: nothing gathered",
            file=sys.stderr,
        )
        return
    about = {
        **size,
        "space": dag.name,
        "batch": BATCH,
        "sampler": f"epsilon:{EPSILON}",
        "learning_rate": RATE,
        "learning_rate_log_z": RATE if released else RATE_LOG_Z,
        "max_grad_norm": None if released else CLIP,
        "initial_log_z_of_tb": LOG_Z,
        "backward": "uniform",
        "as_released": released,
        "similarity_of": SOME,
        "seconds": seconds,
        "environment": environment(torch.device(device)),
    }
    _write(folder / f"sampled{tag}.json", {"about": about, "runs": rows})


def is_qed(space: str) -> bool:
    """Is the reward of this space QED?  Its name says so."""
    return "(QED" in space


def _run(
    dag,
    data: str | None,
    objective: str,
    size: dict,
    device: str,
    losses: dict,
    place: Path,
    released: bool,
) -> tuple[list, float]:
    """Train in the folder `place`, where a run that was stopped goes on, and measure all
    molecules that were drawn.
    """
    result = dl.train(
        losses,
        dag,
        objective=objective,
        policy="mpnn",
        width=size["width"],
        depth=size["depth"],
        sampler=f"epsilon:{EPSILON}",
        batch=BATCH,
        seeds=size["net_seeds"],
        steps=size["steps"],
        learning_rate=RATE,
        decay=0.0,
        evaluations=1,
        device=device,
        learning_rate_log_z=RATE if released else RATE_LOG_Z,
        max_grad_norm=None if released else CLIP,
        initial_log_z=LOG_Z if objective == "tb" else 0.0,
        initial_log_flow=0.0,
        on_drawn=recorder(place / "drawn.int16"),
        out=place,
        resume=True,
    )
    drawn = np.fromfile(place / "drawn.int16", dtype=np.int16)
    drawn = drawn.reshape(size["steps"], len(losses), size["net_seeds"], BATCH, -1).transpose(
        1, 2, 0, 3, 4
    )
    states = torch.from_numpy(np.ascontiguousarray(drawn)).long().flatten(2, 3)
    rows = []
    for row, loss in enumerate(losses):
        for seed in range(states.shape[1]):
            record = {"objective": objective, "loss": loss, "seed": seed, "steps": size["steps"]}
            record["finite"] = bool(result.finite[row, seed])
            rows.append({**record, **measures(dag, data, states[row, seed], size["keep"])})
    return rows, result.seconds


def recorder(path: Path) -> Callable[[int, torch.Tensor], None]:
    """Writes the states [L, N, B, D] of step k to their place in a file; what a stopped run drew
    after its checkpoint is redrawn.
    """

    def keep(step: int, states: torch.Tensor) -> None:
        content = states.cpu().to(torch.int16).numpy().tobytes()
        path.touch()
        with open(path, "r+b") as file:
            if file.seek(0, 2) < step * len(content):
                raise OSError(
                    f"{path} lacks what was drawn before step {step}; remove "
                    f"{path.parent} and start over"
                )
            file.seek(step * len(content))
            file.write(content)
            file.truncate()

    return keep


def measures(dag, data: str | None, states: torch.Tensor, keep: int) -> dict[str, float]:
    """What Figure 5 shows, of the molecules [J, D] of one run in the order drawn."""
    from divergence_lab.graphs.molecules.chemistry import assemble, read_blocks, smiles_of
    from divergence_lab.graphs.molecules.generated import OWN_BLOCKS, fragment_states
    from divergence_lab.graphs.molecules.proxy import NORM
    from divergence_lab.graphs.molecules.similarity import fingerprints, mean_similarity, scaffolds

    blocks = OWN_BLOCKS if data is None else read_blocks(data)
    seh = not is_qed(dag.name)
    reward = dag.log_reward(states).exp().numpy()
    raw = reward**0.25 * (NORM if seh else 1.0)
    molecules = [assemble(state, blocks) for state in fragment_states(states, blocks, MAX_BLOCKS)]
    _, first = np.unique([smiles_of(molecule) for molecule in molecules], return_index=True)
    top = first[np.argsort(-reward[first], kind="stable")][:keep]
    some = np.random.default_rng(0).permutation(len(molecules))[:SOME]
    prints = fingerprints(molecules)
    all_scaffolds = np.array(scaffolds(molecules))
    return {
        "molecules": len(molecules),
        "distinct": len(first),
        "mean_reward": float(reward.mean()),
        "similarity": mean_similarity(prints[some]),
        "top_reward": float(reward[top].mean()),
        "top_similarity": mean_similarity(prints[top]),
        **{
            f"scaffolds_{at:g}": len(set(all_scaffolds[raw >= at]))
            for at in MODES["sEH" if seh else "QED"]
        },
    }


def _write(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, (json.dumps(content, indent=1) + "\n").encode())
