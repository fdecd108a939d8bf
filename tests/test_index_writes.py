"""No place is written twice in one call: which of two writes stays depends on threads, and on a
GPU on chance.
"""

import itertools

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from divergence_lab.gflownet.rollouts import _replayed
from divergence_lab.gflownet.samplers import Sampler
from divergence_lab.gflownet.visited.places import grouped
from divergence_lab.graphs.texts import space_from_text
from divergence_lab.training.loop import train

LOSSES = {"quadratic": lambda x: x**2 / 2, "linex(1)": lambda x: torch.expm1(x) - x}


class Writes(TorchDispatchMode):
    """Looks at every write to places that an index names, and refuses one that names a place
    twice.
    """

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, function, types, given=(), options=None):
        name = function.overloadpacket.__name__.rstrip("_")
        if name in ("index_put", "_index_put_impl") and not any(
            given[3:4]
        ):  # what adds up may meet itself
            # a mask names each of its places once; None stands for all
            wished = [
                one.nonzero()[:, 0] if one.dtype == torch.bool else one
                for one in given[1]
                if one is not None
            ]
            self.look(
                function,
                torch.stack([one.flatten() for one in torch.broadcast_tensors(*wished)], dim=1),
            )
        elif name == "index_copy":
            self.look(function, given[2][:, None])
        elif str(function) in ("aten.scatter.src", "aten.scatter_.src"):
            # [places, lines], each line apart from the others
            table = given[2].movedim(given[1], 0).reshape(given[2].shape[given[1]], -1)
            line = torch.arange(table.shape[1]).expand_as(table)
            self.look(function, torch.stack([table.flatten(), line.flatten()], dim=1))
        return function(*given, **(options or {}))

    def look(self, function, places):
        self.count += 1
        assert len(torch.unique(places, dim=0)) == len(places), f"{function} writes a place twice"


def test_a_write_to_one_place_twice_is_noticed():
    """The control: each kind of write, once right and once wrong."""
    places, wrong = torch.tensor([2, 0, 1]), torch.tensor([2, 0, 2])
    for write in (
        lambda at: torch.zeros(2, 3).__setitem__((slice(None), at), torch.rand(2, 3)),
        lambda at: torch.zeros(3).scatter_(0, at, torch.rand(3)),
        lambda at: torch.zeros(3, 2).scatter(0, at[:, None].expand(-1, 2), torch.rand(3, 2)),
        lambda at: torch.zeros(3).index_copy(0, at, torch.rand(3)),
        lambda at: torch.zeros(3, 3).__setitem__((at, at), torch.rand(3)),
    ):
        with Writes() as seen:
            write(places)
        assert seen.count == 1
        with pytest.raises(AssertionError, match="twice"), Writes():
            write(wrong)


CASES = [
    *itertools.product(["hypergrid:2x5"], ["tb", "subtb(0.9)", "fm"], ["tabular", "mlp"], ["on"]),
    *itertools.product(["hypergrid:2x5"], ["tb", "fm"], ["mlp"], ["replay:0.25", "mixture:0.5"]),
    ("generated:hypergrid:2x5", "tb", "mlp", "replay:0.25"),
    ("generated:sets:7x3", "tb", "mlp", "on"),
    ("generated:bits:24x4", "db", "transformer", "on"),
    ("generated:bits:24x4", "tb", "mlp", "on"),
]


@pytest.mark.parametrize(("env", "objective", "policy", "drawn"), CASES)
def test_training_writes_no_place_twice(env, objective, policy, drawn):
    for way in (
        ("all states", "visited")
        if policy == "mlp" and not env.startswith("generated")
        else ("auto",)
    ):
        with Writes() as seen:
            train(
                LOSSES,
                space_from_text(env),
                objective=objective,
                policy=policy,
                sampler=drawn,
                evaluate=way,
                seeds=1 if policy == "transformer" else 4,
                steps=2,
                batch=8,
                evaluations=1,
                device="cpu",
                progress=False,
                width=4,
                depth=1,
                window=0 if "gen" in env else 12,
            )
        assert seen.count or policy == "tabular" or "generated" in env


@pytest.mark.parametrize(
    ("count", "capacity"), [(3, 10), (10, 10), (12, 10), (25, 10), (7, 1), (1, 3)]
)
def test_a_ring_holds_the_last_trajectories_whole(count, capacity):
    """Each step's trajectory n is full of one number, which no other has; what is drawn is
    whole, and new enough.
    """
    buffer, noise = (
        torch.zeros(2, 5, capacity, dtype=torch.long),
        torch.linspace(0, 1, 64)[:-1].expand(2, 5, -1),
    )
    every = torch.zeros(0, dtype=torch.long)
    for step in range(6):
        new = 1 + step * count + torch.arange(count)
        every = torch.cat([every, new])
        with Writes():
            drawn = _replayed(buffer, new.expand(2, 5, -1), noise, torch.tensor(step))
        kept = every[-capacity:]
        assert torch.equal(buffer[0, 0].sort().values[-len(kept) :], kept)
        assert (buffer == buffer[:1, :1]).all() and (drawn == drawn[:, :1]).all()
        assert set(drawn.unique().tolist()) <= set(kept.tolist())
        if capacity < 20:
            assert set(drawn.unique().tolist()) == set(kept.tolist())


def test_a_batch_may_be_larger_than_the_ring():
    settings = {
        "seeds": 2,
        "steps": 4,
        "batch": 40,
        "evaluations": 1,
        "device": "cpu",
        "progress": False,
    }
    for policy in ("tabular", "mlp"):
        found = train(
            LOSSES,
            space_from_text("hypergrid:2x4"),
            sampler=Sampler(replay=0.5, capacity=7),
            policy=policy,
            **settings,
        )
        assert found.finite.all()


def test_a_group_is_known_by_its_first_visit():
    random = torch.Generator().manual_seed(0)
    member = torch.arange(3).repeat_interleave(50)
    states = torch.randint(0, 3, (150, 2), generator=random)
    group, first = grouped(member, states)
    for number, place in enumerate(first.tolist()):
        assert place == int((group == number).nonzero()[0])
    assert torch.equal(states[first][group], states) and torch.equal(member[first][group], member)
