"""A run that is killed at any moment goes on from its last checkpoint and ends with the numbers
of a whole one.
"""

import contextlib
import os
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from divergence_lab.results.result import METRICS
from divergence_lab.results.storage import ResultError, load
from divergence_lab.training.checkpoints import NAME

# Checkpoints as often as the loop comes by, so that the kill may fall inside the writing of one.
RUN = """
import sys, torch
from divergence_lab.training import loop as training
from divergence_lab.graphs import hypergrid
training.CHECKPOINT_SECONDS = 0.02
losses = {"quadratic": lambda x: x**2 / 2, "linex(1)": lambda x: torch.expm1(x) - x}
training.train(losses, hypergrid(2, 6), objective=sys.argv[2], sampler=sys.argv[3], seeds=[3, 8],
               steps=600, batch=8, evaluations=80, learning_rate=[0.02, 0.05], progress=False,
               device="cpu", out=sys.argv[1],
               resume=True)
"""


def start(folder, objective, sampler):
    return subprocess.Popen([sys.executable, "-c", RUN, str(folder), objective, sampler])


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is a POSIX signal")
@pytest.mark.parametrize(("objective", "sampler"), [("tb", "replay:0.5"), ("subtb(0.9)", "on")])
def test_killed_at_random_moments_a_run_ends_with_the_same_numbers(tmp_path, objective, sampler):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert start(whole, objective, sampler).wait(850) == 0
    chance = random.Random(0)
    kills, read = 0, []
    for attempt in range(20):
        job = start(broken, objective, sampler)
        started = broken.exists() and (broken / NAME).exists()
        stamp = (broken / NAME).stat().st_mtime_ns if started else None
        # wait until this process has written something of its own, then a random moment more: ever
        # longer, because the end of a process takes a while as well
        for _ in range(60_000):
            if (
                (broken / NAME).exists() and (broken / NAME).stat().st_mtime_ns != stamp
            ) or job.poll() is not None:
                break
            time.sleep(0.005)
        time.sleep(chance.uniform(0, 0.2 * 1.5**attempt))
        if job.poll() is not None:
            break
        os.kill(job.pid, signal.SIGKILL)
        job.wait()
        kills += 1
        # an unfinished run is never taken for a result; one that was whole before the kill is read
        # as such
        with contextlib.suppress(ResultError):
            read.append(load(broken))
    else:
        pytest.fail("the run never came to its end")
    assert job.returncode == 0 and len(read) < kills
    one = load(whole)
    for other in [*read, load(broken)]:
        for name in METRICS:
            np.testing.assert_array_equal(one.metrics[name], other.metrics[name])
        np.testing.assert_array_equal(one.terminal, other.terminal)
    # what the kills left behind is never read: half-written files carry another name
    assert all(not path.name.endswith(".npz") for path in broken.glob("*.part"))
