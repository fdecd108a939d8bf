"""Answers for the catalogue, computed when the page is built: python page/answers.py FOLDER.

They are the engine's own, asked as the page asks it, and shown until Python has started there.
"""

import json
import re
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent / "python"))
import engine

from divergence_lab.app import with_torch
from divergence_lab.app.background import STEPS
from divergence_lab.app.choice import presets
from divergence_lab.app.learned import BATCH, Learned
from divergence_lab.cli.design import FORMS
from divergence_lab.cli.theory import catalogue_to_json
from divergence_lab.theory.answers.placements import WHERE
from divergence_lab.theory.catalogue.named import PAPER_LOSSES

BUDGET = "60"


def ask(question: dict[str, Any]) -> dict[str, Any]:
    """The engine's answer to a question."""
    return json.loads(engine.answer(json.dumps(question)))


def stored(call: str) -> dict[str, Any]:
    """All that the page shows of a named loss."""
    words = ["derive", call, "--budget", BUDGET, "--json"]
    found, curves = (
        ask(question)
        for question in ({"kind": "command", "words": words}, {"kind": "curves", "text": call})
    )
    (row,) = json.loads(found["out"])
    (shown,) = found["shown"]
    return {
        "row": row,
        "shown": shown,
        "curves": curves if "g" in curves else None,
        **({"learned": trained(call)} if call in PAPER_LOSSES else {}),
    }


def trained(call: str) -> dict[str, Any]:
    """What a small GFlowNet learned with the loss."""
    *_, found = with_torch.learn(call, STEPS)
    assert isinstance(found, Learned)
    return {
        "target": found.target.round(6).tolist(),
        "law": found.law.round(6).tolist(),
        "steps": [int(step) for step in found.steps],
        "tv": [round(float(distance), 5) for distance in found.total_variation],
        "modes": found.modes,
        "batch": BATCH,
    }


def write(folder: Path) -> None:
    """A file for each named loss, and one that lists them and says what the commands offer."""
    folder.mkdir(parents=True, exist_ok=True)
    uses = {row["name"]: row["use"] for row in catalogue_to_json() if row["kind"] == "loss"}
    index = []
    for call in presets():
        answer, file = stored(call), re.sub(r"\W+", "_", call).strip("_") + ".json"
        (folder / file).write_text(json.dumps(answer))
        row = answer["row"]
        index.append(
            {
                "call": call,
                "name": row["name"],
                "formula": row["loss"],
                "divergence": row["divergence"] or "",
                "use": uses.get(call.split("(")[0]) or "",
                "file": file,
            }
        )
    offers = {"forms": FORMS, "placements": WHERE, "losses": index}
    (folder / "index.json").write_text(json.dumps(offers))


if __name__ == "__main__":
    write(Path(sys.argv[1]))
