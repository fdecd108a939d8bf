"""`python -P -m divergence_lab.app`: the loss designer in a browser. Options are those of `marimo
run`, such as `--port 2718 --headless`.
"""

import runpy
import sys
from pathlib import Path

from divergence_lab.inputs import missing_package

# Each visitor has a thread, and marimo looks into the packages that another thread imports. So all
# are imported before the first visitor comes; half an import would stay broken for all later ones.
try:
    from divergence_lab.app import choice, family, live, pictures, verdict_table  # noqa: F401
except ModuleNotFoundError as error:
    sys.exit(str(missing_package(error, "the loss designer") or error))

# ten seconds after a visitor has left, nothing is kept or computed for him
options = ["--session-ttl", "10", *sys.argv[1:]]
sys.argv = ["marimo", "run", str(Path(__file__).with_name("page.py")), *options]
runpy.run_module("marimo", run_name="__main__", alter_sys=True)
