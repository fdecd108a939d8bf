"""The number of type errors in theory may only fall: pyright's count against the one in
pyproject.toml.

    python benchmarks/types_of_theory.py

Exit code 1 where there are more than are recorded; where there are fewer it asks to lower the
number.
"""

import json
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]


def main() -> int:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    recorded = settings["tool"]["divergence_lab"]["type_errors_of_theory"]
    words = [sys.executable, "-m", "pyright", "--outputjson", "divergence_lab/theory"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    found = json.loads(done.stdout)["summary"]["errorCount"]
    print(f"types of theory: {found} errors, {recorded} recorded in pyproject.toml")
    if found > recorded:
        print("there are new ones: .venv/bin/pyright divergence_lab/theory")
    if found < recorded:
        print(f"better: write type_errors_of_theory = {found} into pyproject.toml")
    return int(found > recorded)


if __name__ == "__main__":
    sys.exit(main())
