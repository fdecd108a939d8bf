"""Whatever happens to a file of a run: it is read as it was written, or refused in one line; a
checkpoint is replaced by the one before it.
"""

import os
import random
import shutil
import sys
import warnings
from collections import Counter

import numpy as np
import pytest

import divergence_lab as dl
from divergence_lab.inputs import InputError
from divergence_lab.results import storage
from divergence_lab.training import checkpoints, loop
from tests.damage import RAN, ways

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no pipes and devices as files")

LOSSES = {"half square": lambda x: x**2 / 2, "fourth": lambda x: x**4}
GIVEN = {"seeds": [3, 8], "steps": 6, "batch": 3, "evaluations": 3, "progress": False}
WAYS = ways()


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A folder with a result, its last checkpoint, and the one before it."""
    folder = tmp_path_factory.mktemp("runs") / "whole"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "CHECKPOINT_SECONDS", 0.0)
        dl.train(LOSSES, dl.hypergrid(2, 3), **GIVEN, device="cpu", out=folder)
    assert sorted(path.name for path in folder.iterdir()) == sorted(loop.WRITTEN)
    return folder


def put_back(whole, folder):
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(whole, folder)


def read_result(folder):
    result = dl.load(folder)
    arrays = (result.terminal, result.target, result.finite, result.moved, result.steps)
    return dict(result.config), dict(result.environment), *arrays, *result.metrics.values()


def same(one, other):
    return len(one) == len(other) and all(
        np.array_equal(a, b, equal_nan=a.dtype.kind == "f") if isinstance(a, np.ndarray) else a == b
        for a, b in zip(one, other)
    )


def read_checkpoint(folder, header, tensors):
    losses = {name[5:]: values for name, values in tensors.items() if name.startswith("loss ")}
    found = checkpoints.read(folder, header["config"], losses)
    if found is None:
        return ()
    step, seconds, saved = found
    return step, seconds, *(tensor.numpy() for tensor in saved.values())


class Fuzz:
    """Damages files of the run, reads them, and counts what held: (file, way) -> attempts."""

    def __init__(self, whole, folder, seed):
        self.whole, self.folder, self.chance = whole, folder, random.Random(seed)
        self.result = read_result(whole)
        self.asked = checkpoints.read_file(whole / checkpoints.NAME)
        self.kept = {}
        for name in checkpoints.WRITTEN:
            header, tensors = checkpoints.read_file(whole / name)
            arrays = [one.numpy() for key, one in tensors.items() if not key.startswith("loss ")]
            self.kept[name] = (header["step"], header["seconds"], *arrays)
        self.tried, self.failures = Counter(), []

    def attempt(self):
        name, way = self.chance.choice(sorted(loop.WRITTEN)), self.chance.choice(sorted(WAYS))
        shutil.rmtree(self.folder, ignore_errors=True)
        shutil.copytree(self.whole, self.folder)
        alone = name == checkpoints.NAME and self.chance.random() < 0.5
        if alone:
            (self.folder / checkpoints.BEFORE).unlink()
        WAYS[way](self.folder / name, self.chance)
        self.tried[way] += 1
        try:
            held = self.holds(name, way, alone)
        except InputError as error:
            # beside a whole checkpoint only a folder under its name can be in the way
            needed = name in storage.WRITTEN or alone or way == "folder"
            held = "\n" not in str(error) and needed
        except BaseException as error:
            held = False
            name = f"{name}: {type(error).__name__}: {error}"
        if not held or RAN in os.environ:
            self.failures.append((way, name))

    def holds(self, name, way, alone):
        """Was it read as it was written?"""
        if name in storage.WRITTEN:
            return same(read_result(self.folder), self.result)
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            found = read_checkpoint(self.folder, *self.asked)
        if told:
            (one,) = told
            assert "the run goes on from the checkpoint before it" in str(one.message)
            return same(found, self.kept[checkpoints.BEFORE])
        # an older one in its place is whole as well: the run goes on from there
        older = way == "other_file" and same(found, self.kept[checkpoints.BEFORE])
        nothing = way == "missing" and alone and not found
        return older or nothing or same(found, self.kept[checkpoints.NAME])

    def table(self):
        """A row for each way: attempts, held, failed."""
        failed = Counter(way for way, _ in self.failures)
        rows = [("damage", "attempts", "held", "failed")]
        rows += [(way, n, n - failed[way], failed[way]) for way, n in sorted(self.tried.items())]
        return rows


def check(whole, tmp_path, attempts, seed, record_property):
    fuzz = Fuzz(whole, tmp_path / "damaged", seed)
    for _ in range(attempts):
        fuzz.attempt()
    record_property("table", fuzz.table())
    assert not fuzz.failures, fuzz.failures[:10]


def test_damaged_files_are_refused(whole, tmp_path, record_property):
    check(whole, tmp_path, 300, seed=os.getpid(), record_property=record_property)


@pytest.mark.slow
def test_ten_thousand_damaged_files_are_refused(whole, tmp_path, record_property):
    check(whole, tmp_path, 10_000, seed=1, record_property=record_property)


@pytest.mark.parametrize("way", sorted({*WAYS} - {"folder"}))
def test_a_run_goes_on_from_the_checkpoint_before_a_damaged_one(whole, tmp_path, way):
    folder = tmp_path / "run"
    shutil.copytree(whole, folder)
    WAYS[way](folder / checkpoints.NAME, random.Random(5))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", checkpoints.DamagedCheckpoint)
        dl.train(LOSSES, dl.hypergrid(2, 3), **GIVEN, device="cpu", out=folder, resume=True)
    found, wanted = read_result(folder), read_result(whole)
    assert same(found[:1] + found[2:], wanted[:1] + wanted[2:])  # seconds and threads aside
    checkpoints.read_file(folder / checkpoints.NAME)


def test_both_checkpoints_damaged_is_one_line(whole, tmp_path):
    shutil.copytree(whole, tmp_path / "run")
    for name in checkpoints.WRITTEN:
        (tmp_path / "run" / name).write_bytes(b"PK\3\4")
    given = {**GIVEN, "device": "cpu", "out": tmp_path / "run", "resume": True}
    with pytest.raises(checkpoints.CheckpointError, match=r"earlier version.*--overwrite"):
        dl.train(LOSSES, dl.hypergrid(2, 3), **given)
