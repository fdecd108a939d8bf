"""The checks that train: their pages are what the committed results say, and what they measure
is right.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections import deque
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import divergence_lab as dl
from divergence_lab.gflownet.listed.exact import target_distribution
from divergence_lab.graphs.dag import clamp_log_reward
from divergence_lab.graphs.texts import graph_from_text
from divergence_lab.results.metrics import sampling_floor
from divergence_lab.training import loop
from divergence_lab.training.evaluation import push_window, window_l1
from divergence_lab.training.loop import train
from divergence_lab.training.settings import TrainingError

CHECKS = Path(__file__).resolve().parents[1] / "paper_checks"


def squared(x):
    return x**2 / 2


@pytest.fixture
def figure3(monkeypatch):
    monkeypatch.syspath_prepend(str(CHECKS))
    import figure3_hypergrid

    return figure3_hypergrid


@pytest.fixture
def beyond(monkeypatch):
    monkeypatch.syspath_prepend(str(CHECKS))
    import beyond_the_paper

    return beyond_the_paper


def test_the_sampling_floor_is_that_of_a_perfect_sampler():
    law, samples = np.array([0.5, 0.3, 0.15, 0.05, 0.0]), 40
    drawn = np.random.default_rng(0).multinomial(samples, law, size=40_000) / samples
    simulated = np.abs(drawn - law).sum(axis=1)
    error = simulated.std() / np.sqrt(len(simulated))
    assert abs(sampling_floor(law, samples) - simulated.mean()) < 4 * error < 0.01
    assert sampling_floor(np.array([1.0, 0.0]), 7) == 0
    # the paper's grid and number of samples; fewer samples, a higher floor
    target = target_distribution(graph_from_text("hypergrid:4x20:paper"))
    assert sampling_floor(target, 80_000) == pytest.approx(0.151, abs=5e-4)
    assert sampling_floor(target, 8_000) > 0.2


def test_the_window_is_that_of_brute_force():
    graph = graph_from_text("bits:4x2")  # not every state is terminal
    states, run = graph.terminal_states, SimpleNamespace(graph=graph, listed_as_given=graph)
    generator, size, batch = np.random.default_rng(1), 50, 8
    window = torch.full((2, size), graph.n_states, dtype=torch.int32)
    last = [deque(maxlen=size), deque(maxlen=size)]
    assert window_l1(run, window, 0).isnan().all()
    for step in range(20):
        drawn = generator.choice(states, size=(2, batch))
        push_window(
            window,
            torch.from_numpy(drawn)[..., None] if step % 2 else torch.from_numpy(drawn),
            step,
        )
        for member, row in zip(last, drawn):
            member.extend(row.tolist())
        shares = [np.mean(np.array(member)[:, None] == states, axis=0) for member in last]
        expected = np.abs(np.array(shares) - target_distribution(graph)).sum(axis=1)
        np.testing.assert_allclose(
            window_l1(run, window, (step + 1) * batch).numpy(), expected, atol=1e-12
        )


def test_a_long_window_nears_the_exact_distance(tmp_path):
    """A policy that hardly moves: L1 of many samples is 2 TV of its law, up to the floor; and a
    resumed run agrees.
    """
    graph = dl.hypergrid(2, 3)
    given = {
        "seeds": 2,
        "steps": 300,
        "batch": 64,
        "window": 19_200,
        "learning_rate": 1e-9,
        "evaluations": 3,
    }
    result = train({"q": squared}, graph, device="cpu", out=tmp_path, **given)
    np.testing.assert_allclose(
        result.metrics["window_l1"][..., -1], 2 * result.metrics["tv"][..., -1], atol=0.03
    )
    again = train({"q": squared}, graph, device="cpu", out=tmp_path, resume=True, **given)
    np.testing.assert_array_equal(again.metrics["window_l1"], result.metrics["window_l1"])
    np.testing.assert_array_equal(
        dl.load(tmp_path).metrics["window_l1"], result.metrics["window_l1"]
    )


@pytest.mark.parametrize(
    "window, why", [(5, "at least the batch"), (-1, "at least the batch"), (2.5, "whole number")]
)
def test_a_window_that_cannot_be_kept_is_refused(window, why):
    with pytest.raises(TrainingError, match=why):
        train({"q": squared}, dl.hypergrid(2, 3), window=window, device="cpu")
    with pytest.raises(TrainingError, match="window=0"):
        train({"q": squared}, dl.hypergrid(2, 3), window=64, exact=True, device="cpu")


def test_rewards_are_clamped_from_below_and_nothing_else_changes():
    graph = graph_from_text("hypergrid:2x8:paper")
    clamped = clamp_log_reward(graph, -12.0)
    assert graph.log_reward.min() == pytest.approx(np.log(1e-6)) and clamped.log_reward.min() == -12
    high = graph.log_reward >= -12
    np.testing.assert_array_equal(clamped.log_reward[high], graph.log_reward[high])
    partly = clamp_log_reward(graph_from_text("bits:4x2"), -1.0)
    np.testing.assert_array_equal(
        np.isneginf(partly.log_reward), np.isneginf(graph_from_text("bits:4x2").log_reward)
    )


def test_flow_matching_draws_from_its_own_flows_where_states_are_visited():
    """The stop's flow is R(s) when drawing too: both ways of evaluating learn the same numbers."""
    given = {
        "objective": "fm",
        "backward": "learned",
        "policy": "mlp",
        "width": 16,
        "seeds": 2,
        "steps": 12,
        "batch": 16,
        "dtype": torch.float64,
        "evaluations": 3,
        "device": "cpu",
        "window": 64,
    }
    ways = [
        train({"q": squared}, dl.hypergrid(2, 8), evaluate=way, **given)
        for way in ("visited", "all states")
    ]
    for name in ("tv", "window_l1"):
        np.testing.assert_allclose(ways[0].metrics[name], ways[1].metrics[name], rtol=1e-6)


def test_the_traps_of_the_released_code_are_switches(figure3):
    case = figure3.Case("hypergrid:2x8:paper", "tb", 10, 160)
    on, off = figure3.settings(case), figure3.settings(case, traps=())
    assert on["graph"].log_reward.min() == -12 > off["graph"].log_reward.min()
    far = torch.tensor([60.0], dtype=torch.float64, requires_grad=True)
    slopes = [
        torch.autograd.grad(given["losses"]["linex(1)"](far).sum(), far)[0].item()
        for given in (on, off)
    ]
    assert slopes == pytest.approx([np.expm1(50.0), np.expm1(60.0)], rel=1e-6)
    free = figure3.settings(figure3.Case("hypergrid:2x8:paper", "db", 10, 160))
    assert (
        free["graph"].log_reward.min() < -12 and free["max_grad_norm"] == 10 < on["max_grad_norm"]
    )
    assert off["max_grad_norm"] is None
    # each on its own
    only = figure3.settings(case, traps=("clamp", "gradient-clip"))
    assert only["graph"].log_reward.min() == -12 and only["max_grad_norm"] == 1000
    slope = torch.autograd.grad(only["losses"]["linex(1)"](far).sum(), far)[0].item()
    assert slope == pytest.approx(np.expm1(60.0), rel=1e-6)


def test_runs_without_a_trap_do_not_take_the_place_of_those_with_it(
    figure3, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(figure3.presets, "HERE", tmp_path / "paper_checks")
    cases = (figure3.Case("hypergrid:2x4:paper", "tb", 4, 32, 2, 2),)
    assert figure3.main(["--preset", "standard", "--device", "cpu"], cases) == 0
    before = (
        tmp_path / "paper_checks" / "results" / "figure3_hypergrid" / "standard" / "curves.csv"
    ).read_bytes()
    assert (
        figure3.main(
            ["--preset", "standard", "--device", "cpu", "--without", "residual-clip,gradient-clip"],
            cases,
        )
        == 0
    )
    folders = sorted(path.name for path in (tmp_path / "paper_checks" / "results").iterdir())
    assert folders == ["figure3_hypergrid", "figure3_hypergrid_without_gradient_clip_residual_clip"]
    assert (
        before
        == (
            tmp_path / "paper_checks" / "results" / "figure3_hypergrid" / "standard" / "curves.csv"
        ).read_bytes()
    )
    page = (
        tmp_path / "paper_checks" / "figure3_hypergrid_without_gradient_clip_residual_clip.md"
    ).read_text()
    assert "traps that are on: clamp." in page
    assert (
        "on: gradient-clip, clamp, residual-clip."
        in (tmp_path / "paper_checks" / "figure3_hypergrid.md").read_text()
    )
    with pytest.raises(SystemExit) as stop:
        figure3.main(["--without", "mean"])
    assert stop.value.code == 2 and "'mean' is none of" in capsys.readouterr().err


def test_the_hypergrid_check_runs_stops_and_goes_on(figure3, tmp_path, capsys):
    cases = tuple(figure3.Case("hypergrid:2x4:paper", o, 8, 32, 2, 3) for o in ("tb", "subtb(0.9)"))
    assert figure3.main(["--out", str(tmp_path)], cases) == 0
    page = (tmp_path / "figure3_hypergrid.md").read_text()
    assert (
        "hypergrid:2x4:paper, subtb(0.9)" in page
        and (tmp_path / "figure3_hypergrid_2x4_paper.png").stat().st_size > 10_000
    )
    # stopped at the first evaluation, it still has its first rows
    stopped = figure3.Case("hypergrid:2x4:paper", "fm", 8, 32, 2, 3, minutes=1e-9)
    figure3.run(stopped, tmp_path, "cpu")
    assert (tmp_path / stopped.name).exists() and not (
        tmp_path / stopped.name / "config.json"
    ).exists()
    assert figure3.gather((stopped,), tmp_path, "cpu") == (
        [],
        {},
    )  # so little says nothing about an order
    figure3.run(dataclasses.replace(stopped, minutes=None), tmp_path, "cpu")
    rows, about = figure3.gather((stopped,), tmp_path, "cpu")
    assert max(row["trajectories"] for row in rows) == 8 * 16 and about[stopped.name]["steps"] == 8


def test_a_page_shows_the_longest_run_of_each_case(figure3, tmp_path, monkeypatch):
    import figure3_page

    monkeypatch.setattr(figure3.presets, "HERE", tmp_path / "paper_checks")
    short, long = (
        tuple(figure3.Case("hypergrid:2x4:paper", o, steps, 32, 2, 2) for o in objectives)
        for steps, objectives in ((4, ("tb", "db")), (6, ("tb",)))
    )
    for preset, cases in (("paper", long), ("standard", short)):
        assert figure3.main(["--preset", preset, "--device", "cpu"], cases) == 0
    page = (tmp_path / "paper_checks" / "figure3_hypergrid.md").read_text()
    assert "tb | 2 | 6 | 6 |" in page and "db | 2 | 4 | 4 |" in page and "tb | 2 | 4 |" not in page
    results = tmp_path / "paper_checks" / "results" / "figure3_hypergrid"
    forth, back = (
        figure3_page.read(*(results / preset for preset in order))
        for order in (("standard", "paper"), ("paper", "standard"))
    )
    assert {case: curves.about["steps"] for case, curves in forth.items()} == {
        case: curves.about["steps"] for case, curves in back.items()
    }


def test_the_grids_beyond_the_paper_run(beyond, tmp_path, capsys, monkeypatch):
    for name, short in {
        "SPACES": ["hypergrid:2x4:paper"],
        "MORE": ["jsd", beyond.DESIGNED],
        "SAMPLERS": ["on", "backward"],
        "ALPHAS": ["0", "1"],
        "RATES": [0.01, 0.1],
    }.items():
        monkeypatch.setattr(beyond, name, short)
    size = {"seeds": 2, "steps": 4, "batch": 8, "evaluations": 2}
    assert beyond.main(["--out", str(tmp_path)], size) == 0
    page = (tmp_path / "beyond_the_paper.md").read_text()
    assert "| jsd |" in page and "| designed |" in page and "linex(1->0)" in page
    assert len((tmp_path / "runs.csv").read_text().splitlines()) == 1 + 2 * 2 * (
        6 + 8 + 2 * 4 + 2 * 2
    )


def committed(name: str) -> list:
    return [folder for folder in sorted((CHECKS / "results" / name).glob("*")) if folder.is_dir()]


def test_the_committed_pages_are_what_the_committed_results_say(figure3, beyond, tmp_path):
    import beyond_page
    import figure3_page
    from figure3_ways import other_ways

    def render(folders):
        others = {
            name: figure3_page.read(*of) for name, of in other_ways(CHECKS / "results").items()
        }
        return figure3_page.render(figure3_page.read(*folders), "figure3_hypergrid", others)

    text, folders = (CHECKS / "figure3_hypergrid.md").read_text(), committed("figure3_hypergrid")
    assert text == render(folders)
    for number, folder in enumerate(folders):
        shutil.copytree(folder, tmp_path / folder.name)
        path = tmp_path / folder.name / "curves.csv"
        lines = path.read_text().splitlines()
        path.write_text("\n".join([*lines[:-1], lines[-1].rpartition(",")[0] + ",0.987"]) + "\n")
        altered = [*folders[:number], path.parent, *folders[number + 1 :]]
        assert text != render(altered)
    for folder in committed("beyond_the_paper"):
        text = (CHECKS / "beyond_the_paper.md").read_text()
        assert text == beyond_page.render(beyond_page.Runs(folder), "beyond_the_paper")
        shutil.copytree(folder, tmp_path / "beyond")
        path = tmp_path / "beyond" / "runs.csv"
        path.write_text(path.read_text().replace(",jsd,0.03,0,0.", ",jsd,0.03,0,0.9", 1))
        assert text != beyond_page.render(beyond_page.Runs(tmp_path / "beyond"), "beyond_the_paper")
    assert committed("figure3_hypergrid") and committed("beyond_the_paper")


def test_the_time_on_a_gpu_is_what_a_step_counts(monkeypatch):
    monkeypatch.syspath_prepend(str(CHECKS))
    import time_on_a_gpu as estimate

    given = {"policy": "mlp", "evaluate": "visited", "batch": 4, "seeds": 2}
    small, large = (
        estimate.counted(
            {"quadratic": squared}, graph_from_text("hypergrid:2x4"), width=width, **given
        )
        for width in (64, 128)
    )
    # the same kernels at any width; products of the layers between grow fourfold, those beside them
    # twofold
    assert small[0] == large[0] > 50 and 2 < large[1] / small[1] < 4
    page = estimate.page([("Figure 3", "a case", 1000, 2, 1e-5, 360, 0.0)])
    assert "| Figure 3 | a case | 1,000 | 2 | 360 | 0.0 | 3.6 | 0.0 | not measured |  |" in page
    page = estimate.page([("Figure 3", "a case", 36_000, 2, 1e-5, 360, 0.0)], {"a case": 0.5})
    assert "| 0.50 | 10 |" in page and "or 10 hours of one core" in page
    assert (
        estimate.measured(
            {"quadratic": squared}, graph_from_text("hypergrid:2x4"), width=64, **given
        )
        > 0
    )
    committed = (CHECKS / "time_on_a_gpu.md").read_text().splitlines()
    kernels = [int(row.split("|")[5]) for row in committed if row.startswith("| Figure 3 |")]
    assert len(kernels) == 4 and max(kernels) <= 120
    assert {line.split("|")[1].strip() for line in committed if line.startswith("| ")} >= {
        "Figure 3",
        "Figure 5",
        "Tables 3 and 4",
    }


def test_molecules_drawn_with_other_settings_are_not_taken_for_these(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(CHECKS))
    import figure5_sampled

    made = []
    monkeypatch.setattr(
        figure5_sampled, "_run", lambda *given: made.append(given[3]["steps"]) or ([], 0.0)
    )
    size = {"net_seeds": 1, "steps": 5, "width": 4, "depth": 1, "keep": 2}
    for steps in (5, 5, 6):
        figure5_sampled.sampled_part(
            tmp_path, None, {**size, "steps": steps}, "cpu", lambda *given: {}, False
        )
    assert made == [5] * 4 + [6] * 4  # four objectives, each once for each size


@pytest.fixture
def figure5(monkeypatch):
    monkeypatch.syspath_prepend(str(CHECKS))
    import figure5_molecules
    import figure5_page
    import figure5_sampled

    return figure5_molecules, figure5_page, figure5_sampled


def test_the_committed_page_of_molecules_is_what_its_results_say(figure5, tmp_path):
    _, page, _ = figure5
    before = (CHECKS / "figure5_molecules.md").read_text()
    assert before == page.text(CHECKS / "results" / "figure5_molecules"), (
        "python paper_checks/figure5_molecules.py --page"
    )
    shutil.copytree(CHECKS / "results" / "figure5_molecules", tmp_path / "results")
    path = tmp_path / "results" / "standard" / "sampled.json"
    changed = json.loads(path.read_text())
    changed["runs"][0]["mean_reward"] *= 2
    path.write_text(json.dumps(changed))
    assert before != page.text(tmp_path / "results")
    # what another preset or the switch made is shown beside it
    changed["about"].update(as_released=True, steps=50_000)
    (tmp_path / "results" / "standard" / "sampled-as-released.json").write_text(json.dumps(changed))
    text = page.text(tmp_path / "results")
    assert "really uses" in text and "Run: see above." in text and "Not run: 50,000" not in text


def test_an_order_of_losses_says_in_how_many_seeds_it_holds(figure5):
    _, page, _ = figure5
    high, low = np.array([3.0, 3.0, 1.0]), np.array([2.0, 2.0, 2.0])
    of = dict(zip(page.LOSSES, (high, low, low, high)))
    assert (
        page._orders(of, of)[0]
        == "yes (2 of 3 seeds): Quadratic > Shifted-Cosh > Linex(1) > Linex(1/2)"
    )
    assert page._orders(dict(zip(page.LOSSES, (low, high, low, high))), of)[0].startswith(
        "no (0 of 3 seeds)"
    )
    assert page._orders(dict.fromkeys(page.LOSSES, low), of)[0] == "no: all four within 1%"


def test_molecules_run_on_qed_named_as_such_and_a_stopped_run_goes_on(
    figure5, tmp_path, monkeypatch, capsys
):
    pytest.importorskip("rdkit", reason="molecules need RDKit: pip install rdkit")
    check, _, sampled = figure5
    monkeypatch.setattr(sampled, "OBJECTIVES", ("tb",))
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", 0.0)
    size = {**check.SIZES["quick"], "steps": 7, "width": 8, "depth": 1}
    monkeypatch.setitem(check.SIZES, "quick", size)
    assert check.main(["--device", "cpu", "--out", str(tmp_path / "whole")]) == 0
    assert (
        "no --data: QED" in capsys.readouterr().err
        and not (tmp_path / "whole" / "sampled.json").exists()
    )
    recorder = sampled.recorder

    def stopping(path):
        keep = recorder(path)

        def until(step, states):
            keep(step, states)
            if step == 4:
                raise KeyboardInterrupt

        return until

    monkeypatch.setattr(sampled, "recorder", stopping)
    with pytest.raises(KeyboardInterrupt):
        check.main(["--device", "cpu", "--out", str(tmp_path / "stopped")])
    seen = []
    monkeypatch.setattr(
        sampled,
        "recorder",
        lambda path: lambda step, states: (seen.append(step), recorder(path)(step, states)),
    )
    assert check.main(["--device", "cpu", "--out", str(tmp_path / "stopped")]) == 0
    assert seen[0] > 0 and seen[-1] == 6
    whole, stopped = (
        json.loads((tmp_path / name / "sampled-qed.json").read_text())
        for name in ("whole", "stopped")
    )
    assert whole["runs"] == stopped["runs"] and whole["runs"][0]["molecules"] == 7 * 4
    assert whole["about"]["space"].startswith("generated:molecules:8 (QED^4 (not the sEH")
    assert (
        "scaffolds_0.7" in whole["runs"][0] and "scaffolds_6" not in whole["runs"][0]
    )  # thresholds of QED, not of sEH
    # nothing is finished elsewhere: what was committed stays
    assert check.main(["--gather", "--device", "cpu", "--out", str(tmp_path / "none")]) == 0
    assert not (tmp_path / "none").exists()


def test_the_losses_that_the_released_code_really_uses(figure5):
    check, _, _ = figure5
    x = torch.tensor([1.5])
    for objective in check.OBJECTIVES:
        values = {
            round(float(loss(x)), 6) for loss in check.losses(objective, as_released=True).values()
        }
        assert len(values) == (4 if objective.startswith("subtb") else 1)
        assert len({round(float(loss(x)), 6) for loss in check.losses(objective).values()}) == 4
    assert check.losses("tb", as_released=True)["Linex(1)"](x).item() == pytest.approx(1.5**2 / 2)


@pytest.mark.parametrize(
    "arguments",
    [["--parts", "foo"], ["--data"], ["--preset", "standard", "--data", "no_such_folder"]],
)
def test_molecules_asked_for_wrongly_end_with_one_line(figure5, arguments, tmp_path, capsys):
    check, _, _ = figure5
    try:
        assert check.main([*arguments, "--out", str(tmp_path)]) == 2
    except SystemExit as stop:
        assert stop.code == 2
    assert "Traceback" not in capsys.readouterr().err and not list(tmp_path.iterdir())
