"""The committed tables are what the scripts compute now, and a wrong claim is noticed."""

from __future__ import annotations

import dataclasses

import pytest

from paper_checks import table2_losses
from paper_checks.table2_losses import REPORT, TABLE_2, main, recompute, render


@pytest.fixture(scope="module")
def report():
    return recompute()


def test_the_committed_table_is_what_the_script_computes(report):
    assert REPORT.read_text() == render(report), "run `make paper`"


def test_everything_claimed_agrees_except_the_known_slip(report):
    assert report.holds and not report.unexpected
    assert {row.subject for row in report.table} == {
        "Quadratic",
        "Linex(1)",
        "Linex(1/2)",
        "Shifted-Cosh",
    }
    assert [row.subject for row in report.table if row.agrees is None] == ["Shifted-Cosh"]
    assert all(row.agrees is False for row in report.slips)


WRONG = {
    "g": {"g": "x**2"},
    "f": {"f": "t - log(t) + 1"},
    "f(0)": {"f_at_zero": "1"},
    "f'(oo)": {"slope_at_infinity": "oo"},
    "zero-forcing": {"zero_forcing": False},
    "zero-avoiding": {"zero_avoiding": True},
    "divergence": {"generator_of_name": "t*log(t) - t + 1"},
}


@pytest.mark.parametrize("quantity", WRONG)
def test_a_wrong_claim_about_the_quadratic_loss_is_flagged(quantity):
    """Negative control, one for each column of Table 2."""
    rows = table2_losses.table_rows((dataclasses.replace(TABLE_2[0], **WRONG[quantity]),))
    assert quantity in {row.quantity for row in rows if not row.as_expected}


def test_a_wrong_claim_ends_with_exit_code_1(tmp_path, capsys):
    claims = (dataclasses.replace(TABLE_2[0], slope_at_infinity="2"), *TABLE_2[1:])
    assert main(tmp_path / "table.md", claims) == 1
    assert "**NO**" in (tmp_path / "table.md").read_text()
    assert "unexpected: Quadratic, f'(oo): claimed `2`, recomputed `1`" in capsys.readouterr().err


def test_a_slip_that_is_none_is_flagged_too(monkeypatch):
    monkeypatch.setattr(table2_losses, "SLIP", "t*log(t) - t + 1")
    assert not any(row.as_expected for row in table2_losses.slip_rows())


def test_it_ends_with_exit_code_0_when_all_is_as_expected(tmp_path, capsys):
    assert main(tmp_path / "table.md") == 0
    assert capsys.readouterr().out.strip() == REPORT.read_text().strip()


@pytest.fixture
def theorem_b1(monkeypatch):
    from pathlib import Path

    monkeypatch.syspath_prepend(str(Path(__file__).resolve().parents[1] / "paper_checks"))
    import theorem_b1

    return theorem_b1


def test_theorem_b1_is_what_the_script_computes(theorem_b1):
    rows = theorem_b1.recompute()
    assert len(rows) == 16 and all(row.agrees and row.convex_agrees for row in rows)
    assert theorem_b1.REPORT.read_text() == theorem_b1.render(rows), "run `make paper`"


def test_a_wrong_generator_or_a_wrong_stretch_is_noticed(theorem_b1):
    row = theorem_b1.recompute()[1]  # f_2 of the quadratic loss, convex up to E
    from divergence_lab.theory.expressions.symbols import t

    assert not dataclasses.replace(row, claimed=row.claimed + t**2 / 10).agrees
    assert dataclasses.replace(row, claimed=row.claimed + 3 * (t - 1)).agrees  # the gauge
    assert not dataclasses.replace(row, printed="t - 1").agrees
    assert not theorem_b1.convex_on(row.claimed, ("0", "3")) and not theorem_b1.convex_on(
        row.claimed, ("0", "oo")
    )


@pytest.fixture
def bit_check(monkeypatch):
    from pathlib import Path

    monkeypatch.syspath_prepend(str(Path(__file__).resolve().parents[1] / "paper_checks"))
    import tables3_4_bits
    import tables3_4_bits_page

    return tables3_4_bits, tables3_4_bits_page


def without_seconds(path):
    """The table but for its last column, which depends on what else the machine does."""
    return [line.rpartition(",")[0] for line in path.read_text().splitlines()]


def test_bits_run_and_their_page_says_what_was_not(bit_check, monkeypatch, tmp_path):
    runs, page = bit_check
    small = (runs.Part("twin", 4, 2, ("DB",), 1, 3, 1),)
    monkeypatch.setitem(runs.PRESETS, "quick", small)
    monkeypatch.setattr(page, "RESULTS", tmp_path)
    monkeypatch.setattr(page, "PAGE", tmp_path / "page.md")
    assert (
        runs.main(["--preset", "quick", "--device", "cpu", "--out", str(tmp_path / "standard")])
        == 0
    )
    page.write()
    text = (tmp_path / "page.md").read_text()
    assert text.count("not run") == 24 and "| DB, twin | 4x2 | Shifted-Cosh | 1 x 3 |" in text
    # a later run with one more seed is stopped before it does anything: what the table held stays
    before = without_seconds(tmp_path / "standard" / "runs.csv")
    monkeypatch.setitem(runs.PRESETS, "quick", (dataclasses.replace(small[0], seeds=2),))
    assert (
        runs.main(
            [
                "--preset",
                "quick",
                "--gather",
                "--device",
                "cpu",
                "--out",
                str(tmp_path / "standard"),
            ]
        )
        == 0
    )
    assert without_seconds(tmp_path / "standard" / "runs.csv") == before
    planned = [
        (part, name, seed)
        for part in runs.PRESETS["quick"]
        for seed in range(2)
        for name in part.objectives
    ]
    assert len(runs.together(planned, {}, tmp_path / "standard")[0]) == 4
    longer = [(dataclasses.replace(part, steps=9), name, seed) for part, name, seed in planned]
    assert runs.together(longer, {}, tmp_path / "standard") == ([], [])
    # a run of the paper's length fills its cells, a shorter one does not
    rows = page.read("runs", "standard")
    full = [{**row, "bits": "120x8", "steps": "250000"} for row in rows]
    assert "0/1, -" in "".join(page.claims(full)) or "1/1" in "".join(page.claims(full))
    assert "/1, " not in "".join(page.claims([{**row, "steps": "1000"} for row in full]))


def test_the_committed_page_of_bits_is_that_of_its_results(bit_check, monkeypatch, tmp_path):
    _, page = bit_check
    before = page.PAGE.read_text()
    monkeypatch.setattr(page, "PAGE", tmp_path / "page.md")
    monkeypatch.setattr(page, "save", lambda figure, path: None)
    page.write()
    assert (tmp_path / "page.md").read_text() == before, (
        "python paper_checks/tables3_4_bits.py --page"
    )
