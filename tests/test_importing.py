"""Modules of the package may be imported by several threads at once, in any order, and names
mean the same whatever came first.
"""

import importlib
import subprocess
import sys

import pytest

import divergence_lab

TOGETHER = [
    ["bridge", "bridge.verified.ranges", "bridge.export"],
    ["graphs.texts", "graphs", "training.loop"],
    ["audit.claims", "audit", "audit.auditing"],
    ["theory.checker.documents", "theory.answers.derivation", "theory.divergence.loss"],
    ["theorem.verification", "bridge.torch_loss", "report.page", "bench.compare"],
]

# Each child of a process in which only what we need from others is loaded: a fresh start for our
# own modules.
FORKED = """
import os, sys
import flint, matplotlib.figure, numpy, sympy, torch
import scipy.interpolate, scipy.optimize, scipy.special, scipy.stats
{threads}
if (pid := os.fork()) == 0:
    names()
    os._exit(0)
if os.waitpid(pid, 0)[1]:
    sys.exit("names differ")
for number in range({count}):
    names = [f"divergence_lab.{{name}}" for name in {groups}[number % {groups_count}]]
    if (pid := os.fork()) == 0:
        os._exit(started(names[number % len(names):] + names[:number % len(names)]))
    if os.waitpid(pid, 0)[1]:
        sys.exit(f"failed: {{names}}")
"""
FRESH = "import sys\n{threads}\nsys.exit(started({names}))"
THREADS = """
import importlib, threading
def started(names):
    sys.setswitchinterval(1e-6)
    failed = []
    def one(name):
        try:
            importlib.import_module(name)
        except BaseException as error:
            failed.append(error)
            print(name, repr(error), file=sys.stderr, flush=True)
    threads = [threading.Thread(target=one, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(failed)
"""


NAMES = """
def names():
    # formula is a module too: the function is what is meant
    import divergence_lab as dl
    import divergence_lab.bridge.export, divergence_lab.bridge.formula
    import divergence_lab.graphs.spaces.hypergrid
    from divergence_lab.bridge import formula
    from divergence_lab.graphs import generated, hypergrid
    assert callable(dl.export) and callable(formula) and hypergrid is dl.hypergrid
    assert generated.__name__ == "divergence_lab.graphs.generated"
    assert dl.metrics.__name__ == "divergence_lab.results.metrics"
"""


def ran(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=600)


@pytest.mark.skipif(sys.platform != "linux", reason="children are made by fork")
def test_threads_may_import_at_once_and_names_mean_the_same_whatever_was_imported_before():
    done = ran(
        FORKED.format(threads=THREADS + NAMES, count=2, groups=TOGETHER, groups_count=len(TOGETHER))
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("number", range(20))
def test_threads_may_import_at_once_in_a_fresh_interpreter(number):
    names = [f"divergence_lab.{name}" for name in TOGETHER[number % len(TOGETHER)]]
    done = ran(
        FRESH.format(
            threads=THREADS, names=names[number % len(names) :] + names[: number % len(names)]
        )
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("old", divergence_lab._MOVED)
def test_an_old_path_names_the_new_one(old):
    """By either way of importing it, and the new one is there."""
    room, _, module = f"divergence_lab.{old}".rpartition(".")
    for text in (f"import {room}.{module}", f"from {room} import {module}"):
        if module in getattr(importlib.import_module(room), "__all__", ()):
            continue  # a public name of the same name: the old path is a right one
        with pytest.raises(ModuleNotFoundError, match="is now divergence_lab") as caught:
            exec(text, {})
        assert "\n" not in str(caught.value)
    importlib.import_module(f"divergence_lab.{divergence_lab._MOVED[old].split()[0]}")
