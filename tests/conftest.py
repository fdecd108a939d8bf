"""What every test takes for granted, in processes of its own too: these files are the package,
installed or not, and no GPU is at hand unless DIVERGENCE_LAB_TESTS_ON_GPU says so.
"""

import os
from pathlib import Path

ROOT = str(Path(__file__).resolve().parents[1])
os.environ["PYTHONPATH"] = os.pathsep.join(
    dict.fromkeys([ROOT, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))])
)
if not os.environ.get("DIVERGENCE_LAB_TESTS_ON_GPU"):
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
