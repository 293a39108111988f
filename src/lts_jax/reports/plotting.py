"""The comparison as a PNG, for pages that cannot show the report; needs matplotlib, which is imported when asked."""

from collections.abc import Sequence
from pathlib import Path

from lts_jax.reports.figures import policy_colors
from lts_jax.reports.report import Report

LETTER_POINTS = 5.2  # mean width of a letter at nine points


def save_tradeoff_png(report: Report, path: Path | str) -> None:
    """Draw score against runtime, a cross per policy with its 95 % intervals, names beside the crosses.

    Up and to the left is better. Raises ModuleNotFoundError where matplotlib is missing.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    colors = policy_colors([row.policy for row in report.rows], reference=report.reference, highlight=report.highlight)
    figure = Figure(figsize=(7.5, 4.8), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for row in report.rows:
        x, y = row.runtime_seconds, row.score
        color = colors[row.policy]
        axes.plot([x.low, x.high], [y.estimate, y.estimate], color=color, linewidth=1, alpha=0.3)
        axes.plot([x.estimate, x.estimate], [y.low, y.high], color=color, linewidth=1, alpha=0.3)
        axes.plot(x.estimate, y.estimate, "o", color=color)
    axes.set_xlabel(f"mean runtime, seconds on the {report.clock} clock")
    axes.set_ylabel("mean score")
    axes.spines[["top", "right"]].set_visible(False)
    figure.draw_without_rendering()  # fixes the scales, in which free places for names are sought
    points = axes.transData.transform([(row.runtime_seconds.estimate, row.score.estimate) for row in report.rows])
    points_per_pixel = 72.0 / figure.dpi
    offsets = free_offsets(
        [
            (x * points_per_pixel, y * points_per_pixel, LETTER_POINTS * len(row.policy))
            for row, (x, y) in zip(report.rows, points, strict=True)
        ]
    )
    for row, offset in zip(report.rows, offsets, strict=True):
        weight = "bold" if row.policy in (report.reference, report.highlight) else "normal"
        place = (row.runtime_seconds.estimate, row.score.estimate)
        axes.annotate(
            row.policy, place, offset, textcoords="offset points", color=colors[row.policy], weight=weight, fontsize=9
        )
    figure.savefig(path, dpi=144, format="png")


def free_offsets(labels: Sequence[tuple[float, float, float]]) -> list[tuple[float, float]]:
    """Where to write each label (x, y, width) so that it covers no other label and no point. All in points.

    The first free one of a few offsets is taken, in order; where none is free, the first.
    """
    taken = [(x - 4, y - 4, x + 4, y + 4) for x, y, _ in labels]
    chosen = []
    for x, y, width in labels:
        candidates = [(dx, dy) for dy in (5.0, -13.0, 16.0, -24.0, 28.0, -36.0) for dx in (5.0, -width - 5.0)]
        boxes = {(dx, dy): (x + dx, y + dy, x + dx + width, y + dy + LETTER_POINTS * 2) for dx, dy in candidates}
        free = [offset for offset in candidates if not any(_overlap(boxes[offset], box) for box in taken)]
        offset = (free or candidates)[0]
        taken.append(boxes[offset])
        chosen.append(offset)
    return chosen


def _overlap(one: tuple[float, float, float, float], other: tuple[float, float, float, float]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
