"""The command `molecules`: score molecules, fetch the published weights."""

import argparse
from dataclasses import asdict

from divergence_lab.cli.arguments import DONE, JSON, AddCommand, json_text, option


def add_commands(command: AddCommand) -> None:
    """Add `molecules score` and `molecules fetch`."""
    command(
        "molecules",
        _run,
        "score molecules by the published sEH proxy, or by QED without its weights",
        "divergence-lab molecules score 'CC(=O)Oc1ccccc1C(=O)O'",
        option(
            "what",
            choices=("score", "fetch"),
            help="score ITEM..., or fetch DIR: download the published weights to DIR",
        ),
        option(
            "items",
            nargs="+",
            metavar="ITEM",
            help="a SMILES, or a JSON file with a list of SMILES or of fragment states; with "
            "fetch, "
            "the folder to fill",
        ),
        option(
            "--data",
            metavar="DIR",
            help="with score: the folder of best_params.pkl.gz and blocks_PDB_105.json; without "
            "it, "
            "the reward is QED",
        ),
        option(
            "--from",
            dest="source",
            metavar="URL",
            help="with fetch: download from here; without it, from the authors' repository",
        ),
        JSON,
    )


def _run(options: argparse.Namespace) -> int:
    from divergence_lab.graphs.molecules.chemistry import MoleculeError
    from divergence_lab.graphs.molecules.scoring import read_items, score
    from divergence_lab.graphs.molecules.weights import SOURCE, fetch

    if options.what == "fetch":
        if len(options.items) != 1:
            raise MoleculeError("fetch takes one folder: divergence-lab molecules fetch DIR")
        for path in fetch(options.items[0], options.source or SOURCE):
            print(path)
        return DONE
    scores = score(read_items(options.items, options.data), options.data)
    if options.json:
        print(json_text([asdict(scored) for scored in scores]))
        return DONE
    print(f"{'raw':>9} {'reward':>11}  molecule")
    for scored in scores:
        print(f"{scored.raw:>9.4f} {scored.reward:>11.4g}  {scored.smiles}")
    print(scores[0].proxy if scores else "nothing to score")
    return DONE
