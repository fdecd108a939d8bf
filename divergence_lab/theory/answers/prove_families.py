"""Writes the table of `family_proofs`: python -m divergence_lab.theory.answers.prove_families

Every family of the catalogue with its parameters left open, and every named divergence with one, is
put to the search with a long budget. Only what it proved is kept, without the words that the data
say.
"""

import json
import sys
from collections.abc import Iterator
from typing import Any

from divergence_lab.theory.budget.asking import (
    OutOfTime,
    SearchFailed,
    allow_fork,
    be_patient,
    within,
)
from divergence_lab.theory.catalogue import divergences, losses
from divergence_lab.theory.divergence.inversion import invert
from divergence_lab.theory.divergence.loss import Loss, loss
from divergence_lab.theory.expressions import write
from divergence_lab.theory.verdicts import family_proofs, parameters
from divergence_lab.theory.verdicts.verdict import KINDS

SECONDS = 60.0


def families() -> Iterator[Loss]:
    """Each family as `derive` reads it by name, and as `invert` finds it."""
    for entry in losses.LOSSES:
        if entry.parameters:
            yield loss(f"{entry.name}({', '.join(entry.parameters)})")
    for entry in divergences.DIVERGENCES:
        if entry.parameter:
            yield invert(entry.name, budget=SECONDS).loss


def proofs(entry: Loss) -> dict[str, Any]:
    """{kind: {"holds", "condition", "steps"}} for what the search proves."""
    found = {}
    for kind in KINDS:
        try:
            verdict = within(SECONDS, parameters.searched, kind, entry, SECONDS)
        except (OutOfTime, SearchFailed):
            continue
        found[kind] = {
            "holds": verdict.holds,
            "condition": verdict.condition,
            "steps": [{"rule": s.rule, **dict(s.data)} for s in verdict.steps],
        }
    return found


def main() -> None:
    """Write the table."""
    allow_fork()
    be_patient(SECONDS)
    known = {write(entry.expression): proofs(entry) for entry in families()}
    lines = [
        f"{json.dumps(text)}: {{\n"
        + ",\n".join(f"  {json.dumps(kind)}: {json.dumps(found)}" for kind, found in kinds.items())
        + "\n}"
        for text, kinds in sorted(known.items())
    ]
    family_proofs.TABLE.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
    print(
        f"{len(known)} families, {sum(map(len, known.values()))} proofs: {family_proofs.TABLE}",
        file=sys.stderr,
    )


if __name__ == "__main__":
    main()
