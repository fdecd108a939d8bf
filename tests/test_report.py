"""The main job, cut short: every part of the page is there, from the numbers of the run, with no
link outside.
"""

import base64
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
import sympy as sp

from divergence_lab.cli.main import main
from divergence_lab.graphs.texts import graph_from_text
from divergence_lab.report import findings, study
from divergence_lab.report.single_bump import NarrowFit
from divergence_lab.report.typeset import expression, formula, sentence
from divergence_lab.results.storage import load
from divergence_lab.theory.expressions import x

LOSSES = [
    "quadratic",
    "x**2/2 + exp(x) - x - 1",
    "Piecewise((x**2/2, Abs(x) <= 1), (Abs(x) - 1/2, True))",
]


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(study, "QUICK_STEPS", 150)
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
    inside = {f"#{anchor}" for anchor in re.findall(r' id="([^"]+)"', page)}
    assert inside and all(
        link.startswith("data:image/svg+xml;base64,") or link in inside for link in links.found
    )
    assert (
        "http" not in re.sub(r"base64,[A-Za-z0-9+/=]+", "", page)
        and "<script" not in page
        and "@import" not in page
    )


def test_the_figures_are_there_twice_and_inlined(written):
    page = (written / "report.html").read_text()
    for name in ("single_bumps", "loss_and_generator", "convergence", "learned_laws"):
        assert (written / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        if name == "single_bumps":  # on the page each loss has a picture of its own
            continue
        assert base64.b64encode((written / f"{name}.svg").read_bytes()).decode() in page


def test_results_hold_the_numbers_of_the_run(written):
    summary = json.loads((written / "results.json").read_text())
    result = first_rate(written)
    assert list(summary["derivations"]) == list(result.losses) == LOSSES
    assert summary["derivations"]["quadratic"]["divergence"] == "reverse KL"
    assert summary["derivations"][LOSSES[1]]["divergence"] == "Jeffreys"
    assert all(row["holds"] for row in summary["theorem"]) and len(summary["theorem"]) == 3
    assert len(summary["training"]["runs"]) == 30  # at both learning rates
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
    assert np.allclose(quadratic[study.OWN], quadratic["reverse KL"], atol=1e-9)
    jeffreys = summary["divergences"][LOSSES[1]]
    assert np.allclose(
        jeffreys[study.OWN], np.add(jeffreys["forward KL"], jeffreys["reverse KL"]), atol=1e-9
    )


def test_the_page_says_plainly_who_has_not_converged(written):
    page = (written / "report.html").read_text()
    result = first_rate(written)
    final = result.metrics["tv"][..., -1]
    assert (final >= study.CONVERGED).any(), (
        "150 steps are too few: somebody must not have converged"
    )
    assert f"{int((final < study.CONVERGED).sum())} of 15 runs ended" in page
    assert "Quick look" in page and "the learned laws below are not results" in page


def first_rate(folder):
    """The rows of the run at the first of the two learning rates."""
    return study.at_rate(load(folder / "run"), study.RATES[0])


def test_user_text_cannot_break_the_page(written):
    page = (written / "report.html").read_text()
    assert "(Abs(x) - 1/2, True))" in page and "&lt;= 1" in page and "<= 1" not in page


def test_the_target_of_the_report_is_the_graphs(written):
    graph = graph_from_text(study.ENVIRONMENT)
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


def test_the_page_tells_the_story(written):
    """Contents that lead somewhere, a picture and a sentence for each loss, both rates, the
    command, the citation; mathematics is set, not typed.
    """
    page = (written / "report.html").read_text()
    assert page.count('<li><a href="#') == page.count("<h2 id=") == 10
    assert page.count('class="card"') == 3 and page.count('<svg role="img"') == 3
    for rate in study.RATES:
        assert f"steps at rate {rate}" in page
    assert "divergence-lab report quadratic" in page and "arXiv:2410.02596" in page
    words = re.sub(
        r"base64,[^\"]+|<(style|code|pre|math)\b.*?</\1>|<[^>]+>", "", page, flags=re.DOTALL
    )
    assert not re.search(r"\boo\b|\bint g|f'\(|g'", words)
    assert re.search(r"\d·10⁻[⁰¹²³⁴⁵⁶⁷⁸⁹]", words) and not re.search(r"\de-\d", words)
    summary = page.partition('class="summary">')[2].partition("<nav")[0]
    assert "zero-forcing, not zero-avoiding" in summary and "is mode-seeking" in summary


def test_the_single_bumps_are_those_of_the_divergences(written):
    """Squared error is reverse KL, whose best bump keeps one mode; Jeffreys' covers more."""
    from divergence_lab.report.free_loss import FreeLoss
    from divergence_lab.theory.divergence.loss import loss

    keeps, covers = (study.bump(FreeLoss(text, loss(text))) for text in LOSSES[:2])
    assert isinstance(keeps, NarrowFit) and isinstance(covers, NarrowFit)
    assert keeps.right_mass < 0.01 and covers.right_mass > 0.1


def test_steps_are_counted_and_laws_compared_where_they_are_equally_far(written):
    result = first_rate(written)
    at = findings.level(result)
    for row in range(len(result.losses)):
        medians = np.median(result.metrics["tv"][row], axis=0)
        steps = findings.steps_to(result, row, 0.5)
        k = list(result.steps).index(steps)
        assert medians[k] < 0.5 <= medians[:k].min()
        there = findings.on_the_way(result, row, at)
        assert np.interp(there.step, result.steps, medians) == pytest.approx(at, abs=1e-9)
    assert findings.steps_to(result, 0, 0.0) is None


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("f'(oo) = int g'(x) e^(-x) dx = oo, by", "f′(∞)=∫g′(x)e−xdx=∞, by"),
        ("so f(0+) = -g'(-oo) = oo: mass", "so f(0+)=−g′(−∞)=∞: mass"),
        ("a zero-forcing loss (Proposition 3)", "a zero-forcing loss (Proposition 3)"),
        ("exactly when alpha >= 1 and a < b", "exactly when α≥1 and a&lt;b"),
        ("f(t) - t f(1/t) on (-oo, 0)", "f(t)−tf(1t) on (−∞,0)"),
        ("g'' = Piecewise((1, x < 0), (exp(x), True)) here", "g″=1x&lt;0exotherwise here"),
        ("5 of 5 seeds, at x = 3", "5 of 5 seeds, at x=3"),
        ("<b>bold</b> & more", "&lt;b&gt;bold&lt;/b&gt; &amp; more"),
    ],
)
def test_sentences_are_set(text, shown):
    assert re.sub(r"<[^>]+>|\N{INVISIBLE TIMES}", "", sentence(text)) == shown


def test_what_is_no_formula_is_shown_as_written():
    for text in ("it's", "x +", "(x", "1 2", "x**"):
        assert formula(text).startswith("<code>"), text
    assert "<msqrt>" in formula("sqrt(x)/2") and "<mfrac>" in formula("(x + 1)/(a*x)")


def test_formulas_can_be_read_small():
    """Short fractions lie on the line of an exponent, unless a factor follows; a called name stands
    off its factor; integrals have their ends.
    """
    for made in (formula("exp(x/2)"), formula("x**(-3/2)"), expression(sp.exp(3 * x / 2))):
        assert "<mfrac>" not in made and ">/</mo>" in made
    assert "<mfrac>" in formula("x**(a/2*b)") and "<mfrac>" in expression(sp.exp(x**2 / 2))
    for made in (formula("t*log(t)"), expression(x * sp.log(x))):
        assert '<mo rspace="0.17em">\N{INVISIBLE TIMES}</mo>' in made
    assert "<msubsup><mo>∫</mo><mi>1</mi><mi>t</mi></msubsup>" in sentence("int_1^t g'(s) ds")


def test_the_order_of_arrival_is_compared_with_the_pull():
    def words(*steps):
        pulls = zip("abc", steps, (0.3, 1.0, 3.0))
        return findings.speed_in_words(
            [findings.Speed(name, steps, 1.0, pull, 1.0) for name, steps, pull in pulls]
        )[-1]

    assert words((10, 5), (20, 5), (30, 9)).startswith("The harder a loss pulls")
    assert "does not explain" in words((10, 5), (20, 9), (30, 8))
    assert "not at all: c" in words((10, 5), (20, 9), (30, None))
