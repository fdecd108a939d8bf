"""What the page asks in its Web Worker: the command line's own words, and numbers to draw.

    answer('{"kind": "command", "words": ["derive", "x**2", "--json"]}')
      ->  '{"code": 0, "out": "[...]", "err": "", "shown": [...], "cut": 0}'

`out` is what the command prints, letter by letter; `shown` has its formulas as MathML, and its
sentences cut in words and formulas. Nothing of theory is computed here. `begin` is what the worker
calls first; the rest runs anywhere.
"""

import contextlib
import io
import json
import re
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import formulas

from divergence_lab.cli.main import main
from divergence_lab.inputs import InputError
from divergence_lab.report.panels import panels, values
from divergence_lab.report.typeset import parts_of
from divergence_lab.theory.budget import in_place
from divergence_lab.theory.budget.asking import OutOfTime, SearchFailed, cut_short, within
from divergence_lab.theory.divergence.loss import loss
from divergence_lab.theory.expressions import ExpressionError
from divergence_lab.theory.expressions.syntax import shown

CURVE_SECONDS = 20.0
# how a command says that a library is absent
_ABSENT = re.compile(r"(?:No module named '|needs )(numpy|scipy|torch|matplotlib)\b")
# the residuals at which g is drawn
RESIDUALS = [-4 + k / 20 for k in range(161)]
LONGEST = 2000  # letters of a sentence that is set
SHOWN = ("loss", "loss_derivative", "generator", "dual_loss", "normalised", "given")


def begin(set_alarm: Callable[[float], None]) -> None:
    """Searches end when the worker's alarm rings."""
    in_place.use_alarm(set_alarm)
    signal.signal(signal.SIGINT, in_place.ring)


def answer(question: str) -> str:
    """The answer to one question, both as JSON; `cut` is how many searches were ended in the midst.

    A question is {"kind": "command", "words", "files"}, or {"kind": "curves", "text", "assume",
    "values"}.
    """
    asked, cut, started = json.loads(question), cut_short(), time.perf_counter()
    found = {"command": _command, "curves": _curves}[asked["kind"]](asked)
    spent = time.perf_counter() - started
    return json.dumps({**found, "cut": cut_short() - cut, "seconds": round(spent, 3)})


# --- the command line


def _command(asked: dict[str, Any]) -> dict[str, Any]:
    for path, content in asked.get("files", {}).items():
        Path(path).write_text(content)
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = main(asked["words"])
        except SystemExit as ended:  # what argparse refuses
            code = ended.code
        except (ModuleNotFoundError, SearchFailed) as failure:
            code = 2
            err.write(f"{failure}\n")
    found = {"code": code, "out": out.getvalue(), "err": _told(asked["words"][0], err.getvalue())}
    listed = code == 0 and "--json" in asked["words"] and found["out"].startswith("[")
    rows = json.loads(found["out"]) if listed else []
    return {**found, "shown": [_formulas(row) for row in rows if isinstance(row, dict)]}


def _told(command: str, err: str) -> str:
    """What a command says on standard error; of a library that the page lacks, what to do here."""
    if (absent := _ABSENT.search(err)) is None:
        return err
    return (
        f"{command}: this needs {absent[1]}, which the page does not have: "
        "use the installed divergence-lab\n"
    )


def _formulas(row: dict[str, Any]) -> dict[str, Any]:
    """The formulas of a row of derive, invert or design, as MathML; `sentences`: each reason and
    each claim of a proof -> words, MathML, words, ...
    """
    drawn = {
        field: formulas.mathml(row[field]) for field in SHOWN if isinstance(row.get(field), str)
    }
    return {**drawn, "sentences": {text: parts_of(text) for text in _sentences(row)}}


def _sentences(part: Any) -> Iterator[str]:
    if isinstance(part, list):
        for item in part:
            yield from _sentences(item)
    elif isinstance(part, dict):
        for key, item in part.items():
            if key in ("because", "claim") and isinstance(item, str) and len(item) < LONGEST:
                yield item
            else:
                yield from _sentences(item)


# --- numbers to draw


def _curves(asked: dict[str, Any]) -> dict[str, Any]:
    text = asked["text"]
    try:
        given = asked.get("assume", []), asked.get("values", {})
        return within(CURVE_SECONDS, numbers, text, *given)
    except OutOfTime:
        return {"problem": f"{shown(text)}: its curves took longer than {CURVE_SECONDS:g} s"}
    except SearchFailed as failure:
        known = isinstance(failure.__cause__, InputError)
        return {"problem": str(failure.__cause__ if known else failure)}


def numbers(text: str, assume: list[str], values_given: dict[str, str]) -> dict[str, Any]:
    """g on RESIDUALS and the panels of I(u); what is not finite is None. Raises ExpressionError."""
    read = loss(text, assume, values_given)
    if read.parameters:
        names = ", ".join(map(str, read.parameters))
        raise ExpressionError(f"{shown(text)}: the curves need numbers: set values for {names}")
    edges, table = panels(read)
    return {
        "x": RESIDUALS,
        "g": list(map(_finite, values(read.pieces, RESIDUALS))),
        "edges": edges,
        "panels": [list(map(_finite, row)) for row in table],
    }


def _finite(value: float) -> float | None:
    return value if abs(value) < float("inf") else None
