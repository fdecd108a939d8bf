"""The page's own arithmetic, which only draws and answers while a slider moves: its JavaScript in
Node.js against the designer's Python, and its panels against enclosures.
"""

import json
import math
import random
import shutil
import subprocess
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from divergence_lab import loss
from divergence_lab.app import family, verdict_table
from divergence_lab.report import single_bump
from divergence_lab.report.free_loss import FreeLoss
from divergence_lab.report.panels import panels, values

SCRIPTS = Path(__file__).resolve().parents[1] / "page" / "js"
POINTS = [-9.0, -2.5, -0.3, 0.0, 1e-3, 0.7, 3.0]
ASK = """
import * as family from './family.js'
import { bestFit, words } from './bump.js'
import { readFileSync } from 'node:fs'
const { members, points } = JSON.parse(readFileSync(0, 'utf8'))
console.log(JSON.stringify(members.map(texts => {
  const one = family.member(...texts), { value, integral } = family.shape(one)
  const fit = bestFit(integral)
  return { text: family.text(one), name: family.nameOf(one), verdicts: family.verdicts(one),
    fit: [fit.mean, fit.width, fit.divergence], words: words(fit),
    value: points.map(value), integral: points.map(integral) }
})))
"""


def in_node(script, asked):
    """What a script beside the page's own prints."""
    if shutil.which("node") is None:
        pytest.skip("needs Node.js (Debian: apt-get install nodejs)")
    done = subprocess.run(
        ["node", "--input-type=module", "-e", script.replace("'./", f"'{SCRIPTS.as_uri()}/")],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


def members():
    drawn = random.Random(7)
    found = [*family.PRESETS.values(), family.Member(Fraction(1, 3), Fraction(-7, 5), Fraction(2))]
    for _ in range(4):
        left, right = (Fraction(drawn.randint(-40, 60), 20) for _ in range(2))
        found.append(family.Member(left, right, Fraction(drawn.randint(5, 80), 20)))
    return found


def test_the_page_answers_for_its_sliders_what_the_designer_answers():
    asked = members()
    texts = [[str(one.left), str(one.right), str(one.curvature)] for one in asked]
    for one, found in zip(asked, in_node(ASK, {"members": texts, "points": POINTS})):
        assert found["name"] == next(
            (n for n, known in family.PRESETS.items() if known == one), None
        )
        told = {row.name: [row.holds, row.because] for row in verdict_table.of_member(one)}
        assert {name: holds for name, (holds, _) in found["verdicts"].items()} == {
            name: holds for name, (holds, _) in told.items()
        }
        assert np.allclose(found["value"], one.value(np.array(POINTS)), rtol=1e-12, atol=0)
        assert np.allclose(found["integral"], one.integral(np.array(POINTS)), rtol=1e-9, atol=1e-15)
        assert np.allclose(values(loss(found["text"]).pieces, POINTS), found["value"], rtol=1e-9)
        best = single_bump.best_fit(one.integral)
        assert found["fit"][2] <= best.divergence * (1 + 1e-5)
        assert found["words"].split(":")[0] == single_bump.words(best).split(":")[0]


def test_what_is_no_member_is_refused():
    wrong = [
        ["0", "0", "0"],
        ["4", "0", "1"],
        ["1/0", "0", "1"],
        ["x", "0", "1"],
        ["1e3", "0", "1"],
    ]
    script = ASK[: ASK.index("console.log")] + (
        "console.log(JSON.stringify(members.map(texts => family.member(...texts))))"
    )
    assert in_node(script, {"members": wrong, "points": []}) == [None] * len(wrong)


def test_the_page_follows_panels_as_the_designer_does():
    text, points = "exp(x**2/2) - 1", [-5.0, -1.0, 0.0, 0.4, 2.0, 6.0]
    edges, table = panels(loss(text))
    script = """
    import { shapeOf } from './pictures.js'
    import { readFileSync } from 'node:fs'
    const { members, points } = JSON.parse(readFileSync(0, 'utf8'))
    console.log(JSON.stringify(points.map(shapeOf(members).integral)))
    """
    sent = {
        "g": [],
        "edges": edges,
        "panels": [[c if math.isfinite(c) else None for c in row] for row in table],
    }
    found = in_node(script, {"members": sent, "points": points})
    assert np.allclose(
        found, FreeLoss(text, loss(text)).integral(np.array(points)), rtol=1e-9, atol=1e-12
    )


def test_panels_beyond_one_that_cannot_be_followed_are_infinite():
    edges, table = panels(loss("exp(x**4) - 1"))
    broken = [low for low, row in zip(edges, table) if not math.isfinite(row[0])]
    assert broken and min(abs(low) for low in broken) > 1
    assert all(not math.isfinite(row[0]) for low, row in zip(edges, table) if low > max(broken) > 0)
