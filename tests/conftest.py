"""What every test takes for granted, in processes of its own too: these files are the package,
installed or not, and no GPU is at hand unless DIVERGENCE_LAB_TESTS_ON_GPU says so.
"""

import os
import signal
from pathlib import Path

ROOT = str(Path(__file__).resolve().parents[1])
os.environ["PYTHONPATH"] = os.pathsep.join(
    dict.fromkeys([ROOT, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))])
)
if not os.environ.get("DIVERGENCE_LAB_TESTS_ON_GPU"):
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    # kernels of our own run in Triton's interpreter, which has to be asked for before the first
    # import
    os.environ["TRITON_INTERPRET"] = "1"

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a shell ignores it in the background
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_terminal_summary(terminalreporter):
    """The tables that tests hand over by `record_property("table", rows)`, passed or failed."""
    reports = [one for each in terminalreporter.stats.values() for one in each]
    for report in (one for one in reports if getattr(one, "when", "") == "call"):
        for name, rows in report.user_properties:
            if name == "table":
                terminalreporter.write_line("")
                for first, *others in rows:
                    cells = "".join(f"{cell:>10}" for cell in others)
                    terminalreporter.write_line(f"{first:<30}{cells}")
