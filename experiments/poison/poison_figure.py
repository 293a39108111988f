"""Four panels: reward, reach of planted values, groupthink, and what recognising values would buy."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

from lts_jax.reports.palette import name_colors

Row = Mapping[str, Any]  # policy, poison, detect, measure -> [estimate, low, high]

COLORS = name_colors(("none", "all", "random", "novelty", "lts", "lts_poisoned", "coin", "oracle"))
PANELS = (
    ("reward", "reward"),
    ("teams_with_planted", "teams that end with a planted value"),
    ("all_agree_wrong", "rollouts whose teams all agree, wrongly"),
)


def picture(rows: Sequence[Row], detect: float, poison: float) -> bytes:
    """PNG: three measures over the rate of poison at one detection; reward over detection at one rate of poison."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, grid = pyplot.subplots(2, 2, figsize=(10, 7.6), layout="constrained")
    for axes, (measure, label) in zip(grid.flat, PANELS, strict=False):
        _curves(axes, [row for row in rows if row["detect"] == detect], "poison", measure)
        axes.set_xlabel("probability that a step offers a planted value")
        axes.set_ylabel(label)
    _curves(grid[1][1], [row for row in rows if row["poison"] == poison], "detect", "reward")
    grid[1][1].set_xlabel(f"probability that a reader recognises a wrong value (poison {poison:g})")
    grid[1][1].set_ylabel("reward")
    grid[0][0].legend(fontsize=8)
    figure.suptitle("Planted wrong values (simulated; bands: 95 % over seeds)", fontsize=11)
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=95, format="png")
    pyplot.close(figure)
    return buffer.getvalue()


def _curves(axes: Any, rows: Sequence[Row], along: str, measure: str) -> None:
    for name in dict.fromkeys(row["policy"] for row in rows):
        own = sorted((row for row in rows if row["policy"] == name), key=lambda row: row[along])
        x = [row[along] for row in own]
        axes.plot(x, [row[measure][0] for row in own], "o-", markersize=4, color=COLORS[name], label=name)
        low, high = ([row[measure][end] for row in own] for end in (1, 2))
        axes.fill_between(x, low, high, color=COLORS[name], alpha=0.12)
    axes.spines[["top", "right"]].set_visible(False)
