"""Sections of a sweep's page that show a measure over the swept settings, and reward against runtime."""

from collections.abc import Sequence

from lts_jax.evaluation.ranking_rows import RankedRow, Ranking, Value, short_names, value_text
from lts_jax.evaluation.statistics import Interval
from lts_jax.reports.ranking_figures import HeatCell, Point, PointSeries, framed, heat_map, point_chart
from lts_jax.reports.ranking_report import SweepReport, number_form
from lts_jax.reports.svg import quote
from lts_jax.reports.table import interval

MAX_LINES, MAX_MAPS, MAX_STEPS = 9, 8, 16
REST = "all others"


def numeric_fields(ranking: Ranking) -> list[str]:
    """Fields that differ and whose values are all numbers."""
    return [field for field in ranking.varied if all(_is_number(row.setting[field]) for row in ranking.rows)]


def over_settings(report: SweepReport) -> str:
    """The measure over numeric settings; nothing where no number was swept.

    A curve for one field, heat maps for two, clouds of points for more, or where no grid was run.
    """
    ranking = report.ranking
    numeric = numeric_fields(ranking)
    if not numeric:
        return ""
    steps = [len({row.setting[field] for row in ranking.rows}) for field in numeric]
    if len(numeric) == 1 and steps[0] <= MAX_STEPS:
        said, figures = _curves(ranking, numeric[0])
    elif len(numeric) == 2 and max(steps) <= MAX_STEPS and _filled(ranking, numeric) >= 0.5:
        said, figures = _maps(ranking, numeric)
    else:
        said, figures = _clouds(ranking, numeric)
    return f'<h2>{quote(ranking.measure)} over the settings</h2><p class="soft">{said}</p>{figures}'


def tradeoff(report: SweepReport) -> str:
    """The measure against runtime, a point per configuration; nothing where no runtime was measured."""
    ranking, runtime = report.ranking, report.runtime
    if runtime is None or len(ranking.rows) < 2:
        return ""
    seconds = {tuple(row.setting.values()): row.iqm for row in runtime.rows}
    form, bars = number_form(ranking), len(ranking.rows) <= 60
    series = [
        PointSeries(
            label,
            [
                Point(
                    seconds[tuple(row.setting.values())],
                    row.iqm,
                    f"{row.label}\n{ranking.measure} {interval(row.iqm, form)}\nseconds "
                    f"{interval(seconds[tuple(row.setting.values())], number_form(runtime))}",
                    _is_marked(row, ranking),
                )
                for row in rows
            ],
        )
        for label, rows in _by_first_word(ranking)
    ]
    chart = point_chart(series, title=ranking.measure, x_title="runtime, seconds", bars=bars, width=800, height=420)
    good = "Up" if ranking.better == "up" else "Down"
    return (
        f'<h2>{quote(ranking.measure)} against runtime</h2><p class="soft">Interquartile means over seeds'
        f"{', with 95 % intervals' if bars else ''}. {good} and to the left is better. Ringed: the first and "
        f"the reference.</p>{framed(chart, 800)}"
    )


def _curves(ranking: Ranking, field: str) -> tuple[str, str]:
    name, form = short_names(ranking.varied)[field], number_form(ranking)
    groups = _by_rest(ranking, [field])
    series = [
        PointSeries(
            label or ranking.measure,
            sorted((_over(row, field, ranking, form) for row in rows), key=lambda point: point.x.estimate),
        )
        for label, rows in groups[:MAX_LINES]
    ]
    said = "Interquartile means over seeds with 95 % intervals, a line for each of the other settings."
    if len(groups) > MAX_LINES:
        said += f" The {MAX_LINES} with the best row of {len(groups)} are shown."
    return said, framed(point_chart(series, title=ranking.measure, x_title=name, joined=True), 760)


def _maps(ranking: Ranking, fields: Sequence[str]) -> tuple[str, str]:
    names, form = short_names(ranking.varied), number_form(ranking)
    axes = [sorted({row.setting[field] for row in ranking.rows}, key=_as_number) for field in fields]
    wide, high = (0, 1) if len(axes[0]) >= len(axes[1]) else (1, 0)
    finite = [row.iqm.estimate for row in ranking.rows if row.num_seeds]
    groups, maps = _by_rest(ranking, fields), []
    for label, rows in groups[:MAX_MAPS]:
        cells = {
            (axes[wide].index(row.setting[fields[wide]]), axes[high].index(row.setting[fields[high]])): HeatCell(
                row.iqm.estimate,
                format(row.iqm.estimate, form) if row.num_seeds else "–",
                f"{row.label}\nrank {row.rank}: {interval(row.iqm, form)}",
                row.rank == 1,
            )
            for row in rows
        }
        figure = heat_map(
            cells,
            title=label or ranking.measure,
            x_labels=[value_text(value) for value in axes[wide]],
            y_labels=[value_text(value) for value in axes[high]],
            x_title=names[fields[wide]],
            y_title=names[fields[high]],
            bounds=(min(finite), max(finite)),
            darker_is_more=ranking.better == "up",
        )
        maps.append(f"<div>{figure}</div>")
    said = "Interquartile means over seeds; darker is better, on one scale. Framed: the first of the ranking."
    if len(groups) > MAX_MAPS:
        said += f" The {MAX_MAPS} other settings with the best row of {len(groups)} are shown."
    return said, f'<div class="grid">{"".join(maps)}</div>'


def _clouds(ranking: Ranking, fields: Sequence[str]) -> tuple[str, str]:
    names, form, groups = short_names(ranking.varied), number_form(ranking), _by_first_word(ranking)
    figures = [
        point_chart(
            [PointSeries(label, [_over(row, field, ranking, form) for row in rows]) for label, rows in groups],
            title=ranking.measure,
            x_title=names[field],
            bars=False,
        )
        for field in fields
    ]
    said = "A point per configuration: its interquartile mean over seeds. Everything else varies along."
    return said, "".join(framed(figure, 760) for figure in figures)


def _over(row: RankedRow, field: str, ranking: Ranking, form: str) -> Point:
    at = float(_as_number(row.setting[field]))
    return Point(Interval(at, at, at), row.iqm, f"{row.label}\n{interval(row.iqm, form)}", _is_marked(row, ranking))


def _is_marked(row: RankedRow, ranking: Ranking) -> bool:
    return row.rank in {1, ranking.reference_rank}


def _by_rest(ranking: Ranking, fields: Sequence[str]) -> list[tuple[str, list[RankedRow]]]:
    """Rows by their other settings, those with the best row first."""
    rest, names = [field for field in ranking.varied if field not in fields], short_names(ranking.varied)
    groups: dict[str, list[RankedRow]] = {}
    for row in ranking.rows:
        label = ", ".join(
            value_text(row.setting[field])
            if isinstance(row.setting[field], str)
            else f"{names[field]}={value_text(row.setting[field])}"
            for field in rest
        )
        groups.setdefault(label, []).append(row)
    return list(groups.items())


def _by_first_word(ranking: Ranking) -> list[tuple[str, list[RankedRow]]]:
    """Rows by the first setting that is no number, in order of rank; the last colour takes what is left."""
    numeric = numeric_fields(ranking)
    words = [field for field in ranking.varied if field not in numeric]
    groups: dict[str, list[RankedRow]] = {}
    for row in ranking.rows:
        groups.setdefault(value_text(row.setting[words[0]]) if words else "", []).append(row)
    named = list(groups.items())
    if len(named) <= MAX_LINES:
        return named
    rest = [row for _, rows in named[MAX_LINES:] for row in rows]
    return [*named[:MAX_LINES], (REST, rest)]


def _filled(ranking: Ranking, fields: Sequence[str]) -> float:
    """Share of the grid of two fields that was run, over the other settings."""
    sizes = [len({row.setting[field] for row in ranking.rows}) for field in fields]
    return len(ranking.rows) / (sizes[0] * sizes[1] * len(_by_rest(ranking, fields)))


def _is_number(value: Value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _as_number(value: Value) -> float:
    return float(value) if isinstance(value, int | float) else 0.0
