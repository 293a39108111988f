"""Reward, runtime and compute over the number of teams; reward against runtime over a bank's capacity."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

from lts_jax.reports.palette import name_colors

Row = Mapping[str, Any]  # policy, measure -> [estimate, low, high]

COLORS = name_colors(("none", "all", "all_newest", "novelty", "lts", "all_valued"))
MARKS = {"age": "o", "use": "^", "value": "s"}
PANELS = (("reward", "reward"), ("runtime_seconds", "runtime, seconds"), ("compute_seconds", "compute, team seconds"))


def picture(teams: Sequence[Row], banks: Sequence[Row]) -> bytes:
    """PNG: three panels over K, and one of capacity for each K that was tried with a bounded bank."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, grid = pyplot.subplots(2, 3, figsize=(12, 7.6), layout="constrained")
    for axes, (measure, label) in zip(grid[0], PANELS, strict=True):
        _over_teams(axes, teams, measure)
        axes.set_ylabel(label + " (simulated)")
    grid[0][0].legend(fontsize=8)
    sizes = sorted({row["num_teams"] for row in banks})
    for axes, num_teams in zip(grid[1], sizes, strict=False):
        _frontier(axes, [row for row in banks if row["num_teams"] == num_teams])
        axes.set_title(f"bounded bank, {num_teams} teams: capacity at each point", fontsize=9)
    for axes in grid[1][len(sizes) :]:
        axes.axis("off")
    _legend(grid[1][-1])
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=85, format="png")
    pyplot.close(figure)
    return buffer.getvalue()


def _over_teams(axes: Any, rows: Sequence[Row], measure: str) -> None:
    for name in dict.fromkeys(row["policy"] for row in rows):
        own = [row for row in rows if row["policy"] == name]
        x = [row["num_teams"] for row in own]
        axes.plot(x, [row[measure][0] for row in own], "o-", markersize=4, color=COLORS[name], label=name)
        axes.fill_between(
            x, [row[measure][1] for row in own], [row[measure][2] for row in own], color=COLORS[name], alpha=0.15
        )
    ticks = sorted({row["num_teams"] for row in rows})
    axes.set_xscale("log", base=2)
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.minorticks_off()
    if measure == "compute_seconds":
        axes.set_yscale("log")
    axes.set_xlabel("teams K")


def _frontier(axes: Any, rows: Sequence[Row]) -> None:
    # Evicting by age or use, all_valued is the same as all.
    curves = dict.fromkeys((row["policy"], row["evict_rule"]) for row in rows)
    for name, rule in (curve for curve in curves if curve[0] != "all_valued" or curve[1] == "value"):
        own = [row for row in rows if (row["policy"], row["evict_rule"]) == (name, rule)]
        x, y = ([row[measure][0] for row in own] for measure in ("runtime_seconds", "reward"))
        axes.plot(x, y, MARKS[rule] + "-", markersize=5, linewidth=0.8, color=COLORS[name])
        for row, *place in zip(own, x, y, strict=True):
            text = "∞" if row["capacity"] is None else str(row["capacity"])
            axes.annotate(text, place, (3, 3), textcoords="offset points", fontsize=6, color=COLORS[name])
    axes.set_xlabel("runtime, seconds (simulated)")
    axes.set_ylabel("reward (simulated)")


def _legend(axes: Any) -> None:
    names = {"all": "all", "all_valued": "all, valued by lts", "novelty": "novelty", "lts": "lts"}
    for name, label in names.items():
        axes.plot([], [], "-", color=COLORS[name], label=label)
    for rule, mark in MARKS.items():
        axes.plot([], [], mark, color="#555555", label=f"evicts by {rule}")
    axes.legend(fontsize=8, loc="center")
