"""What lessons use: the best single bell, gradients that agree, pictures that show themselves."""

from __future__ import annotations

import io

import matplotlib.image
import numpy as np
import pytest

import divergence_lab as dl
from divergence_lab.inputs import InputError
from divergence_lab.report.teaching import CLASSES


@pytest.mark.parametrize("centres", [(-1.6, 2.1), (-3, 1.5)])
def test_the_bell_of_forward_kl_has_the_moments_of_the_target(centres):
    """Moment matching is exact on the points, and a computation of its own; control: reverse KL."""
    fit, other = (dl.narrow_fit(name, centres, (2, 1)) for name in ("linex(1)", "quadratic"))
    p = np.exp(fit.log_target)
    assert p.sum() == pytest.approx(1) and np.allclose(fit.log_target, other.log_target)
    for power in (1, 2):
        moment = (p * fit.points**power).sum()
        assert (fit.law() * fit.points**power).sum() == pytest.approx(moment, abs=5e-3)
    gap = abs((other.law() * fit.points).sum() - (p * fit.points).sum())
    assert gap > 0.1


def test_a_loss_may_be_text_or_read_already():
    assert dl.narrow_fit(dl.loss("x**2/2")).mean == dl.narrow_fit("x**2/2").mean


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("x**2/2", (2, -2)), "left before right"),
        (("x**2/2", (-9, 2)), "from -4 to 4"),
        (("x**2/2", (-2, 2), (1, 0)), "above 0"),
        (("linex(alpha)",), "write one in place of alpha"),
        (("exp(x**4) - 1",), "no best bump"),
        (("log(x)",), "no best bump: .*not.* real"),
        (("Abs(x) + Heaviside(x - 3)",), "no best bump: g jumps at x = 3"),
        (("1 +",), "1 \\+"),
    ],
)
def test_a_bell_that_can_not_be_found_says_why(arguments, said):
    with pytest.raises(InputError, match=said):
        dl.narrow_fit(*arguments)


def test_each_loss_has_the_gradient_of_its_own_divergence_and_no_other():
    names = {"quadratic": "reverse KL", "linex(1)": "forward KL", "jeffreys": "Jeffreys"}
    for loss in names:
        for divergence in names.values():
            assert bool(dl.gradients_agree(loss, divergence)) == (names[loss] == divergence)


def test_the_sign_of_the_residual_is_told_and_an_even_loss_can_not_tell():
    assert dl.gradients_agree("quadratic", "reverse KL", residual="model/target")
    assert not dl.gradients_agree("linex(1)", "forward KL", residual="model/target")
    assert dl.gradients_agree(lambda r: (-r).exp() + r - 1, "forward KL", residual="model/target")
    assert not dl.gradients_agree("quadratic", "2*(t - log(t) - 1)")  # another factor
    assert dl.gradients_agree("linex(2/3)", dl.divergence(dl.loss("linex(2/3)")))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("quadratic", "reverse KL", "up"), "target/model, model/target"),
        ((7, "reverse KL", "target/model"), "7 is no loss"),
        (("quadratic", 7, "target/model"), "7 is no divergence"),
        (("quadratic", "alpha*(t - 1)**2", "target/model"), "write one in place of alpha"),
        (("quadratic", "Kullback", "target/model"), "Kullback"),
    ],
)
def test_what_can_not_be_compared_says_what_to_give(arguments, said):
    loss, divergence, residual = arguments
    with pytest.raises(InputError, match=said):
        dl.gradients_agree(loss, divergence, residual=residual)


@pytest.mark.parametrize("name", ["bells", "curves", "areas", "dots", "words", "film", "scatters"])
@pytest.mark.parametrize("wrong", [{}, "quadratic", None, [1]])
def test_nothing_to_draw_is_one_line(name, wrong):
    given = {"areas": (), "words": {}, "film": {}}.get(name, {"xlabel": "x", "ylabel": "y"})
    more = {key: value for key, value in dict(given).items() if name != "dots" or key == "ylabel"}
    first = [np.zeros(3), wrong] if name == "curves" else [wrong]
    rest = [np.zeros(3)] if name == "areas" else []
    with pytest.raises(InputError, match=f"{name} draws a dictionary"):
        getattr(dl.plots, name)(*first, *rest, **({} if name == "bells" else more))


@pytest.mark.parametrize("draw", [dl.plots.convergence, dl.plots.learned_laws])
def test_what_is_no_result_is_not_drawn(draw):
    with pytest.raises(InputError, match="draws a Result, .* this is a str"):
        draw("runs/first")


def test_pictures_show_themselves():
    """Each is a PNG that a notebook shows, and not an empty one."""
    line = np.linspace(-1, 1, 9)
    run = dl.train(
        {"quadratic": dl.to_torch(dl.loss("quadratic"))}, dl.hypergrid(2, 3), exact=True, seeds=1,
        steps=2, progress=False, device="cpu",
    )  # fmt: skip
    fits = {name: dl.narrow_fit(name) for name in ("quadratic", "linex(1)")}
    sheets = [
        dl.plots.bells(fits, dict.fromkeys(fits, (True, False)), columns=2),
        dl.plots.bells(fits),
        dl.plots.curves(line, {"a": line, "b": np.stack([line, line**2])}, xlabel="x", ylabel="y"),
        dl.plots.areas({"quadratic": (line, np.exp(line))}, line),
        dl.plots.dots({"panel": {"a": line, "b": line**2}}, ylabel="y"),
        dl.plots.dots({"panel": {"a": line}}, ylabel="y", baseline=("uniform", {"panel": 0.5})),
        dl.plots.words({(str(kind), "column"): (kind, "") for kind in CLASSES}),
        dl.plots.film({"two steps": run}),
        dl.plots.flows({"a": (0, 0), "b": (1, 1)}, {("a", "b"): 2.0}, {"a": 1, "b": 2}),
        dl.plots.scatters({t: {"a": (line, line)} for t in "pq"}, xlabel="x", ylabel="y"),
    ]
    for sheet in sheets:
        pixels = matplotlib.image.imread(io.BytesIO(sheet._repr_png_()))
        assert min(pixels.shape[:2]) > 100 and pixels[..., :3].std() > 0.01


def test_a_line_is_broken_where_it_jumps():
    jump = dl.plots.curves(
        np.arange(4.0), {"a": np.array([0.0, 0.1, 5.0, 5.1])}, xlabel="", ylabel="", breaks=1
    )
    drawn = jump.axes[0].lines[0].get_ydata()
    assert np.isnan(drawn).any() and np.nanmax(drawn) == 5.1
