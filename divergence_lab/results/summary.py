"""A result in short: what each loss learned, over its seeds, as records, text, HTML and a table of
pandas.
"""

from __future__ import annotations

import html
import importlib
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from divergence_lab.inputs import missing_package

if TYPE_CHECKING:
    from divergence_lab.results.result import Result

# metric -> title, form of a number
SHOWN = {
    "tv": ("TV", ".3g"),
    "kl_forward": ("KL(target||model)", ".3g"),
    "mean_log_reward": ("mean log R", ".4g"),
    "log_z": ("log Z", ".3f"),
    "modes_found": ("modes", ".3g"),
}


def rows_of(result: Result) -> list[dict[str, Any]]:
    """One record for each loss at each learning rate: its name, how many seeds have finite numbers,
    and (mean, least, greatest) over these seeds of each metric at the end; None where there are
    none.
    """
    several = len(set(result.learning_rates)) > 1
    rows = []
    for row, (loss, rate) in enumerate(zip(result.losses, result.learning_rates, strict=True)):
        good = result.finite[row]
        rows.append(
            {
                "objective": result.objective,
                "loss": f"{loss} at {rate:g}" if several else loss,
                "seeds": len(result.seeds),
                "finite": int(good.sum()),
                "log_z_true": result.log_z_true,
                **{
                    name: _spread(result.metrics[name][row, good, -1])
                    for name in SHOWN
                    if name in result.metrics
                },
            }
        )
    return rows


def _spread(values: np.ndarray) -> tuple[float, float, float] | None:
    if not values.size:
        return None
    return float(values.mean()), float(values.min()), float(values.max())


def table_of(rows: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """The records as rows of text, their titles first: mean (least to greatest)."""
    objectives = len({row["objective"] for row in rows}) > 1
    shown = [name for name in SHOWN if name in rows[0]]
    titles = [*(["objective"] if objectives else []), "loss", "seeds"]
    table = [[*titles, *(SHOWN[name][0] for name in shown)]]
    for row in rows:
        whole = row["finite"] == row["seeds"]
        seeds = str(row["seeds"]) if whole else f"{row['finite']} of {row['seeds']} finite"
        table.append(
            [
                *([row["objective"]] if objectives else []),
                row["loss"],
                seeds,
                *(_range_text(row[name], SHOWN[name][1]) for name in shown),
            ]
        )
    return table


def _range_text(spread: tuple[float, float, float] | None, form: str) -> str:
    if spread is None:
        return "-"
    mean, least, greatest = (f"{value:{form}}" for value in spread)
    return mean if least == greatest else f"{mean} ({least} to {greatest})"


def text_of(rows: Sequence[Mapping[str, Any]]) -> str:
    """The table as aligned text, and what it is held against."""
    table = table_of(rows)
    widths = [max(map(len, column)) for column in zip(*table)]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(cells, widths)).rstrip()
        for cells in table
    ]
    return "\n".join([*lines, *_true_log_z(rows)])


def _true_log_z(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    true = rows[0]["log_z_true"]
    known = true is not None and math.isfinite(true)
    return [f"true log Z: {true:.3f}"] if known else []


def html_of(result: Result) -> str:
    """The table for a notebook."""
    first, *others = table_of(rows := rows_of(result))
    head = "".join(f"<th>{html.escape(cell)}</th>" for cell in first)
    body = "".join(
        f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in cells)}</tr>" for cells in others
    )
    under = html.escape("; ".join([headline(result), *_true_log_z(rows)]))
    return f"<p>{under}</p><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def headline(result: Result) -> str:
    """What was trained, in one line."""
    return (
        f"{result.objective} on {result.config['env']}, {result.steps[-1]} steps of "
        f"{result.config['batch']} trajectories"
    )


def frame_of(result: Result) -> Any:
    """A DataFrame: one row for each loss, learning rate, seed and evaluated step, a column for each
    metric.
    """
    try:
        pandas = importlib.import_module("pandas")  # loaded only by who asks for its table
    except ModuleNotFoundError as error:
        raise missing_package(error, "to_pandas") or error from None
    return pandas.DataFrame(
        [
            {
                "objective": result.objective,
                "loss": loss,
                "learning_rate": rate,
                "seed": seed,
                "step": int(step),
                **{name: values[row, column, k] for name, values in result.metrics.items()},
            }
            for row, (loss, rate) in enumerate(
                zip(result.losses, result.learning_rates, strict=True)
            )
            for column, seed in enumerate(result.seeds)
            for k, step in enumerate(result.steps)
        ]
    )
