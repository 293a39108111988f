"""The ranking as text for a terminal: one table of at most 100 columns and the notes."""

import math
import textwrap
from collections.abc import Sequence

from lts_jax.evaluation.ranking_rows import RankedRow, Ranking, short_names, value_text, values_text
from lts_jax.reports.ranking_report import SweepReport, number_form, sweep_headline
from lts_jax.reports.table import WIDTH, interval, number

MAX_ROWS = 25
MAX_CELL = 22


def ranking_text(report: SweepReport) -> str:
    """The first `MAX_ROWS` configurations, and the reference wherever it is. A dash means nothing to measure."""
    ranking = report.ranking
    shown = [row for row in ranking.rows if row.rank <= MAX_ROWS or row.rank == ranking.reference_rank]
    table = _table(ranking, shown)
    left_out = len(ranking.rows) - len(shown)
    if left_out:
        table += f"\n... and {left_out:,} more in report.html and report.json"
    blocks = [_wrap(sweep_headline(ranking)), table, "\n".join(_wrap(note) for note in report.notes)]
    return "\n\n".join(blocks) + "\n"


def p_text(p_value: float) -> str:
    """A p-value with three decimals, "<.001" below that, a dash where there is none."""
    if not math.isfinite(p_value):
        return "-"
    return "<.001" if p_value < 0.001 else f"{p_value:.3f}".removeprefix("0")


def _table(ranking: Ranking, shown: Sequence[RankedRow]) -> str:
    names, form = short_names(ranking.varied), number_form(ranking)
    heads = [
        "",
        *(names[field] for field in ranking.varied),
        ranking.measure,
        "vs reference",
        "P better",
        "p",
        "seeds",
    ]
    rows, num_left = [_cells(row, ranking, form) for row in shown], 1 + len(ranking.varied)
    if len({row.num_seeds for row in ranking.rows}) == 1:  # the notes say how many
        heads, rows = heads[:-1], [cells[:-1] for cells in rows]
    legend = ""
    if _width([*_stack(heads), *rows]) > WIDTH:  # one column for all settings, cut where the line ends
        heads = ["", "configuration", *heads[num_left:]]
        rows = [
            [cells[0], values_text(row, ranking.varied), *cells[num_left:]]
            for row, cells in zip(shown, rows, strict=True)
        ]
        room = max(MAX_CELL, WIDTH - _width([[cells[0], "", *cells[2:]] for cells in [*_stack(heads), *rows]]))
        rows, num_left = [[cells[0], _shorten(cells[1], room), *cells[2:]] for cells in rows], 2
        legend = _wrap(f"configuration: {' · '.join(names.values())}") + "\n\n"
    stacked = _stack(heads)
    widths = [max(len(cells[column]) for cells in [*stacked, *rows]) for column in range(len(heads))]
    texts = [
        "  ".join(
            cell.ljust(width) if 0 < column < num_left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ).rstrip()
        for cells in [*stacked, *rows]
    ]
    return legend + "\n".join([*texts[: len(stacked)], "-" * max(map(len, texts)), *texts[len(stacked) :]])


def _stack(heads: Sequence[str]) -> list[list[str]]:
    """Heads with a word per line, as narrow as their longest word, ending on one line."""
    words = [head.replace(".", " ").replace("_", " ").split() for head in heads]
    height = max(map(len, words))
    padded = [[""] * (height - len(one)) + one for one in words]
    return [list(line) for line in zip(*padded, strict=True)]


def _cells(row: RankedRow, ranking: Ranking, form: str) -> list[str]:
    reference = row.rank == ranking.reference_rank
    return [
        str(row.rank),
        *(_shorten(value_text(row.setting[field]), MAX_CELL) for field in ranking.varied),
        interval(row.iqm, form),
        "reference" if reference else interval(row.difference, "+" + form),
        "" if reference else number(row.improvement.estimate),
        "" if reference else p_text(row.p_holm),
        str(row.num_seeds),
    ]


def _width(lines: Sequence[Sequence[str]]) -> int:
    widths = [max(len(cells[column]) for cells in lines) for column in range(len(lines[0]))]
    return sum(widths) + 2 * (len(widths) - 1)


def _shorten(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


def _wrap(text: str) -> str:
    return textwrap.fill(text, WIDTH, subsequent_indent="  ")
