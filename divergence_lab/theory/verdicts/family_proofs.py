"""Stored proofs of the families in the catalogue: proposals, which the checker replays like any
other.

    a family that is named  ->  its steps, found once by the search  ->  believed when
    `checker_parameters` proves them

So what is said of `barron(alpha)` hangs on no search and on no budget of one. The table is written
by `python -m divergence_lab.theory.answers.prove_families`; a step in it that is wrong, or no
longer fits, is rejected and the search begins as if it were not there.
"""

import functools
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from divergence_lab.theory.catalogue.losses import LOSSES
from divergence_lab.theory.checker.certificate import step
from divergence_lab.theory.divergence.loss import Loss
from divergence_lab.theory.expressions import write
from divergence_lab.theory.verdicts.verdict import PROVED, Verdict

TABLE = Path(__file__).with_name("family_proofs.json")


@functools.cache
def table() -> Mapping[str, Mapping[str, Any]]:
    """{loss: {kind: {"holds", "condition", "steps"}}}, with the parameters as the catalogue
    names them.
    """
    return json.loads(TABLE.read_text(encoding="utf-8"))


def stored(kind: str, loss: Loss) -> Verdict | None:
    """What the table says of this loss, if it is there; for the checker to accept or not."""
    ours = _names(loss)
    found = table().get(_renamed(write(loss.expression), ours), {}).get(kind)
    if found is None:
        return None
    theirs = {name: own for own, name in ours.items()}
    steps = tuple(
        step(**{key: _renamed(value, theirs) for key, value in data.items()})
        for data in found["steps"]
    )
    return Verdict(found["holds"], PROVED, "as stored", _renamed(found["condition"], theirs), steps)


def _names(loss: Loss) -> dict[str, str]:
    """huber(d) -> {"d": "delta"}: what the user calls the parameters, and the catalogue."""
    family, _, inside = (loss.name or "").removesuffix(")").partition("(")
    own = inside.split(", ")
    known = next((list(entry.parameters) for entry in LOSSES if entry.name == family), [])
    return (
        dict(zip(own, known)) if len(own) == len(known) and all(map(str.isidentifier, own)) else {}
    )


def _renamed(text: str | None, names: Mapping[str, str]) -> str | None:
    return text and re.sub(r"[A-Za-z_]\w*", lambda word: names.get(word[0], word[0]), text)
