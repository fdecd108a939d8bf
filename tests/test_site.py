"""What the site makes by itself: the pages of the losses, of the command line and of the settings
say what the package says.
"""

import json
import re
from dataclasses import fields
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SITE = ROOT / "docs" / "site"


@pytest.fixture(scope="module", autouse=True)
def site_on_path():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(SITE))
        yield


def test_saved_losses_are_those_of_the_catalogue():
    """By the verdicts of the catalogue, which other tests hold against `derive`; the slow test
    below derives anew.
    """
    from divergence_lab.theory.catalogue.named import LOSSES

    saved = json.loads((SITE / "losses.json").read_text(encoding="utf-8"))
    assert list(saved) == [entry.name for entry in LOSSES], "run docs/site/save_losses.py"
    for entry in LOSSES:
        for kind, found in saved[entry.name]["verdicts"].items():
            expected = getattr(entry.expected, kind)
            if isinstance(expected, bool):
                assert found["holds"] is expected, (entry.name, kind)
            else:
                assert found["holds"] is None and found["condition"], (entry.name, kind)


@pytest.mark.slow
def test_saved_losses_are_what_is_derived_now():
    import save_losses

    from divergence_lab.theory.catalogue.named import LOSSES

    saved = json.loads((SITE / "losses.json").read_text(encoding="utf-8"))
    for entry in LOSSES:
        now = json.loads(json.dumps(save_losses.of_entry(entry)))
        assert alike(saved[entry.name], now), entry.name


def alike(one, other):
    """Equal, but for the last digits of numbers, which differ between processors."""
    if isinstance(one, float) and isinstance(other, float):
        return one == pytest.approx(other, rel=2e-3, abs=1e-9)  # saved to four digits
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(alike(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(alike, one, other))
    return one == other


def test_curves_that_differ_are_told_apart():
    saved = json.loads((SITE / "losses.json").read_text(encoding="utf-8"))
    assert alike(saved["quadratic"], saved["quadratic"])
    assert not alike(saved["quadratic"], saved["absolute"])
    moved = json.loads(json.dumps(saved["quadratic"]))
    moved["curves"][0]["g"][0] *= 1.01
    assert not alike(saved["quadratic"], moved)


def test_every_named_loss_has_a_page_that_shows_all_of_it():
    import loss_pages

    from divergence_lab.theory.catalogue.named import LOSSES

    pages = loss_pages.pages()
    assert len(pages) == len(LOSSES) + 1
    for entry in LOSSES:
        page = pages[f"losses/{entry.name}.md"]
        assert page.count("<svg") >= 3 and page.count("<tr>") == 7
        assert "divergence-lab export" in page and "Source: " in page
        assert not re.search(
            r"\boo\b|\*\*|''",
            re.sub(r"<[^>]+>|```.*?```|\$\$.*?\$\$|\*\*", "", page, flags=re.DOTALL),
        ), entry.name
        assert f'href="{entry.name}.html"' in pages["losses/index.md"]
    in_nav = json.dumps(loss_pages.navigation())
    assert all(f"losses/{entry.name}.md" in in_nav for entry in LOSSES)


def test_the_page_of_the_command_line_has_every_option_of_the_parser():
    import command_page

    from divergence_lab.cli.main import _parser

    page = command_page.page()
    for action in _parser()._actions:
        for name, command in (getattr(action, "choices", None) or {}).items():
            assert f"[`{name}`](#{name})" in page
            part = page.partition(f"\n## {name}")[2].partition("\n## ")[0]
            for option in command._actions:
                assert all(
                    word in part or word in ("-h", "--help") for word in option.option_strings
                )
    assert "%(default)" not in page and "==SUPPRESS==" not in page


def test_the_table_of_settings_is_that_of_train():
    from divergence_lab.training.arguments import Arguments

    page = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
    rows = re.findall(
        r"^\| (`\w+`(?:, `\w+`)*) \| (`--[\w-]+`)? ?\| `([^`]+)` \|", page, re.MULTILINE
    )
    shown = {name: value for names, _, value in rows for name in re.findall(r"\w+", names)}
    for entry in fields(Arguments):
        default = entry.default
        written = f'"{default}"' if isinstance(default, str) else str(default)
        assert shown.pop(entry.name) == written, entry.name
    assert not shown


def test_a_docstring_s_first_sentence_is_whole_and_shows_no_escape():
    from plain_docstrings import plain

    assert (
        plain("`graph_from_text` is 0.3 < x * y_z") == "`graph_from_text` is 0.3 &lt; x \\* y\\_z"
    )
