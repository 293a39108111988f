"""The comparison as a PNG, for pages that cannot show the report; needs matplotlib, which is imported when asked."""

from pathlib import Path

from lts_jax.evaluation.figures import policy_colors
from lts_jax.evaluation.report import Report


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
        axes.plot([x.low, x.high], [y.estimate, y.estimate], color=color, linewidth=1, alpha=0.5)
        axes.plot([x.estimate, x.estimate], [y.low, y.high], color=color, linewidth=1, alpha=0.5)
        axes.plot(x.estimate, y.estimate, "o", color=color)
        weight = "bold" if row.policy in (report.reference, report.highlight) else "normal"
        place = (x.estimate, y.estimate)
        axes.annotate(row.policy, place, (5, 5), textcoords="offset points", color=color, weight=weight, fontsize=9)
    axes.set_xlabel(f"mean runtime, seconds on the {report.clock} clock")
    axes.set_ylabel("mean score")
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=144, format="png")
