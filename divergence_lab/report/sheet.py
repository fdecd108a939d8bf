"""A figure that a notebook shows by itself, drawn in the style of all our pictures."""

import contextlib
import io
from collections.abc import Iterator, Mapping

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from divergence_lab.inputs import InputError, kind_of
from divergence_lab.report.palette import STYLE
from divergence_lab.results.result import Result

DOTS = 110  # an inch, on a screen


class Sheet(Figure):
    """A matplotlib Figure that shows itself where a notebook's cell ends with it."""

    def _repr_png_(self) -> bytes:
        drawn = io.BytesIO()
        with mpl.rc_context(STYLE):
            self.savefig(drawn, format="png", dpi=DOTS)
        return drawn.getvalue()


def need_something(given: object, what: str) -> None:
    """InputError where there is nothing to draw: no dictionary, or an empty one."""
    if not isinstance(given, Mapping) or not given:
        raise InputError(
            f"{what} draws a dictionary with at least one entry; this is "
            f"{'empty' if given == {} else kind_of(given)}"
        )


def need_result(given: object, what: str) -> None:
    """InputError where what is to be drawn is no `Result`."""
    if not isinstance(given, Result):
        raise InputError(
            f"{what} draws a Result, what train or load gives; this is {kind_of(given)}"
        )


@contextlib.contextmanager
def sheet(width: float, height: float, style: Mapping | None = None) -> Iterator[Sheet]:
    """An empty sheet, in inches, and our style while it is drawn on."""
    with mpl.rc_context({**STYLE, "axes.axisbelow": True, **(style or {})}):
        figure = Sheet(figsize=(width, height), layout="constrained")
        FigureCanvasAgg(figure)
        yield figure
