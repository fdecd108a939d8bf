"""The command `molecules`: score molecules, fetch the published weights."""

import argparse
from dataclasses import asdict

from divergence_lab.cli.arguments import DONE, AddCommand, print_json


def add_commands(command: AddCommand) -> None:
    """Add `molecules score` and `molecules fetch`."""
    one = command(
        "molecules",
        _run,
        "score molecules by the published sEH proxy, or by QED where its weights are not at hand",
        "divergence-lab molecules score CC(=O)Oc1ccccc1C(=O)O --data weights",
    )
    one.add_argument(
        "what",
        choices=("score", "fetch"),
        help="score ITEM...; fetch DIR: download the published weights",
    )
    one.add_argument(
        "items",
        nargs="+",
        metavar="ITEM",
        help="a SMILES, or a JSON file with a list of SMILES or fragment states; for fetch: "
        "the folder to fill",
    )
    one.add_argument(
        "--data",
        metavar="DIR",
        help="folder with best_params.pkl.gz and blocks_PDB_105.json (score)",
    )
    one.add_argument(
        "--from", dest="source", metavar="URL", help="where to fetch from (the authors' repository)"
    )
    one.add_argument("--json", action="store_true", help="one JSON document on standard output")


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
        print_json([asdict(one) for one in scores])
        return DONE
    print(f"{'raw':>9} {'reward':>11}  molecule")
    for one in scores:
        print(f"{one.raw:>9.4f} {one.reward:>11.4g}  {one.smiles}")
    print(scores[0].proxy if scores else "nothing to score")
    return DONE
