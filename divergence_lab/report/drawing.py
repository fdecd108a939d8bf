"""Numbers -> SVG text, by hand: a redraw takes milliseconds, is crisp at any size and follows light
and dark pages.

Ink is `currentColor`; lines differ by colour and by dash.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from divergence_lab.report.palette import COLOURS

WIDTH, HEIGHT = 340, 250
LEFT, RIGHT, TOP, BOTTOM = 44, 16, 26, 38  # around the plotting area
DASHES = ("", "7 4", "2 3")
ROW, LETTER = 16, 6.1  # of the legend: its height, the width of a letter
CELL = 22
FILLED = 'fill="currentColor" fill-opacity="0.22" stroke="none"'
SWATCH = 'stroke="currentColor" stroke-opacity="0.3" stroke-width="9"'


@dataclass(frozen=True)
class Curve:
    """One line, or the area below it: its label, and y [K] over x [K]; what is not finite is left
    out.
    """

    label: str
    x: np.ndarray
    y: np.ndarray
    filled: bool = False


def chart(
    title: str,
    curves: Sequence[Curve],
    x_range: tuple[float, float],
    y_range: tuple[float, float],
    x_label: str,
) -> str:
    """One set of axes with its curves, cut at the frame; the legend above it crosses no curve."""
    (x0, x1), (y0, y1) = x_range, y_range
    wide, high = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
    legend, taken = _legend(curves)
    top, bottom = TOP + taken, HEIGHT + taken

    def across(x):
        return (x - x0) / (x1 - x0) * wide

    def down(y):
        return (y1 - y) / (y1 - y0) * high

    parts = [legend]
    for tick in ticks(x0, x1):
        at = LEFT + across(tick)
        parts.append(
            _line(at, top, at, top + high, "0.12")
            + _text(at, top + high + 14, f"{tick:g}", "middle")
        )
    for tick in ticks(y0, y1):
        at = top + down(tick)
        parts.append(
            _line(LEFT, at, LEFT + wide, at, "0.12") + _text(LEFT - 5, at + 3.5, f"{tick:g}", "end")
        )
    parts += [
        _line(LEFT, top, LEFT, top + high, "0.8"),
        _line(LEFT, top + high, LEFT + wide, top + high, "0.8"),
        _text(LEFT + wide / 2, bottom - 6, x_label, "middle"),
    ]
    inner = []
    lines = itertools.count()
    for curve in curves:
        y = np.where(np.isfinite(curve.y), curve.y, np.nan)
        points = np.column_stack(
            [across(np.asarray(curve.x, dtype=float)), np.clip(down(y), -3 * high, 4 * high)]
        )
        style = FILLED if curve.filled else _stroke(next(lines))
        for run in _unbroken(points):
            if curve.filled:
                run = np.array([(run[0, 0], high), *run, (run[-1, 0], high)])
            path = " ".join(f"{a:.1f},{b:.1f}" for a, b in run)
            inner.append(
                f'<polyline data-curve="{escape(curve.label)}" {style} points="{path}"></polyline>'
            )
    frame = (
        f'<svg x="{LEFT}" y="{top}" width="{wide}" height="{high}" '
        f'overflow="hidden">{"".join(inner)}</svg>'
    )
    return _picture(title, WIDTH, bottom, "".join(parts) + frame + _title(title))


def _legend(curves: Sequence[Curve]) -> tuple[str, int]:
    """A swatch and a label for each curve, from the left, in as many rows as they need: the SVG
    and its height.
    """
    parts, at, row, lines = [], float(LEFT), 0, itertools.count()
    for curve in curves:
        label = curve.label if len(curve.label) <= 40 else f"{curve.label[:39]}…"
        wide = 27 + LETTER * len(label)
        if at > LEFT and at + wide > WIDTH:
            at, row = float(LEFT), row + 1
        y = TOP + 2 + ROW * row
        style = SWATCH if curve.filled else _stroke(next(lines))
        parts.append(
            f'<line x1="{at:.1f}" y1="{y}" x2="{at + 22:.1f}" y2="{y}" {style}></line>'
            + _text(at + 27, y + 4, label, "start")
        )
        at += wide + 14
    return "".join(parts), ROW * (row + 1)


def sketch(title: str, x: np.ndarray, y: np.ndarray) -> str:
    """A curve without axes, small enough for a gallery: y from 0 to the median of its two ends."""
    wide, high, points = 120, 60, np.asarray(y, dtype=float)
    ends = points[np.isfinite(points)][[0, -1]]
    top = max(float(np.median(ends)), 0.3)
    placed = np.column_stack(
        [
            (x - x[0]) / (x[-1] - x[0]) * wide,
            np.clip(high * (1 - 0.92 * points / top) - 2, -high, high),
        ]
    )
    paths = [" ".join(f"{a:.1f},{b:.1f}" for a, b in run) for run in _unbroken(placed)]
    lines = "".join(f'<polyline {_stroke(0)} points="{path}"></polyline>' for path in paths)
    axis = _line(wide / 2, 0, wide / 2, high, "0.25") + _line(0, high - 1, wide, high - 1, "0.5")
    return _picture(title, wide, high, axis + lines)


def heat_map(title: str, law: np.ndarray) -> str:
    """A law on a square grid [side, side], first axis across, second up; depth of ink = sqrt(p /
    0.16).
    """
    side = len(law)
    wide, high = side * CELL, side * CELL
    squares = []
    for i, j in np.ndindex(law.shape):
        depth = min(1.0, math.sqrt(max(float(law[i, j]), 0.0) / 0.16))
        at = (
            f'x="{12 + i * CELL}" y="{TOP + (side - 1 - j) * CELL}" width="{CELL - 1}" '
            f'height="{CELL - 1}"'
        )
        squares.append(
            f'<rect {at} fill="{COLOURS[0]}" fill-opacity="{max(depth, 0.03):.3f}">'
            f"<title>({i}, {j}): {law[i, j]:.4f}</title></rect>"
        )
    return _picture(title, wide + 24, TOP + high + 12, "".join(squares) + _title(title, 12))


def message(text: str) -> str:
    """One clear line on what went wrong."""
    style = (
        f"border-left:4px solid {COLOURS[1]};background:{COLOURS[1]}1a;padding:8px 12px;margin:0"
    )
    return f'<p id="problem" role="alert" style="{style}">{escape(text)}</p>'


def nice_top(value: float) -> float:
    """The first of 0.5, 1, 2, 4, 8 that is not below the value; 8 where none is."""
    return next((top for top in (0.5, 1.0, 2.0, 4.0) if value <= top), 8.0)


def ticks(low: float, high: float) -> list[float]:
    """Round numbers from low to high, at most seven of them."""
    size = 10.0 ** math.floor(math.log10(high - low))
    step = next(
        step * size
        for step in (0.1, 0.2, 0.25, 0.5, 1.0, 2.0)
        if (high - low) / (step * size) <= 6.01
    )
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(k * step, 10) + 0.0 for k in range(first, last + 1)]


def _stroke(k: int) -> str:
    colour, dash = COLOURS[k % len(COLOURS)], DASHES[k % len(DASHES)]
    return f'fill="none" stroke="{colour}" stroke-width="2.2" stroke-dasharray="{dash}"'


def _unbroken(points: np.ndarray) -> list[np.ndarray]:
    whole = np.isfinite(points).all(axis=1)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], whole, [False]]).astype(int)))
    return [points[a:b] for a, b in zip(edges[::2], edges[1::2]) if b - a > 1]


def _line(x1: float, y1: float, x2: float, y2: float, opacity: str) -> str:
    return (
        f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="currentColor" '
        f'stroke-opacity="{opacity}"></line>'
    )


def _text(x: float, y: float, text: str, anchor: str, size: int = 11) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" '
        'fill="currentColor">'
        f"{escape(text)}</text>"
    )


def _title(title: str, x: float = LEFT) -> str:
    return _text(x, 15, title, "start", 13)


def _picture(title: str, width: float, height: float, inside: str) -> str:
    return (
        f'<svg role="img" aria-label="{escape(title)}" viewBox="0 0 {width} {height}" '
        'font-family="sans-serif" '
        f'style="width:100%;max-width:{width * 1.25:.0f}px">{inside}</svg>'
    )
