"""Sections of a sweep's page that show a measure over the swept settings, and a measure against runtime."""

from collections.abc import Sequence

from lts_jax.evaluation.ranking import RankedRow, Ranking, Value, short_names, value_text
from lts_jax.evaluation.statistics import Interval
from lts_jax.reports.axes import Frame
from lts_jax.reports.charts import HeatAxes, HeatCell, heat_map
from lts_jax.reports.page import grid, scroll_box, section
from lts_jax.reports.point_chart import Point, PointSeries, point_chart
from lts_jax.reports.sweep_report import SweepReport, number_form
from lts_jax.reports.text import interval

MAX_LINES, MAX_MAPS, MAX_STEPS = 9, 8, 16
REST = "all others"


def over_settings(ranking: Ranking) -> str:
    """The measure over numeric settings; nothing where no number was swept.

    A curve for one field, heat maps for two, clouds of points for more, or where no grid was run.
    """
    numeric = numeric_fields(ranking)
    if not numeric:
        return ""
    steps = [len({row.setting[field] for row in ranking.rows}) for field in numeric]
    if len(numeric) == 1 and steps[0] <= MAX_STEPS:
        intro, figures = _curves(ranking, numeric[0])
    elif len(numeric) == 2 and max(steps) <= MAX_STEPS and _share_run(ranking, numeric) >= 0.5:
        intro, figures = _maps(ranking, numeric)
    else:
        intro, figures = _clouds(ranking, numeric)
    return section(f"{ranking.measure} over the settings", figures, intro=intro)


def tradeoff(report: SweepReport) -> str:
    """The measure against runtime, a point per configuration; nothing where no runtime was measured."""
    ranking, runtime = report.ranking, report.runtime
    if runtime is None or len(ranking.rows) < 2:
        return ""
    seconds = {tuple(row.setting.values()): row.iqm for row in runtime.rows}
    form, bars = number_form(ranking), len(ranking.rows) <= 60

    def point(row: RankedRow) -> Point:
        x = seconds[tuple(row.setting.values())]
        tip = f"{row.label}\n{ranking.measure} {interval(row.iqm, form)}\nseconds {interval(x, number_form(runtime))}"
        return Point(x, row.iqm, tip, _is_marked(row))

    series = [PointSeries(label, [point(row) for row in rows]) for label, rows in _by_first_word(ranking)]
    chart = point_chart(series, Frame(ranking.measure, "runtime, seconds", 800, 420), bars=bars)
    intro = (
        f"Interquartile means over seeds{', with 95 % intervals' if bars else ''}. "
        f"{'Up' if ranking.better == 'up' else 'Down'} and to the left is better. Ringed: the first and the reference."
    )
    return section(f"{ranking.measure} against runtime", scroll_box(chart), intro=intro)


def numeric_fields(ranking: Ranking) -> list[str]:
    """Fields that differ and whose values are all numbers."""
    return [field for field in ranking.varied if all(_is_number(row.setting[field]) for row in ranking.rows)]


def _curves(ranking: Ranking, field: str) -> tuple[str, str]:
    groups = _by_rest(ranking, [field])
    series = [
        PointSeries(label or ranking.measure, sorted((_over(row, field, ranking) for row in rows), key=_place))
        for label, rows in groups[:MAX_LINES]
    ]
    intro = "Interquartile means over seeds with 95 % intervals, a line for each of the other settings."
    if len(groups) > MAX_LINES:
        intro += f" The {MAX_LINES} with the best row of {len(groups)} are shown."
    frame = Frame(ranking.measure, short_names(ranking.varied)[field])
    return intro, scroll_box(point_chart(series, frame, joined=True))


def _maps(ranking: Ranking, fields: Sequence[str]) -> tuple[str, str]:
    names, form = short_names(ranking.varied), number_form(ranking)
    values = {field: sorted({row.setting[field] for row in ranking.rows}, key=_as_number) for field in fields}
    wide, high = sorted(fields, key=lambda field: -len(values[field]))
    finite = [row.iqm.estimate for row in ranking.rows if row.num_seeds]
    groups, maps = _by_rest(ranking, fields), []
    for label, rows in groups[:MAX_MAPS]:
        cells = {
            (values[wide].index(row.setting[wide]), values[high].index(row.setting[high])): HeatCell(
                row.iqm.estimate,
                format(row.iqm.estimate, form) if row.num_seeds else "–",
                f"{row.label}\nrank {row.rank}: {interval(row.iqm, form)}",
                row.rank == 1,
            )
            for row in rows
        }
        axes = HeatAxes(
            title=label or ranking.measure,
            x_labels=[value_text(value) for value in values[wide]],
            y_labels=[value_text(value) for value in values[high]],
            x_title=names[wide],
            y_title=names[high],
            bounds=(min(finite), max(finite)),
            darker_is_more=ranking.better == "up",
        )
        maps.append(heat_map(cells, axes))
    intro = "Interquartile means over seeds; darker is better, on one scale. Framed: the first of the ranking."
    if len(groups) > MAX_MAPS:
        intro += f" The {MAX_MAPS} other settings with the best row of {len(groups)} are shown."
    return intro, grid(maps)


def _clouds(ranking: Ranking, fields: Sequence[str]) -> tuple[str, str]:
    names, figures = short_names(ranking.varied), []
    for field in fields:
        series = [
            PointSeries(label, [_over(row, field, ranking) for row in rows]) for label, rows in _by_first_word(ranking)
        ]
        figures.append(scroll_box(point_chart(series, Frame(ranking.measure, names[field]), bars=False)))
    intro = "A point per configuration: its interquartile mean over seeds. Everything else varies along."
    return intro, "".join(figures)


def _over(row: RankedRow, field: str, ranking: Ranking) -> Point:
    at, tip = _as_number(row.setting[field]), f"{row.label}\n{interval(row.iqm, number_form(ranking))}"
    return Point(Interval(at, at, at), row.iqm, tip, _is_marked(row))


def _place(point: Point) -> float:
    return point.x.estimate


def _is_marked(row: RankedRow) -> bool:
    return row.rank == 1 or row.is_reference


def _by_rest(ranking: Ranking, fields: Sequence[str]) -> list[tuple[str, list[RankedRow]]]:
    """Rows by their other settings, those with the best row first."""
    rest, names = [field for field in ranking.varied if field not in fields], short_names(ranking.varied)
    groups: dict[str, list[RankedRow]] = {}
    for row in ranking.rows:
        label = ", ".join(
            ("" if isinstance(row.setting[field], str) else f"{names[field]}=") + value_text(row.setting[field])
            for field in rest
        )
        groups.setdefault(label, []).append(row)
    return list(groups.items())


def _by_first_word(ranking: Ranking) -> list[tuple[str, list[RankedRow]]]:
    """Rows by the first setting that is no number, in order of rank; the last colour takes what is left."""
    words = [field for field in ranking.varied if field not in numeric_fields(ranking)]
    groups: dict[str, list[RankedRow]] = {}
    for row in ranking.rows:
        groups.setdefault(value_text(row.setting[words[0]]) if words else "", []).append(row)
    named = list(groups.items())
    rest = [row for _, rows in named[MAX_LINES:] for row in rows]
    return [*named[:MAX_LINES], (REST, rest)] if rest else named


def _share_run(ranking: Ranking, fields: Sequence[str]) -> float:
    """Share of the grid of two fields that was run, over the other settings."""
    sizes = [len({row.setting[field] for row in ranking.rows}) for field in fields]
    return len(ranking.rows) / (sizes[0] * sizes[1] * len(_by_rest(ranking, fields)))


def _is_number(value: Value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _as_number(value: Value) -> float:
    return float(value) if isinstance(value, int | float) else 0.0
