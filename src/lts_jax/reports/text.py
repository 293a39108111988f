"""Reports as text for a terminal: tables of at most 100 columns and the notes. A dash means nothing to measure."""

import math
import textwrap
from collections.abc import Collection, Sequence

from lts_jax.evaluation.comparison import ComparisonRow
from lts_jax.evaluation.ranking import RankedRow, Ranking, short_names, value_text, values_text
from lts_jax.evaluation.statistics import Interval
from lts_jax.reports.report import Report, headline
from lts_jax.reports.svg import shorten, shorten_name
from lts_jax.reports.sweep_report import SweepReport, number_form, sweep_headline, top_rows
from lts_jax.reports.verdict import verdict

WIDTH = 100
MIN_POLICY_WIDTH = 8
MAX_ROWS, MAX_CELL = 25, 22  # of a sweep

Cells = Sequence[str]


def report_text(report: Report) -> str:
    """The comparison as plain text, no line longer than `WIDTH` characters."""
    said = verdict(report)
    blocks = [
        *(["\n".join([said[0], *(wrapped(f"  {line}") for line in said[1:])])] if said else []),
        wrapped(headline(report)) + (f"\n{wrapped(report.calls)}" if report.calls else ""),
        *comparison_tables(report),
        "\n".join(wrapped(note) for note in report.notes),
    ]
    return "\n\n".join(blocks) + "\n"


def comparison_tables(report: Report) -> list[str]:
    """What came out, what was shared, and the official figures, a row for each policy."""
    outcome = [_outcome_cells(row, report.reference) for row in report.rows]
    sharing = [_sharing_cells(row) for row in report.rows]
    official = [_official_cells(row) for row in report.rows]
    heads = ["policy", "admitted", "read (chance)", "cross (chance)", "reach (chance)", "steps", "tokens", "usd"]
    return [
        _policy_table(["policy", "score", "vs reference", "seconds", "saved %"], outcome),
        _policy_table(heads, sharing),
        _policy_table(["policy", "score", "answered", "precision", "exact match"], official),
    ]


def plain_table(heads: Cells, rows: Sequence[Cells]) -> str:
    """Lines of heads, a rule and rows; the first column is flush left, the others right."""
    return _table([heads], rows, {0})


def sweep_text(report: SweepReport) -> str:
    """The first `MAX_ROWS` configurations, and the reference wherever it is."""
    ranking = report.ranking
    rows = top_rows(ranking, MAX_ROWS)
    table = _ranking_table(ranking, rows)
    left_out = len(ranking.rows) - len(rows)
    if left_out:
        table += f"\n... and {left_out:,} more in report.html and report.json"
    blocks = [wrapped(sweep_headline(ranking)), table, "\n".join(wrapped(note) for note in report.notes)]
    return "\n\n".join(blocks) + "\n"


def number(value: float, form: str = ".2f", none: str = "-") -> str:
    """A number in a format, or a dash where there is none."""
    return format(value, form) if math.isfinite(value) else none


def interval(value: Interval, form: str = ".2f", bounds_form: str | None = None) -> str:
    """An estimate with its interval, as "0.41 [0.36, 0.47]"; the estimate alone where bounds are unknown."""
    estimate = number(value.estimate, form)
    if not math.isfinite(value.low):
        return estimate
    bounds = bounds_form or form
    return f"{estimate} [{value.low:{bounds}}, {value.high:{bounds}}]"


def short_count(value: float) -> str:
    """A count in at most five characters: 950, 12.3k, 1.24M."""
    if not math.isfinite(value):
        return "-"
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}"


def p_text(p_value: float) -> str:
    """A p-value with three decimals, "<0.001" below that, a dash where there is none."""
    return "<0.001" if p_value < 0.001 else number(p_value, ".3f")


def _outcome_cells(row: ComparisonRow, reference: str) -> Cells:
    is_reference = row.policy == reference
    return (
        row.policy,
        interval(row.score, ".3f", ".2f"),
        "reference" if is_reference else interval(row.score_difference, "+.3f", "+.2f"),
        interval(row.runtime_seconds, ".0f"),
        "reference" if is_reference else interval(row.runtime_reduction_percent, "+.1f"),
    )


def _sharing_cells(row: ComparisonRow) -> Cells:
    return (
        row.policy,
        number(row.admission_fraction),
        _with_chance(row.read_rate, row.read_rate_chance),
        _with_chance(row.cross_share, row.cross_share_chance),
        _with_chance(row.reach, row.reach_chance),
        number(row.steps_per_team, ".1f"),
        short_count(row.tokens),
        number(row.usd or math.nan, ".3f"),
    )


def _official_cells(row: ComparisonRow) -> Cells:
    """The figures of AssistantBench's leaderboard."""
    figures = (row.score.estimate, row.answered, row.precision, row.exact_match)
    return (row.policy, *(number(one, ".3f") for one in figures))


def _with_chance(value: float, chance: float) -> str:
    return f"{value:.2f} ({number(chance)})" if math.isfinite(value) else "-"


def _policy_table(heads: Cells, rows: Sequence[Cells]) -> str:
    """Policies on the left, shortened where the whole would be too wide."""
    gap = 2 if _width([heads, *rows]) <= WIDTH else 1
    room = WIDTH - _width([["", *cells[1:]] for cells in [heads, *rows]], gap)
    return _table([heads], [[shorten_name(row[0], max(MIN_POLICY_WIDTH, room)), *row[1:]] for row in rows], {0}, gap)


def _ranking_table(ranking: Ranking, rows: Sequence[RankedRow]) -> str:
    names = short_names(ranking.varied)
    figures = [ranking.measure, "vs reference", "P better", "p", "seeds"]
    if len({row.num_seeds for row in ranking.rows}) == 1:  # the notes say how many
        figures.pop()
    cells = [_ranked_cells(row, ranking)[: len(figures)] for row in rows]
    settings = [[shorten_name(value_text(row.setting[field]), MAX_CELL) for field in ranking.varied] for row in rows]
    ranks, heads = [str(row.rank) for row in rows], _stack(["", *names.values(), *figures])
    lines = [[rank, *setting, *own] for rank, setting, own in zip(ranks, settings, cells, strict=True)]
    if _width([*heads, *lines]) <= WIDTH:
        return _table(heads, lines, range(1, 1 + len(names)))
    # one column for all settings, cut where the line ends
    heads = _stack(["", "configuration", *figures])
    without = [[rank, "", *own] for rank, own in zip(ranks, cells, strict=True)]
    room = max(MAX_CELL, WIDTH - _width([*([line[0], "", *line[2:]] for line in heads), *without]))
    lines = [
        [line[0], shorten(values_text(row, ranking.varied), room), *line[2:]]
        for row, line in zip(rows, without, strict=True)
    ]
    return wrapped(f"configuration: {' · '.join(names.values())}") + "\n\n" + _table(heads, lines, {1})


def _ranked_cells(row: RankedRow, ranking: Ranking) -> list[str]:
    form = number_form(ranking)
    return [
        interval(row.iqm, form),
        "reference" if row.is_reference else interval(row.difference, "+" + form),
        "" if row.is_reference else number(row.improvement.estimate),
        "" if row.is_reference else p_text(row.p_holm),
        str(row.num_seeds),
    ]


def _stack(heads: Cells) -> list[list[str]]:
    """Heads with a word per line, as narrow as their longest word, ending on one line."""
    words = [head.replace(".", " ").replace("_", " ").split() for head in heads]
    height = max(map(len, words))
    padded = [[""] * (height - len(one)) + one for one in words]
    return [list(line) for line in zip(*padded, strict=True)]


def _table(heads: Sequence[Cells], rows: Sequence[Cells], left: Collection[int], gap: int = 2) -> str:
    """Lines of heads, a rule, and rows; the columns of `left` are flush left, the others right."""
    widths = [max(map(len, column)) for column in zip(*heads, *rows, strict=True)]
    lines = [
        (" " * gap)
        .join(
            cell.ljust(width) if column in left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
        )
        .rstrip()
        for cells in [*heads, *rows]
    ]
    return "\n".join([*lines[: len(heads)], "-" * max(map(len, lines)), *lines[len(heads) :]])


def _width(lines: Sequence[Cells], gap: int = 2) -> int:
    return sum(max(map(len, column)) for column in zip(*lines, strict=True)) + gap * (len(lines[0]) - 1)


def wrapped(text: str) -> str:
    """A paragraph in lines of at most `WIDTH` characters."""
    return textwrap.fill(text, WIDTH, subsequent_indent="  ")
