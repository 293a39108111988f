"""The ranking of a sweep as a PNG or a matplotlib figure, for notebooks; matplotlib is imported when asked."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lts_jax.evaluation.ranking_rows import RankedRow, Ranking, short_names, values_text
from lts_jax.evaluation.statistics import Interval
from lts_jax.reports.ranking_report import ALPHA
from lts_jax.reports.svg import INK, SOFT

MAX_ROWS = 30
TOLD = "#0072b2"


def ranking_figure(ranking: Ranking) -> Any:
    """A matplotlib figure: interquartile means on the left, paired differences from the reference on the right.

    Best on top, the first `MAX_ROWS` and the reference. Blue differences are told from the reference (Holm-adjusted
    p < .05), grey ones are not. A notebook shows the figure when it is a cell's value, after `%matplotlib inline`.
    Raises ModuleNotFoundError where matplotlib is missing.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = [row for row in ranking.rows if row.rank <= MAX_ROWS or row.rank == ranking.reference_rank]
    figure = Figure(figsize=(9.5, 1.2 + 0.24 * len(rows)), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2, sharey=True)
    is_reference = [row.rank == ranking.reference_rank for row in rows]
    _bars(left, [row.iqm for row in rows], [INK if own else TOLD for own in is_reference])
    _bars(right, [row.difference for row in rows], [TOLD if row.p_holm < ALPHA else SOFT for row in rows])
    right.axvline(0.0, color=INK, linewidth=0.8)
    left.set_yticks(range(len(rows)), [values_text(row, ranking.varied) for row in rows], fontsize=8)
    for label, own in zip(left.get_yticklabels(), is_reference, strict=True):
        label.set_fontweight("bold" if own else "normal")
    left.invert_yaxis()
    left.set_xlabel(f"{ranking.measure}, interquartile mean")
    right.set_xlabel(f"difference from {_short(ranking, rows)}")
    names = short_names(ranking.varied)
    left.set_title(" · ".join(names.values()), fontsize=8, loc="left", color=SOFT)
    return figure


def save_ranking_png(ranking: Ranking, path: Path | str) -> None:
    """Write `ranking_figure` as a PNG."""
    ranking_figure(ranking).savefig(path, dpi=144, format="png")


def _bars(axes: Any, intervals: Sequence[Interval], colors: Sequence[str]) -> None:
    for place, (one, color) in enumerate(zip(intervals, colors, strict=True)):
        if math.isfinite(one.low):
            axes.plot([one.low, one.high], [place, place], color=color, linewidth=1.5)
        if math.isfinite(one.estimate):
            axes.plot(one.estimate, place, "o", color=color, markersize=4)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="x", color="#e3e6e9", linewidth=0.7)
    axes.set_axisbelow(True)


def _short(ranking: Ranking, rows: Sequence[RankedRow]) -> str:
    own = next(row for row in rows if row.rank == ranking.reference_rank)
    return values_text(own, ranking.varied) or "nothing else"
