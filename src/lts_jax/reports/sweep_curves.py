"""Learning curves of a sweep: the mean over seeds of its first configurations and the reference, with intervals."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from lts_jax.evaluation.ranking import RankedRow, Ranking, columns_of, values_text
from lts_jax.evaluation.statistics import mean_intervals
from lts_jax.reports.axes import Frame
from lts_jax.reports.overlay import MAX_DRAWN, Line, overlay
from lts_jax.reports.page import glossary, grid, section
from lts_jax.reports.palette import name_colors
from lts_jax.reports.sweep_report import top_rows

MAX_SHOWN = 6  # configurations, beside the reference
SEED, UPDATE = "seed", "update"


def curves_section(table: Any, ranking: Ranking) -> str:
    """The section of a page; empty without a curve. `table` is that of curves.parquet."""
    columns = columns_of(table)
    rows = top_rows(ranking, MAX_SHOWN)
    names = [name for name in columns if name not in {*ranking.fields, SEED, UPDATE}]
    labels = {_key(row, ranking): values_text(row, ranking.varied) or row.label for row in rows}
    if not names or not all(field in columns for field in ranking.fields):
        return ""
    colors = name_colors(list(labels.values()))
    owners = list(zip(*(columns[field] for field in ranking.fields), strict=True))
    places = {key: np.array([place for place, owner in enumerate(owners) if owner == key]) for key in labels}
    charts = []
    for name in names:
        values = np.array([np.nan if one is None else one for one in columns[name]], float)
        lines = [
            _line(labels[key], colors[labels[key]], columns, values, own) for key, own in places.items() if len(own)
        ]
        drawn = [line for line in lines if line is not None]
        if drawn:
            charts.append(overlay(drawn, Frame(name, "update", 360, 190)))
    said = {row.label: f"rank {row.rank}{', the reference' if row.is_reference else ''}" for row in rows}
    legend = {labels[_key(row, ranking)]: said[row.label] for row in rows}
    intro = "Means over seeds at each update; bands are 95 % intervals of the mean."
    return section("Learning curves", glossary(legend, colors), grid(charts), intro=intro) if charts else ""


def _key(row: RankedRow, ranking: Ranking) -> tuple[Any, ...]:
    return tuple(row.setting[field] for field in ranking.fields)


def _line(label: str, color: str, columns: Any, values: np.ndarray, own: Sequence[int] | np.ndarray) -> Line | None:
    """The mean over seeds of one configuration, at no more than `MAX_DRAWN` of its updates; None without a number."""
    updates, seeds = (np.array([columns[name][place] for place in own]) for name in (UPDATE, SEED))
    kept = np.unique(np.linspace(0, updates.max(), min(MAX_DRAWN, int(updates.max()) + 1)).round().astype(int))
    columns_of_seed = {seed: number for number, seed in enumerate(np.unique(seeds))}
    value_us = np.full((int(updates.max()) + 1, len(columns_of_seed)), np.nan)
    value_us[updates, [columns_of_seed[seed] for seed in seeds]] = values[own]
    intervals = mean_intervals(value_us[kept])
    finite = [place for place, one in enumerate(intervals) if np.isfinite(one.estimate)]
    if len(finite) < 2:
        return None
    x, chosen = kept[finite], [intervals[place] for place in finite]
    has_bounds = all(np.isfinite(one.low) and np.isfinite(one.high) for one in chosen)
    low, high = ([one.low for one in chosen], [one.high for one in chosen]) if has_bounds else ([], [])
    return Line(label, color, x.tolist(), [one.estimate for one in chosen], low, high)
