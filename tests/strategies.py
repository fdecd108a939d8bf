"""Hypothesis strategies and reference losses that several test files share."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import strategies as st

# The paper's four losses: text, divergence, factor, f, f(0+), f'(oo), zero-forcing, zero-avoiding
# (Hu et al., Table 2)
PAPER = {
    "quadratic": ("x**2/2", "reverse KL", "1", "t - log(t) - 1", "oo", "1", True, False),
    "linex(1)": ("exp(x) - x - 1", "forward KL", "1", "t*log(t) - t + 1", "1", "oo", False, True),
    "linex(1/2)": (
        "4*exp(x/2) - 2*x - 4",
        "squared Hellinger",
        "2",
        "2*t - 4*sqrt(t) + 2",
        "2",
        "2",
        False,
        False,
    ),
    "shifted_cosh": (
        "exp(x) + exp(-x) - 2",
        "forward KL plus half Neyman chi-square",
        "1",
        "t*log(t) - t/2 + 1/(2*t)",
        "oo",
        "oo",
        True,
        True,
    ),
}

SHARED = Path(__file__).resolve().parents[2] / "shared"
needs_golden = pytest.mark.skipif(
    not (SHARED / "golden" / "losses.json").exists(),
    reason="the golden table ../shared/golden/losses.json is not on this machine",
)


def golden() -> list[dict]:
    path = SHARED / "golden" / "losses.json"
    return json.loads(path.read_text()) if path.exists() else []


# Text that is Python, or nearly so, and must never run; and text that is an expression or nearly
# so.
FRAGMENTS = [
    "x",
    "t",
    "exp",
    "log",
    "(",
    ")",
    "+",
    "-",
    "*",
    "/",
    "**",
    "2",
    "1/3",
    "0.5",
    "9",
    ",",
    " ",
    "Abs",
    "Piecewise",
    "True",
    "<",
    "__import__",
    "'os'",
    ".",
    "system",
    "lambda",
    ":",
    "[",
    "]",
    "{",
    "}",
    "=",
    "==",
    "eval",
    "\\",
    "\n",
    "\0",
    "@",
    "if",
    "else",
    "for",
    "in",
    "await",
    "f'",
    '"',
    "#",
    ";",
    "%",
    "//",
    "1e9",
    "1j",
    "None",
    "import",
    "open",
    "alpha",
    "pi",
    "E",
    "I",
    "oo",
    "gamma",
    "polylog",
    "é",
    "x" * 50,
]
expression_like = st.lists(st.sampled_from(FRAGMENTS), max_size=25).map("".join)
