"""The tests that compute hold on another processor, with another number of threads, and on a
busy machine.  Run by make test-slow.
"""

import contextlib
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]
FILES = (
    "audit",
    "blocks",
    "bridge",
    "docs",
    "entry",
    "exact",
    "exact_training",
    "expected",
    "export",
    "generated",
    "index_writes",
    "metrics",
    "molecules",
    "no_waiting",
    "objectives",
    "places",
    "policies",
    "results",
    "sampling",
    "schedules",
    "theorem_gradients",
    "training",
    "transformer",
)
# of these, what reads clocks, starts processes or keeps files: a load can change nothing else; the
# commands of the docs run beside as many loops in test_same_answers.py
OF_CLOCKS = ("entry", "results", "training")
BUSY = 10


def older_processor():
    """What torch, numpy and OpenBLAS compute with where no wide vectors are; sums come out in
    another order.
    """
    found = np.show_config(mode="dicts").get("SIMD Extensions", {}).get("found", [])
    return {
        "ATEN_CPU_CAPABILITY": "default",
        "MKL_CBWR": "COMPATIBLE",
        "OPENBLAS_CORETYPE": "Nehalem",
        "NPY_DISABLE_CPU_FEATURES": " ".join(found),
    }


MACHINES = {
    "an older processor, 16 threads": ({**older_processor(), "OMP_NUM_THREADS": "16"}, 0, FILES),
    "a busy machine": ({"OMP_NUM_THREADS": "1"}, BUSY, OF_CLOCKS),
}


@pytest.mark.alone
@pytest.mark.timeout(2400)
@pytest.mark.parametrize("machine", MACHINES)
def test_what_computes_gives_the_same_answers(machine):
    known, loops, names = MACHINES[machine]
    files = [f"tests/test_{name}.py" for name in names]
    with contextlib.ExitStack() as busy:
        for _ in range(loops):
            loop = busy.enter_context(subprocess.Popen([sys.executable, "-c", "while True: pass"]))
            busy.callback(loop.kill)
        found = subprocess.run(
            [
                sys.executable,
                "-m",
                "pytest",
                "-q",
                "-n",
                str(max(2, loops)),
                "-p",
                "no:cacheprovider",
                *files,
            ],
            cwd=ROOT,
            env={**os.environ, **known},
            capture_output=True,
            text=True,
            timeout=2300,
        )
    passed = re.findall(r"(\d+) passed", found.stdout)
    print(f"{machine}: {passed} tests of {len(files)} files passed, {loops} busy loops")
    assert found.returncode == 0, found.stdout[-6000:]
