"""Fifty visitors of the loss designer at once: benchmarks/page_visitors.py keeps its limits."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[1] / "benchmarks" / "page_visitors.py"


@pytest.mark.alone
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_fifty_visitors_take_few_processes_and_leave_fewer():
    if importlib.util.find_spec("marimo") is None:
        pytest.skip("needs the extra [app]")
    done = subprocess.run([sys.executable, SCRIPT], capture_output=True, text=True, timeout=1500)
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
