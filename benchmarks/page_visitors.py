"""Many visitors of the loss designer at once: processes, memory, and how long a slider takes.

    python benchmarks/page_visitors.py [--visitors 50] [--dear 'exp(exp(exp(x)))'] [--after 60]

Each visitor is a websocket as a browser opens it, with a link to a loss of his own. All come at
once, each moves a slider; then one types a dear expression while the others move theirs; then all
leave. Memory is the sum of the proportional shares (PSS) of the server and all processes below it.
Ends with 1 where a limit is not kept.
"""

import argparse
import asyncio
import contextlib
import json
import os
import re
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "divergence_lab" / "app" / "page.py"
# processes, GB, of the page while it has visitors and a minute after they left; seconds of a slider
MOST, MOST_AFTER, DELAY = (6, 1.5), (2, 0.7), 1.0
# nested seven deep: reading and deriving it uses up every budget that the page gives
DEAR = "exp(exp(exp(exp(x)-1)-1)-1) - x + log(cosh(x))*atan(x)**2 + sqrt(1+x**4)"


@contextlib.contextmanager
def serving(log: Path) -> Iterator[tuple[subprocess.Popen, int]]:
    """The page, as `make app` serves it: its process and its port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    makefile = (ROOT / "Makefile").read_text()
    words = re.search(r"python (-.*divergence_lab.app) --port", makefile)[1].split()
    settings = {"MARIMO_SKIP_UPDATE_CHECK": "1", "PYTHONPATH": str(ROOT)}
    with log.open("w") as out:
        server = subprocess.Popen(
            [sys.executable, *words, "--headless", "--no-token", "--port", str(port)],
            cwd=ROOT,
            env={**os.environ, **settings},
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    try:
        while True:
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2).close()
                break
            assert server.poll() is None, log.read_text()
            time.sleep(0.2)
        yield server, port
    finally:
        server.terminate()
        server.wait(30)


# --- what the page uses


def tree(pid: int) -> list[int]:
    """A process and all below it."""
    children = [
        child
        for task in Path(f"/proc/{pid}/task").glob("*/children")
        for child in map(int, task.read_text().split())
    ]
    return [pid, *(other for child in children for other in tree(child))]


def used(pid: int) -> tuple[int, float]:
    """(processes, GB) of a process and all below it."""
    total, count = 0, 0
    with contextlib.suppress(OSError):
        for process in tree(pid):
            with contextlib.suppress(OSError, TypeError):  # it has just ended
                text = Path(f"/proc/{process}/smaps_rollup").read_text()
                total += int(re.search(r"^Pss:\s+(\d+)", text, re.MULTILINE)[1]) * 1024
                count += 1
    return count, total / 1e9


async def watch(pid: int, most: list[float]) -> None:
    """Keep the largest of both."""
    while True:
        count, size = await asyncio.to_thread(used, pid)
        most[:] = [max(most[0], count), max(most[1], size)]
        await asyncio.sleep(0.3)


# --- a visitor


@dataclass
class Visitor:
    """Somebody in front of the page: a websocket, and what it has shown last."""

    number: int
    port: int
    token: str = ""
    curve: str = ""
    derived: bool = False
    ids: dict[str, str] = field(default_factory=dict)
    drawn: asyncio.Event = field(default_factory=asyncio.Event)

    async def come(self) -> float:
        """Seconds to the first curve."""
        import websockets

        started = time.monotonic()
        link = f"left=0&right=1&curvature={1 + self.number}/50"
        self.socket = await websockets.connect(
            f"ws://127.0.0.1:{self.port}/ws?session_id=s_{self.number:06d}&{link}",
            max_size=None,
            ping_interval=None,  # a busy machine is given time
            open_timeout=900,
        )
        self.reading = asyncio.create_task(self.read())
        await asyncio.wait_for(self.drawn.wait(), 900)
        return time.monotonic() - started

    async def read(self) -> None:
        async for message in self.socket:
            # JSON within JSON, and HTML in it: quotes are written in several ways
            text = re.sub(r"\\+\"|&quot;|\\u0022", '"', str(message))
            if found := re.search(
                r'data-curve="g"[^>]*points="([^"]*)"|points="([^"]*)"[^>]*data-curve="g"', text
            ):
                self.curve = found[1] or found[2]
                self.drawn.set()
            self.derived |= "Minimises" in text
            for tag in ("slider", "text"):
                ids = re.findall(rf"object-id='([^']+)'[^<]*<marimo-{tag}\b", text)
                self.ids.update({f"{tag}{n}": one for n, one in enumerate(ids)})

    async def give(self, what: str, value: object) -> None:
        """Move a slider, or type."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/api/kernel/set_ui_element_value",
            json.dumps({"objectIds": [self.ids[what]], "values": [value]}).encode(),
            {
                "Content-Type": "application/json",
                "Marimo-Session-Id": f"s_{self.number:06d}",
                "Marimo-Server-Token": self.token,
            },
        )
        await asyncio.to_thread(lambda: urllib.request.urlopen(request, timeout=120).close())

    async def slide(self, value: float) -> float:
        """Seconds from a move of the slider of the curvature to its curve."""
        self.drawn.clear()
        started = time.monotonic()
        await self.give("slider2", value)
        await asyncio.wait_for(self.drawn.wait(), 300)
        return time.monotonic() - started


async def visit(server: subprocess.Popen, port: int, count: int, dear: str, after: float) -> bool:
    """The whole story, told line by line; were all limits kept?"""
    html = urllib.request.urlopen(f"http://127.0.0.1:{port}/").read().decode()
    token = re.search(r'"serverToken":\s*"([^"]*)"|data-token="([^"]*)"', html)
    most = [0, 0.0]
    watching = asyncio.create_task(watch(server.pid, most))
    people = [Visitor(n, port, token[1] or token[2]) for n in range(count)]
    first = await asyncio.gather(*(person.come() for person in people))
    tell("first curve, all at once", first)
    alone = [await person.slide(2.0 - n / 100) for n, person in enumerate(people[:10])]
    tell("a slider, one after another", alone)
    await people[-1].give("text0", dear)
    beside = []
    for n in range(20):
        beside.append(await people[n % (count - 1)].slide(1.5 + n / 100))
        await asyncio.sleep(0.3)
    tell("a slider, beside a dear expression", beside)
    watching.cancel()
    kept = report("with visitors", most, MOST)
    delay = max(beside) - statistics.median(alone)
    told = "kept" if delay <= DELAY else "MISSED"
    print(f"| delay by the dear expression | {delay:.2f} s | {told} |", flush=True)
    for person in people:
        person.reading.cancel()
        await person.socket.close()
    await asyncio.sleep(after)
    return (
        report(f"{after:g} s after they left", used(server.pid), MOST_AFTER)
        and kept
        and delay <= DELAY
    )


def tell(what: str, seconds: list[float]) -> None:
    print(
        f"| {what} | median {statistics.median(seconds):.2f} s, slowest {max(seconds):.2f} s | |",
        flush=True,
    )


def report(when: str, found: list[float] | tuple[int, float], most: tuple[int, float]) -> bool:
    kept = found[0] <= most[0] and found[1] <= most[1]
    print(
        f"| {when} | {found[0]} processes, {found[1]:.2f} GB | {'kept' if kept else 'MISSED'} |",
        flush=True,
    )
    return kept


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--visitors", type=int, default=50)
    parser.add_argument("--dear", default=DEAR)
    parser.add_argument("--after", type=float, default=60.0)
    options = parser.parse_args()
    log = ROOT / "build" / "page_visitors.log"
    log.parent.mkdir(exist_ok=True)
    with serving(log) as (server, port):
        print(f"| {options.visitors} visitors | | |\n|---|---|---|", flush=True)
        return not asyncio.run(visit(server, port, options.visitors, options.dear, options.after))


if __name__ == "__main__":
    sys.exit(main())
