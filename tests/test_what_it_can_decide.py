"""The page of what is decided says what is so: each loss of its tables, with the verdicts that it
leaves open.
"""

import json
import re
import shlex
from pathlib import Path

import pytest

from divergence_lab.cli.main import main
from divergence_lab.theory.verdicts.verdict import KINDS

PAGE = (Path(__file__).resolve().parents[1] / "docs" / "what_it_can_decide.md").read_text()
DECIDED, OPEN = PAGE.split("## Decided")[1].split("## Left open")


def rows(text: str) -> list[list[str]]:
    """The last two cells of each row that has an example, without the marks of code."""
    lines = re.findall(r"^\|.*\| ([^|]*) \| (.*`.*) \|$", text, re.MULTILINE)
    return [[cell.replace(r"\|", "|") for cell in line] for line in lines]


def left_open(example: str, capsys: pytest.CaptureFixture[str]) -> set[str]:
    loss, *options = re.findall(r"`([^`]+)`", example)
    assert main(["derive", loss, "--json", *shlex.split(" ".join(options))]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    return {kind for kind in KINDS if found[kind]["status"] == "undecided"}


def some_now(cases):
    """Every third in make test, all in make test-slow."""
    cases = list(cases)
    return [
        pytest.param(one, marks=() if i % 3 == 0 else pytest.mark.slow)
        for i, one in enumerate(cases)
    ]


@pytest.mark.parametrize("example", some_now(example for _, example in rows(DECIDED)))
def test_all_is_decided(example, capsys):
    assert left_open(example, capsys) == set()


@pytest.mark.parametrize("row", some_now(rows(OPEN)))
def test_what_is_said_to_be_open_is_open(row, capsys):
    kinds, example = row
    assert left_open(example, capsys) == set(re.findall(r"\w+", kinds))
