"""Heat maps of what sharing everything does to reward and to runtime, with the lines where help turns into harm."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from crossover import Crossing

from lts_jax.reports.palette import name_colors

STYLES = {"all": "-", "novelty": "--", "lts": "-.", "coin": "--", "oracle": ":"}
COLORS = name_colors(STYLES)
TITLES = {"wrong": "share of found values that are wrong", "stale": "share of right values that mislead readers"}


def picture(
    maps: Mapping[str, tuple[np.ndarray, np.ndarray]],
    lines: Mapping[str, Mapping[str, Sequence[Crossing]]],
    overlaps: Sequence[float],
    errors: Sequence[float],
) -> bytes:
    """PNG. `maps`: by kind of error, reward difference and percent of runtime saved, both [overlaps, errors]."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, grid = pyplot.subplots(len(maps), 2, figsize=(11, 4.6 * len(maps)), layout="constrained", squeeze=False)
    for row, (kind, (reward, saved)) in zip(grid, maps.items(), strict=True):
        most = float(np.max(np.abs([one for one, _ in maps.values()])))
        _heat(row[0], reward, overlaps, errors, most, "{:+.3f}", "reward of sharing all, minus none")
        _heat(
            row[1],
            saved,
            overlaps,
            errors,
            2.0 * max(float(np.max(np.abs(saved))), 1.0),
            "{:+.0f}",
            "% of runtime saved",
        )
        for name, line in lines[kind].items():
            _line(row[0], name, line)
        row[0].legend(
            fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.13), ncols=3, frameon=False,
            title="reward: harm to the right of", title_fontsize=8,
        )  # fmt: skip
        for axes in row:
            axes.set_xlabel(TITLES[kind])
            axes.set_ylabel("overlap of the teams' orders")
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=90, format="png")
    pyplot.close(figure)
    return buffer.getvalue()


def _heat(
    axes: Any, value: np.ndarray, overlaps: Sequence[float], errors: Sequence[float], most: float, form: str, title: str
) -> None:
    axes.pcolormesh(errors, overlaps, value, cmap="PuOr", vmin=-most, vmax=most, shading="nearest")
    for place, overlap in enumerate(overlaps):
        for number, error in enumerate(errors):
            dark = abs(value[place, number]) > 0.65 * most
            text = form.format(value[place, number])
            axes.text(error, overlap, text, ha="center", va="center", fontsize=7, color="white" if dark else "black")
    axes.set_title(title + " (simulated)", fontsize=10)
    axes.set_xticks(errors)
    axes.set_yticks(overlaps)


def _line(axes: Any, name: str, line: Sequence[Crossing]) -> None:
    color, style = COLORS[name], STYLES[name]
    limits = axes.get_xlim()
    x = np.array([one.error for one in line])
    y = np.array([one.overlap for one in line])
    if not np.any(np.isfinite(x)):
        where = "harm everywhere" if np.all(x < 0) else "no harm in range"
        axes.plot([], [], color=color, linestyle=style, label=f"{name}: {where}")
        return
    axes.plot(np.clip(x, *limits), y, color=color, linestyle=style, linewidth=2, label=name)
    if name == "all":
        low, high = (np.clip([getattr(one, end) for one in line], *limits) for end in ("low", "high"))
        axes.fill_betweenx(y, low, high, color=color, alpha=0.25, linewidth=0)
    axes.set_xlim(limits)
