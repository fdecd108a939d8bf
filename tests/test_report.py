"""The main job, cut short: every part of the page is there, from the numbers of the run, with no
link outside.
"""

import base64
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from divergence_lab.cli.main import main
from divergence_lab.graphs.texts import graph_from_text
from divergence_lab.report import page as report
from divergence_lab.results.storage import load

LOSSES = [
    "quadratic",
    "x**2/2 + exp(x) - x - 1",
    "Piecewise((x**2/2, Abs(x) <= 1), (Abs(x) - 1/2, True))",
]


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(report, "QUICK_STEPS", 150)
        assert main(["report", *LOSSES, "--quick", "--device", "cpu", "--out", str(folder)]) == 0
    return folder


class _Links(HTMLParser):
    def __init__(self):
        super().__init__()
        self.found, self.open = [], []

    def handle_starttag(self, tag, attributes):
        self.found += [
            value
            for name, value in attributes
            if name in ("src", "href", "action", "data", "srcset")
        ]
        if tag not in ("meta", "img", "br", "link", "input", "hr"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, f"</{tag}> closes another element"


def test_the_page_is_whole_and_alone(written):
    page = (written / "report.html").read_text()
    links = _Links()
    links.feed(page)
    assert links.open == []
    assert links.found and all(
        link.startswith("data:image/svg+xml;base64,") for link in links.found
    )
    assert (
        "http" not in re.sub(r"base64,[A-Za-z0-9+/=]+", "", page)
        and "<script" not in page
        and "@import" not in page
    )


def test_the_figures_are_there_twice_and_inlined(written):
    page = (written / "report.html").read_text()
    for name in ("loss_and_generator", "convergence", "learned_laws"):
        assert (written / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert base64.b64encode((written / f"{name}.svg").read_bytes()).decode() in page


def test_results_hold_the_numbers_of_the_run(written):
    summary = json.loads((written / "results.json").read_text())
    result = load(written / "run")
    assert list(summary["derivations"]) == list(result.losses) == LOSSES
    assert summary["derivations"]["quadratic"]["divergence"] == "reverse KL"
    assert summary["derivations"][LOSSES[1]]["divergence"] == "Jeffreys"
    assert all(row["holds"] for row in summary["theorem"]) and len(summary["theorem"]) == 3
    assert len(summary["training"]["runs"]) == 15
    for index, name in enumerate(LOSSES):
        learned, target = result.terminal[index], result.target
        table = summary["divergences"][name]
        assert np.allclose(
            table["total variation"], 0.5 * np.abs(learned - target).sum(-1), atol=1e-12
        )
        assert np.allclose(
            table["forward KL"], (target * np.log(target / learned)).sum(-1), atol=1e-9
        )
        assert np.allclose(
            table["reverse KL"], (learned * np.log(learned / target)).sum(-1), atol=1e-9
        )
    quadratic = summary["divergences"]["quadratic"]
    assert np.allclose(quadratic[report.OWN], quadratic["reverse KL"], atol=1e-9)
    jeffreys = summary["divergences"][LOSSES[1]]
    assert np.allclose(
        jeffreys[report.OWN], np.add(jeffreys["forward KL"], jeffreys["reverse KL"]), atol=1e-9
    )


def test_the_page_says_plainly_who_has_not_converged(written):
    page = (written / "report.html").read_text()
    result = load(written / "run")
    final = result.metrics["tv"][..., -1]
    assert (final >= report.CONVERGED).any(), (
        "150 steps are too few: somebody must not have converged"
    )
    assert f"{int((final < report.CONVERGED).sum())} of 15 members ended" in page
    assert "Quick look" in page and "the learned laws below are not results" in page


def test_user_text_cannot_break_the_page(written):
    assert (
        "x &lt; 1" in (written / "report.html").read_text()
        or "&lt;= 1" in (written / "report.html").read_text()
    )


def test_the_target_of_the_report_is_the_graphs(written):
    graph = graph_from_text(report.ENVIRONMENT)
    rewards = np.exp(graph.log_reward)
    assert np.allclose(load(written / "run").target, rewards / rewards.sum(), atol=1e-12)


def test_a_loss_that_cannot_be_trained_stops_before_any_work(tmp_path, capsys):
    assert main(["report", "linex(alpha)", "--out", str(tmp_path / "new")]) == 2
    assert not (tmp_path / "new").exists() and "has no value" in capsys.readouterr().err


def test_an_environment_that_the_page_cannot_draw_is_refused_before_any_work(tmp_path, capsys):
    from divergence_lab.cli.main import main

    assert (
        main(["report", "quadratic", "--env", "hypergrid:3x4", "--out", str(tmp_path / "out")]) == 2
    )
    assert "two-dimensional" in capsys.readouterr().err and not (tmp_path / "out").exists()
