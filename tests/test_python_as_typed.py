"""Python as people type it: a loss is a text, a `Loss` or a function, an environment a text or a
graph; what is wrong is one line; answers show themselves in a notebook.
"""

import importlib
import inspect
import math
import subprocess
import sys
import types
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import sympy as sp
import torch

import divergence_lab
import divergence_lab as dl
from divergence_lab.gflownet.samplers import sampler
from divergence_lab.inputs import InputError, MissingPackage
from divergence_lab.theory.divergence.reading import as_loss
from divergence_lab.theory.expressions.printing import in_signs
from divergence_lab.theory.inequalities import compare

SMALL = {"seeds": 2, "steps": 6, "batch": 8, "evaluations": 2, "device": "cpu", "progress": False}
X = sp.Symbol("x")


def half_square(x):
    return x**2 / 2


@pytest.mark.parametrize(
    "given",
    [
        "quadratic",
        " Quadratic ",
        "x**2/2",
        dl.loss("quadratic"),
        dl.to_torch("quadratic"),
        dl.divergence("quadratic"),
        half_square,
        lambda x: 0.5 * x * x,
        X**2 / 2,
        0.5 * X**2,
    ],
    ids=range(10),
)
def test_a_loss_is_read_as_it_is_given(given):
    assert as_loss(given).name == "quadratic"
    assert dl.divergence(given).name == "reverse KL"


def test_a_function_is_read_only_where_its_formula_has_its_own_values():
    assert as_loss(lambda x: abs(x) / 3).expression == dl.loss("Abs(x)/3").expression
    assert as_loss(lambda x: 0.1 * x**2).expression == dl.loss("x**2/10").expression
    for function in (
        torch.exp,
        math.exp,
        lambda x: x if isinstance(x, float) else x**2,
        lambda x: x**2 if x > 0 else -x,
        lambda x: 7 if x == 0 else x**2,
        lambda x: 1.0,
        lambda: 0,
        torch.nn.MSELoss(),
    ):
        with pytest.raises(InputError, match="as text, .*ask divergence_lab.audit") as caught:
            dl.divergence(function)
        assert "\n" not in str(caught.value) and len(str(caught.value)) < 250


def test_every_function_takes_a_text():
    assert dl.decide("quadratic").zero_forcing
    found = dl.derive("quadratic", at="0.5,2")
    assert [value.ratio for value in found.values] == ["1/2", "2"] or len(found.values) == 2
    assert found.values == dl.derive("quadratic", at=[0.5, 2]).values
    assert dl.export("linex(2/3)", "torch") == dl.export(dl.loss("linex(2/3)"), "torch")
    at = torch.tensor([0.3])
    assert torch.equal(dl.to_torch("linex(2/3)")(at), dl.to_torch(dl.loss("linex(2/3)"))(at))
    built = dl.to_torch("quadratic")
    assert dl.to_torch(built) is built and dl.loss(built.loss) is built.loss
    assert compare("Abs(x)", dl.loss("3*Abs(x)"), 5.0).bounds[0].exact == sp.Rational(1, 3)


def test_train_takes_losses_and_environments_in_every_form():
    texts = dl.train(["quadratic", "Linex(1)", "linex(1->0)"], "HyperGrid:2x3", **SMALL)
    assert texts.losses == ("quadratic", "linex(1)", "linex(1->0)")
    assert texts.config["env"] == "hypergrid:2x3"
    others = dl.train(
        {"a": half_square, "b": dl.loss("exp(x) - x - 1"), "c": dl.to_torch("quadratic")},
        dl.hypergrid(2, 3),
        **SMALL,
    )
    np.testing.assert_array_equal(others.terminal[1], texts.terminal[1])
    np.testing.assert_array_equal(others.terminal[2], texts.terminal[0])
    np.testing.assert_allclose(others.terminal[0], texts.terminal[0], atol=1e-5)
    for one, name in (("quadratic", "quadratic"), (half_square, "half_square"), (X**2, "2*x**2")):
        given = 2 * one if name == "2*x**2" else one
        assert dl.train(given, "tree:2x2", **SMALL).losses == (name,)


def test_verify_takes_them_too():
    rows = dl.verify(["quadratic"], dl.hypergrid(2, 2), objectives="tb,db", samplers="on")
    assert [row["objective"] for row in rows] == ["tb", "db"] and rows[0]["holds"]
    assert rows == dl.verify({"quadratic": half_square}, "hypergrid:2x2", objectives=["tb", "db"])
    with pytest.raises(InputError, match="did you mean 'mixture'"):
        dl.verify("quadratic", "hypergrid:2x2", samplers="mixtur:1/4")


def test_a_logger_gets_every_metric_of_every_member():
    seen = {}
    found = dl.train(
        ["quadratic", "linex(1)"],
        "hypergrid:2x3",
        on_metrics=lambda step, values: seen.update({step: values}),
        **SMALL,
    )
    assert [*seen] == found.steps.tolist()
    for k, step in enumerate(found.steps.tolist()):
        assert len(seen[step]) == len(found.metrics) * 4
        for name in found.metrics:
            at = found.metrics[name][1, 0, k]
            assert seen[step][f"{name}/linex(1)/seed 0"] == pytest.approx(at, nan_ok=True)
    rates = {}
    dl.train(
        "quadratic",
        "hypergrid:2x3",
        learning_rate=[0.01, 0.03],
        on_metrics=lambda step, values: rates.update(values),
        **SMALL,
    )
    assert "tv/quadratic at 0.01/seed 1" in rates


# --- what an answer shows


class Balanced(HTMLParser):
    def __init__(self):
        super().__init__()
        self.open, self.text = [], ""

    def handle_starttag(self, tag, attributes):
        self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def text_in(html):
    parser = Balanced()
    parser.feed(html)
    assert not parser.open
    return parser.text


@pytest.mark.parametrize("text", ["linex(1)", "huber(1)", "linex(alpha)", "Abs(x)"])
def test_answers_show_themselves_in_a_notebook(text):
    found = dl.derive(text, at="2" if text != "linex(alpha)" else ())
    said = text_in(found._repr_html_())
    assert "zero-forcing" in said and found.loss._repr_latex_() in said
    for shown in (found.divergence, found.verdicts.zero_avoiding):
        said = text_in(shown._repr_html_())
        assert said and "int g'" not in said and " oo" not in said
    assert found.divergence._repr_latex_().startswith("$f(t) = ")
    assert found.loss._repr_latex_().startswith("$g(x) = ")


def test_a_result_says_what_each_loss_learned(monkeypatch):
    found = dl.train(["quadratic", "linex(1)"], "hypergrid:2x3", **SMALL)
    lines = found.summary().splitlines()
    assert lines[0] == "tb on hypergrid:2x3, 6 steps of 8 trajectories"
    assert [line.split()[0] for line in lines[1:]] == ["loss", "quadratic", "linex(1)", "true"]
    mean = found.metrics["tv"][0, :, -1].mean()
    assert f"{mean:.3g} (" in lines[2] and f"{found.log_z_true:.3f}" in lines[-1]
    assert "quadratic" in text_in(found._repr_html_()) and repr(found) == found.summary()
    assert found.plot().axes[0].get_ylabel().startswith("total variation")
    monkeypatch.setitem(sys.modules, "pandas", types.SimpleNamespace(DataFrame=list))
    rows = found.to_pandas()
    assert len(rows) == 2 * 2 * len(found.steps)
    assert rows[-1]["tv"] == found.metrics["tv"][1, 1, -1] and rows[-1]["loss"] == "linex(1)"
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingPackage, match="to_pandas needs pandas, .* pip install pandas"):
        found.to_pandas()
    large = dl.train("quadratic", "generated:bits:16x4", policy="mlp", width=8, depth=1, **SMALL)
    assert "mean log R" in large.summary()
    with pytest.raises(InputError, match="too large for an exact law"):
        large.plot()


SIGNS = [
    ("f'(oo) = int g'(x) e^(-x) dx = oo", "f'(∞) = ∫ g'(x) e⁻ˣ dx = ∞"),
    ("x**2/2 and x**(-3/2)", "x²/2 and x^(-3/2)"),
    ("alpha >= 1, |g'| <= 2*t*log(t)", "α ≥ 1, |g'| ≤ 2·t·log(t)"),
    ("gamma(x) is not gamma", "gamma(x) is not γ"),
    ("g -> -oo, a printer, too, food", "g → −∞, a printer, too, food"),
    ("D_f(p_B||p_F) >= sum |p - q|", "D_f(p_B‖p_F) ≥ Σ |p - q|"),
]


@pytest.mark.parametrize(("plain", "signs"), SIGNS)
def test_sentences_have_the_signs_of_mathematics(plain, signs):
    assert in_signs(plain) == signs


# --- what is wrong


WRONG = [None, 3, float("nan"), "", "quadratik", b"x", [], {}, object(), lambda: 0, int, dl]
FIRST = [
    "divergence",
    "decide",
    "derive",
    "to_torch",
    "verify",
    "export",
    "loss",
    "train",
    "from_edges",
    "hypergrid",
    "graph_from_text",
    "space_from_text",
    "load",
    "save",
    "fit_to_residuals",
    "audit",
]


def one_line(error):
    return "\n" not in str(error) and 10 < len(str(error)) <= 600


def refused_or_done(call):
    """InputError in one line, or an answer: nothing else leaks."""
    try:
        call()
    except InputError as error:
        assert one_line(error), error
        return True
    return False


@pytest.mark.parametrize("name", FIRST)
def test_a_first_argument_of_the_wrong_kind_is_one_line(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    function = getattr(dl, name)
    rest = [SMALL_REST[name]] if name in SMALL_REST else []
    refused = [refused_or_done(lambda wrong=wrong: function(wrong, *rest)) for wrong in WRONG]
    assert sum(refused) >= len(WRONG) - 3


SMALL_REST = {"train": "tree:2x2", "verify": "tree:2x2", "save": "folder", "hypergrid": 3,
              "from_edges": {"b": 0.0}}  # fmt: skip

# a call that is right; each argument in turn is replaced by what is wrong
CALLS = {
    "loss": ("x**2", (), {}, 5.0),
    "divergence": ("quadratic", 5.0),
    "decide": ("quadratic", None, 5.0),
    "derive": ("quadratic", (), 10, 5.0),
    "to_torch": ("quadratic", 20.0),
    "verify": ("quadratic", "tree:2x2"),
    "export": ("quadratic", "latex", 5.0),
    "train": ("quadratic", "tree:2x2"),
    "from_edges": ([("a", "b")], {"b": 0.0}),
    "hypergrid": (2, 3),
    "load": ("folder",),
    "fit_to_tradeoffs": ([(-2, 2, 1)], 5.0),
    "write_report": (["quadratic"], "folder"),
}
NAMED = {
    "verify": ["objectives", "samplers", "seed", "budget"],
    "train": ["objective", "sampler", "backward", "seeds", "steps", "policy", "out", "device"],
    "hypergrid": ["r0", "r1", "r2", "reading"],
    "write_report": ["env", "device", "budget"],
}

# what is right for a keyword after all: None is its default, 3 a number, a text a folder
NUMBERS = ("seed", "seeds", "steps", "budget", "r0", "r1", "r2")
RIGHT = {"out": (None, "quadratik"), **dict.fromkeys(NUMBERS, (None, 3))}


@pytest.mark.slow
@pytest.mark.parametrize("name", CALLS)
def test_any_argument_of_the_wrong_kind_is_one_line(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    function, right = getattr(dl, name), CALLS[name]
    extra = dict(SMALL) if name == "train" else {}
    for place in range(len(right)):
        for wrong in WRONG:
            given = [*right[:place], wrong, *right[place + 1 :]]
            if name != "write_report" or place < 1:
                refused_or_done(lambda given=given: function(*given, **extra))
    for keyword in NAMED.get(name, ()):
        for wrong in WRONG:
            if wrong not in RIGHT.get(keyword, (None,)):
                assert refused_or_done(
                    lambda k=keyword, w=wrong: function(*right, **{**extra, k: w})
                ), (keyword, wrong)


def test_a_name_that_is_not_there_gets_the_nearest():
    with pytest.raises(AttributeError, match="has no 'trian'; did you mean 'train'?"):
        _ = dl.trian
    with pytest.raises(TypeError, match="'objektive'; did you mean 'objective'?"):
        dl.train("quadratic", "tree:2x2", objektive="db")


# what people type -> what they are told
TYPED_WRONG = {
    "dl.train('hypergrid:2x3', 'quadratic')": "they come first, as in 'quadratic', 'hypergrid:2x8'",
    "dl.train(dl.hypergrid(2, 2), 'quadratic')": "an environment stands where the losses do",
    "dl.verify('hypergrid:2x3', 'quadratic')": "an environment stands where the losses do",
    "dl.train('quadratic')": "the environment is None; give a text such as 'hypergrid:2x8'",
    "dl.train('quadratic', env='tree:2x2')": "'env'; it is called 'graph'",
    "dl.train('quadratic', 'tree:2x2', lr=0.1)": "'lr'; it is called 'learning_rate'",
    "dl.train('quadratic', 'tree:2x2', batch_size=8)": "'batch_size'; it is called 'batch'",
    "dl.train('quadratic', 'tree:2x2', epochs=3)": "'epochs'; it is called 'steps'",
    "dl.train('quadratic', 'tree:2x2', overwite=True)": "did you mean 'overwrite'",
    "dl.train('quadratic', 'tree:2x2', sampler='epsilon=0.1')": "did you mean 'epsilon:0.05'",
    "dl.train('quadratic', 'tree:2x2', sampler='mixtur:0.2')": "did you mean 'mixture:0.5'",
    "dl.train('quadratic', 'tree:2x2', sampler='epsilon')": "did you mean 'epsilon:0.05'",
    "dl.design('zero-forcing')": "zero_forcing is 'zero-forcing': give True, False or None",
    "dl.design(even='yes')": "even is 'yes': give True or False",
    "dl.design(penalties=[(2, 3)])": "the penalties are a list: write them as {2: 3}",
    "dl.derive('quadratic', 'linex(1)')": "the ratios at which f is asked for",
    "dl.invert('t*log(t)')": "import it from divergence_lab.theory.divergence",
    "dl.compare('quadratic', 'linex(1)')": "import it from divergence_lab.theory.inequalities",
}


@pytest.mark.parametrize("typed", TYPED_WRONG)
def test_what_people_type_gets_one_line_that_says_what_to_write(typed):
    with pytest.raises((InputError, TypeError, AttributeError)) as caught:
        eval(typed, {"dl": dl})
    assert one_line(caught.value) and TYPED_WRONG[typed] in str(caught.value), caught.value


def test_names_that_say_the_same_are_read():
    assert sampler("On-Policy") == sampler("on")
    done = dl.train("quadratic", "tree:2x2", **{**SMALL, "device": torch.device("cpu")})
    assert done.losses == ("quadratic",)
    for name, room in divergence_lab._BELOW.items():
        assert callable(getattr(importlib.import_module(f"divergence_lab.{room}"), name))


def test_the_audit_is_a_function_that_says_what_it_takes():
    assert "residual" in inspect.signature(dl.audit).parameters
    import divergence_lab.audit.auditing

    assert "residual" in inspect.signature(divergence_lab.audit).parameters
    assert dl.audit(half_square).divergence == "reverse KL"


TYPED = """
import divergence_lab as dl

found = dl.derive("linex(1)")
name: str | None = found.divergence.name
law = dl.train(["quadratic", "linex(1)"], "hypergrid:2x4", seeds=2).summary().upper()
audited: str | None = dl.audit(lambda x: x**2).divergence
rows = dl.verify("quadratic", dl.hypergrid(2, 3), objectives="tb")[0]["holds"]
distance = dl.metrics.total_variation([0.5, 0.5], [1.0, 0.0])
dl.plots.save(dl.plots.convergence(dl.load("folder")), "curves")
"""


@pytest.mark.slow
def test_type_checkers_see_the_names(tmp_path):
    (tmp_path / "typed.py").write_text(TYPED)
    (tmp_path / "wrong.py").write_text(
        TYPED.replace("dl.derive", "dl.deriv").replace("str |", "int |")
    )
    ran = [
        subprocess.run(
            [sys.executable, "-m", "pyright", "--pythonpath", sys.executable, name],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            env={"PYTHONPATH": str(Path(dl.__file__).parents[1]), "PATH": "/usr/bin:/bin"},
        ).stdout
        for name in ("typed.py", "wrong.py")
    ]
    assert "0 errors" in ran[0], ran[0]
    assert "deriv" in ran[1] and "0 errors" not in ran[1]
