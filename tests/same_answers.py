"""Commands whose answers must not depend on the machine: what they print, on processors of any
speed.

    python -m tests.same_answers FACTOR < COMMANDS > ANSWERS

The processor is taken as FACTOR times slower than this one.

COMMANDS: a JSON list of lists of words; ANSWERS: a JSON list of [exit code, standard output,
standard error].
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
GOLDEN = ROOT.parent / "shared" / "golden" / "losses.json"
COMMAND = re.compile(r"^(?:    |\$ )divergence-lab (.+?)(?:\s{2,}#.*)?$", re.MULTILINE)


def of_the_catalogue() -> Iterator[list[str]]:
    """Every name, every family at its examples and with its parameters left open."""
    from divergence_lab.theory.catalogue.named import DIVERGENCES, LOSSES

    for entry in LOSSES:
        for inside in dict.fromkeys(
            (*entry.examples, ", ".join(entry.parameters)) if entry.parameters else ("",)
        ):
            yield ["derive", f"{entry.name}({inside})" if inside else entry.name, "--json"]
    for entry in DIVERGENCES:
        yield ["invert", entry.name, "--json"]
    yield ["catalogue", "--json"]


def of_the_golden_table() -> Iterator[list[str]]:
    for row in json.loads(GOLDEN.read_text()):
        values = [] if "alpha" in row["g"] else ["--at", "0.01,0.1,0.5,2,10,100", "--digits", "25"]
        yield ["derive", row["g"], "--json", *values]
        if row["f"]:
            yield ["invert", row["f"], "--json", *values]


def of_the_pages() -> Iterator[list[str]]:
    """What README and docs show of derive, invert and design, as JSON."""
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))):
        for line in COMMAND.findall(page.read_text()):
            for part in re.split(r"\s*&&\s*(?:divergence-lab )?", line):
                words = shlex.split(re.sub(r" > [\w./]+$", "", part))
                if words[0] in ("derive", "invert", "design") and "residuals.txt" not in words:
                    yield [
                        *(word for word in words if word not in ("--json", "--latex", "--steps")),
                        "--json",
                    ]


def answers(
    commands: Sequence[Sequence[str]], factor: float = 1.0, hash_seed: str | None = None
) -> list[list]:
    """[exit code, standard output, standard error] of each command, where the processor is so
    many times slower.
    """
    done = subprocess.run(
        [sys.executable, "-m", "tests.same_answers", str(factor)],
        input=json.dumps(commands),
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            **({"PYTHONHASHSEED": hash_seed} if hash_seed else {}),
        },
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def differences(a: object, b: object, where: str = "") -> list[str]:
    """The fields in which two JSON documents differ."""
    if isinstance(a, dict) and isinstance(b, dict):
        return [
            line
            for key in sorted(a.keys() | b.keys())
            for line in differences(a.get(key), b.get(key), f"{where}.{key}")
        ]
    if isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        return [
            line
            for i, (one, two) in enumerate(zip(a, b))
            for line in differences(one, two, f"{where}[{i}]")
        ]
    return [] if a == b else [f"{where}: {str(a)[:200]} and {str(b)[:200]}"]


def compared(
    commands: Sequence[Sequence[str]], first: Sequence[list], second: Sequence[list]
) -> list[str]:
    """What differs between two runs of the commands, in words."""
    lines = []
    for words, (code, out, told), (code_2, out_2, told_2) in zip(
        commands, first, second, strict=True
    ):
        found = [*differences([code, told], [code_2, told_2])]
        with contextlib.suppress(ValueError):
            found += differences(json.loads(out), json.loads(out_2))
        lines += [
            f"{' '.join(words)}: {line}"
            for line in (found or ["the text"] if out != out_2 or found else [])
        ]
    return lines


class SlowTime:
    """The module `time`, on a slower processor."""

    def __init__(self, factor: float) -> None:
        self.factor = factor

    def __getattr__(self, name: str) -> object:
        return getattr(time, name)

    def thread_time(self) -> float:
        return self.factor * time.thread_time()

    def clock_gettime(self, clock: int) -> float:
        return self.factor * time.clock_gettime(clock)


def main(factor: float) -> None:
    from divergence_lab.cli.main import main as command
    from divergence_lab.theory.answers import questions
    from divergence_lab.theory.budget import processor_time
    from divergence_lab.theory.budget.asking import allow_fork

    processor_time.time = SlowTime(
        factor
    )  # copied into every worker, as all are forks of this process
    questions._cores = lambda: 1
    allow_fork()
    found = []
    for words in json.load(sys.stdin):
        reads, writes = os.pipe()
        if os.fork() == 0:  # so that no command knows what another did
            out, told = io.StringIO(), io.StringIO()
            try:
                with contextlib.redirect_stdout(out), contextlib.redirect_stderr(told):
                    code = command(words)
                with os.fdopen(writes, "w") as pipe:
                    json.dump([code, out.getvalue(), told.getvalue()], pipe)
            finally:
                os._exit(0)
        os.close(writes)
        with os.fdopen(reads) as pipe:
            found.append(json.loads(pipe.read() or '["died", "", ""]'))
        os.wait()
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main(float(sys.argv[1]))
