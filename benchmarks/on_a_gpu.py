"""What a GPU is wanted for, within some minutes, most valuable first; what it has is on disk at
every moment.

    python benchmarks/on_a_gpu.py --minutes 14
    python benchmarks/on_a_gpu.py --minutes 2 --device cpu --quick --tests tests/test_metrics.py

The second line tries it anywhere.

1. tests     every test by name; those that failed before and those of training come first
2. profile   benchmarks/one_step.py: kernels and microseconds of one step and of one law
3. bench     divergence-lab bench
4. figure3   paper_checks/figure3_hypergrid.py, from its checkpoints

Each step may take a share of the time that is left, and is ended when that is over; a test that
hangs, or leaves the GPU broken for its process, is ended alone.  A second start
with the same OUT goes on: tests that passed are not run again, numbers that were measured are not
measured again, Figure 3 goes on from its last checkpoint.  Another state of the code (commit or
files) begins anew, but for Figure 3, whose checkpoints know their settings; what there was is moved
to OUT/before-VERSION.  Needs no network.  In OUT:

    log.txt       what was done and when  state.json    the same for programs, as far as it is
    tests.jsonl   a line for each test that ended   tests.txt     what pytest -v printed
    profile.txt   a line of JSON for each step and law
    bench.jsonl   a line for each thing measured    bench.json    the whole document, once it is
    figure3/      checkpoints in runs/, curves.csv, about.json, the page
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
import time
import tomllib
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PASSED = "ON_A_GPU_PASSED"  # names the file of tests that need not run again
RECORD = "ON_A_GPU_RECORD"  # names the file that takes a line for each test that ended
UNREAD = "ON_A_GPU_UNREAD"  # that of the files of tests that could not be imported
# in a failure after which nothing works on the GPU in the same process
BROKEN = ("CUDA error", "Triton Error [CUDA]")
FIRST = (
    "test_laws_in_kernels",
    "test_walks_in_kernels",
    "test_training",
    "test_exact",
    "test_no_waiting",
    "test_generated",
    "test_places",
    "test_objectives",
    "test_theorem",
)
# of the time that is left when the step begins
SHARES = {"tests": 0.5, "profile": 0.2, "bench": 0.6, "figure3": 1.0}
# seconds: worth beginning, to end after being asked, to gather at the end
LEAST, GRACE, TO_GATHER = 3.0, 10.0, 20.0
WORKERS = 15
HANGS = 120.0  # seconds after which a test is ended, and where it was is printed


# --- in pytest, as its plugin


def pytest_collection_modifyitems(config: Any, items: list) -> None:
    """Leave out what passed; what failed comes first, then FIRST.  The same in every worker."""
    passed, failed = json.loads(Path(os.environ[PASSED]).read_text())
    gone = [item for item in items if item.nodeid in set(passed)]
    if gone:
        config.hook.pytest_deselected(items=gone)
    kept = [item for item in items if item.nodeid not in set(passed)]
    known = set(failed)
    items[:] = sorted(
        kept, key=lambda item: (item.nodeid not in known, not item.path.stem.startswith(FIRST))
    )


def pytest_runtest_logreport(report: Any) -> None:
    """A line for each test that ended, on disk before the next one does; workers leave this to
    their master.
    """
    if "PYTEST_XDIST_WORKER" in os.environ:
        if report.failed and any(words in report.longreprtext for words in BROKEN):
            print(report.longreprtext, file=sys.__stderr__, flush=True)
            os._exit(3)  # pytest puts another process in its place
        return
    if report.passed and report.when != "call":
        return
    append(
        Path(os.environ[RECORD]),
        {"name": report.nodeid, "outcome": report.outcome, "seconds": round(report.duration, 2)},
    )


def pytest_collectreport(report: Any) -> None:
    """A line for each file that cannot be imported: what it needs may not be installed."""
    if report.failed and "PYTEST_XDIST_WORKER" not in os.environ:
        append(Path(os.environ[UNREAD]), {"name": report.nodeid})


# --- what is on disk


def append(path: Path, record: dict) -> None:
    """One line of JSON, written and flushed to the disk; a line before it that was cut off stays
    alone.
    """
    cut = path.exists() and not path.read_bytes().endswith(b"\n")
    with open(path, "a") as file:
        file.write("\n" * cut + json.dumps(record) + "\n")
        file.flush()
        os.fsync(file.fileno())


def lines(path: Path) -> list[dict]:
    """Its records; a line that was cut off says nothing."""
    found = []
    for line in path.read_text().splitlines() if path.exists() else ():
        try:
            found.append(json.loads(line))
        except ValueError:
            continue
    return found


def write(path: Path, text: str) -> None:
    """Whole or not at all."""
    beside = path.with_name(path.name + ".part")
    beside.write_text(text)
    os.replace(beside, path)


def outcomes(path: Path) -> dict[str, str]:
    """test -> how it last ended; what fails after its call, in its teardown, has failed."""
    return {one["name"]: one["outcome"] for one in lines(path)}


def version() -> str:
    """The commit, as far as it is known, and what the files of the package and its tests hold."""
    words = ["git", "-C", str(ROOT), "rev-parse", "--short=10", "HEAD"]
    try:
        asked = subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        asked = "no-commit"
    files = sorted(
        path
        for folder in ("divergence_lab", "tests", "paper_checks", "benchmarks")
        for path in (ROOT / folder).rglob("*.py")
    )
    digest = hashlib.sha256(b"\0".join(path.read_bytes() for path in files)).hexdigest()[:8]
    return f"{asked}-{digest}"


def absent() -> list[str]:
    """What pyproject.toml asks for, for the package and its tests, and is not installed."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["test"]]
    names = [found[0] for one in wanted if (found := re.match(r"[\w.-]+", one))]
    return [name for name in names if name != project["name"] and not installed(name)]


def installed(name: str) -> bool:
    try:
        return bool(metadata.version(name))
    except metadata.PackageNotFoundError:
        return False


# --- steps


@dataclass
class Session:
    """One start: where it writes, until when it may run, what it knows of each step."""

    out: Path
    deadline: float
    device: str
    quick: bool
    tests: list[str]
    steps: list[str]
    state: dict[str, Any] = field(default_factory=dict)
    child: subprocess.Popen | None = None

    def left(self) -> float:
        return self.deadline - time.monotonic()

    def say(self, text: str) -> None:
        line = f"{time.strftime('%H:%M:%S')}  {text}"
        print(line, flush=True)
        with open(self.out / "log.txt", "a") as file:
            file.write(line + "\n")

    def note(self, step: str, **known: Any) -> None:
        self.state["steps"][step] = {**self.state["steps"].get(step, {}), **known}
        write(self.out / "state.json", json.dumps(self.state, indent=1) + "\n")

    def command(
        self, words: list[str], limit: float, printed: Path, more: dict[str, str] | None = None
    ) -> int | None:
        """Its exit code; None where it was ended after `limit` seconds.

        What it prints is appended to `printed`.
        """
        paths = [str(ROOT), str(ROOT / "benchmarks"), *filter(None, [os.environ.get("PYTHONPATH")])]
        known = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(paths),
            "PYTHONUNBUFFERED": "1",
            # jax would take three quarters of the GPU's memory, in each process
            "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
            **(more or {}),
        }
        with open(printed, "ab") as file:
            self.child = subprocess.Popen(
                [sys.executable, *words],
                cwd=ROOT,
                env=known,
                stdout=file,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        try:
            return self.child.wait(limit)
        except subprocess.TimeoutExpired:
            return None
        finally:
            self.end_child()

    def end_child(self) -> None:
        """Nobody it started outlives it."""
        if self.child is None:
            return
        for number in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self.child.pid, number)
                self.child.wait(GRACE)
            except ProcessLookupError:
                break
            except subprocess.TimeoutExpired:
                continue
        self.child = None


def tests(session: Session, limit: float) -> str:
    """Every test that has not passed, by name."""
    record, printed = session.out / "tests.jsonl", session.out / "tests.txt"
    unread = session.out / "unread.jsonl"
    unread.unlink(missing_ok=True)
    before = outcomes(record)
    gone = [name for name, outcome in before.items() if outcome != "failed"]
    write(session.out / "passed.json", json.dumps([gone, sorted(set(before) - set(gone))]))
    words = [
        "-m",
        "pytest",
        "-v",
        "-p",
        "no:cacheprovider",
        "-p",
        "on_a_gpu",
        "-m",
        "not slow and not alone",
        "--continue-on-collection-errors",
        "-o",
        f"faulthandler_timeout={HANGS}",
        "-o",
        "faulthandler_exit_on_timeout=true",
    ]
    if importlib.util.find_spec("xdist"):
        words += ["-n", str(max(1, min(WORKERS, (os.cpu_count() or 2) - 1)))]
    code = session.command(
        [*words, *session.tests],
        limit,
        printed,
        {
            PASSED: str(session.out / "passed.json"),
            RECORD: str(record),
            UNREAD: str(unread),
            "OMP_NUM_THREADS": "1",
            "DIVERGENCE_LAB_TESTS_ON_GPU": "1" if session.device == "cuda" else "",
        },
    )
    after = outcomes(record)
    failed = sorted(name for name, outcome in after.items() if outcome == "failed")
    session.note("tests", passed=len(after) - len(failed), failed=failed)
    for name in failed:
        session.say(f"FAILED {name}")
    for name in sorted({one["name"] for one in lines(unread)}):
        session.say(f"NOT READ {name}: it cannot be imported, see tests.txt")
    session.say(
        f"tests: {len(after) - len(failed)} passed or were skipped ({len(gone)} of them "
        f"before), {len(failed)} failed"
    )
    return {None: "stopped", 0: "done", 1: "failed", 5: "done"}.get(
        code, f"broke: exit code {code}, see tests.txt"
    )


def profile(session: Session, limit: float) -> str:
    """What one step and one law consist of."""
    printed = session.out / "profile.txt"
    printed.unlink(missing_ok=True)
    words = ["benchmarks/one_step.py", "--device", session.device]
    code = session.command([*words, *(["--quick"] if session.quick else [])], limit, printed)
    session.note("profile", measured=len(lines(printed)))
    return {None: "stopped", 0: "done"}.get(code, f"broke: exit code {code}, see profile.txt")


def bench(session: Session, limit: float) -> str:
    """The benchmark; what is measured is kept at once."""
    printed = session.out / "bench.txt"
    printed.unlink(missing_ok=True)
    words = [
        "-m",
        "divergence_lab",
        "bench",
        "--device",
        session.device,
        "--json",
        "--keep",
        str(session.out / "bench.jsonl"),
    ]
    code = session.command([*words, *(["--quick"] if session.quick else [])], limit, printed)
    if code == 0:
        text = printed.read_text()
        write(session.out / "bench.json", text[text.index("{\n") :])  # warnings may stand above it
    session.note("bench", measured=len(lines(session.out / "bench.jsonl")))
    return {None: "stopped", 0: "done"}.get(code, f"broke: exit code {code}, see bench.txt")


def figure3(session: Session, limit: float) -> str:
    """Its cases in turn, TB first, each from its checkpoint; then curves and page of what there
    is.
    """
    place, printed = session.out / "figure3", session.out / "figure3.txt"
    place.mkdir(exist_ok=True)
    earlier = session.state["steps"].get("figure3", {}).get("versions", [])
    if earlier and session.state["version"] not in earlier:
        session.say(f"figure3: goes on from checkpoints of {', '.join(earlier)}")
    session.note("figure3", versions=list(dict.fromkeys([*earlier, session.state["version"]])))
    words = [
        "paper_checks/figure3_hypergrid.py",
        "--preset",
        "quick" if session.quick else "paper",
        "--device",
        session.device,
        "--objective",
        "tb,db,subtb(0.9),fm",
        "--runs",
        str(place / "runs"),
        "--out",
        str(place),
    ]
    code = session.command(words, max(LEAST, limit - TO_GATHER), printed)
    if code is None:
        session.command([*words, "--gather"], TO_GATHER, printed)
    return {None: "stopped", 0: "done"}.get(code, f"broke: exit code {code}, see figure3.txt")


STEPS = {"tests": tests, "profile": profile, "bench": bench, "figure3": figure3}


# --- the whole


def resumed(out: Path, now: str) -> dict[str, Any]:
    """The state of the last start; what belongs to another version is moved aside."""
    try:
        state = json.loads((out / "state.json").read_text())
    except (OSError, ValueError):
        return {"version": now, "steps": {}}
    if state["version"] != now:
        aside = out / f"before-{state['version']}"
        aside.mkdir(exist_ok=True)
        for name in ("tests.jsonl", "tests.txt", "profile.txt", "bench.jsonl", "bench.json"):
            if (out / name).exists():
                os.replace(out / name, aside / name)
        state = {
            "version": now,
            "was": state["version"],
            "steps": {k: v for k, v in state["steps"].items() if k == "figure3"},
        }
    return state


def run(session: Session) -> int:
    """Every step that is not done, in turn; 0 where all are done, 1 otherwise."""
    for name in session.steps:
        step = STEPS[name]
        if session.state["steps"].get(name, {}).get("state") == "done":
            session.say(f"{name}: done before")
            continue
        limit = SHARES[name] * session.left()
        if limit < LEAST:
            session.say(f"{name}: not begun, the time is over")
            continue
        session.say(f"{name}: begins, for {limit:.0f} s at most; {session.left():.0f} s are left")
        started = time.monotonic()
        session.note(name, state="running")
        try:
            how = step(session, limit)
        except Exception as error:  # what breaks one step must not keep the others from running
            how = f"broke: {type(error).__name__}: {error}"
        session.note(name, state=how, seconds=round(time.monotonic() - started, 1))
        session.say(f"{name}: {how}")
    return int(
        any(session.state["steps"].get(name, {}).get("state") != "done" for name in session.steps)
    )


def main(argv: list[str] | None = None) -> int:
    """One start; see the top of this file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=14.0, help="for everything together (14)")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda", help="(cuda)")
    parser.add_argument(
        "--out", type=Path, default=ROOT / "runs" / "on_a_gpu", help="(runs/on_a_gpu)"
    )
    parser.add_argument("--quick", action="store_true", help="small sizes: to see that it runs")
    parser.add_argument(
        "--tests", nargs="+", default=["tests"], metavar="FILE", help="which tests (tests)"
    )
    parser.add_argument(
        "--steps",
        nargs="+",
        choices=list(STEPS),
        default=list(STEPS),
        metavar="STEP",
        help="which, in this order (all)",
    )
    chosen = parser.parse_args(argv)
    deadline = time.monotonic() + 60 * chosen.minutes
    if not 0 < chosen.minutes < float("inf"):
        parser.error(f"--minutes {chosen.minutes:g}: give a positive number")
    if chosen.device == "cuda":
        import torch

        if not torch.cuda.is_available():
            print(
                "on_a_gpu.py: torch finds no CUDA device here; try it with --device cpu --quick",
                file=sys.stderr,
            )
            return 2
    out = chosen.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    session = Session(
        out,
        deadline,
        chosen.device,
        chosen.quick,
        chosen.tests,
        chosen.steps,
        resumed(out, version()),
    )
    session.say(
        f"{session.state['version']} on {chosen.device}, {chosen.minutes:g} minutes, "
        f"everything goes to {out}"
    )
    if lacks := absent():
        session.say(f"not installed here: {', '.join(lacks)}; docs/benchmark.md says how to")
    if "was" in session.state:
        session.say(
            f"the code has changed since {session.state.pop('was')}: tests and benchmark "
            "begin anew, what there was is moved aside"
        )

    def stop(number: int, frame: Any) -> None:
        raise SystemExit(128 + number)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    try:
        return run(session)
    except SystemExit:
        session.say("stopped from outside; start it again to go on")
        raise


if __name__ == "__main__":
    sys.exit(main())
