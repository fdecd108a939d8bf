"""The benchmark: it runs without any peer and names the missing; its ratios and goals are right."""

import argparse
import json
import os
import sys
import time
from types import ModuleType

import pytest
import torch

from divergence_lab.bench import compare as room
from divergence_lab.bench import measuring, peers
from divergence_lab.bench.compare import Row, bench
from divergence_lab.cli import bench as cli_bench
from divergence_lab.graphs.texts import graph_from_text
from divergence_lab.inputs import InputError
from divergence_lab.training import loop
from divergence_lab.training.stepping import start_progress

SECONDS = 0.02  # of one iteration of the made-up peer


def options(*arguments):
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(dest="command")

    def command(name, run, summary, example, *options):
        added = commands.add_parser(name)
        added.set_defaults(run=run)
        for names, settings in options:
            added.add_argument(*names, **settings)

    cli_bench.add_commands(command)
    return parser.parse_args(["bench", *arguments])


@pytest.fixture
def made_up(monkeypatch):
    """A peer that takes SECONDS an iteration and as long for a law."""
    module = ModuleType("divergence_lab.bench.peers.made_up_peer")
    module.NEEDS, module.VERSIONS = ("json",), ("torch",)
    module.training = lambda dimensions, side, batch, device, stop_logit: (
        lambda n: time.sleep(SECONDS * n)
    )
    module.law = lambda dimensions, side, policy, device: lambda: time.sleep(SECONDS)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(peers, "PEERS", {**peers.PEERS, "made_up": "json"})
    monkeypatch.setitem(room.CPU_GOALS, "made_up", {"2x8": 1e-6, "4x8": 1e9})


def test_quick_mode_runs_without_peers_and_names_them(monkeypatch, capsys):
    monkeypatch.setattr(peers.importlib.util, "find_spec", lambda name: None)
    given = options("--quick", "--json", "--device", "cpu")
    assert given.run(given) == 0
    document = json.loads(capsys.readouterr().out)
    torchgfn, gfnx = document["not_installed"]
    assert "torchgfn is not installed" in torchgfn and "docs/benchmark.md" in torchgfn
    assert "gfnx is not installed" in gfnx
    assert {"cpu", "cores", "threads", "torch", "gpu"} <= set(document["machine"])
    kinds = " ".join(row["what"] for row in document["rows"])
    for part in ("sweep", "law", "gradient", "exact tb", "exact db", "memory", "crossover"):
        assert part in kinds
    for row in document["rows"]:
        assert row["ours"] == "oo" or row["ours"] > 0
        assert row["against"] not in peers.PEERS, "a peer that is not there is not guessed"


def test_a_ratio_is_twenty_runs_of_the_peer_over_one_sweep_of_ours(made_up):
    losses = dict.fromkeys("abcd", torch.square)
    (row,) = room.sweep("2x8", ["made_up"], losses, True, torch.device("cpu"))
    assert row.against == "made_up"
    assert 1 <= row.theirs / (20 * SECONDS * 1e3) < 100
    assert row.ratio == row.theirs / row.ours
    assert row.met is True
    (missed,) = room._training_rows(
        "sweep", "2x8", ["made_up"], losses, torch.device("cpu"), 0.0, 2, 1
    )
    assert missed.goal is None and missed.met is None


def test_a_law_is_compared_three_times_and_judged_once(made_up):
    rows = room.law_beside("2x4", ["made_up"], torch.device("cpu"))
    assert [row.goal for row in rows] == [room.LAW_RATIO["cpu"], None, None]
    for row in rows:
        assert row.ratio == pytest.approx(row.theirs / row.ours)
        # milliseconds; a sleep is never shorter, and on a busy machine longer
        assert 1 <= row.theirs / (SECONDS * 1e3) < 100


@pytest.mark.parametrize(
    ("row", "met"),
    [
        (Row("", "", 2.0, "ms", "p", 10.0, 5.0, goal=5.0), True),
        (Row("", "", 2.0, "ms", "p", 10.0, 5.0, goal=5.1), False),
        (Row("", "", 2.0, "s", goal=1.0, judged="ours", bound="at most"), False),
        (Row("", "", 2.0, "s", goal=2.0, judged="ours", bound="at most"), True),
        (Row("", "", float("inf"), "steps", goal=75.0, judged="ours", bound="at most"), False),
        (Row("", "", 2.0, "ms"), None),
        (Row("", "", 2.0, "ms", goal=3.0), None),
    ],
)
def test_goals(row, met):
    assert row.met is met


def test_contenders_take_turns_and_the_first_call_does_not_count():
    calls = []
    found = measuring.in_turns({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, 3)
    assert calls == ["a", "b"] * 4
    assert set(found) == {"a", "b"}


def test_our_training_is_the_training_of_train(monkeypatch):
    graph = graph_from_text("hypergrid:2x4")
    losses = {"quadratic": lambda x: x * x / 2}
    given = {"seeds": 2, "batch": 8, "device": "cpu"}
    captured = []

    def start(*arguments):
        captured.append(start_progress(*arguments))
        return captured[-1]

    monkeypatch.setattr(measuring.stepping, "start_progress", start)
    iterate = measuring.our_training(graph, losses, **given)
    iterate(4)
    iterate(6)
    loop.train(losses, graph, steps=10, decay=0.0, evaluations=1, progress=False, **given)
    ours, whole = captured
    torch.testing.assert_close(ours.members.values, whole.members.values, rtol=0, atol=0)


def test_wrong_names_are_refused():
    with pytest.raises(peers.PeerError, match="torchgfn, gfnx"):
        bench(["nothing"], quick=True)
    with pytest.raises(InputError, match="auto, cpu or cuda"):
        bench([], device="tpu", quick=True)


@pytest.mark.parametrize("name", sorted(peers.PEERS))
def test_an_installed_peer_trains_and_its_law_is_a_law(name):
    if peers.missing(name):
        pytest.skip(f"{name} is not installed")
    module = peers.peer(name)
    module.training(2, 8, 4)(2)
    for policy in ("tabular", "mlp"):
        law = module.law(2, 8, policy)()
        assert law.shape == (64,)
        assert law.sum() == pytest.approx(1.0, abs=1e-5)
    assert set(peers.versions(name)) == set(module.VERSIONS)


def test_the_table_shows_ratio_and_goal():
    rows = (
        Row("sweep of 20", "2x8", 5.0, "ms", "torchgfn", 200.0, 40.0, goal=15.0),
        Row("exact law", "4x32", 4.5e7, "states/s", goal=30e6, judged="ours"),
    )
    machine = {
        "gpu": None,
        "cpu": "some CPU",
        "cores": 2,
        "threads": 2,
        "torch": "2",
        "peers": {"torchgfn": {"torchgfn": "9"}},
    }
    text = cli_bench.as_text(room.Bench(rows, ("gfnx is not installed",), machine, 1.0))
    assert "some CPU, 2 cores" in text and "torchgfn 9" in text and "gfnx is not installed" in text
    line = next(line for line in text.splitlines() if line.startswith("sweep"))
    assert line.split() == [
        "sweep",
        "of",
        "20",
        "2x8",
        "5",
        "ms",
        "200",
        "ms",
        "40",
        ">=",
        "15",
        "yes",
        "against",
        "torchgfn",
    ]
    assert "45M states/s" in text and ">= 30M" in text


def test_the_products_of_an_iteration_are_counted():
    """Forward and backward, plain and of one group of rows after another."""
    rows = torch.rand(8, 48, requires_grad=True)
    weights = torch.rand(2, 48, 32, requires_grad=True)
    ends = torch.tensor([3, 8], dtype=torch.int32)

    def run(n):
        for _ in range(n):
            grouped = torch.nn.functional.grouped_mm(rows, weights, offs=ends)
            (grouped.square().sum() + (rows @ weights[0]).square().sum()).backward()

    assert measuring.product_flops(run) == 2 * 3 * 2 * 8 * 48 * 32
    assert measuring.peak_flops(64) > 0
    assert measuring.share_of_peak(run, 1e9).startswith("0% of")


def test_on_a_gpu_a_peer_that_makes_all_seeds_in_one_call_is_not_multiplied(made_up, monkeypatch):
    """As on a GPU, on a CPU: the peer's call for all members takes as long as one of its runs."""
    module = sys.modules["divergence_lab.bench.peers.made_up_peer"]
    module.PRECISIONS = ("default", "highest")
    called = []

    def together(dimensions, side, batch, stop_logit, members, precision):
        called.append((batch, members, precision))
        return lambda n: time.sleep(SECONDS * n)

    module.together = together
    monkeypatch.setattr(room, "our_training", lambda *_, **__: lambda n: time.sleep(SECONDS * n))
    losses = dict.fromkeys("abcd", torch.square)
    one, default, highest = room._training_rows(
        "sweep", "2x8", ["made_up"], losses, torch.device("cuda"), 0.0, 1, 3
    )
    assert called == [(room.BATCH, room.MEMBERS, "default"), (room.BATCH, room.MEMBERS, "highest")]
    assert default.against == "made_up, all in one jit"
    assert highest.against == "made_up, all in one jit, highest precision"
    assert 5 < one.theirs / default.theirs < 80
    assert default.note == "20 seeds"


def test_a_peer_that_runs_elsewhere_is_left_out_and_told(made_up, monkeypatch):
    module = sys.modules["divergence_lab.bench.peers.made_up_peer"]
    module.place = lambda: "cpu"
    assert peers.missing("made_up", "cpu") is None is peers.missing("made_up")
    line = "made_up is left out: it runs on cpu here, and is to be compared on cuda"
    assert peers.missing("made_up", "cuda") == line
    jax = ModuleType("jax")
    jax.default_backend = lambda: "gpu"
    monkeypatch.setitem(sys.modules, "jax", jax)
    assert peers.peer("gfnx").place() == "cuda"
    assert os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] == "false"


def test_the_goal_on_a_gpu_is_held_against_gfnx_with_all_seeds_in_one_call():
    rows = [Row("sweep", size, 1.0, "ms", room.TOGETHER, 1.4, 1.4) for size in room.SWEEP]
    assert all(row.met is False for row in room._with_goals(rows, room.GPU_GOALS))
