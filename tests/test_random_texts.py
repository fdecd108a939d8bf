"""Texts at random, wherever one is read: a result or an InputError of one line; none crashes, hangs
or runs anything. 10^5 in `make test-slow`, which prints a table of what held; some in `make test`.
"""

import random
import signal
import sys
import time
from collections import Counter
from contextlib import contextmanager

import pytest

from divergence_lab.gflownet.objectives import objective
from divergence_lab.gflownet.samplers import sampler
from divergence_lab.graphs.texts import space_from_text
from divergence_lab.inputs import InputError
from divergence_lab.theory.design.reading import read_growth, read_number
from divergence_lab.theory.divergence.loss import loss
from divergence_lab.theory.divergence.weightings import weighting
from divergence_lab.theory.expressions.parsing import (
    FUNCTIONS,
    parse,
    parse_number,
    read_assumptions,
)
from divergence_lab.theory.expressions.symbols import x
from tests.strategies import FRAGMENTS

GOOD = [
    "exp(x) - x - 1",
    "Piecewise((x**2/2, x < 0), (exp(x), True))",
    "log(cosh(x/2))",
    "Abs(x)**p/p",
    "Max(x, 0)**2 + sqrt(1 + x**2)",
]
# what no reading of a text may do
RUNS = ("os.", "subprocess.", "socket.", "ctypes.", "shutil.", "pty.", "webbrowser.", "urllib.")
HARMLESS = {"os.listdir", "os.scandir", "os.stat"}
HANGS = 20.0  # processor seconds


def fragments(draw: random.Random) -> str:
    return "".join(draw.choice(FRAGMENTS) for _ in range(draw.randrange(1, 12)))


def characters(draw: random.Random) -> str:
    return "".join(chr(draw.randrange(0, 0x250)) for _ in range(draw.randrange(0, 20)))


def damaged(draw: random.Random) -> str:
    good = list(draw.choice(GOOD))
    for _ in range(draw.randrange(1, 4)):
        good[draw.randrange(len(good))] = draw.choice("x(),*+ 9.'\\\0<_#|e")
    return "".join(good)


def grammar(draw: random.Random) -> str:
    return nested(draw, draw.randrange(1, 5))


def towers(draw: random.Random) -> str:
    """Deep, wide or long: what would take all memory or time."""
    name, count = draw.choice(["exp", "Abs", "log", "sin", "-", "("]), draw.choice([3, 9, 30, 3000])
    inner = draw.choice(["x", "x + a", "9", "x**2"])
    many = "+".join(draw.choice("abcdxyz") for _ in range(draw.randrange(2, 9)))
    return draw.choice(
        [
            f"{name}(" * count + inner + ")" * count,
            f"({many})**{draw.choice([9, 99, 999, 9999])}",
            f"({many})**{draw.choice([9, 99, 999])}*({many})**{draw.choice([9, 99, 999])}",
            "**".join([inner, *(draw.choice(["9", "2", "x", "99"]) for _ in range(count % 7))]),
            f"{draw.choice(['gamma', 'zeta', 'polygamma'])}({10 ** draw.randrange(9)})*x",
            "9" * 10 ** draw.randrange(5) + "*x",
            f"1e{10 ** draw.randrange(6)}*x",
            " + ".join([inner] * count),
        ]
    )


def python(draw: random.Random) -> str:
    """Well-formed Python that must not run: statements' worth of calls, lambdas, comprehensions
    around real pieces.
    """
    piece = draw.choice(["x", "exp(x)", "1/3", "alpha", "x**2"])
    shape = draw.choice(
        [
            "__import__('os').system('{}')",
            "(lambda: {})()",
            "[{} for i in (1,)]",
            "({}).__class__",
            "{}.real",
            "exp({}) if True else 0",
            "open('{}')",
            "print({})",
            "f'{{{}}}'",
            "getattr({}, 'is_real')",
            "(y := {})",
            "{} or quit()",
            "exec('{}')",
            "sum([{}])",
            "{}[0]",
            "*{},",
            "{{'a': {}}}",
            "not {}",
        ]
    )
    return shape.format(piece)


def nested(draw: random.Random, depth: int) -> str:
    """An expression by the grammar, with extreme numbers, wrong counts of arguments and
    operators that are none.
    """
    if depth == 0 or draw.random() < 0.15:
        return draw.choice(
            [
                "x",
                "1",
                "2",
                "1/2",
                "-1",
                "1e300",
                "1e-300",
                "0.1",
                "9" * 400,
                "pi",
                "E",
                "alpha",
                "x**2",
                "oo",
                "I",
                "nan",
                "1e999",
                "0x10",
                "1_000",
                "1j",
                "None",
                "a__b",
            ]
        )
    kind, inner = draw.random(), nested(draw, depth - 1)
    if kind < 0.5:
        sign = draw.choice(["+", "-", "*", "/", "**", "**", "//", "%", "<", "|"])
        return f"({inner}{sign}{nested(draw, depth - 1)})"
    if kind < 0.9:
        name = draw.choice([*FUNCTIONS, "Piecewise"])
        more = [nested(draw, depth - 1) for _ in range(draw.choice([0, 0, 0, 1, 2]))]
        return f"{name}({', '.join([inner, *more])})"
    return (
        f"Piecewise(({inner}, x {draw.choice(['<', '<=', '==', '!='])} "
        f"{draw.choice(['0', 'x', 'alpha', '1'])}), (x, True))"
    )


# class -> share of the texts, what makes one, what reads it
KINDS = {
    "fragments": (20, fragments, lambda text: parse(text, x)),
    "Python": (14, python, lambda text: parse(text, x)),
    "characters": (14, characters, lambda text: parse(text, x)),
    "by the grammar": (20, grammar, lambda text: parse(text, x)),
    "damaged": (18, damaged, lambda text: parse(text, x)),
    "towers": (4, towers, lambda text: parse(text, x)),
    "numbers": (2, fragments, parse_number),
    "assumptions": (
        2,
        lambda draw: f"{fragments(draw)} > {fragments(draw)}",
        lambda text: read_assumptions([text]),
    ),
    "wishes": (1, fragments, lambda text: (read_number(text, "a number"), read_growth(text))),
    "weightings": (1, lambda draw: f"power:{fragments(draw)}", weighting),
    "samplers": (1, lambda draw: f"epsilon:{fragments(draw)}", sampler),
    "objectives": (1, lambda draw: f"subtb({fragments(draw)})", objective),
    "graphs": (
        2,
        lambda draw: f"{draw.choice(['bits', 'sets', 'x'])}:{fragments(draw)}",
        (space_from_text),
    ),
}
LOSSES = {"losses, by the grammar": grammar, "losses, damaged": damaged, "losses, towers": towers}
_watched = []


def _watch(event: str, arguments: tuple) -> None:
    """Called by Python before anything of the system is touched."""
    if not _watched:
        return
    writes = event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+")
    if writes or (event.startswith(RUNS) and event not in HARMLESS):
        _watched.append(f"{event} {arguments}")


sys.addaudithook(_watch)


def _hangs(*_: object) -> None:
    raise AssertionError(f"not done after {HANGS:g} s of processor time")


@contextmanager
def watched():
    """What is run within, and whether it hangs."""
    before = signal.signal(signal.SIGVTALRM, _hangs)
    signal.setitimer(signal.ITIMER_VIRTUAL, HANGS)
    _watched.append("")
    try:
        yield
        if len(_watched) > 1:
            raise AssertionError(f"it ran {_watched[1:]}")
    finally:
        _watched.clear()
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def attempt(read, text: str) -> str | None:
    """What went wrong; None where it was read, or refused in one line."""
    try:
        with watched():
            read(text)
    except InputError as error:
        said = str(error)
        return None if said and said.isprintable() and len(said) < 2000 else f"it says {said!r}"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return None


def hunt(attempts: dict[str, tuple], seed: int, record_property) -> None:
    """Class -> (how many, what makes a text, what reads it)."""
    draw, failed, began = random.Random(seed), [], time.process_time()
    for kind, (count, make, read) in attempts.items():
        for _ in range(count):
            text = make(draw)
            if (why := attempt(read, text)) is not None:
                failed.append((kind, text[:200], why[:200]))
    lost = Counter(kind for kind, *_ in failed)
    rows = [(kind, count, count - lost[kind], lost[kind]) for kind, (count, *_) in attempts.items()]
    record_property("table", [("texts at random", "attempts", "held", "failed"), *rows])
    assert not failed, failed[:10]
    assert time.process_time() - began < 400


def of(total: int) -> dict[str, tuple]:
    return {kind: (total * share // 100, make, read) for kind, (share, make, read) in KINDS.items()}


def test_texts_at_random_are_read_or_refused(record_property):
    hunt(of(3_000), 7, record_property)


@pytest.mark.slow
def test_a_hundred_thousand_texts_are_read_or_refused(record_property):
    hunt(of(100_000), 11, record_property)


@pytest.mark.slow
def test_losses_at_random_are_read_within_their_budget_or_refused(record_property):
    """In a process of their own, as `divergence_lab.loss` reads them."""
    hunt(
        {kind: (100, make, lambda text: loss(text, budget=1.0)) for kind, make in LOSSES.items()},
        13,
        record_property,
    )
