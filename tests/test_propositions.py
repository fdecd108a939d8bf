"""Every proposition that a docstring cites exists, and every proposition names a function that
exists.
"""

import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "docs" / "propositions.md").read_text()
SECTIONS = dict(
    re.findall(r'<a id="p(\d+)"></a>\n(.*?)(?=\n<a id="p\d+"></a>|\Z)', TEXT, re.DOTALL)
)


def test_the_propositions_are_numbered_and_complete():
    assert list(map(int, SECTIONS)) == list(range(1, 35))
    for number, section in SECTIONS.items():
        assert section.startswith(f"## P{number}. ")
        for part in ("**Statement.**", "**Proof.**", "∎", "**Example.**", "**In the package:**"):
            assert part in section, f"P{number} has no {part}"


@pytest.mark.parametrize("number", SECTIONS)
def test_each_names_a_function_that_exists(number):
    (name,) = re.findall(r"\*\*In the package:\*\* `([\w.]+)`", SECTIONS[number])
    module, function = name.rsplit(".", 1)
    assert callable(getattr(importlib.import_module(module), function))


@pytest.mark.parametrize(
    "path", sorted((ROOT / "divergence_lab").rglob("*.py")), ids=lambda p: p.name
)
def test_cited_propositions_exist(path):
    text = path.read_text()
    cited = re.findall(r"\bPropositions?\s+(\d+)", text) + re.findall(
        r"propositions\.md#p(\d+)", text
    )
    assert set(cited) <= set(SECTIONS), (
        f"{path.name} cites a proposition that is not in docs/propositions.md"
    )


def test_cross_references_inside_the_document_exist():
    assert set(re.findall(r"\bP(\d+)\b", TEXT)) <= set(SECTIONS)
