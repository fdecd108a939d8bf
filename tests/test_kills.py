"""Every command, ended at random moments by Ctrl-C, SIGTERM and SIGKILL, from its first import on:
one line at most, the right exit code, no process left, and in the end the numbers of a whole run.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

import divergence_lab as dl
from divergence_lab.results.result import METRICS

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="looks for processes in /proc"
)

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)
CODES = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGKILL: -signal.SIGKILL}
MARK = "DIVERGENCE_LAB_TEST_OF_KILLS"
PATIENCE = 60.0  # of a busy machine
# said where the kill before came between two names of a checkpoint
GOES_ON = "the run goes on from the checkpoint before it"
GRID = "hypergrid:2x6"
TRAIN = [*["train", "quadratic", "linex(1)", "--seeds", "2", "--device", "cpu", "--env"], GRID]
SWEEP = {
    "fixed": {"losses": ["quadratic"], "env": GRID, "seeds": 1, "steps": 150},
    "grid": {"objective": ["tb", "db"]},
}
# what writes nothing
COMMANDS = {
    "derive": ["derive", "exp(x)-x-1", "x**2*exp(Abs(x))"],
    "compare": ["compare", "quadratic", "linex(1)"],
    "check": ["check", "derived.json"],
    "verify": ["verify", "quadratic", "--env", "hypergrid:2x3"],
    "train": [*TRAIN, "--steps", "200"],
    "invert": ["invert", "t*log(t)-t+1"],
    "catalogue": ["catalogue"],
    "design": ["design", "--zero-forcing", "--even-loss"],
    "audit": ["audit", "torch.nn:HuberLoss", "--residual", "target/model"],
    "bench": ["bench", "--quick", "--against", "", "--device", "cpu"],
    "molecules": ["molecules", "score", "c1ccccc1"],
}
# Checkpoints as often as the loop comes by, so that SIGKILL may fall inside the writing of one.
OFTEN = (
    "import sys; from divergence_lab.training import loop; loop.CHECKPOINT_SECONDS = 0.02; "
    "from divergence_lab.cli.main import main; sys.exit(main())"
)


def start(folder, words, mark, program=("-m", "divergence_lab")):
    return subprocess.Popen(
        [sys.executable, *program, *words],
        cwd=folder,
        env={**os.environ, MARK: mark, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def is_ready(job):
    """Has it come to its first import? From then on it answers SIGTERM."""
    try:
        status = Path(f"/proc/{job.pid}/status").read_text()
    except OSError:
        return True
    (caught,) = (line.split()[1] for line in status.splitlines() if line.startswith("SigCgt"))
    return bool(int(caught, 16) >> (signal.SIGTERM - 1) & 1) or job.poll() is not None


def marked(mark):
    """Processes that were started by one with this mark."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and f"{MARK}={mark}".encode() in (
                entry / "environ"
            ).read_bytes().split(b"\0"):
                state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
                found += [entry.name] if state not in "ZX" else []
        except OSError:
            continue
    return found


def processor_seconds(pid):
    try:
        used = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    except OSError:
        return 0.0
    return sum(map(int, used)) / os.sysconf("SC_CLK_TCK")


def orphans(mark, seconds=1.0):
    """Those that work on without their asker for so many seconds of the processor, which a busy
    machine gives slowly, or are there after all PATIENCE.
    """
    until, before = time.monotonic() + PATIENCE, {}
    while left := marked(mark):
        used = [(now := processor_seconds(pid)) - before.setdefault(pid, now) for pid in left]
        if max(used) > seconds or time.monotonic() > until:
            return left
        time.sleep(0.05)
    return []


class Kills:
    """Kills commands and counts: (command, signal) -> kills."""

    def __init__(self, seed):
        self.chance, self.done = random.Random(seed), Counter()

    def kill(self, folder, words, longest, program=("-m", "divergence_lab")):
        """End the command at a moment within `longest` seconds; False where it had ended before."""
        number, mark = self.chance.choice(SIGNALS), f"{os.getpid()}-{self.chance.random()}"
        job = start(folder, words, mark, program)
        try:
            while not is_ready(job):
                time.sleep(0.001)
            # a third of the moments lie within the first imports
            time.sleep(self.chance.choice([0.05, longest, longest]) * self.chance.random())
            job.send_signal(number)
            _, said = job.communicate(timeout=PATIENCE)
        finally:
            job.kill()
        left = orphans(mark)
        assert not left, f"{words[0]} left {left} behind after {number.name}"
        if job.returncode in (0, 1):
            return False
        told = [line for line in said.splitlines() if line and GOES_ON not in line]
        assert job.returncode == CODES[number], (words[0], number.name, job.returncode, said)
        assert len(told) == (number != signal.SIGKILL), (words[0], number.name, said)
        self.done[words[0], number.name] += 1
        return True

    def until_done(self, folder, words, longest, program, again=()):
        """Kill it, begin it again, until it comes to its end; ever later."""
        for attempt in range(40):
            go_on = [*words, *(again if attempt else ())]
            if not self.kill(folder, go_on, longest * 1.1**attempt, program):
                break
        last = start(folder, [*words, *again], "last", program)
        assert last.communicate(timeout=10 * PATIENCE)[1] == "" and last.returncode == 0
        assert not [*folder.rglob("*.part")] and not [*folder.rglob(".lock")]


def run_whole(folder, words, program=("-m", "divergence_lab")):
    folder.mkdir(exist_ok=True)
    job = start(folder, words, "whole", program)
    said = job.communicate(timeout=10 * PATIENCE)[1]
    assert job.returncode == 0, said


def prepare(folder):
    words = [sys.executable, "-m", "divergence_lab", "derive", "quadratic", "--json"]
    document = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    (folder / "derived.json").write_text(document)
    (folder / "grid.json").write_text(json.dumps(SWEEP))


def same_result(one, other):
    one, other = dl.load(one), dl.load(other)
    for name in METRICS:
        np.testing.assert_array_equal(one.metrics[name], other.metrics[name])
    np.testing.assert_array_equal(one.terminal, other.terminal)


def test_a_few_kills(tmp_path):
    prepare(tmp_path)
    kills = Kills(os.getpid())
    for name in ("derive", "derive", "check", "train", "train"):
        kills.kill(tmp_path, COMMANDS[name], 3.0)


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_ends_with_one_line_and_leaves_no_process(tmp_path, name):
    prepare(tmp_path)
    kills, longest = Kills(name), 8.0
    while kills.done.total() < 10:
        if not kills.kill(tmp_path, COMMANDS[name], longest):
            longest = max(0.5, 0.8 * longest)


@pytest.mark.slow
@pytest.mark.parametrize(
    "objective, program", [("tb", ("-c", OFTEN)), ("tb,subtb(0.9)", ("-m", "divergence_lab"))]
)
def test_training_goes_on_to_the_same_numbers(tmp_path, program, objective):
    words = [*TRAIN, "--steps", "1500", "--objective", objective, "--out", "run"]
    run_whole(tmp_path / "whole", words, program)
    broken = tmp_path / "broken"
    broken.mkdir()
    Kills(objective).until_done(broken, words, 5.0, program, ["--resume"])
    for folder in ("run",) if objective == "tb" else ("run/tb", "run/subtb(0.9)"):
        same_result(tmp_path / "whole" / folder, broken / folder)


@pytest.mark.slow
def test_a_report_goes_on_to_the_same_numbers(tmp_path):
    words = ["report", "quadratic", "linex(1)", "--quick", "--device", "cpu", "--out", "report"]
    run_whole(tmp_path / "whole", words)
    broken = tmp_path / "broken"
    broken.mkdir()
    kills = Kills("report")
    for attempt in range(40):
        if not kills.kill(broken, words, 5.0 * 1.1**attempt):
            break
    assert not [*broken.rglob("*.part")]
    same_result(tmp_path / "whole" / "report" / "run", broken / "report" / "run")
    one, other = (
        json.loads((tmp_path / name / "report" / "results.json").read_text())
        for name in ("whole", "broken")
    )
    for key in ("divergences", "convergence", "quick"):
        assert one[key] == other[key]


@pytest.mark.slow
def test_a_sweep_goes_on_to_the_same_numbers(tmp_path):
    words = ["sweep", "grid.json", "--out", "grid", "--cluster", "none", "--device", "cpu"]
    for name in ("whole", "broken"):
        (tmp_path / name).mkdir()
        prepare(tmp_path / name)
    run_whole(tmp_path / "whole", words)
    Kills("sweep").until_done(tmp_path / "broken", words, 5.0, ("-m", "divergence_lab"))
    one, other = (tmp_path / name / "grid" / "table.csv" for name in ("whole", "broken"))
    assert one.read_text() == other.read_text()


@pytest.mark.slow
def test_an_exported_file_is_whole_or_not_there(tmp_path):
    words = ["export", "linex(1)", "--form", "torch", "--out", "loss.py"]
    run_whole(tmp_path, words)
    whole = (tmp_path / "loss.py").read_text()
    (tmp_path / "loss.py").unlink()
    kills = Kills("export")
    while kills.done.total() < 10:
        kills.kill(tmp_path, words, 2.0)
        if (tmp_path / "loss.py").exists():
            assert (tmp_path / "loss.py").read_text() == whole
            (tmp_path / "loss.py").unlink()  # else the next one is refused
    run_whole(tmp_path, words)
    assert {path.name for path in tmp_path.iterdir()} == {"loss.py"}
