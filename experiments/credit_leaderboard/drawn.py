"""The study's figure: what each scheme came to, and how that goes with what its credit knows."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from config import WORLDS
from tables import COIN, FROM_REPLAYS, KINDS, PAID_FOR_USE, REGRESSION, REWARD_ALONE, mean_of, name_of, rows_of

from lts_jax.evaluation.ranking import Ranking
from lts_jax.reports.point_chart import free_offsets

COLORS = {FROM_REPLAYS: "#d55e00", PAID_FOR_USE: "#0072b2", REGRESSION: "#aa4499"}
OTHER, RULE = "#009e73", "#1f2933"
UNNAMED = (
    "cross_team_usage", "time_discounted_usage", "usage_bonus", "reinforce_usage", "comam", "leave_one_out",
    "group_relative", "stepwise_broadcast", "trajectory_broadcast", "return_to_go",
)  # fmt: skip
"""Too close together for names in the lower panels; the upper ones name everything."""


def color_of(credit: str, is_scheme: bool) -> str:
    """Colour by what a scheme looks at."""
    if not is_scheme:
        return RULE
    return next((COLORS[kind] for kind, names in KINDS.items() if credit in names), OTHER)


def leaderboard_png(
    ranked: Mapping[str, Ranking], rows: Sequence[Any], judged: Sequence[Any], schemes: Sequence[str], path: Path
) -> None:
    """Left: gain of every scheme in both worlds, with intervals. Right: gain against fidelity, where cues are clear."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    first = next(iter(WORLDS))
    figure = Figure(figsize=(10.5, 9.5), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(2, 2, height_ratios=(1.25, 1))
    names = [name_of(row) for row in ranked[first].rows]
    for column, (world, ranking) in enumerate(ranked.items()):
        axes = figure.add_subplot(grid[0, column])
        for row in ranking.rows:
            name = name_of(row)
            place, color = names.index(name), color_of(name, name in schemes)
            axes.plot([row.iqm.low, row.iqm.high], [place, place], color=color, linewidth=1.5)
            axes.plot(row.iqm.estimate, place, "o" if name in schemes else "s", color=color, markersize=4)
        axes.set_yticks(range(len(names)), names if column == 0 else [""] * len(names), fontsize=8)
        axes.invert_yaxis()
        axes.set_title(world, loc="left", fontsize=10)
        axes.set_xlabel("gain: reward + 0.2 * share of runtime saved\n(interquartile mean, 95 % over seeds, simulated)")
    tradeoff = figure.add_subplot(grid[1, 0])
    places = []
    for name in names:
        own = rows_of(rows, first, name)
        saved, reward = mean_of(own, "saved_percent").estimate, mean_of(own, "reward").estimate
        places.append((name, saved, reward))
    _named(tradeoff, places, schemes)
    tradeoff.set_xlabel("runtime saved against no sharing, % (simulated)")
    tradeoff.set_ylabel("reward")
    tradeoff.set_title(f"{first}: up and to the right is better", loc="left", fontsize=10)
    known = {
        row["credit"]: row["overall"]["rank_correlation"]["estimate"]
        for row in judged
        if (row["policy"], row["effect"]) == (COIN, "expected_reward_effect")
    }
    gains = {name_of(row): row.iqm.estimate for row in ranked[first].rows}
    scatter = figure.add_subplot(grid[1, 1])
    _named(scatter, [(name, known[name] or 0.0, gains[name]) for name in schemes if name in known], schemes)
    scatter.axvline(0.0, color="#b9c0c7", linewidth=0.8)
    scatter.set_xlabel("rank correlation of credit with the expected effect on reward")
    scatter.set_ylabel("gain")
    scatter.set_title(f"{first}: what credit knows, what it is good for", loc="left", fontsize=10)
    for axes in figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="x", color="#e3e6e9", linewidth=0.7)
        axes.set_axisbelow(True)
    marks = [*COLORS, REWARD_ALONE, "rules, no training"]
    colors = [*COLORS.values(), OTHER, RULE]
    handles = [figure.axes[0].plot([], [], "o", color=color)[0] for color in colors]
    figure.legend(handles, marks, ncols=4, frameon=False, loc="outside upper left", fontsize=9)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110, format="png")


def _named(axes: Any, places: Sequence[tuple[str, float, float]], schemes: Sequence[str]) -> None:
    """Points, those outside the crowd with their names."""
    for name, x, y in places:
        axes.plot(x, y, "o" if name in schemes else "s", color=color_of(name, name in schemes), markersize=5)
    axes.margins(0.14)
    places = [place for place in places if place[0] not in UNNAMED]
    axes.figure.draw_without_rendering()
    points = axes.transData.transform([(x, y) for _, x, y in places]) * 72.0 / axes.figure.dpi
    offsets = free_offsets([(px, -py, 4.2 * len(name)) for (name, _, _), (px, py) in zip(places, points, strict=True)])
    for (name, x, y), (dx, dy) in zip(places, offsets, strict=True):
        axes.annotate(
            name, (x, y), (dx, -dy), textcoords="offset points", fontsize=7, color=color_of(name, name in schemes)
        )
    assert np.isfinite([value for place in places for value in place[1:]]).all()
